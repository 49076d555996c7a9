//! What of the host's files the service sees. A directory at the top (`/etc`, `/usr/lib`) of which
//! something is whitelisted is empty but for that.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::Profile;
use super::text::path;
use crate::Result;
use crate::audit::Severity;
use crate::build::{Entry, EntryKind, LOG_DIRECTORY};
use crate::export::{Item, Ledger, Loss, Subject};
use crate::plan::resolve;
use crate::spec::{FileKind, Listen};

/// The directories at the top that a Debian has (`hier(7)`), but for `/proc`.
const TOP: [&str; 26] = [
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lost+found",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/srv",
    "/sys",
    "/tmp",
    "/usr/bin",
    "/usr/games",
    "/usr/include",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/libx32",
    "/usr/local",
    "/usr/sbin",
    "/usr/share",
    "/usr/src",
    "/var",
];

/// Of these firejail uses something itself: they are emptied, and not hidden.
const IN_USE: [&str; 2] = ["/dev", "/run"];

/// setpriv and env, with what they are linked with on a Debian whose `/lib` is in `/usr`.
const TOOLS: [&str; 7] = [
    "/usr/bin/env",
    "/usr/bin/setpriv",
    "/usr/lib64/ld-linux-*.so.*",
    "/usr/lib/ld-linux-*.so.*",
    "/usr/lib/*-linux-gnu/ld-linux*.so.*",
    "/usr/lib/*-linux-gnu/libc.so.6",
    "/usr/lib/*-linux-gnu/libcap-ng.so.0*",
];

/// The directory at the top that a path is in; `None` for what is itself at the top.
fn top(path: &Path) -> Option<PathBuf> {
    let mut parts = path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part),
        _ => None,
    });
    let first = parts.next()?;
    let mut found = Path::new("/").join(first);
    if first == "usr" {
        found.push(parts.next()?);
    }
    parts.next().map(|_| found)
}

/// Says which files there are, and what may be done with them.
///
/// # Errors
/// A path that a profile cannot hold.
pub fn say(profile: &mut Profile, ledger: &mut Ledger, subject: &Subject<'_>) -> Result<()> {
    let mut shown = BTreeSet::new();
    profile.because("setpriv makes it its user, env gives it its environment");
    for tool in TOOLS {
        profile.line(&format!("whitelist-ro {tool}"));
        shown.extend(top(Path::new(tool)));
    }
    if !subject.spec.service.groups.is_empty() {
        profile.because("setpriv looks up the groups");
        profile.line("whitelist-ro /etc/group");
        shown.extend(top(Path::new("/etc/group")));
    }
    let wide = tree(profile, subject, &mut shown)?;
    messages(profile, &mut shown);
    devices(profile, ledger, subject, &mut shown)?;
    binds(profile, ledger, subject, &mut shown)?;
    scratch(profile, ledger, subject, &mut shown)?;
    hide(profile, subject, &shown);
    files(ledger, subject);
    let mut why = "it sees /proc of its own processes, setpriv and env, what firejail keeps in /run/firejail, \
                   a directory at the top that Debian does not have, and the host's own in place of the files \
                   that gaoler writes (/etc/passwd, /etc/group)"
        .to_owned();
    for place in wide {
        why += &format!("; all that {} leads to", place.display());
    }
    ledger.gap([Item::NothingElse], Loss::Loosened, Severity::Low, why);
    Ok(())
}

/// What the tree has, where the host has it. Answers with the links to whole directories.
fn tree(
    profile: &mut Profile,
    subject: &Subject<'_>,
    shown: &mut BTreeSet<PathBuf>,
) -> Result<Vec<PathBuf>> {
    let spec = subject.spec;
    let mut wide = Vec::new();
    let below_bind = |path: &Path| spec.binds.iter().any(|bind| path.starts_with(&bind.path));
    for entry in &subject.manifest.entries {
        if entry.path.starts_with("/dev") || below_bind(&entry.path) {
            continue;
        }
        let command = match entry.kind {
            EntryKind::File => "whitelist-ro",
            EntryKind::Directory if is_listed(subject, entry) => "whitelist-ro",
            // Read-only, what it leads to would be that.
            EntryKind::Symlink => "whitelist",
            EntryKind::Directory | EntryKind::Device | EntryKind::Mountpoint => continue,
        };
        let place = match entry.kind {
            EntryKind::File => entry.source.as_ref().unwrap_or(&entry.path),
            _ => &entry.path,
        };
        let Some(top) = top(place) else {
            continue;
        };
        // firejail knows this one, and leaves the rest of /run away.
        let known = place == Path::new("/var/run");
        if entry.kind == EntryKind::Symlink && !known && leads_to_directory(subject, entry) {
            wide.push(place.clone());
        }
        profile.because(&entry.reason);
        profile.line(&format!("{command} {}", path(place)?));
        shown.insert(top);
    }
    Ok(wide)
}

/// What a place in memory hides, or the whitelist of `/dev`, is not there.
fn files(ledger: &mut Ledger, subject: &Subject<'_>) {
    let spec = subject.spec;
    let hidden = |path: &Path| {
        let below = |place: &Path| path.starts_with(place);
        let bound = spec.binds.iter().any(|bind| below(&bind.path));
        let in_memory = spec.scratch.iter().any(|rule| below(&rule.path));
        !bound && (in_memory || below(Path::new("/dev")))
    };
    let (lost, there): (Vec<_>, Vec<_>) = spec.files.iter().partition(|rule| hidden(&rule.path));
    for rule in there {
        ledger.said(&Item::File(rule.path.clone()));
    }
    ledger.gap(
        lost.into_iter().map(|rule| Item::File(rule.path.clone())),
        Loss::Lost,
        Severity::Info,
        "it is in a place in memory, which the script leaves empty, or in /dev: it is not there",
    );
}

/// Whether a directory is there for its own sake, and not just on the way to something.
fn is_listed(subject: &Subject<'_>, entry: &Entry) -> bool {
    let mut files = subject.spec.files.iter();
    files.any(|rule| rule.path == entry.path && rule.kind == FileKind::Directory)
}

fn leads_to_directory(subject: &Subject<'_>, entry: &Entry) -> bool {
    let found = resolve(subject.manifest, &entry.path);
    found.is_none_or(|it| matches!(it.kind, EntryKind::Directory | EntryKind::Mountpoint))
}

fn messages(profile: &mut Profile, shown: &mut BTreeSet<PathBuf>) {
    profile.because("its messages for syslog(3)");
    for place in ["/dev/log", "/run/systemd/journal/dev-log"] {
        profile.line(&format!("whitelist {place}"));
        shown.extend(top(Path::new(place)));
    }
}

fn devices(
    profile: &mut Profile,
    ledger: &mut Ledger,
    subject: &Subject<'_>,
    shown: &mut BTreeSet<PathBuf>,
) -> Result<()> {
    for rule in &subject.spec.devices {
        let item = Item::Device(rule.path.clone());
        if rule.path != rule.device.path() {
            ledger.gap(
                [item],
                Loss::Lost,
                Severity::Info,
                "firejail shows the host's devices, at the host's paths",
            );
            continue;
        }
        profile.because(&rule.because);
        profile.line(&format!("whitelist {}", path(&rule.path)?));
        shown.extend(top(&rule.path));
        ledger.said(&item);
    }
    Ok(())
}

fn binds(
    profile: &mut Profile,
    ledger: &mut Ledger,
    subject: &Subject<'_>,
    shown: &mut BTreeSet<PathBuf>,
) -> Result<()> {
    let mut binds: Vec<_> = subject.spec.binds.iter().collect();
    // What is above comes before what is below it.
    binds.sort_by(|one, other| one.path.cmp(&other.path));
    for bind in binds {
        let item = Item::Bind(bind.path.clone(), bind.writable);
        let of_kernel = ["/proc", "/sys"]
            .iter()
            .any(|place| bind.path.starts_with(place));
        let Some(top) = top(&bind.path).filter(|_| !of_kernel) else {
            ledger.gap(
                [item],
                Loss::Loosened,
                Severity::Low,
                "firejail cannot show a part of it alone, and shows all of it",
            );
            continue;
        };
        shown.insert(top);
        let place = path(&bind.path)?;
        profile.because(&bind.because);
        profile.line(&format!("whitelist {place}"));
        let access = match bind.writable {
            true => "read-write",
            false => "read-only",
        };
        profile.line(&format!("{access} {place}"));
        profile.line(&format!("noexec {place}"));
        ledger.said(&item);
    }
    Ok(())
}

/// Mounted by the script, on the host's directories.
fn scratch(
    profile: &mut Profile,
    ledger: &mut Ledger,
    subject: &Subject<'_>,
    shown: &mut BTreeSet<PathBuf>,
) -> Result<()> {
    for rule in &subject.spec.scratch {
        let place = path(&rule.path)?;
        profile.because(&rule.because);
        // Otherwise it is visible as it is.
        if let Some(top) = top(&rule.path) {
            profile.line(&format!("whitelist {place}"));
            shown.insert(top);
        }
        profile.line(&format!("read-write {place}"));
        profile.line(&format!("noexec {place}"));
    }
    let (hiding, others): (Vec<_>, Vec<_>) = subject
        .spec
        .scratch
        .iter()
        .partition(|rule| rule.path == Path::new("/run"));
    ledger.gap(
        hiding.iter().map(|rule| Item::Scratch(rule.path.clone())),
        Loss::Lost,
        Severity::High,
        "firejail has files of its own in /run, and does not start where a place in memory hides them: the \
         service needs another place for what it makes there",
    );
    ledger.gap(
        others.iter().map(|rule| Item::Scratch(rule.path.clone())),
        Loss::Loosened,
        Severity::Info,
        "it is mounted on a directory of the host, which has to be there, and has nothing of the tree in it",
    );
    Ok(())
}

/// What nothing is needed of.
fn hide(profile: &mut Profile, subject: &Subject<'_>, shown: &BTreeSet<PathBuf>) {
    let spec = subject.spec;
    let binds = spec.binds.iter().map(|bind| bind.path.as_path());
    let own: Vec<&Path> = binds
        .chain(spec.scratch.iter().map(|rule| rule.path.as_path()))
        .chain(
            spec.sockets
                .iter()
                .filter_map(|socket| match &socket.listen {
                    Listen::Unix(path) => Some(path.as_path()),
                    Listen::Manager | Listen::Tcp(_) | Listen::Udp(_) => None,
                }),
        )
        .collect();
    profile.because("nothing is needed of these");
    for place in TOP.map(Path::new) {
        if shown.contains(place) || own.iter().any(|own| own.starts_with(place)) {
            continue;
        }
        match IN_USE.map(Path::new).contains(&place) {
            true => profile.line(&format!("whitelist {}{LOG_DIRECTORY}", place.display())),
            false => profile.line(&format!("blacklist {}", place.display())),
        }
    }
    for (place, command, because) in [
        (
            "/var",
            "writable-var",
            "it has none of the empty directories that firejail puts there for servers",
        ),
        (
            "/var/log",
            "writable-var-log",
            "it has the host's, of which it sees what is listed",
        ),
        (
            "/var/tmp",
            "keep-var-tmp",
            "it has the host's, of which it sees what is listed",
        ),
    ] {
        if own.iter().any(|own| own.starts_with(place)) {
            profile.because(because);
            profile.line(command);
        }
    }
}
