//! The places of the host that the jail has, those in memory, devices, and where its messages go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::files::{self, LIST, READ};
use super::module::{Module, Own};
use super::text::pattern;
use super::{Class, Label, Labels};
use crate::Result;
use crate::audit::Severity;
use crate::export::{Item, Loss};
use crate::spec::{BindRule, is_kernel};

/// Changing a directory.
const CHANGED: [&str; 13] = [
    "add_name",
    "create",
    "getattr",
    "ioctl",
    "link",
    "lock",
    "open",
    "read",
    "remove_name",
    "rename",
    "reparent",
    "rmdir",
    "search",
];

/// Making, writing and removing something in one.
const WRITTEN: [&str; 12] = [
    "append", "create", "getattr", "ioctl", "link", "lock", "map", "open", "read", "rename",
    "unlink", "write",
];

/// Says them all.
pub fn say(module: &mut Module<'_>, labels: &BTreeMap<PathBuf, Labels>) -> Result<()> {
    for bind in &module.subject.spec.binds {
        module.because(&bind.because);
        let item = Item::Bind(bind.path.clone(), bind.writable);
        match labels.get(&bind.path).filter(|labels| !labels.is_empty()) {
            _ if is_kernel(&bind.path) => kernel(module, item),
            Some(labels) => as_labelled(module, bind, labels, item),
            None => by_own_type(module, bind, &item)?,
        }
    }
    scratch(module);
    devices(module);
    messages(module);
    Ok(())
}

/// What the kernel shows in /proc and /sys, whose labels are its own.
fn kernel(module: &mut Module<'_>, item: Item) {
    for kind in ["proc_t", "sysctl_type", "sysfs_t"] {
        module.may(kind, "dir", &["getattr", "open", "read", "search"]);
        module.may(kind, "file", &["getattr", "open", "read"]);
        module.may(kind, "lnk_file", &["getattr", "read"]);
    }
    module.ledger.gap(
        [item],
        Loss::Loosened,
        Severity::Low,
        "of /proc and /sys it reads whatever is mounted there and is not about another process; it \
         changes nothing",
    );
}

/// Of the types that the host's policy has for what is there.
fn as_labelled(module: &mut Module<'_>, bind: &BindRule, labels: &Labels, item: Item) {
    for Label { kind, class } in labels {
        may_use(module, kind, *class, bind.writable);
        module.reaches_others |= *class == Class::Socket;
        // What is made in a directory has the type of the directory.
        if bind.writable && *class == Class::Directory {
            for made in [Class::File, Class::Pipe, Class::Socket, Class::Symlink] {
                may_use(module, kind, made, true);
            }
        }
    }
    let types: BTreeSet<&str> = labels.iter().map(|label| label.kind.as_str()).collect();
    let types: Vec<&str> = types.into_iter().collect();
    module.ledger.gap(
        [item],
        Loss::Loosened,
        Severity::Info,
        format!(
            "its types are the host's, and something else may have them too: {}",
            types.join(", ")
        ),
    );
}

/// Of a type of its own, where nobody knows a label.
fn by_own_type(module: &mut Module<'_>, bind: &BindRule, item: &Item) -> Result<()> {
    let own = match bind.writable {
        true => Own::Data,
        false => Own::Configuration,
    };
    let kind = module.own(own);
    for class in [
        Class::Directory,
        Class::File,
        Class::Pipe,
        Class::Socket,
        Class::Symlink,
    ] {
        may_use(module, &kind, class, bind.writable);
    }
    let path = pattern(&bind.path)?;
    module.label(&bind.because, &path, "any", &kind);
    module.label(&bind.because, &format!("{path}/.*"), "any", &kind);
    module.ledger.said(item);
    Ok(())
}

/// Reading or changing what has this type.
fn may_use(module: &mut Module<'_>, kind: &str, class: Class, writable: bool) {
    let mut permissions = match (class, writable) {
        (Class::Directory, false) => files::watching(module, &LIST),
        (Class::Directory, true) => files::watching(module, &CHANGED),
        (Class::File, false) => files::watching(module, &READ),
        (Class::File, true) => files::watching(module, &WRITTEN),
        // Both ways: a pipe and a socket are no use to one who can only read.
        (Class::Pipe, false) => vec!["getattr", "ioctl", "open", "read"],
        (Class::Socket, false) => vec!["getattr", "write"],
        (Class::Symlink, false) => vec!["getattr", "read"],
        (Class::Pipe | Class::Socket, true) => {
            WRITTEN.into_iter().filter(|name| *name != "map").collect()
        }
        (Class::Symlink, true) => vec!["create", "getattr", "read", "rename", "unlink"],
    };
    if writable {
        permissions.push("setattr");
    }
    if class == Class::Directory && writable {
        permissions.extend(["unlink", "write"]);
    }
    module.may(kind, class.name(), &permissions);
}

/// What it makes in a file system in memory has a type of its own; the root of that has the kernel's.
fn scratch(module: &mut Module<'_>) {
    const IN_MEMORY: &str = "tmpfs_t";
    let spec = module.subject.spec;
    if spec.scratch.is_empty() && !module.calls("memfd_create") {
        return;
    }
    let (domain, own) = (module.own(Own::Domain), module.own(Own::Scratch));
    let reasons = spec.scratch.iter().map(|rule| rule.because.clone());
    let mut reasons: Vec<String> = reasons.collect();
    if reasons.is_empty() {
        reasons.push("it makes files in memory that have no name".to_owned());
    }
    for reason in reasons {
        module.because(&reason);
    }
    module.may(
        IN_MEMORY,
        "dir",
        &[
            "add_name",
            "getattr",
            "open",
            "read",
            "remove_name",
            "search",
            "write",
        ],
    );
    for class in [
        Class::Directory,
        Class::File,
        Class::Pipe,
        Class::Socket,
        Class::Symlink,
    ] {
        module.statement(&format!(
            "(typetransition {domain} {IN_MEMORY} {} {own})",
            class.name()
        ));
        may_use(module, &own, class, true);
    }
    let places = spec.scratch.iter();
    module.ledger.gap(
        places.map(|rule| Item::Scratch(rule.path.clone())),
        Loss::Loosened,
        Severity::Info,
        "a module lets it write in any place in memory that it sees, but makes none and sets no size",
    );
}

fn devices(module: &mut Module<'_>) {
    for rule in &module.subject.spec.devices {
        module.because(&rule.because);
        module.may(
            files::device(rule.device),
            "chr_file",
            &["append", "getattr", "ioctl", "open", "read", "write"],
        );
        module.ledger.said(&Item::Device(rule.path.clone()));
    }
    if !module.subject.spec.devices.is_empty() {
        module.may("device_t", "dir", &["getattr", "open", "search"]);
    }
}

/// The sockets of the journal, and of a log daemon in its place. That of gaoler's is an administrator's.
fn messages(module: &mut Module<'_>) {
    module.because("its messages");
    module.may("devlog_t", "sock_file", &["getattr", "write"]);
    module.may("device_t", "dir", &["getattr", "search"]);
    module.may("device_t", "lnk_file", &["getattr", "read"]);
    for directory in ["init_runtime_t", "syslogd_runtime_t"] {
        module.may(directory, "dir", &["getattr", "search"]);
    }
    module.may("syslogd_t", "unix_dgram_socket", &["sendto"]);
    module.may("syslogd_t", "unix_stream_socket", &["connectto"]);
    module.may("self", "unix_dgram_socket", &super::network::USED);
}
