//! Checks of what is in the tree.

use super::rule::rule;
use std::path::{Component, Path, PathBuf};

use super::{Check, Finding, Severity, Subject};
use crate::build::EntryKind;
use crate::spec::{Device, is_secret};

const BUILD_AGAIN: &str = "find out who changed it, then build the jail again";

/// The table.
pub(super) const CHECKS: &[Check] = &[
    rule(
        "tree.setuid",
        Severity::High,
        "a file that gives whoever executes it another user or capabilities is a way to become \
         root",
        "execve(2); capabilities(7)",
        "build the jail again; nothing in a tree needs it",
        setuid,
    ),
    rule(
        "tree.mode",
        Severity::High,
        "everything in the tree is root's, and nobody else can write to it",
        "",
        "build the jail again",
        modes,
    ),
    rule(
        "tree.device",
        Severity::High,
        "a device node is a way into the kernel; a jail has those that only give or take bytes",
        "",
        "build the jail again, and find out who made it",
        devices,
    ),
    rule(
        "tree.accounts",
        Severity::Medium,
        "the jail's accounts are the service's alone: copied ones tell of everybody, and who is \
         root can be changed in them",
        "",
        "take the file out of the spec: gaoler writes one with the service's user alone",
        accounts,
    ),
    rule(
        "tree.secret",
        Severity::High,
        "what holds everybody's passwords, or the keys of the machine, is not in a jail",
        "",
        "take it out of the spec",
        secrets,
    ),
    rule(
        "tree.hard-link",
        Severity::High,
        "a hard link makes one file of two: who changes it on one side changes it on the other",
        "",
        "build the jail again: gaoler copies",
        hard_links,
    ),
    rule(
        "tree.dangling",
        Severity::Info,
        "a link from inside the jail to the outside leads nowhere for the service",
        "",
        "list what it should lead to, or do without it",
        dangling,
    ),
    rule(
        "tree.drift",
        Severity::High,
        "the tree is what was built",
        "",
        BUILD_AGAIN,
        drift,
    ),
    rule(
        "tree.stale",
        Severity::Low,
        "a copy stays as it was when the host's file is replaced: the hole that an update closed \
         on the host is still open in the jail",
        "",
        "build the jail again and restart it",
        stale,
    ),
];

/// Accounts of the host.
const ACCOUNTS: [&str; 6] = [
    "/etc/group",
    "/etc/master.passwd",
    "/etc/passwd",
    "/etc/pwd.db",
    "/etc/subgid",
    "/etc/subuid",
];

fn setuid(subject: &Subject<'_>) -> Vec<Finding> {
    let bits = subject.manifest.entries.iter().filter(|entry| {
        entry.kind == EntryKind::File && entry.mode_bits().unwrap_or(0o7777) & 0o6000 != 0
    });
    let bits = bits.map(|entry| {
        let evidence = format!("mode {}", entry.mode);
        Finding::plain(Severity::High, entry.path.display().to_string(), evidence)
    });
    let files = subject.facts.files.iter().filter(|file| file.capabilities);
    bits.chain(files.map(|file| {
        let path = file.path.display().to_string();
        Finding::plain(Severity::High, path, "it has capabilities of its own")
    }))
    .collect()
}

fn modes(subject: &Subject<'_>) -> Vec<Finding> {
    let entries = subject.manifest.entries.iter();
    // An ordinary user's tree can be nobody else's: `rootless.owner` says it.
    let owner = subject.plan.ordinary_user().unwrap_or(0);
    entries
        .filter(|entry| matches!(entry.kind, EntryKind::File | EntryKind::Directory))
        .filter(|entry| entry.uid != owner || entry.mode_bits().unwrap_or(0o7777) & 0o022 != 0)
        .map(|entry| {
            let evidence = format!("owner {}, mode {}", entry.uid, entry.mode);
            Finding::plain(Severity::High, entry.path.display().to_string(), evidence)
        })
        .collect()
}

fn devices(subject: &Subject<'_>) -> Vec<Finding> {
    let harmless = |number: &str| {
        let parsed = number.split_once(':').and_then(|(major, minor)| {
            Device::from_number(major.parse().ok()?, minor.parse().ok()?)
        });
        parsed.is_some()
    };
    let entries = subject.manifest.entries.iter();
    entries
        .filter(|entry| entry.kind == EntryKind::Device)
        .filter(|entry| !entry.device.as_deref().is_some_and(harmless))
        .map(|entry| {
            let evidence = format!("device {}", entry.device.as_deref().unwrap_or("unknown"));
            Finding::plain(Severity::High, entry.path.display().to_string(), evidence)
        })
        .collect()
}

fn accounts(subject: &Subject<'_>) -> Vec<Finding> {
    let is_one = |path: &Path| ACCOUNTS.iter().any(|account| path == Path::new(account));
    let copied = subject
        .manifest
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File && entry.source.is_some())
        .map(|entry| (&entry.path, "copied from the host"));
    let binds = subject
        .spec
        .binds
        .iter()
        .map(|bind| (&bind.path, "the host's own, bound in"));
    copied
        .chain(binds)
        .filter(|(path, _)| is_one(path))
        .map(|(path, how)| Finding::plain(Severity::Medium, path.display().to_string(), how))
        .collect()
}

fn secrets(subject: &Subject<'_>) -> Vec<Finding> {
    let telling = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let host_key = name.starts_with("ssh_host_") && name.ends_with("_key");
        is_secret(path) || host_key && path.starts_with("/etc/ssh")
    };
    let copied = subject.manifest.entries.iter();
    copied
        .filter(|entry| entry.kind == EntryKind::File && telling(&entry.path))
        .map(|entry| {
            // A server that is there for it has the machine's key; nobody has the passwords.
            let severity = if is_secret(&entry.path) {
                Severity::High
            } else {
                Severity::Info
            };
            Finding::plain(severity, entry.path.display().to_string(), &entry.reason)
        })
        .collect()
}

fn hard_links(subject: &Subject<'_>) -> Vec<Finding> {
    let files = subject.facts.files.iter();
    files
        .filter(|file| file.names_outside > 0)
        .map(|file| {
            let evidence = format!("it has {} names outside of the tree", file.names_outside);
            Finding::plain(Severity::High, file.path.display().to_string(), evidence)
        })
        .collect()
}

fn dangling(subject: &Subject<'_>) -> Vec<Finding> {
    let mounted = |path: &Path| {
        let binds = subject.spec.binds.iter().map(|bind| &bind.path);
        let scratch = subject.spec.scratch.iter().map(|scratch| &scratch.path);
        binds.chain(scratch).any(|place| path.starts_with(place))
            || path.starts_with(crate::build::LOG_DIRECTORY)
    };
    let links = subject.manifest.entries.iter();
    links
        .filter(|entry| entry.kind == EntryKind::Symlink)
        .filter_map(|entry| Some((entry, entry.target.as_ref()?)))
        .filter_map(|(entry, target)| {
            let meant = plain(&entry.path, target);
            let there = leads_to(subject, &meant, 0) || mounted(&meant);
            let evidence = format!("it leads to {}, which is not in the jail", target.display());
            let path = entry.path.display().to_string();
            (!there).then(|| Finding::plain(Severity::Info, path, evidence))
        })
        .collect()
}

/// Whether the path is in the manifest, through links on the way (`path_resolution(7)`: 40).
fn leads_to(subject: &Subject<'_>, path: &Path, links: u32) -> bool {
    if links > 40 {
        return false;
    }
    let mut way = PathBuf::new();
    for part in path.components() {
        way.push(part);
        let Some(entry) = subject.manifest.entry(&way) else {
            return false;
        };
        if let (EntryKind::Symlink, Some(target)) = (entry.kind, &entry.target) {
            let rest = path.strip_prefix(&way).unwrap_or(Path::new(""));
            let meant = plain(&way, target).join(rest);
            let mut mounts = subject.spec.binds.iter().map(|bind| &bind.path);
            return mounts.any(|mount| meant.starts_with(mount))
                || leads_to(subject, &meant, links + 1);
        }
    }
    true
}

/// What a link at `link` means, without `..`.
fn plain(link: &Path, target: &Path) -> PathBuf {
    let mut meant = PathBuf::new();
    for part in link
        .parent()
        .unwrap_or(Path::new("/"))
        .join(target)
        .components()
    {
        match part {
            Component::ParentDir => {
                meant.pop();
            }
            Component::CurDir => {}
            other => meant.push(other),
        }
    }
    meant
}

fn drift(subject: &Subject<'_>) -> Vec<Finding> {
    let drift = subject.drift.iter();
    drift
        .map(|(path, what)| Finding::plain(Severity::High, path.clone(), what.clone()))
        .collect()
}

fn stale(subject: &Subject<'_>) -> Vec<Finding> {
    let stale = subject.facts.stale.iter();
    stale
        .map(|stale| {
            let severity = if stale.code {
                Severity::Low
            } else {
                Severity::Info
            };
            Finding::plain(severity, stale.path.display().to_string(), &stale.what)
        })
        .collect()
}
