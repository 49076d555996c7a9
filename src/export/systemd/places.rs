//! What of the file system the service sees.

use std::path::{Path, PathBuf};

use super::text::{path, plain};
use super::unit::Unit;
use crate::Result;
use crate::audit::Severity;
use crate::build::{Entry, EntryKind, LOG_DIRECTORY};
use crate::export::{Item, Loss, Root};
use crate::spec::{BindRule, Ready};

/// Where systemd's own sockets are (`systemd-journald.service(8)`, `sd_notify(3)`).
const SYSLOG: &str = "/run/systemd/journal/dev-log";
const JOURNAL: &str = "/run/systemd/journal/socket";
const NOTIFY: &str = "/run/systemd/notify";

/// The homes that `ProtectHome` hides (`systemd.exec(5)`).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Says the root, what is mounted into it, and what may be written and executed.
pub fn say(unit: &mut Unit<'_>, root: Root) -> Result<()> {
    let read_only = "nothing can be written but what is listed";
    unit.set("ProtectSystem", "strict", read_only);
    match root {
        Root::Tree => on_the_tree(unit)?,
        Root::Host => on_the_host(unit)?,
    }
    scratch(unit)?;
    homes(unit);
    let private = unit.say(
        &[Item::Namespace("mount_namespace")],
        "PrivateMounts",
        "yes",
        "mounts of its own",
    );
    // The root and the mounts make one in any case.
    if !private {
        unit.ledger.said(&Item::Namespace("mount_namespace"));
    }
    Ok(())
}

fn on_the_tree(unit: &mut Unit<'_>) -> Result<()> {
    let spec = unit.subject.spec;
    unit.say(
        &[Item::NothingElse],
        "RootDirectory",
        plain(&unit.subject.tree.to_string_lossy())?,
        "the tree that gaoler built: nothing else of the host is there",
    );
    for rule in &spec.files {
        unit.ledger.said(&Item::File(rule.path.clone()));
    }
    unit.set(
        "MountAPIVFS",
        "no",
        "the jail has neither /proc nor /sys, and of /dev what is in the tree",
    );
    for bind in &spec.binds {
        let key = match bind.writable {
            true => "BindPaths",
            false => "BindReadOnlyPaths",
        };
        unit.set(key, path(&bind.path)?, bind.because.clone());
        if bind.writable {
            unit.set("ReadWritePaths", path(&bind.path)?, bind.because.clone());
        }
    }
    not_executable(unit, spec.binds.iter().map(|bind| bind.path.clone()))?;
    devices(unit)?;
    sockets(unit)
}

/// Nothing below these is executed, libraries neither.
fn not_executable(unit: &mut Unit<'_>, paths: impl Iterator<Item = PathBuf>) -> Result<()> {
    let mut known = true;
    for place in paths {
        known = unit.set(
            "NoExecPaths",
            path(&place)?,
            "what can be written is not executed, and configuration is no program",
        );
    }
    let binds = unit.subject.spec.binds.iter();
    let items: Vec<Item> = binds
        .map(|bind| Item::Bind(bind.path.clone(), bind.writable))
        .collect();
    match known {
        true => items.iter().for_each(|item| unit.ledger.said(item)),
        false => unit.ledger.gap(
            items,
            Loss::Loosened,
            Severity::Low,
            "what is in it can be executed: systemd 248 is the first that can forbid it",
        ),
    }
    Ok(())
}

/// The nodes are in the tree; the kernel asks the device controller besides.
fn devices(unit: &mut Unit<'_>) -> Result<()> {
    let spec = unit.subject.spec;
    unit.set("DevicePolicy", "strict", "no device but these");
    if spec.devices.is_empty() && unit.drop_in {
        unit.set("DeviceAllow", "", "none");
    }
    for rule in &spec.devices {
        let node = rule.device.path().display();
        unit.say(
            &[Item::Device(rule.path.clone())],
            "DeviceAllow",
            format!("{node} rw"),
            rule.because.clone(),
        );
    }
    Ok(())
}

/// The sockets that the tree has a place for, in a place in memory so that the tree is left as it is.
fn sockets(unit: &mut Unit<'_>) -> Result<()> {
    let spec = unit.subject.spec;
    let notified = spec.service.ready.contains(&Ready::Notify)
        || (spec.liveness.as_ref()).is_some_and(|it| it.watchdog_ms.is_some());
    let has = |place: &str| unit.subject.manifest.entry(Path::new(place)).is_some();
    let (log, journal) = (
        has(LOG_DIRECTORY),
        spec.log.journal && has("/run/systemd/journal"),
    );
    if log {
        let because = "/dev/log of the tree leads here";
        let place = format!("{LOG_DIRECTORY}:ro,size=4k,nr_inodes=8,mode=0755");
        unit.set("TemporaryFileSystem", place, because);
        unit.set(
            "BindReadOnlyPaths",
            format!("-{SYSLOG}:{LOG_DIRECTORY}/log"),
            because,
        );
    }
    if journal {
        unit.set(
            "BindReadOnlyPaths",
            JOURNAL,
            "it speaks journald's protocol",
        );
    }
    if !notified {
        return Ok(());
    }
    let because = "it says there that it is ready";
    if log {
        unit.set(
            "BindReadOnlyPaths",
            format!("{NOTIFY}:{LOG_DIRECTORY}/notify"),
            because,
        );
        unit.set(
            "Environment",
            format!("NOTIFY_SOCKET={LOG_DIRECTORY}/notify"),
            because,
        );
    } else {
        unit.set("BindReadOnlyPaths", NOTIFY, because);
    }
    Ok(())
}

fn on_the_host(unit: &mut Unit<'_>) -> Result<()> {
    let spec = unit.subject.spec;
    if unit.drop_in {
        unit.set("RootDirectory", "", "the host's files");
    }
    for rule in &spec.files {
        unit.ledger.said(&Item::File(rule.path.clone()));
    }
    unit.ledger.gap(
        [Item::NothingElse],
        Loss::Loosened,
        Severity::Medium,
        "it reads whatever its user may read on the host, and not just what it needs; RootDirectory \
         with the jail's tree closes this",
    );
    for bind in &spec.binds {
        unit.ledger
            .said(&Item::Bind(bind.path.clone(), bind.writable));
        if bind.writable {
            unit.set("ReadWritePaths", path(&bind.path)?, bind.because.clone());
        }
    }
    executable(unit)?;
    let hidden = |place: &str| !spec.binds.iter().any(|bind| bind.path.starts_with(place));
    if hidden("/tmp") && hidden("/var/tmp") {
        unit.set(
            "PrivateTmp",
            "yes",
            "the temporary files of others are not its own",
        );
    }
    unit.set("PrivateDevices", "yes", "no disk, no terminal, no memory");
    unit.set("DevicePolicy", "closed", "no disk, no terminal, no memory");
    let devices = spec.devices.iter();
    unit.ledger.gap(
        devices.map(|rule| Item::Device(rule.path.clone())),
        Loss::Loosened,
        Severity::Info,
        "/dev has null, zero, full, random, urandom, tty and pts, whichever it needs",
    );
    Ok(())
}

/// What the tree has as programs and libraries may be executed, and nothing else.
fn executable(unit: &mut Unit<'_>) -> Result<()> {
    let because = "nothing else is executed: not what was written, and no shell";
    let runs = |entry: &&Entry| {
        entry.kind == EntryKind::File
            && (entry.mode_bits().is_some_and(|bits| bits & 0o111 != 0) || is_library(&entry.path))
    };
    let manifest = unit.subject.manifest;
    let sources = manifest.entries.iter().filter(runs);
    let mut sources: Vec<PathBuf> = sources.filter_map(|entry| entry.source.clone()).collect();
    sources.sort();
    sources.dedup();
    if !unit.set("NoExecPaths", "/", because) {
        unit.ledger.gap(
            [Item::Arguments("execve")],
            Loss::Loosened,
            Severity::Medium,
            "it can execute every program of the host, and what it has written: systemd 248 is the \
             first that can forbid it",
        );
    }
    for source in sources {
        unit.set("ExecPaths", path(&source)?, because);
    }
    Ok(())
}

/// Whether a file is loaded as code by its name, as `libc.so.6` is.
fn is_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".so") || name.contains(".so.")
}

fn scratch(unit: &mut Unit<'_>) -> Result<()> {
    let (uid, gid) = match unit.subject.spec.service.start_as_root {
        true => (0, unit.subject.gid),
        false => (unit.subject.uid, unit.subject.gid),
    };
    for rule in &unit.subject.spec.scratch {
        let options = format!(
            "size={}k,mode=0700,uid={uid},gid={gid},nosuid,nodev,noexec",
            rule.size_kib
        );
        unit.say(
            &[Item::Scratch(rule.path.clone())],
            "TemporaryFileSystem",
            format!("{}:{options}", path(&rule.path)?),
            rule.because.clone(),
        );
    }
    Ok(())
}

fn homes(unit: &mut Unit<'_>) {
    let in_a_home = |bind: &BindRule| HOMES.iter().any(|home| bind.path.starts_with(home));
    let mut binds = unit.subject.spec.binds.iter();
    let scratch = &unit.subject.spec.scratch;
    let in_memory = HOMES
        .iter()
        .any(|home| scratch.iter().any(|rule| rule.path.starts_with(home)));
    if !in_memory && !binds.any(in_a_home) {
        unit.set("ProtectHome", "yes", "no home is its business");
    }
}
