//! Checks of the spec and the tree.

use super::{Check, Finding, Severity, Subject};
use crate::build::EntryKind;
use crate::spec::Demand;
use crate::sys::{calls, caps};

/// The table.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "spec.root",
        about: "a service that starts as root can undo what the jail does for as long as it is \
                root (\"Best practices for UNIX chroot() operations\": run as a non-root user)",
        look: root,
    },
    Check {
        id: "spec.incomplete",
        about: "a spec of a trace that lacks something lacks it, too: the service may fail where \
                nobody looked",
        look: incomplete,
    },
    Check {
        id: "spec.group",
        about: "some groups can do on the host what root can",
        look: groups,
    },
    Check {
        id: "spec.capability",
        about: "every capability that is kept is a part of root",
        look: capabilities,
    },
    Check {
        id: "spec.protection",
        about: "a layer that is off or missing stops nothing",
        look: protections,
    },
    Check {
        id: "spec.call",
        about: "calls that change the machine or other processes, which a network service has \
                rarely a use for",
        look: dangerous_calls,
    },
    Check {
        id: "spec.execute",
        about: "a service that may execute programs can be made to execute others",
        look: execution,
    },
    Check {
        id: "spec.writable-executable",
        about: "memory that is written and then executed runs what an intruder wrote into it",
        look: writable_executable,
    },
    Check {
        id: "spec.connect",
        about: "an outgoing connection to any port is a way to send things out",
        look: connect_anywhere,
    },
    Check {
        id: "tree.shell",
        about: "what is in the jail is there for an intruder too (\"Jailed Internet Services\")",
        look: shells,
    },
    Check {
        id: "tree.mode",
        about: "everything in the tree is root's, and nobody else can write to it (\"Best \
                practices for UNIX chroot() operations\": have root own as many files as possible)",
        look: modes,
    },
    Check {
        id: "tree.drift",
        about: "the tree is what was built",
        look: drift,
    },
];

/// Whether a call changes the machine or other processes, which a network service has rarely a
/// use for.
pub fn is_dangerous_call(name: &str) -> bool {
    DANGEROUS_CALLS.contains(&name)
}

/// Groups that lead to root on a Debian system: to the disks, to memory, to the container or
/// package tools, to the password hashes.
const ROOT_EQUAL_GROUPS: [&str; 10] = [
    "root", "disk", "docker", "kmem", "libvirt", "lxd", "shadow", "staff", "sudo", "wheel",
];

/// Programs that run what they are told.
const SHELLS_AND_INTERPRETERS: [&str; 16] = [
    "ash", "awk", "bash", "busybox", "csh", "dash", "gawk", "ksh", "lua", "mawk", "node", "perl",
    "php", "python", "ruby", "sh",
];

/// Calls that reach beyond the jail's own processes and files.
const DANGEROUS_CALLS: [&str; 45] = [
    "acct",
    "add_key",
    "bpf",
    "clock_settime",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "request_key",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
];

fn root(subject: &Subject<'_>) -> Vec<Finding> {
    let service = &subject.spec.service;
    if !service.start_as_root {
        return Vec::new();
    }
    let evidence = match (service.user.as_str(), service.accounts.is_empty()) {
        ("root", true) => "it starts with uid 0 and stays so".to_owned(),
        ("root", false) => format!(
            "it starts with uid 0 and changes to {} by itself, not all of it for good",
            service.accounts.join(", ")
        ),
        (user, _) => format!("it starts with uid 0 and changes to {user} by itself"),
    };
    vec![Finding::new(
        Severity::High,
        "service.start_as_root",
        evidence,
        "let gaoler change the ids: start_as_root = false, and give the capability that it \
         needed root for",
    )]
}

fn incomplete(subject: &Subject<'_>) -> Vec<Finding> {
    let spec = subject.spec;
    let found = spec.incomplete.iter().map(|why| {
        Finding::new(
            Severity::Medium,
            "incomplete",
            format!("it was made from an incomplete trace: {why}"),
            format!("learn it again: gaoler learn {} --again", spec.name),
        )
    });
    found.collect()
}

fn groups(subject: &Subject<'_>) -> Vec<Finding> {
    let service = &subject.spec.service;
    service
        .groups
        .iter()
        .chain(std::iter::once(&service.group))
        .filter(|group| ROOT_EQUAL_GROUPS.contains(&group.as_str()))
        .map(|group| {
            Finding::new(
                Severity::High,
                format!("group {group}"),
                "members of it can become root on the host",
                "take it out of service.groups",
            )
        })
        .collect()
}

fn capabilities(subject: &Subject<'_>) -> Vec<Finding> {
    subject
        .spec
        .capabilities
        .iter()
        .map(|rule| {
            let name = caps::name(rule.capability).unwrap_or("unknown");
            Finding::new(
                capability_severity(name),
                format!("CAP_{name}"),
                format!("kept: {}", rule.because),
                "take it out of capabilities if the service works without it",
            )
        })
        .collect()
}

fn capability_severity(name: &str) -> Severity {
    match name {
        "NET_BIND_SERVICE" | "WAKE_ALARM" | "BLOCK_SUSPEND" | "LEASE" => Severity::Info,
        "NET_RAW" | "NET_BROADCAST" | "IPC_LOCK" | "SYS_NICE" | "SYS_CHROOT" | "KILL"
        | "AUDIT_WRITE" | "SYS_TTY_CONFIG" => Severity::Low,
        "SYS_ADMIN" | "SYS_MODULE" | "SYS_RAWIO" | "SYS_PTRACE" | "BPF" | "SYS_BOOT"
        | "MAC_ADMIN" | "MAC_OVERRIDE" => Severity::Critical,
        "SETUID" | "SETGID" | "DAC_OVERRIDE" | "DAC_READ_SEARCH" | "CHOWN" | "FOWNER"
        | "SETFCAP" | "MKNOD" | "SETPCAP" => Severity::High,
        _ => Severity::Medium,
    }
}

fn protections(subject: &Subject<'_>) -> Vec<Finding> {
    let wanted = &subject.spec.protections;
    let layers = [
        ("ipc_namespace", wanted.ipc_namespace, Severity::Low),
        ("landlock", wanted.landlock, Severity::Medium),
        ("mount_namespace", wanted.mount_namespace, Severity::High),
        ("pid_namespace", wanted.pid_namespace, Severity::Medium),
        ("seccomp", wanted.seccomp, Severity::High),
        ("uts_namespace", wanted.uts_namespace, Severity::Low),
    ];
    let off = layers
        .into_iter()
        .filter(|(_, demand, _)| *demand == Demand::Off)
        .map(|(layer, _, severity)| {
            Finding::new(
                severity,
                format!("protections.{layer}"),
                "the spec says off",
                format!("set {layer} = \"require\""),
            )
        });
    let lacking = subject.plan.lacking.iter().map(|text| {
        Finding::new(
            Severity::Medium,
            text.split(':').next().unwrap_or_default(),
            text.clone(),
            "run on a host that has it, or without --exec",
        )
    });
    off.chain(lacking).collect()
}

fn dangerous_calls(subject: &Subject<'_>) -> Vec<Finding> {
    subject
        .spec
        .calls
        .iter()
        .filter_map(|rule| Some((calls::name(rule.number)?, rule)))
        .filter(|(name, _)| is_dangerous_call(name))
        .map(|(name, rule)| {
            Finding::new(
                Severity::Low,
                name,
                format!("allowed: {}", rule.because),
                "take it out of calls if the service works without it",
            )
        })
        .collect()
}

fn execution(subject: &Subject<'_>) -> Vec<Finding> {
    let executes = ["execve", "execveat"];
    subject
        .spec
        .calls
        .iter()
        .filter_map(|rule| Some((calls::name(rule.number)?, rule)))
        .filter(|(name, _)| executes.contains(name))
        .map(|(name, rule)| {
            Finding::new(
                Severity::Low,
                name,
                format!("allowed: {}", rule.because),
                "Landlock lets it execute only the tree's programs; keep those few",
            )
        })
        .collect()
}

fn writable_executable(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.spec.service.writable_executable {
        return Vec::new();
    }
    vec![Finding::new(
        Severity::Low,
        "service.writable_executable",
        "the filter lets it execute memory that it has written",
        "turn off just-in-time compilation in the service, then set it to false",
    )]
}

fn connect_anywhere(subject: &Subject<'_>) -> Vec<Finding> {
    let open = subject.spec.ports.iter().any(|rule| {
        rule.direction == crate::spec::Direction::Connect
            && rule.protocol == crate::spec::Protocol::Tcp
            && rule.port == 0
    });
    if !open {
        return Vec::new();
    }
    vec![Finding::new(
        Severity::Low,
        "ports",
        "TCP connections to any port are allowed",
        "name the ports that it connects to",
    )]
}

fn shells(subject: &Subject<'_>) -> Vec<Finding> {
    subject
        .manifest
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File && entry.mode.contains(['1', '5', '7']))
        .filter_map(|entry| Some((entry.path.file_name()?.to_str()?, entry)))
        .filter(|(name, _)| {
            let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
            SHELLS_AND_INTERPRETERS.contains(name) || SHELLS_AND_INTERPRETERS.contains(&stem)
        })
        .map(|(_, entry)| {
            Finding::new(
                Severity::Medium,
                entry.path.display().to_string(),
                format!("a shell or interpreter: {}", entry.reason),
                "take it out of files if the service works without it",
            )
        })
        .collect()
}

fn modes(subject: &Subject<'_>) -> Vec<Finding> {
    subject
        .manifest
        .entries
        .iter()
        .filter(|entry| matches!(entry.kind, EntryKind::File | EntryKind::Directory))
        .filter(|entry| {
            let mode = u32::from_str_radix(&entry.mode, 8).unwrap_or(0o7777);
            entry.uid != 0 || mode & 0o6022 != 0
        })
        .map(|entry| {
            Finding::new(
                Severity::High,
                entry.path.display().to_string(),
                format!("owner {}, mode {}", entry.uid, entry.mode),
                "build the jail again",
            )
        })
        .collect()
}

fn drift(subject: &Subject<'_>) -> Vec<Finding> {
    subject
        .drift
        .iter()
        .map(|(path, what)| {
            Finding::new(
                Severity::High,
                path.clone(),
                what.clone(),
                "find out who changed it, then build the jail again",
            )
        })
        .collect()
}
