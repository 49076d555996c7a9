//! What of the file system the service sees.

use std::path::{Path, PathBuf};

use super::text::{path, plain};
use super::tree;
use super::unit::Unit;
use crate::Result;
use crate::audit::Severity;
use crate::build::{Entry, EntryKind};
use crate::export::{Item, Loss, Root};
use crate::spec::{BindRule, FileKind, FileRule, Ready};

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
    temporary(unit, root);
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
    unit.set(
        "RootDirectory",
        plain(&tree::root(&spec.name).to_string_lossy())?,
        "the tree that gaoler built, as a mount unit has it: nothing else of the host is there",
    );
    unit.ledger.gap(
        [Item::NothingElse],
        Loss::Loosened,
        Severity::Low,
        "systemd mounts /proc, with the processes of its user alone, /dev with the terminals in it, and an \
         empty /run",
    );
    unit.set(
        "RootDirectoryStartOnly",
        "yes",
        "the commands that reload and stop it are the host's",
    );
    for rule in &spec.files {
        unit.ledger.said(&Item::File(rule.path.clone()));
    }
    hidden_in_the_tree(unit)?;
    for bind in &spec.binds {
        let key = match bind.writable {
            true => "BindPaths",
            false => "BindReadOnlyPaths",
        };
        unit.set(key, path(&bind.path)?, bind.because.clone());
        if bind.writable {
            unit.set(
                "ReadWritePaths",
                in_root(&path(&bind.path)?),
                bind.because.clone(),
            );
        }
    }
    without_sys(unit);
    not_executable(unit, spec.binds.iter().map(|bind| bind.path.clone()))?;
    devices(unit);
    sockets(unit);
    Ok(())
}

/// A path in the unit's root, and not in the host's: what `RootDirectory` alone does not mean for settings
/// that change how something is mounted (`systemd.exec(5)`).
fn in_root(path: &str) -> String {
    format!("+{path}")
}

/// systemd mounts it with `/proc`, and a jail has none.
fn without_sys(unit: &mut Unit<'_>) {
    let mut binds = unit.subject.spec.binds.iter();
    if !binds.any(|bind| bind.path.starts_with("/sys")) {
        let hidden = format!("-{}", in_root("/sys"));
        unit.set(
            "InaccessiblePaths",
            hidden,
            "nothing of the kernel's objects",
        );
    }
}

/// What the tree has where systemd, or a place in memory, hides it.
fn hidden_in_the_tree(unit: &mut Unit<'_>) -> Result<()> {
    let spec = unit.subject.spec;
    let mut shown: Vec<&FileRule> = spec.files_in_scratch().collect();
    let in_run = |rule: &&FileRule| {
        // What is below a bind is the host's.
        let mut binds = spec.binds.iter();
        rule.path != Path::new("/run")
            && rule.path.starts_with("/run")
            && !binds.any(|bind| rule.path.starts_with(&bind.path))
    };
    let plain = |rule: &&FileRule| matches!(rule.kind, FileKind::Data | FileKind::Directory);
    shown.extend(spec.files.iter().filter(in_run).filter(plain));
    shown.sort_by(|one, other| one.path.cmp(&other.path));
    shown.dedup_by(|one, other| one.path.starts_with(&other.path));
    for rule in shown {
        let below = rule.path.strip_prefix("/").unwrap_or(&rule.path);
        let from = path(&unit.subject.tree.join(below))?;
        unit.set(
            "BindReadOnlyPaths",
            format!("{from}:{}", path(&rule.path)?),
            rule.because.clone(),
        );
    }
    Ok(())
}

/// Nothing below these is executed, libraries neither.
fn not_executable(unit: &mut Unit<'_>, paths: impl Iterator<Item = PathBuf>) -> Result<()> {
    let mut known = true;
    for place in paths {
        known = unit.set(
            "NoExecPaths",
            in_root(&path(&place)?),
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

/// A `/dev` of systemd's, which has a few more than the spec allows. Those in the tree that are elsewhere,
/// for a service that changes its root, are among them.
fn devices(unit: &mut Unit<'_>) {
    unit.set("PrivateDevices", "yes", "no disk, no terminal, no memory");
    unit.set("DevicePolicy", "closed", "no disk, no terminal, no memory");
    let devices = unit.subject.spec.devices.iter();
    unit.ledger.gap(
        devices.map(|rule| Item::Device(rule.path.clone())),
        Loss::Loosened,
        Severity::Info,
        "/dev has null, zero, full, random, urandom, tty and pts, whichever it needs",
    );
}

/// systemd's own, where it has them.
fn sockets(unit: &mut Unit<'_>) {
    let spec = unit.subject.spec;
    unit.set(
        "BindReadOnlyPaths",
        format!("-{SYSLOG}"),
        "/dev/log leads here",
    );
    if spec.log.journal {
        unit.set(
            "BindReadOnlyPaths",
            format!("-{JOURNAL}"),
            "it speaks journald's protocol",
        );
    }
    let watched = spec.liveness.as_ref();
    if spec.service.ready.contains(&Ready::Notify)
        || watched.is_some_and(|it| it.watchdog_ms.is_some())
    {
        unit.set(
            "BindReadOnlyPaths",
            NOTIFY,
            "it says there that it is ready",
        );
    }
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
    devices(unit);
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

/// Nobody's temporary files but its own; it has none but in the places that the spec gives it.
fn temporary(unit: &mut Unit<'_>, root: Root) {
    const PLACES: [&str; 2] = ["/tmp", "/var/tmp"];
    let spec = unit.subject.spec;
    let binds = spec.binds.iter().map(|bind| &bind.path);
    let scratch = spec.scratch.iter().map(|scratch| &scratch.path);
    let within = |path: &PathBuf| PLACES.iter().any(|place| path.starts_with(place));
    let files = spec.files.iter().map(|rule| &rule.path);
    if binds.chain(scratch).chain(files).any(within) {
        return;
    }
    unit.set(
        "PrivateTmp",
        "yes",
        "the temporary files of others are not its own",
    );
    for place in PLACES {
        let place = match root {
            Root::Tree => in_root(place),
            Root::Host => place.to_owned(),
        };
        unit.set("ReadOnlyPaths", place, "it makes no temporary files");
    }
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
