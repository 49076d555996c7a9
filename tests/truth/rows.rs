//! What of the daemons of `tests/services` differs from run to run.

/// One daemon that is held to the truth.
pub struct Varying {
    /// The name of its row.
    pub name: &'static str,
    /// Calls that one run makes and another need not, with the reason.
    pub timing: &'static [(&'static str, &'static str)],
    /// Names of files with a part that is made up in each run, as with a pid: that part is `*`.
    pub made_up: &'static [&'static str],
}

/// One that is always the same.
const fn steady(name: &'static str) -> Varying {
    Varying {
        name,
        timing: &[],
        made_up: &[],
    }
}

/// Every daemon that is tried.
pub const DAEMONS: &[Varying] = &[
    Varying {
        timing: &[(
            "poll",
            "a request may be there when it is first read, or not yet",
        )],
        made_up: &["apache.pid.*", "cgi.*"],
        ..steady("apache")
    },
    Varying {
        made_up: &["tmp-*"],
        ..steady("bind")
    },
    Varying {
        made_up: &["chronyc.*.sock"],
        ..steady("chrony")
    },
    steady("dnsmasq"),
    steady("memcached"),
    steady("nginx"),
    Varying {
        made_up: &[
            "nsd-xfr-*",
            "nsd.*.task.0",
            "nsd.*.task.1",
            "nsd.*.zstat.0",
            "nsd.*.zstat.1",
        ],
        ..steady("nsd")
    },
    Varying {
        made_up: &["temp-*.rdb", "temp-rewriteaof-*.aof"],
        ..steady("redis")
    },
    steady("sshd"),
    steady("unbound"),
];
