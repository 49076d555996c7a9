//! For every item of a spec, either the exported text says it or a gap does. The text is read back by
//! other code than what wrote it.

mod apparmor;
mod bubblewrap;
mod firejail;
mod init;
mod kubernetes;
mod oci;
mod selinux;
mod systemd;

use std::path::{Path, PathBuf};

use proptest::test_runner::TestCaseError;

use super::{Exported, Item, Subject, items};
use crate::build::{Entry, EntryKind, Manifest};
use crate::spec::{FileKind, Listen, Spec, parse};

/// The same with paths and names that a unit file can hold.
fn tame(spec: Spec) -> Spec {
    tamed(spec, '%')
}

/// The same, with this at the end of each path.
fn tamed(mut spec: Spec, end: char) -> Spec {
    let plain = |path: &Path, at: usize| {
        let keep = |c: char| match c {
            c if c.is_ascii_alphanumeric() || c == '/' => c,
            _ => '_',
        };
        let text: String = path.to_string_lossy().chars().map(keep).collect();
        PathBuf::from(format!("{text}{at}{end}"))
    };
    let rules = spec.binds.iter_mut().map(|rule| &mut rule.path);
    let rules = rules.chain(spec.files.iter_mut().map(|rule| &mut rule.path));
    let rules = rules.chain(spec.scratch.iter_mut().map(|rule| &mut rule.path));
    let rules = rules.chain(spec.devices.iter_mut().map(|rule| &mut rule.path));
    let rules = rules.chain([&mut spec.service.workdir]);

    for (at, path) in rules.chain(&mut spec.service.pid_file).enumerate() {
        *path = plain(path, at);
    }
    if let Some(program) = spec.service.command.first_mut() {
        *program = plain(Path::new(program.as_str()), 0)
            .to_string_lossy()
            .into_owned();
    }
    for socket in &mut spec.sockets {
        if let Listen::Unix(path) = &mut socket.listen {
            *path = plain(path, 0);
        }
    }
    // Every other one has the option.
    let service = &mut spec.service;
    if service.umask.is_multiple_of(2) {
        service.command.insert(1, "-u".to_owned());
        service.command.insert(2, service.user.clone());
    }
    let variables = std::mem::take(&mut spec.service.environment).into_values();
    let printable =
        |value: String| value.replace(|c: char| c.is_control() && !"\t\n".contains(c), "");
    spec.service.environment = variables
        .enumerate()
        .map(|(at, value)| (format!("NAME_{at}"), printable(value)))
        .collect();
    spec
}

/// What a build would have made of it, as far as exports look at it.
fn built(spec: &Spec) -> Manifest {
    let entry = |path: &Path, kind, size, mode: &str, reason: &str| Entry {
        path: path.to_owned(),
        kind,
        source: Some(path.to_owned()),
        sha256: None,
        uid: 0,
        gid: 0,
        mode: mode.to_owned(),
        target: None,
        device: None,
        size,
        reason: reason.to_owned(),
    };
    let files = spec.files.iter().map(|rule| {
        let (kind, mode) = match rule.kind {
            FileKind::Data => (EntryKind::File, "0644"),
            FileKind::Directory => (EntryKind::Directory, "0755"),
            FileKind::Library | FileKind::Program => (EntryKind::File, "0755"),
        };
        entry(&rule.path, kind, Some(1), mode, &rule.because)
    });
    let binds = spec.binds.iter().map(|rule| {
        entry(
            &rule.path,
            EntryKind::Mountpoint,
            None,
            "0755",
            &rule.because,
        )
    });
    let log = Path::new(crate::build::LOG_DIRECTORY);
    let log = entry(log, EntryKind::Mountpoint, None, "0755", "messages");
    let mut entries: Vec<Entry> = files.chain(binds).chain([log]).collect();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    entries.dedup_by(|one, other| one.path == other.path);
    Manifest { entries }
}

fn subject<'a>(spec: &'a Spec, manifest: &'a Manifest) -> Subject<'a> {
    Subject {
        spec,
        manifest,
        tree: Path::new("/var/lib/gaoler/web/current/root"),
        uid: 995,
        gid: 995,
        groups: &[44, 995],
        user_option: Some("-u"),
        other_groups: &[],
    }
}

/// Each item is said or in a gap, and no gap is one of forgetting.
fn accounted(
    spec: &Spec,
    exported: &Exported,
    says: impl Fn(&Item) -> bool,
) -> Result<(), TestCaseError> {
    let told = || {
        exported
            .files
            .iter()
            .map(|it| it.text.as_str())
            .collect::<String>()
    };
    for item in items(spec) {
        let text = item.to_string();
        let gap = exported.gaps.iter().any(|gap| gap.items.contains(&text));
        if !gap && !says(&item) {
            return Err(TestCaseError::fail(format!("{text}\n{}", told())));
        }
    }
    match exported
        .gaps
        .iter()
        .find(|gap| gap.why.contains("no words for it"))
    {
        Some(gap) => Err(TestCaseError::fail(format!("{gap:?}"))),
        None => Ok(()),
    }
}

/// The spec that the page on the launch order is made from, with what was built of it.
fn example() -> (Spec, Manifest) {
    let text = include_str!("../../tests/docs/example.toml");
    let spec = parse(text, "example.toml").unwrap();
    let manifest = built(&spec);
    (spec, manifest)
}

/// Files and gaps as text.
fn shown(exported: &Exported) -> String {
    let mut text = String::new();
    for file in &exported.files {
        text += &format!("==> {}\n{}\n", file.install.display(), file.text);
    }
    for gap in &exported.gaps {
        let items = gap.items.join(", ");
        text += &format!(
            "{} {:.1}: {items}: {}\n",
            gap.loss.name(),
            gap.cost,
            gap.why
        );
    }
    text
}
