//! What its processes may do with each other and with the kernel: signals, priorities, memory, keys,
//! capabilities.

use super::module::Module;
use crate::audit::Severity;
use crate::export::item::capability;
use crate::export::{Item, Loss};
use crate::sys::{calls, caps};

/// Calls, and what SELinux asks for when they are made (`security/selinux/hooks.c`): the class and its
/// permissions, on the domain itself.
const ASKED: [(&[&str], &str, &[&str]); 11] = [
    (
        &[
            "kill",
            "tgkill",
            "tkill",
            "rt_sigqueueinfo",
            "rt_tgsigqueueinfo",
            "pidfd_send_signal",
        ],
        "process",
        &["sigkill", "signal", "signull", "sigstop"],
    ),
    (
        &[
            "ioprio_set",
            "sched_setaffinity",
            "sched_setattr",
            "sched_setparam",
            "sched_setscheduler",
            "setpriority",
        ],
        "process",
        &["setsched"],
    ),
    (&["setpgid"], "process", &["setpgid"]),
    (&["getpgid"], "process", &["getpgid"]),
    (&["getsid"], "process", &["getsession"]),
    (&["capget"], "process", &["getcap"]),
    (&["capset"], "process", &["setcap"]),
    (&["setrlimit", "prlimit64"], "process", &["setrlimit"]),
    (
        &["add_key", "keyctl", "request_key"],
        "key",
        &[
            "create", "link", "read", "search", "setattr", "view", "write",
        ],
    ),
    (
        &["io_uring_setup", "userfaultfd"],
        "anon_inode",
        &["create", "getattr", "ioctl", "map", "read", "write"],
    ),
    (
        &["pipe", "pipe2"],
        "fifo_file",
        &["append", "getattr", "ioctl", "read", "write"],
    ),
];

/// System V IPC: what makes an object, and what is done with it.
const IPC: [(&str, &str, &[&str]); 3] = [
    (
        "shmget",
        "shm",
        &[
            "associate",
            "create",
            "destroy",
            "getattr",
            "lock",
            "read",
            "setattr",
            "unix_read",
            "unix_write",
            "write",
        ],
    ),
    (
        "semget",
        "sem",
        &[
            "associate",
            "create",
            "destroy",
            "getattr",
            "read",
            "setattr",
            "unix_read",
            "unix_write",
            "write",
        ],
    ),
    (
        "msgget",
        "msgq",
        &[
            "associate",
            "create",
            "destroy",
            "enqueue",
            "getattr",
            "read",
            "setattr",
            "unix_read",
            "unix_write",
            "write",
        ],
    ),
];

/// The first capability of the second class (`capability2`): a class has 32 permissions.
const SECOND: u8 = 32;

/// Says them all.
pub fn say(module: &mut Module<'_>) {
    itself(module);
    memory(module);
    capabilities(module);
}

fn itself(module: &mut Module<'_>) {
    module.because("its processes end when they want to, and look at how they are scheduled");
    module.may("self", "process", &["fork", "getsched", "sigchld"]);
    for (names, class, permissions) in ASKED {
        asked(module, names, class, permissions);
    }
    for (name, class, permissions) in IPC {
        asked(module, &[name], class, permissions);
    }
    if module.calls("msgget") {
        module.may("self", "msg", &["receive", "send"]);
    }
    asked_of_all(module);
}

/// What a call that the spec has needs, for the reason that the spec has it.
fn asked(module: &mut Module<'_>, names: &[&str], class: &str, permissions: &[&str]) {
    let spec = module.subject.spec;
    let is_one = |number: u32| calls::name(number).is_some_and(|name| names.contains(&name));
    let Some(rule) = spec.calls.iter().find(|rule| is_one(rule.number)) else {
        return;
    };
    module.because(&rule.because);
    module.may("self", class, permissions);
}

/// How much room there is on a file system is asked by its own label.
fn asked_of_all(module: &mut Module<'_>) {
    let spec = module.subject.spec;
    let asks = |number: u32| matches!(calls::name(number), Some("statfs" | "fstatfs"));
    if let Some(rule) = spec.calls.iter().find(|rule| asks(rule.number)) {
        module.because(&rule.because);
        module.may("filesystem_type", "filesystem", &["getattr"]);
    }
}

fn memory(module: &mut Module<'_>) {
    match module.subject.spec.service.writable_executable {
        true => {
            module.because("it executes memory that it has written");
            module.may("self", "process", &["execmem"]);
        }
        false => module.ledger.said(&Item::NoWritableExecutable),
    }
}

fn capabilities(module: &mut Module<'_>) {
    let spec = module.subject.spec;
    for rule in &spec.capabilities {
        let item = Item::Capability(rule.capability);
        let Some(name) = caps::name(rule.capability) else {
            module.ledger.gap(
                [item],
                Loss::Lost,
                Severity::Info,
                format!("{} has no name in a policy", capability(rule.capability)),
            );
            continue;
        };
        let class = match rule.capability < SECOND {
            true => "capability",
            false => "capability2",
        };
        module.because(&rule.because);
        module.may("self", class, &[name.to_ascii_lowercase().as_str()]);
        module.ledger.said(&item);
    }
    module.ledger.said(&Item::NoOtherCapability);
}
