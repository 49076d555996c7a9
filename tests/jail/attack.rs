//! Breaking out of the jail of BIND, beside the one that serves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::machine::{Machine, machine};

/// What a kernel or a machine may not have, so that nothing gets at it even outside of a jail: x32,
/// modules, kexec, I/O ports, ciphers by socket, a console, disks, quotas, file handles (overlayfs),
/// CAP_SYS_RESOURCE, /proc/kcore and /proc/sysrq-trigger.
const NOT_HERE: [&str; 16] = [
    "abi-x32",
    "device-open",
    "kernel-delete-module",
    "kernel-finit-module",
    "kernel-init-module",
    "kernel-kexec",
    "kernel-name-to-handle",
    "kernel-ports",
    "kernel-quota",
    "limit-out-of-memory",
    "proc-kcore",
    "proc-modprobe",
    "proc-sysrq",
    "root-handle",
    "socket-alg",
    "terminal-tioclinux",
];

/// The outcome of each probe, by its name and phase.
fn attack(m: &Machine, arguments: &[&str], exit_code: i32) -> BTreeMap<(String, String), String> {
    let done = m.gaoler(&[&["attack", "named", "--json"], arguments].concat());
    assert_eq!(done.code, exit_code, "{}{}", done.out, done.err);
    let report: Value = serde_json::from_str(&done.out).unwrap();
    let probes = report["probes"].as_array().unwrap();
    let word = |probe: &Value, key: &str| probe[key].as_str().unwrap().to_owned();
    let outcomes: BTreeMap<(String, String), String> = probes
        .iter()
        .map(|probe| {
            (
                (word(probe, "id"), word(probe, "phase")),
                word(probe, "outcome"),
            )
        })
        .collect();
    let escaped = outcomes.values().filter(|outcome| *outcome == "escaped");
    assert_eq!(report["escaped"], escaped.count());
    outcomes
}

/// Every file of the tree, by its name: what it is and when it changed.
fn tree(root: &Path) -> BTreeMap<String, (u32, i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        let facts = (metadata.mode(), metadata.ctime(), metadata.ctime_nsec());
        all.insert(path.display().to_string(), facts);
    }
    all
}

#[test]
fn nothing_escapes_in_either_phase() {
    machine(|m| {
        let pid = m.up();
        let root = fs::canonicalize("/var/lib/gaoler/named/current")
            .unwrap()
            .join("root");
        let before = tree(&root);
        let outcomes = attack(m, &[], 0);
        let of = |phase: &str, outcome: &str| {
            let all = outcomes.iter();
            all.filter(|((_, of), is)| of == phase && *is == outcome)
                .count()
        };
        for phase in ["start", "serve"] {
            assert_eq!(of(phase, "escaped"), 0);
            // Each of them got through where nothing confined it.
            assert!(
                of(phase, "blocked") >= 140,
                "{phase}: {}",
                of(phase, "blocked")
            );
        }
        for ((id, _), outcome) in &outcomes {
            let known = NOT_HERE.contains(&id.as_str());
            assert!(known || outcome != "not-proven", "{id} got through nowhere");
        }
        assert_eq!(tree(&root), before);
        assert_eq!(
            m.pid("named"),
            pid,
            "the jail that serves was not disturbed"
        );
        m.sound("named");
        let names: Vec<String> = fs::read_dir("/var/lib/gaoler")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["named"]);
        for place in ["/var/cache/bind", "/var/lib/bind", "/run/named"] {
            for entry in fs::read_dir(place).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(!name.starts_with(".gaoler"), "{place}/{name}");
            }
        }
        m.gaoler(&["stop", "named"]).ok();
        m.nothing_left("named", &[]);
    });
}

/// What a service leaves for the host, where nothing keeps it from that but the host itself.
#[test]
fn what_is_left_for_the_host_is_neither_followed_nor_believed() {
    machine(|m| {
        m.up();
        let mut arguments = vec!["--without", "seccomp"];
        let probes = gaoler::attack::probes().unwrap();
        let left = ["log-", "pid-file-", "link-"];
        let probes = probes.iter().map(|probe| probe.id.as_str());
        let probes = probes.filter(|id| left.iter().any(|begin| id.starts_with(begin)));
        probes.for_each(|probe| arguments.extend(["--probe", probe]));
        let done = m.gaoler(&[&["attack", "named", "--json"], &arguments[..]].concat());
        let report: Value = serde_json::from_str(&done.out).unwrap();
        let probes = report["probes"].as_array().unwrap();
        assert_eq!(probes.len(), 2 * 19);
        for probe in probes {
            // Nothing of root's can be linked to from in there.
            let is_hard = probe["id"].as_str().unwrap().starts_with("link-hard-");
            let layer = if is_hard { "root" } else { "host" };
            assert_eq!(probe["outcome"], "blocked", "{probe:#}");
            assert_eq!(probe["layer"], layer, "{probe:#}");
        }
        m.gaoler(&["stop", "named"]).ok();
        m.nothing_left("named", &[]);
    });
}

/// What each layer stops that no other does; what it stops with others shows without them too.
#[test]
fn without_a_layer_what_only_it_stops_escapes() {
    let without: [(&[&str], &[&str]); 13] = [
        (&["root"], &["socket-host-unix", "code-write-and-map"]),
        (&["ids"], &["id-setuid"]),
        (&["capabilities"], &["socket-raw", "capability-bounding"]),
        (
            &["landlock"],
            &[
                "socket-host-abstract",
                "socket-descriptor-sibling",
                "socket-connect-host",
                "socket-bind-port",
            ],
        ),
        (
            &["seccomp"],
            &[
                "namespace-user",
                "kernel-io-uring",
                "abi-32-bit",
                "ipc-keyring-read",
                "code-made-executable",
                "code-memfd-execute",
            ],
        ),
        (&["pid_namespace"], &["process-limits"]),
        (&["limits"], &["limit-core"]),
        (
            &["seccomp", "ipc_namespace"],
            &["ipc-shared-memory", "ipc-semaphores"],
        ),
        (
            &["seccomp", "landlock", "pid_namespace"],
            &["process-kill", "process-pidfd"],
        ),
        (
            &["root", "landlock", "ids", "session"],
            &["terminal-controlling", "root-absolute", "file-read-shadow"],
        ),
        (
            &["seccomp", "landlock", "root", "no_new_privs"],
            &["exec-setuid-file", "mount-user-namespace"],
        ),
        (
            &["host"],
            &[
                "log-forged-jail",
                "log-forged-gaoler",
                "log-forged-process",
                "log-forged-facility",
                "log-forged-line",
                "log-control-characters",
                "log-huge",
                "log-flood",
                "pid-file-other",
                "pid-file-first",
                "pid-file-everybody",
            ],
        ),
        (
            &["host", "seccomp", "landlock", "root", "ids"],
            &[
                "pid-file-fifo",
                "link-pid-file",
                "link-new-pid-file",
                "link-hard-pid-file",
                "link-log-file",
                "link-hard-log-file",
                "link-mount-source",
                "link-removed",
            ],
        ),
    ];
    machine(|m| {
        m.up();
        for (layers, probes) in without {
            let mut arguments = Vec::new();
            layers
                .iter()
                .for_each(|layer| arguments.extend(["--without", *layer]));
            probes
                .iter()
                .for_each(|probe| arguments.extend(["--probe", *probe]));
            let outcomes = attack(m, &arguments, 3);
            for probe in probes {
                let escaped = outcomes
                    .iter()
                    .any(|((id, _), outcome)| id == probe && outcome == "escaped");
                assert!(escaped, "{layers:?} {probe}: {outcomes:?}");
            }
        }
        // With the session kept, the terminal stays out of reach though nothing else is in the way.
        let arguments = [
            "--without",
            "seccomp",
            "--without",
            "landlock",
            "--without",
            "root",
        ];
        let arguments = [
            &arguments[..],
            &["--without", "ids", "--probe", "terminal-controlling"],
        ];
        let outcomes = attack(m, &arguments.concat(), 0);
        assert!(
            outcomes.values().all(|outcome| outcome == "blocked"),
            "{outcomes:?}"
        );
        m.gaoler(&["stop", "named"]).ok();
        m.nothing_left("named", &[]);
    });
}

#[test]
fn one_that_cannot_be_attacked_is_said_and_nothing_is_left() {
    machine(|m| {
        m.up();
        let refused = |arguments: &[&str], exit_code: i32, why: &str| {
            let done = m.gaoler(&[&["attack"], arguments].concat());
            assert_eq!(done.code, exit_code, "{}", done.err);
            assert!(done.err.contains(why), "{}", done.err);
        };
        refused(&["nobody"], 2, "there is none");
        refused(
            &["named", "--probe", "teleport"],
            2,
            "there is none of that name",
        );
        refused(&["named", "--without", "hope"], 2, "there is no such layer");
        refused(
            &["named", "--without", "no_new_privs"],
            2,
            "need no_new_privs",
        );
        // What somebody else has put where an attack goes.
        std::os::unix::fs::symlink("/etc", "/var/lib/gaoler/.attack-named").unwrap();
        refused(&["named"], 125, "symbolic link");
        fs::remove_file("/var/lib/gaoler/.attack-named").unwrap();
        // What one that was killed has left.
        fs::create_dir("/var/lib/gaoler/.attack-named").unwrap();
        fs::write("/var/lib/gaoler/.attack-named/secret", "old").unwrap();
        let outcomes = attack(m, &["--probe", "root-absolute"], 0);
        assert!(outcomes.values().all(|outcome| outcome == "blocked"));
        m.gaoler(&["stop", "named"]).ok();
        m.nothing_left("named", &[]);
    });
}
