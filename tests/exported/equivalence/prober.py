"""prober.py BUNDLE STATE: runs the prober in a bundle, over the program of its service.

STATE is a directory of its own; PROBER and ARGUMENTS are in the environment, as prober.sh has them."""

import json
import os
import sys

bundle, state = sys.argv[1:]
with open(os.path.join(bundle, "config.json")) as file:
    config = json.load(file)
program = config["process"]["args"][0]
config["process"]["args"] = [program] + os.environ["ARGUMENTS"].split()
config["mounts"].append(
    {"destination": program, "type": "bind", "source": os.environ["PROBER"], "options": ["bind", "ro"]}
)
config["root"]["path"] = os.path.join(bundle, "rootfs")
name = "prober-%d" % os.getpid()
own = os.path.join(state, name)
os.makedirs(own)
with open(os.path.join(own, "config.json"), "w") as file:
    json.dump(config, file)
os.execvp("runc", ["runc", "--root", os.path.join(state, "runc"), "run", "--bundle", own, name])
