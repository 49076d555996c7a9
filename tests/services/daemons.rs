//! Which rows are on the page, and what `check` finds of each.

/// A row of the table.
pub struct Daemon {
    /// The Debian package.
    pub package: &'static str,
    /// Its row's name.
    pub row: &'static str,
    /// What `check` finds above info, as `RULE: SUBJECT`, and why that is expected.
    pub findings: &'static [(&'static str, &'static str)],
}

/// One without findings.
const fn clean(package: &'static str, row: &'static str) -> Daemon {
    Daemon {
        package,
        row,
        findings: &[],
    }
}

/// The table.
pub const DAEMONS: &[Daemon] = &[
    clean("bind9", "bind"),
    Daemon {
        findings: &[(
            "spec.capability: CAP_SYS_CHROOT",
            "it is configured to make its directory its root by itself, and does so in the jail too",
        )],
        ..clean("unbound", "unbound")
    },
    Daemon {
        findings: &[(
            "spec.capability: CAP_NET_ADMIN",
            "it takes socket buffers above the host's limit, with SO_SNDBUFFORCE and \
             SO_RCVBUFFORCE; it works without, with smaller ones",
        )],
        ..clean("nsd", "nsd")
    },
    clean("dnsmasq-base", "dnsmasq"),
    Daemon {
        findings: &[
            ("spec.execute: execve", "it runs a CGI program"),
            ("tree.shell: /usr/bin/perl", "that program is in Perl"),
        ],
        ..clean("apache2-bin", "apache")
    },
    clean("nginx-light", "nginx"),
    clean("lighttpd", "lighttpd"),
    clean("haproxy", "haproxy"),
    Daemon {
        findings: &[
            (
                "spec.root: service.start_as_root",
                "its parts are two users of its own, and it delivers as each reader in turn",
            ),
            (ROOT_GROUP, ROOT_GROUP_REASON),
            (
                "spec.capability: CAP_SETUID",
                "to become those users, which takes root",
            ),
            ("spec.capability: CAP_SETGID", "the same for their groups"),
            (
                "spec.capability: CAP_CHOWN",
                "it gives the directories of its queue to a part of itself",
            ),
            (
                "spec.capability: CAP_FOWNER",
                "it sets their modes, also when they are that part's",
            ),
            (
                "spec.capability: CAP_DAC_OVERRIDE",
                "as root it clears its queue, which is that part's",
            ),
            (
                "spec.capability: CAP_DAC_READ_SEARCH",
                "as root it reads it",
            ),
            (
                "spec.capability: CAP_SYS_CHROOT",
                "each part makes an empty directory, or the queue, its root",
            ),
            (
                "spec.execute: execve",
                "each part is executed anew, and so is what delivers",
            ),
            (
                "tree.shell: /usr/bin/dash",
                "what delivers is run by a shell, as the reader",
            ),
        ],
        ..clean("opensmtpd", "opensmtpd")
    },
    clean("vsftpd", "vsftpd"),
    Daemon {
        findings: &[
            (
                "spec.root: service.start_as_root",
                "it becomes whoever logs in",
            ),
            (ROOT_GROUP, ROOT_GROUP_REASON),
            ("spec.capability: CAP_SETUID", "the same"),
            ("spec.capability: CAP_SETGID", "the same"),
            (
                "spec.capability: CAP_SYS_CHROOT",
                "what talks to a client that has not logged in has an empty root",
            ),
            (
                "spec.execute: execve",
                "it executes itself for each client, and the user's shell",
            ),
            ("tree.shell: /usr/bin/dash", "the shell of who logs in"),
        ],
        ..clean("openssh-server", "sshd")
    },
    clean("postgresql", "postgresql"),
    clean("redis-server", "redis"),
    clean("memcached", "memcached"),
    clean("mosquitto", "mosquitto"),
    clean("chrony", "chrony"),
];

const ROOT_GROUP: &str = "spec.group: group root";
const ROOT_GROUP_REASON: &str = "root's own";

/// Others that have findings.
pub const OTHERS: &[Daemon] = &[
    Daemon {
        findings: HELPER,
        ..clean("gcc", "nineties")
    },
    Daemon {
        findings: &[
            ("tree.shell: /usr/bin/python3", "it is in Python"),
            ("elf.pie: /usr/bin/python3", "Debian's is none"),
        ],
        ..clean("python3", "python")
    },
    Daemon {
        findings: &[(
            "spec.execute: execve",
            "it runs the program that extends it",
        )],
        ..clean("snmpd", "snmpd")
    },
    Daemon {
        findings: HELPER,
        ..clean("gcc", "waits-for-ever")
    },
];

/// Those that gaoler knows, by the row's name.
pub const KNOWN: &[Daemon] = &[
    clean("apache2", "known-apache2"),
    clean("dnsmasq", "known-dnsmasq"),
    Daemon {
        findings: &[
            (
                "spec.capability: CAP_SYS_CHROOT",
                "its configuration makes /var/lib/haproxy the root of what serves",
            ),
            (
                "spec.execute: execve",
                "it executes itself anew to read its configuration again",
            ),
        ],
        ..clean("haproxy", "known-haproxy")
    },
    Daemon {
        findings: &[
            (
                "spec.execute: execve",
                "Debian's configuration asks two scripts what is in it",
            ),
            ("tree.shell: /usr/bin/dash", "which a shell starts"),
            ("tree.shell: /usr/bin/perl", "and which are in Perl"),
        ],
        ..clean("lighttpd", "known-lighttpd")
    },
    clean("memcached", "known-memcached"),
    clean("mosquitto", "known-mosquitto"),
    clean("nginx", "known-nginx"),
    Daemon {
        findings: &[(
            "spec.capability: CAP_NET_ADMIN",
            "it takes socket buffers above the host's limit; it works without, with smaller ones",
        )],
        ..clean("nsd", "known-nsd")
    },
    clean("postgresql", "known-postgresql"),
    clean("redis-server", "known-redis"),
    Daemon {
        findings: &[
            (
                "spec.root: service.start_as_root",
                "it becomes whoever logs in",
            ),
            (ROOT_GROUP, ROOT_GROUP_REASON),
            ("spec.capability: CAP_SETUID", "the same"),
            ("spec.capability: CAP_SETGID", "the same"),
            (
                "spec.capability: CAP_SYS_CHROOT",
                "what talks to a client that has not logged in has an empty root",
            ),
            (
                "spec.execute: execve",
                "it executes itself for each client, and the user's shell",
            ),
            ("tree.shell: /usr/bin/dash", "the shell of who logs in"),
            (
                "spec.capability: CAP_KILL",
                "it ends what a client has left that did not log in",
            ),
            (
                "spec.capability: CAP_AUDIT_WRITE",
                "it tells the kernel's audit log who logs in",
            ),
        ],
        ..clean("openssh-server", "known-sshd")
    },
    clean("unbound", "known-unbound"),
];

const HELPER: &[(&str, &str)] = &[
    ("spec.execute: execve", "it runs a helper"),
    ("tree.shell: /usr/bin/dash", "that is a script"),
    (
        "elf.stack-protector: /srv/row/nineties",
        "no compiler had one then",
    ),
];
