//! "Running BIND9 in a chroot cage using NetBSD's new startup system".

use super::{Principle, built_in, by_rules};

pub(super) const WARNINGS: &[Principle] = &[
    by_rules(
        "do not let the daemon run with full system privileges",
        &[
            "spec.root",
            "spec.capability",
            "live.uid",
            "live.capabilities",
        ],
    ),
    by_rules(
        "limit the damage: let it access nothing but the few files it needs",
        &["spec.looser", "spec.host-place"],
    ),
    by_rules(
        "create a minimal data set of passwords that contains only the service's user; do not \
         copy /etc/master.passwd",
        &["tree.accounts", "tree.secret"],
    ),
    built_in(
        "the user must be able to create the file with its pid",
        "the pid file is in a place that is learned to be written",
        ("tests/jail/debian.rs", "facts_of_the_running_service"),
    ),
    built_in(
        "make sure that logging is set up after restarting syslogd",
        "a message from inside is seen outside",
        ("tests/jail/logging.rs", "syslog_has_the_true_pid"),
    ),
    built_in(
        "disable the system's own name server",
        "a start is refused while the host's own copy runs",
        ("tests/jail/refusals.rs", "the_hosts_own_copy_runs"),
    )
    .and(&["host.outside"]),
    built_in(
        "a script that looks for the pid file outside does not find it",
        "it has the same path outside",
        ("tests/jail/debian.rs", "facts_of_the_running_service"),
    ),
    by_rules(
        "ps shows the designated non-root user",
        &["live.uid", "live.gid"],
    ),
    by_rules(
        "fstat shows the process's root directory, ls -ldi the tree's: compare the inodes",
        &["live.root"],
    ),
    built_in(
        "su before the start is not usable, since the port needs root",
        "the service has the one capability for it, and no root",
        ("tests/jail/debian.rs", "facts_of_the_running_service"),
    )
    .and(&["spec.capability", "stack.launcher"]),
];
