//! What a launcher that starts a service and knows nothing of what follows has no words for: the same
//! for bubblewrap and firejail.

use super::item::capability;
use super::{Item, Ledger, Loss, Subject};
use crate::audit::Severity;
use crate::spec::{CallRule, Direction, Protocol};
use crate::sys::{calls, caps};

/// The capabilities that [`user`] takes: to leave the bounding set, and to become another user
/// (`capabilities(7)`).
pub fn to_change(subject: &Subject<'_>) -> &'static [&'static str] {
    match subject.spec.service.start_as_root {
        true => &["SETPCAP"],
        false => &["SETPCAP", "SETUID"],
    }
}

/// What the loader does for `setpriv` and `env` (glibc 2.36). What else it tries may fail.
pub const OF_LOADER: [&str; 12] = [
    "arch_prctl",
    "brk",
    "close",
    "fstat",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "openat",
    "pread64",
    "prlimit64",
    "read",
];

/// What `setpriv` itself does (util-linux 2.38), but for `prctl(2)` and what changes an id.
pub const OF_SETPRIV: [&str; 4] = ["capget", "capset", "getresgid", "getresuid"];

/// The options of `setpriv(1)` for the user and the exact capabilities. Its group and groups are the
/// caller's to say.
pub fn user(subject: &Subject<'_>) -> Vec<String> {
    let kept = capability_names(subject);
    let kept: String = kept.iter().map(|name| format!(",+{name}")).collect();
    let (user, own) = match subject.spec.service.start_as_root {
        // What the bounding set leaves of all is root's.
        true => (None, ""),
        false => (Some(format!("--reuid={}", subject.uid)), kept.as_str()),
    };
    let sets = [
        ("inh-caps", own),
        ("ambient-caps", own),
        ("bounding-set", &kept),
    ];
    let sets = sets.map(|(option, kept)| format!("--{option}=-all{kept}"));
    user.into_iter().chain(sets).collect()
}

/// The options of `setpriv(1)` for the group and the groups, exactly.
pub fn groups(subject: &Subject<'_>) -> Vec<String> {
    let service = &subject.spec.service;
    let gid = match service.start_as_root {
        true => 0,
        false => subject.gid,
    };
    let groups = match service.groups.is_empty() {
        true => "--clear-groups".to_owned(),
        false => format!("--groups={}", service.groups.join(",")),
    };
    vec![format!("--regid={gid}"), groups]
}

/// The capabilities of the spec as `setpriv(1)` and firejail write them.
pub fn capability_names(subject: &Subject<'_>) -> Vec<String> {
    let kept = subject.spec.capabilities.iter();
    let name = |number| capability(number).replace("CAP_", "").to_ascii_lowercase();
    kept.map(|rule| name(rule.capability)).collect()
}

/// Whether the spec keeps a capability, or starts with all ids.
pub fn keeps(subject: &Subject<'_>, name: &str) -> bool {
    let number = caps::number(name);
    let mut kept = subject.spec.capabilities.iter();
    kept.any(|rule| Some(rule.capability) == number)
}

/// The options of `prlimit(1)`.
pub fn limits(ledger: &mut Ledger, subject: &Subject<'_>) -> Vec<String> {
    let limits = &subject.spec.limits;
    let mut options = Vec::new();
    for (name, option, value) in [
        // None, also where the spec does not say: as in the jail.
        ("core", "core", Some(limits.core.unwrap_or(0))),
        ("descriptors", "nofile", limits.descriptors),
        ("file_size", "fsize", limits.file_size),
    ] {
        if let Some(value) = value {
            options.push(format!("--{option}={value}"));
            ledger.said(&Item::Limit(name));
        }
    }
    ledger.gap(
        ["memory_bytes", "processes"].map(Item::Limit),
        Loss::Lost,
        Severity::Low,
        "it needs a cgroup, which this launcher does not make: \"systemd-run --scope\" around the script \
         does, with MemoryMax= and TasksMax=",
    );
    options
}

/// What of the service's calls is allowed longer, or not looked at.
pub fn phases(ledger: &mut Ledger, subject: &Subject<'_>) {
    let rules = subject.spec.calls.iter();
    let start = rules.filter(|rule| rule.start_only && !subject.is_for_the_option(rule));
    ledger.gap(
        start.map(|rule| Item::StartOnly(rule.number)),
        Loss::Loosened,
        Severity::Low,
        "this launcher knows no phases: what the start alone needs is allowed for good",
    );
    for rule in left_out(subject) {
        ledger.said(&Item::Call(rule.number));
        ledger.said(&Item::StartOnly(rule.number));
    }
    ledger.gap(
        [Item::Arguments("execve")],
        Loss::Loosened,
        Severity::Low,
        "it can execute another program that is there, with the same rights",
    );
    ledger.gap(
        [Item::Logged],
        Loss::Lost,
        Severity::Info,
        "what the filter refuses is not logged, so \"gaoler why\" does not learn of it",
    );
}

/// Calls that serve to become the user, as who it is started.
pub fn left_out<'a>(subject: &Subject<'a>) -> impl Iterator<Item = &'a CallRule> {
    let subject = *subject;
    let rules = subject.spec.calls.iter();
    rules.filter(move |rule| subject.is_for_the_option(rule))
}

/// Whether setgroups(2) in the service is one that works, or is not made.
pub fn sets_groups(subject: &Subject<'_>) -> bool {
    let setgroups = calls::number("setgroups");
    subject.spec.service.start_as_root
        || keeps(subject, "SETGID")
        || left_out(subject).any(|rule| Some(rule.number) == setgroups)
}

/// Ports, sockets and all that somebody does who stays beside the service.
pub fn alone(ledger: &mut Ledger, subject: &Subject<'_>) {
    let spec = subject.spec;
    for rule in &spec.ports {
        ledger.said(&Item::Port(rule.direction, rule.protocol, rule.port));
    }
    ledger.gap(
        [
            Item::NoOtherPort(Direction::Bind, Protocol::Tcp),
            Item::NoOtherPort(Direction::Connect, Protocol::Tcp),
            Item::NoAbstractSocket,
        ],
        Loss::Loosened,
        Severity::Low,
        "it binds and connects to any port, and to abstract sockets of others: Landlock, which knows them, \
         is not this launcher's",
    );
    let sockets = spec.sockets.iter();
    ledger.gap(
        sockets.map(|socket| Item::Socket(socket.name.clone())),
        Loss::Lost,
        Severity::Info,
        "nobody makes it and hands it in: the service has to make it itself",
    );
    let signs = spec.service.ready.iter().cloned().map(Item::Ready);
    ledger.gap(
        signs,
        Loss::Lost,
        Severity::Info,
        "nobody waits for it: what comes after may ask a service that does not answer yet",
    );
    ledger.without_gaoler();
    ledger.gap(
        [Item::Restart, Item::Liveness, Item::Check, Item::Incidents],
        Loss::Lost,
        Severity::Info,
        "nobody stays beside it: whoever starts the script has to look after it",
    );
    ledger.gap(
        [Item::Log],
        Loss::Lost,
        Severity::Info,
        "what it prints goes where the script's output goes, and its messages for syslog(3) to the host's \
         /dev/log, both without the name of the jail",
    );
}
