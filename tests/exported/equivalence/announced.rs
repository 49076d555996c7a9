//! The gaps that announce what gets through under an exported enforcer.

use serde_json::Value;

/// One gap, by an item that it is about and words of its reason, and the probes that these announce.
pub struct Announced {
    /// Under which launchers.
    pub under: &'static [&'static str],
    /// The item.
    pub item: &'static str,
    /// The words.
    pub says: &'static str,
    /// The probes.
    pub probes: &'static [&'static str],
}

const OCI: &[&str] = &["runc", "podman"];
const LAUNCHED: &[&str] = &["bubblewrap", "firejail"];
const EACH: &[&str] = &[
    "systemd",
    "AppArmor",
    "runc",
    "podman",
    "bubblewrap",
    "firejail",
];

/// All of them.
pub static ANNOUNCED: &[Announced] = &[
    Announced {
        under: EACH,
        item: "nothing that it leaves is believed",
        says: "a link or a pid file that it leaves in a place that it writes to is followed and believed by the \
               host's tools",
        probes: &["pid-file-other", "pid-file-first", "pid-file-everybody"],
    },
    Announced {
        under: &["systemd", "runc", "podman", "bubblewrap", "firejail"],
        item: "no file by a descriptor of others",
        says: "from a directory that another process passes it as a descriptor it opens files outside",
        probes: &["socket-descriptor-sibling", "socket-descriptor-abstract"],
    },
    Announced {
        under: OCI,
        item: "no other file",
        says: "a runtime mounts /proc, with the processes of the container alone",
        // The first process there is itself.
        probes: &["proc-mounts", "proc-own-exe", "proc-processes"],
    },
    Announced {
        under: &["podman"],
        item: "no other file",
        says: "podman a /proc that has the kernel's tables too, a /dev with terminals, /sys",
        probes: &[
            "proc-kallsyms",
            "sys-cgroup",
            "sys-kernel-debug",
            "sys-read",
            "terminal-open",
        ],
    },
    Announced {
        under: OCI,
        item: "no other port: bind tcp",
        says: "it binds and connects to any port",
        probes: &["socket-bind-port", "socket-connect-host"],
    },
    Announced {
        under: OCI,
        item: "no abstract socket of others",
        says: "it connects to abstract Unix sockets of other services",
        probes: &["socket-host-abstract"],
    },
    Announced {
        under: &["firejail"],
        item: "no other file",
        says: "it sees /proc of its own processes",
        probes: &["proc-mounts", "proc-processes"],
    },
    Announced {
        under: LAUNCHED,
        item: "no other port: bind tcp",
        says: "it binds and connects to any port",
        probes: &["socket-bind-port", "socket-connect-host"],
    },
    Announced {
        under: LAUNCHED,
        item: "no abstract socket of others",
        says: "it binds and connects to any port, and to abstract sockets of others",
        probes: &["socket-host-abstract"],
    },
    Announced {
        under: &["systemd"],
        item: "no other file",
        says: "systemd mounts /proc, with the processes of its user alone, /dev with the terminals in it",
        probes: &["proc-mounts", "terminal-open"],
    },
    Announced {
        under: &["systemd"],
        item: "protection pid_namespace",
        says: "it can signal every process of the same user, read its memory, and through /proc see its files",
        probes: &[
            "proc-command-line",
            "proc-cwd",
            "proc-exe",
            "proc-root",
            "process-kill",
            "process-limits",
            "process-proc-memory",
            "process-queue-signal",
        ],
    },
    Announced {
        under: &["systemd"],
        item: "no other port: bind tcp",
        says: "SocketBindDeny does nothing there",
        probes: &["socket-bind-port"],
    },
    Announced {
        under: &["systemd"],
        item: "no other port: connect tcp",
        says: "it connects to any port",
        probes: &["socket-connect-host"],
    },
    Announced {
        under: &["systemd"],
        item: "no abstract socket of others",
        says: "it connects to abstract Unix sockets of other services",
        probes: &["socket-host-abstract"],
    },
    Announced {
        under: LAUNCHED,
        item: "limit processes",
        says: "it needs a cgroup, which this launcher does not make",
        probes: &["limit-memory", "limit-processes"],
    },
    Announced {
        under: LAUNCHED,
        item: "log",
        says: "its messages for syslog(3) to the host's /dev/log, both without the name of the jail",
        probes: &[
            "log-control-characters",
            "log-flood",
            "log-forged-facility",
            "log-forged-gaoler",
            "log-forged-jail",
            "log-forged-line",
            "log-forged-process",
            "log-huge",
        ],
    },
];

/// The place of what announces a probe under a launcher.
pub fn announces(launcher: &str, probe: &str) -> Option<usize> {
    let mut all = ANNOUNCED.iter();
    all.position(|one| one.under.contains(&launcher) && one.probes.contains(&probe))
}

impl Announced {
    /// Whether an export, by its `NAME.gaps.json`, makes this gap.
    pub fn is_in(&self, gaps: &Value) -> bool {
        let is_it = |gap: &Value| {
            let mut items = gap["items"].as_array().unwrap().iter();
            items.any(|item| item == self.item) && gap["why"].as_str().unwrap().contains(self.says)
        };
        gaps.as_array().unwrap().iter().any(is_it)
    }
}

/// Holds that each of these, which got through, is announced by a gap of this export.
#[track_caller]
pub fn are_announced(launcher: &str, through: &[String], gaps: &Value) {
    let unannounced: Vec<&String> = through
        .iter()
        .filter(|id| !announces(launcher, id).is_some_and(|at| ANNOUNCED[at].is_in(gaps)))
        .collect();
    assert!(
        unannounced.is_empty(),
        "through under {launcher} without a gap: {unannounced:?}\n{gaps:#}"
    );
}
