//! The prober under other launchers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::machine::{Machine, machine};

/// What comes of the probes with the arguments of a launcher: the report and each outcome.
fn under(m: &Machine, command: &str, more: &[&str]) -> (Value, BTreeMap<String, String>) {
    let arguments = [&["attack", "--under", command, "--json"], more].concat();
    let done = m.gaoler(&arguments);
    assert_eq!(done.code, 3, "{}", done.err);
    let report: Value = serde_json::from_str(&done.out).unwrap();
    let word = |probe: &Value, key: &str| probe[key].as_str().unwrap().to_owned();
    let outcomes = report["probes"].as_array().unwrap().iter();
    let outcomes = outcomes
        .map(|probe| (word(probe, "id"), word(probe, "outcome")))
        .collect();
    (report, outcomes)
}

fn nothing_left(m: &Machine) {
    // On a machine where no jail has been built there was none.
    assert!(!Path::new("/var/lib/gaoler").exists());
    assert_eq!(m.processes(&[]), []);
}

#[test]
fn more_escapes_from_nothing_than_from_a_network_namespace_than_from_bubblewrap() {
    machine(|m| {
        let before = fs::read("/etc/passwd").unwrap();
        let (nothing, free) = under(m, "env", &[]);
        assert!(nothing["escaped"].as_u64().unwrap() >= 130, "{free:?}");
        assert_eq!(nothing["name"], "env");
        assert_eq!(nothing["generation"], 0);
        assert_eq!(nothing["allowed_by_spec"], 0);
        let (network, cut) = under(m, "unshare -n", &[]);
        assert!(network["escaped"].as_u64() < nothing["escaped"].as_u64());
        for probe in ["socket-connect-host", "socket-host-abstract"] {
            assert_eq!(free[probe], "escaped", "{probe}");
            assert_eq!(cut[probe], "blocked", "{probe}");
        }
        let own_root = "bwrap --ro-bind /usr /usr --ro-bind {} {} --proc /proc --dev /dev \
                        --unshare-all --new-session --die-with-parent";
        let (wrapped, held) = under(m, own_root, &[]);
        assert!(wrapped["escaped"].as_u64() < network["escaped"].as_u64());
        for probe in ["root-absolute", "process-kill", "file-read-shadow"] {
            assert_eq!(cut[probe], "escaped", "{probe}");
            assert_eq!(held[probe], "blocked", "{probe}");
        }
        assert_eq!(fs::read("/etc/passwd").unwrap(), before);
        nothing_left(m);
    });
}

#[test]
fn a_launcher_that_fails_is_no_jail_that_holds() {
    machine(|m| {
        m.write("/etc/launcher", "#!/bin/sh\n\"$@\"\n");
        std::os::unix::fs::symlink("/usr/bin/env", "/etc/link").unwrap();
        let refused = |arguments: &[&str], exit_code: i32, why: &str| {
            let done = m.gaoler(&[&["attack"], arguments].concat());
            assert_eq!(done.code, exit_code, "{}", done.err);
            assert!(done.err.contains(why), "{}", done.err);
        };
        refused(&["--under", "false"], 125, "it ended with code 1");
        refused(
            &["--under", "bwrap --unshare-all"],
            125,
            "No such file or directory",
        );
        refused(&["--under", ""], 2, "it is no command");
        refused(&["--under", "no-such-launcher"], 2, "it is not in");
        refused(&["--under", "/etc/launcher"], 2, "it is a script");
        refused(&["--under", "env", "--user", "no-one"], 2, "no such user");
        refused(&["named", "--under", "env"], 2, "cannot be used with");
        refused(
            &["--under", "env", "--without", "root"],
            2,
            "cannot be used",
        );
        refused(&["--under", "env", "--phase", "start"], 2, "cannot be used");
        refused(&["named", "--user", "bind"], 2, "cannot be used");
        // What starts it may be a link, or a shell with a script; what it leaves is ended.
        let one = ["--probe", "root-absolute", "--user", "games"];
        under(m, "/etc/link", &one);
        under(m, "sh /etc/launcher", &one);
        under(m, "sh -c 'sleep 1000 & exec \"$@\"' sh", &one);
        nothing_left(m);
    });
}
