//! "Jailed Internet Services".

use super::{Principle, built_in, by_rules};

pub(super) const WARNINGS: &[Principle] = &[
    by_rules(
        "a cracker who takes one service must not be able to alter another's content",
        &["shared.uid", "shared.place", "shared.socket"],
    ),
    by_rules(
        "with root privileges a jail is an annoyance, not an unbreakable jail: drop them as soon \
         as possible",
        &["spec.root", "live.uid", "live.capabilities"],
    ),
    by_rules(
        "call chroot as soon as possible: what was opened outside stays open",
        &["live.descriptor", "live.directory"],
    ),
    by_rules(
        "files are copied into the jail, or a hard link is created",
        &["tree.hard-link"],
    ),
    by_rules(
        "a subset of libraries, configuration and devices must be there, along with the \
         application's files",
        &["tree.dangling", "tree.device"],
    ),
    by_rules(
        "the jail should be owned by root with a mode of 755, and what is in it as on the host",
        &["tree.mode", "tree.setuid"],
    ),
    built_in(
        "ldd does not cover what is loaded at run time: trace the calls",
        "the service is run under a tracer that loses nothing",
        (
            "tests/learn/programs.rs",
            "the_calls_are_those_that_strace_sees",
        ),
    ),
    by_rules(
        "be careful when starting it for the first time: some resource may be missing",
        &["spec.incomplete", "live.exercise", "run.killed"],
    ),
    by_rules(
        "cp -p /etc/passwd into the jail, so that it finds its user",
        &["tree.accounts", "tree.secret"],
    ),
    by_rules(
        "perform thorough testing to validate correct operation in the jail",
        &["spec.untested", "live.exercise"],
    ),
    built_in(
        "without specific configuration, syslog will fail within the jail",
        "the jail has a /dev/log of its own",
        ("tests/jail/logging.rs", "syslog_has_the_true_pid"),
    ),
    by_rules(
        "copy the entire structure to the jail and then remove unnecessary files",
        &["spec.looser"],
    ),
    by_rules(
        "directories of content and logs belong to the service's user, with permissions for it \
         alone to write",
        &[
            "place.executable",
            "place.link",
            "place.setuid",
            "place.device",
            "spec.umask",
        ],
    ),
    by_rules(
        "utilities such as a shell or Perl that are added to the jail are available to a cracker \
         too, and may be used to attack other machines",
        &[
            "tree.shell",
            "tree.tool",
            "tree.compiler",
            "spec.execute",
            "spec.connect",
            "spec.network",
        ],
    ),
    by_rules(
        "limit the facilities and tools available",
        &["tree.tool", "tree.launcher"],
    ),
];
