//! "BIND 9 Security (Part 2 - AppArmor, SecompBPF and Firejail)".

use super::{Principle, built_in, by_rules};

pub(super) const WARNINGS: &[Principle] = &[
    built_in(
        "do not apply these recipes without knowing how they work and what they restrict",
        "every allowance has its reason, and a spec with an empty one is refused",
        (
            "src/spec/parse/tests.rs",
            "mistakes_are_shown_where_they_are",
        ),
    ),
    built_in(
        "if the policy is violated, information is logged",
        "gaoler says what was denied and what decided it",
        ("tests/why/denied.rs", "the_filter_names_the_function"),
    ),
    by_rules(
        "monitor for restarts: an unusual one can be evidence of an attack",
        &["run.killed"],
    ),
    built_in(
        "if it acts strangely, back out hardening steps until the strangeness goes away",
        "bisect does that, and names the layer and the rule",
        ("tests/bisect/faults.rs", "a_call_that_is_missing"),
    ),
    by_rules(
        "aa-status: no process is confined though profiles are loaded; aa-unconfined lists what \
         listens and is not confined",
        &["scan.listener"],
    ),
    by_rules(
        "complain mode enforces nothing",
        &["live.complain", "scan.listener"],
    ),
    by_rules(
        "a process must be restarted after its profile changed",
        &["live.seccomp", "live.stale"],
    ),
    by_rules(
        "a program in another place than its profile says is not protected",
        &["scan.listener", "host.outside"],
    ),
    built_in(
        "what is overwritten may be replaced by a system update",
        "a spec belongs to a person: learning again does not overwrite it",
        (
            "tests/refusals/learning.rs",
            "a_spec_that_is_there_is_not_overwritten",
        ),
    ),
    by_rules(
        "by default every process can issue any system call",
        &[
            "live.seccomp",
            "spec.call",
            "spec.protection",
            "scan.listener",
        ],
    ),
    by_rules(
        "systemd-analyze security: the network is the host's (PrivateNetwork=)",
        &["spec.network"],
    ),
    by_rules("it runs as root (User=)", &["spec.root"]),
    by_rules(
        "it may change ids, administer, trace (CapabilityBoundingSet=)",
        &["spec.capability", "live.capabilities"],
    ),
    by_rules(
        "it may allocate Internet, local and exotic sockets (RestrictAddressFamilies=)",
        &["spec.family"],
    ),
    by_rules(
        "it may create namespaces (RestrictNamespaces=)",
        &["spec.call", "live.namespace"],
    ),
    by_rules("it has access to /proc (ProcSubset=)", &["spec.host-place"]),
    by_rules(
        "the hardened unit conflicts with Firejail: use either one but not both",
        &[
            "stack.sandbox",
            "stack.unit",
            "stack.launcher",
            "stack.filter",
        ],
    ),
    by_rules(
        "either can be used together with AppArmor or SELinux",
        &["stack.lsm"],
    ),
    by_rules(
        "it is not required nor recommended to deploy all these methods at once",
        &["stack.sandbox", "stack.unit", "stack.filter"],
    ),
];
