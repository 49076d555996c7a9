//! What the service may ask of the kernel.

use std::collections::BTreeMap;

use super::unit::Unit;
use crate::audit::Severity;
use crate::export::item::{call, capability};
use crate::export::{Item, Loss};
use crate::spec::{CallRule, Demand, Direction, Protocol, Spec};
use crate::sys::{calls, caps};

/// What systemd's filter lets every service do (`systemd-analyze syscall-filter @default` of 252),
/// by the names that this architecture may have.
const ALWAYS_ALLOWED: [&str; 44] = [
    "arch_prctl",
    "brk",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "execve",
    "exit",
    "exit_group",
    "futex",
    "futex_waitv",
    "get_robust_list",
    "get_thread_area",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getrandom",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getsid",
    "gettid",
    "gettimeofday",
    "getuid",
    "membarrier",
    "mmap",
    "mprotect",
    "munmap",
    "nanosleep",
    "pause",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "time",
];

/// A setting that holds unless the spec needs what it takes away.
struct Hardening {
    key: &'static str,
    value: &'static str,
    because: &'static str,
    /// Capabilities that speak against it.
    capabilities: &'static [&'static str],
    /// Calls that speak against it.
    calls: &'static [&'static str],
    /// Places of the host, bound into the jail, that speak against it.
    places: &'static [&'static str],
    /// The protection of the spec that it is.
    namespace: Option<&'static str>,
}

const fn hardening(key: &'static str, value: &'static str, because: &'static str) -> Hardening {
    Hardening {
        key,
        value,
        because,
        capabilities: &[],
        calls: &[],
        places: &[],
        namespace: None,
    }
}

const HARDENINGS: [Hardening; 15] = [
    Hardening {
        capabilities: &["SYS_TIME", "WAKE_ALARM"],
        calls: &["adjtimex", "clock_adjtime", "clock_settime", "settimeofday"],
        ..hardening("ProtectClock", "yes", "it does not set the clock")
    },
    Hardening {
        places: &["/sys/fs/cgroup"],
        ..hardening("ProtectControlGroups", "yes", "it does not change cgroups")
    },
    Hardening {
        capabilities: &["SYS_ADMIN"],
        calls: &["setdomainname", "sethostname"],
        namespace: Some("uts_namespace"),
        ..hardening("ProtectHostname", "yes", "it does not name the host")
    },
    Hardening {
        capabilities: &["SYSLOG"],
        calls: &["syslog"],
        places: &["/dev/kmsg", "/proc/kmsg"],
        ..hardening(
            "ProtectKernelLogs",
            "yes",
            "it does not read the kernel's messages",
        )
    },
    Hardening {
        capabilities: &["SYS_MODULE"],
        calls: &["delete_module", "finit_module", "init_module"],
        ..hardening(
            "ProtectKernelModules",
            "yes",
            "it does not load kernel modules",
        )
    },
    Hardening {
        places: &["/proc", "/sys"],
        ..hardening(
            "ProtectKernelTunables",
            "yes",
            "it does not change what /proc and /sys hold",
        )
    },
    Hardening {
        capabilities: &["SYS_PTRACE"],
        places: &["/proc"],
        ..hardening(
            "ProtectProc",
            "invisible",
            "it sees no process of other users",
        )
    },
    Hardening {
        places: &["/proc"],
        ..hardening(
            "ProcSubset",
            "pid",
            "of /proc it needs nothing but processes",
        )
    },
    Hardening {
        namespace: Some("ipc_namespace"),
        ..hardening(
            "PrivateIPC",
            "yes",
            "System V IPC and POSIX queues of its own",
        )
    },
    hardening(
        "RemoveIPC",
        "yes",
        "nothing of its user's shared memory stays behind",
    ),
    hardening(
        "KeyringMode",
        "private",
        "the keys of others are not its own",
    ),
    Hardening {
        calls: &["personality"],
        ..hardening(
            "LockPersonality",
            "yes",
            "it does not change how the kernel runs programs",
        )
    },
    hardening(
        "RestrictNamespaces",
        "yes",
        "it makes no namespaces, in which it would have capabilities",
    ),
    Hardening {
        capabilities: &["SYS_NICE"],
        calls: &["sched_setattr", "sched_setscheduler"],
        ..hardening(
            "RestrictRealtime",
            "yes",
            "it does not take a processor for itself",
        )
    },
    hardening(
        "RestrictSUIDSGID",
        "yes",
        "it makes no set-user-ID and set-group-ID files",
    ),
];

impl Hardening {
    /// Whether the spec needs what it would take away.
    fn is_needed_open(&self, spec: &Spec) -> bool {
        let keeps = |name: &&str| {
            let number = caps::number(name);
            let mut kept = spec.capabilities.iter();
            kept.any(|rule| Some(rule.capability) == number)
        };
        let binds = |place: &&str| spec.binds.iter().any(|bind| bind.path.starts_with(place));
        self.capabilities.iter().any(keeps)
            || self.calls.iter().any(|name| allows(spec, name))
            || self.places.iter().any(binds)
    }
}

/// Whether the spec allows a call of this name.
pub fn allows(spec: &Spec, name: &str) -> bool {
    let number = calls::number(name);
    spec.calls.iter().any(|rule| Some(rule.number) == number)
}

/// Says it all. `open_ports`: no capability is needed for low ports.
pub fn say(unit: &mut Unit<'_>, open_ports: bool) {
    let spec = unit.subject.spec;
    for hardening in &HARDENINGS {
        if hardening.is_needed_open(spec) {
            continue;
        }
        let known = unit.set(hardening.key, hardening.value, hardening.because);
        if let Some(name) = hardening.namespace.filter(|_| known) {
            unit.ledger.said(&Item::Namespace(name));
        }
    }
    unit.say(
        &[Item::NoNewPrivileges],
        "NoNewPrivileges",
        "yes",
        "no program gains what its file gives: set-user-ID, file capabilities",
    );
    namespaces(unit);
    capabilities(unit, open_ports);
    limits(unit);
    if spec.protections.seccomp != Demand::Off {
        filter(unit);
        executable_memory(unit);
        unheard(unit);
    }
    unit.ledger.gap(
        [Item::NoOtherPort(Direction::Connect, Protocol::Tcp)],
        Loss::Loosened,
        Severity::Low,
        "it connects to any port: Landlock, which knows ports, is not systemd's",
    );
    unit.ledger.gap(
        [Item::NoAbstractSocket],
        Loss::Loosened,
        Severity::Low,
        "it connects to abstract Unix sockets of other services: Landlock forbids that in a jail",
    );
}

/// What older versions, or all of them, have no word for.
fn namespaces(unit: &mut Unit<'_>) {
    for (name, key) in [
        ("ipc_namespace", "PrivateIPC"),
        ("uts_namespace", "ProtectHostname"),
    ] {
        if !unit.says(key) {
            unit.ledger.gap(
                [Item::Namespace(name)],
                Loss::Lost,
                Severity::Low,
                format!(
                    "{key} is newer than systemd {}, or the service needs to change it",
                    unit.version
                ),
            );
        }
    }
    unit.ledger.gap(
        [Item::Namespace("pid_namespace")],
        Loss::Lost,
        Severity::Low,
        "it can signal every process of the same user, read its memory, and through /proc see its files; \
         systemd has PrivatePIDs= from 257 on, under which the service would be the first process, for which signals mean something else",
    );
}

fn capabilities(unit: &mut Unit<'_>, open_ports: bool) {
    let spec = unit.subject.spec;
    let port = caps::number("NET_BIND_SERVICE");
    let needed = spec
        .capabilities
        .iter()
        .filter(|rule| !(open_ports && Some(rule.capability) == port));
    let mut kept = Vec::new();
    for rule in needed {
        kept.push((capability(rule.capability), rule.because.clone()));
    }
    for rule in &spec.capabilities {
        unit.ledger.said(&Item::Capability(rule.capability));
    }
    unit.ledger.said(&Item::NoOtherCapability);
    let ambient = !spec.service.start_as_root;
    if kept.is_empty() {
        unit.set("CapabilityBoundingSet", "", "none");
        unit.set("AmbientCapabilities", "", "none");
    }
    for (name, because) in &kept {
        unit.set("CapabilityBoundingSet", name.clone(), because.clone());
        if ambient {
            unit.set("AmbientCapabilities", name.clone(), because.clone());
        }
    }
    if kept.is_empty() && ambient {
        unit.set(
            "PrivateUsers",
            "yes",
            "without capabilities it needs no user of the host's but its own",
        );
    }
}

fn limits(unit: &mut Unit<'_>) {
    let limits = unit.subject.spec.limits.clone();
    let because = "as [limits] of the spec";
    for (name, key, value) in [
        // None, also where the spec does not say: as in the jail.
        ("core", "LimitCORE", Some(limits.core.unwrap_or(0))),
        ("descriptors", "LimitNOFILE", limits.descriptors),
        ("file_size", "LimitFSIZE", limits.file_size),
        ("memory_bytes", "MemoryMax", limits.memory),
        ("processes", "TasksMax", limits.processes),
    ] {
        if let Some(value) = value {
            unit.say(&[Item::Limit(name)], key, value.to_string(), because);
        }
    }
}

/// One line for all calls that are there for the same reason.
fn filter(unit: &mut Unit<'_>) {
    let spec = unit.subject.spec;
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for rule in &spec.calls {
        unit.ledger.said(&Item::Call(rule.number));
        if unit.subject.is_for_the_option(rule) {
            unit.ledger.said(&Item::StartOnly(rule.number));
            continue;
        }
        by_reason
            .entry(rule.because.clone())
            .or_default()
            .push(call(rule.number));
    }
    if by_reason.is_empty() {
        // An empty list would be no filter at all.
        unit.set(
            "SystemCallFilter",
            "exit exit_group",
            "the end of every run",
        );
    }
    for (because, mut names) in by_reason {
        names.sort();
        unit.set("SystemCallFilter", names.join(" "), because);
    }
    let refused = "what is not listed fails, as where it is not permitted";
    unit.say(&[], "SystemCallErrorNumber", "EPERM", refused);
    unit.say(
        &[Item::NoOtherArchitecture],
        "SystemCallArchitectures",
        "native",
        "a call's number means another one elsewhere",
    );
    unit.ledger.said(&Item::Arguments("clone"));
    let setgroups = calls::number("setgroups");
    let mut rules = spec.calls.iter();
    let left_out = |rule: &CallRule| unit.subject.is_for_the_option(rule);
    let is_left_out = rules.any(|rule| Some(rule.number) == setgroups && left_out(rule));
    match keeps_setgid(spec) || is_left_out {
        true => unit.ledger.said(&Item::Arguments("setgroups")),
        false => unit.ledger.gap(
            [Item::Arguments("setgroups")],
            Loss::Lost,
            Severity::Info,
            "gaoler answers setgroups as if it had been done; here it fails, and a service that insists \
             on it does not start",
        ),
    }
    let more: Vec<&str> = ALWAYS_ALLOWED
        .into_iter()
        .filter(|name| calls::number(name).is_some() && !allows(spec, name))
        .collect();
    match more.is_empty() {
        true => unit.ledger.said(&Item::NoOtherCall),
        false => unit.ledger.gap(
            [Item::NoOtherCall],
            Loss::Loosened,
            Severity::Info,
            format!("systemd allows these besides: {}", more.join(", ")),
        ),
    }
}

/// With CAP_SETGID, or as root before it drops its privileges, it may set its groups.
fn keeps_setgid(spec: &Spec) -> bool {
    let number = caps::number("SETGID");
    let mut kept = spec.capabilities.iter();
    spec.service.start_as_root || kept.any(|rule| Some(rule.capability) == number)
}

fn executable_memory(unit: &mut Unit<'_>) {
    if unit.subject.spec.service.writable_executable {
        return;
    }
    unit.say(
        &[Item::NoWritableExecutable],
        "MemoryDenyWriteExecute",
        "yes",
        "no memory that is written is executed",
    );
}

/// What gaoler's filter says and systemd's cannot.
fn unheard(unit: &mut Unit<'_>) {
    let subject = unit.subject;
    let calls = subject.spec.calls.iter();
    let start = calls.filter(|rule| rule.start_only && !subject.is_for_the_option(rule));
    unit.ledger.gap(
        start.map(|rule| Item::StartOnly(rule.number)),
        Loss::Loosened,
        Severity::Low,
        "systemd knows no phases: what the start alone needs is allowed for good",
    );
    unit.ledger.gap(
        [Item::Arguments("ioctl")],
        Loss::Loosened,
        Severity::Info,
        "TIOCSTI and TIOCLINUX are not refused; it has no terminal to type into",
    );
    if unit.ledger.is_open(&Item::Arguments("execve")) {
        unit.ledger.gap(
            [Item::Arguments("execve")],
            Loss::Loosened,
            Severity::Low,
            "it can execute another program that is there and may be executed",
        );
    }
    unit.ledger.gap(
        [Item::Logged],
        Loss::Lost,
        Severity::Info,
        "what the filter refuses is not logged, so \"gaoler why\" does not learn of it",
    );
}
