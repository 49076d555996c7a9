"""prober.py BUNDLE STATE PROBER ARGUMENTS...: runs the prober in a bundle, in place of its service."""

import json
import os
import sys

bundle, state, arguments = sys.argv[1], sys.argv[2], sys.argv[4:]
with open(os.path.join(bundle, "config.json")) as file:
    config = json.load(file)
config["process"]["args"] = ["/prober"] + arguments
config["root"]["path"] = os.path.join(bundle, "rootfs")
name = "prober-%d" % os.getpid()
own = os.path.join(state, name)
os.makedirs(own)
with open(os.path.join(own, "config.json"), "w") as file:
    json.dump(config, file)
os.execvp("runc", ["runc", "--root", os.path.join(state, "runc"), "run", "--bundle", own, name])
