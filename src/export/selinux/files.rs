//! What the tree has, by types of the jail's own: nothing of it has a label that something else on the host
//! has too.

use std::path::Path;

use super::module::{Module, Own};
use super::text::pattern;
use crate::Result;
use crate::audit::Severity;
use crate::build::{Entry, EntryKind};
use crate::export::{Item, Loss};
use crate::spec::{Device, FileKind};

/// Reading a file.
pub const READ: [&str; 6] = ["getattr", "ioctl", "lock", "map", "open", "read"];

/// Reading a directory.
pub const LIST: [&str; 6] = ["getattr", "ioctl", "lock", "open", "read", "search"];

/// Being told of changes (`inotify(7)`).
const WATCHED: [&str; 2] = ["watch", "watch_reads"];

/// Says them all.
pub fn say(module: &mut Module<'_>) -> Result<()> {
    contexts(module)?;
    rules(module);
    for rule in &module.subject.spec.files {
        module.ledger.said(&Item::File(rule.path.clone()));
    }
    module.ledger.gap(
        [Item::NothingElse],
        Loss::Loosened,
        Severity::Low,
        "the host's policy lets every domain do some things, like reading libraries of the host and \
         directories on the way to them: what of that is in the tree is the tree's own",
    );
    programs(module);
    Ok(())
}

/// Reading with `permissions`, and being told of changes if it asks for that.
pub fn watching(module: &Module<'_>, permissions: &[&'static str]) -> Vec<&'static str> {
    let mut all = permissions.to_vec();
    if module.calls("inotify_add_watch") {
        all.extend(WATCHED);
    }
    all
}

/// What may be executed by the service itself.
fn programs(module: &mut Module<'_>) {
    let item = Item::Arguments("execve");
    match module.has(Own::Program) {
        false => module.ledger.said(&item),
        true => module.ledger.gap(
            [item],
            Loss::Loosened,
            Severity::Low,
            "it can execute those that are listed as programs, again",
        ),
    }
}

/// A pattern for the tree of each generation.
fn in_tree(module: &Module<'_>, path: &Path) -> Result<String> {
    let below = match path == Path::new("/") {
        true => String::new(),
        false => pattern(path)?,
    };
    let state = pattern(&module.state())?;
    Ok(format!("{state}/generations/[0-9]+/root{below}"))
}

fn contexts(module: &mut Module<'_>) -> Result<()> {
    let tree = module.own(Own::Tree);
    let root = in_tree(module, Path::new("/"))?;
    let everything = "what its tree has, unless another line says more";
    module.label(everything, &root, "any", &tree);
    module.label(everything, &format!("{root}/.*"), "any", &tree);
    let manifest = module.subject.manifest;
    for entry in &manifest.entries {
        if let (EntryKind::File, Some(own)) = (entry.kind, type_of(module, entry)) {
            let kind = module.own(own);
            let path = in_tree(module, &entry.path)?;
            module.label(&entry.reason, &path, "file", &kind);
        }
    }
    for rule in &module.subject.spec.devices {
        let path = in_tree(module, &rule.path)?;
        module.label(&rule.because, &path, "char", device(rule.device));
    }
    Ok(())
}

/// What is not just read.
fn type_of(module: &Module<'_>, entry: &Entry) -> Option<Own> {
    let spec = module.subject.spec;
    let is_entry = spec.service.command.first().map(Path::new) == Some(entry.path.as_path());
    let mut files = spec.files.iter();
    let is_program = files.any(|rule| rule.path == entry.path && rule.kind == FileKind::Program);
    let is_code = entry.mode_bits().is_some_and(|bits| bits & 0o111 != 0)
        || entry.path.to_string_lossy().contains(".so");
    match (is_entry, is_program, is_code) {
        (true, ..) => Some(Own::Entry),
        (false, true, _) => Some(Own::Program),
        (false, false, true) => Some(Own::Code),
        (false, false, false) => None,
    }
}

/// What the reference policy calls a device, which has the same label in a `/dev` of systemd's.
pub fn device(device: Device) -> &'static str {
    match device {
        Device::Full | Device::Null => "null_device_t",
        Device::Random => "random_device_t",
        Device::Urandom => "urandom_device_t",
        Device::Zero => "zero_device_t",
    }
}

fn rules(module: &mut Module<'_>) {
    let (domain, entry) = (module.own(Own::Domain), module.own(Own::Entry));
    module.because("the program that it is");
    module.allow(
        &domain,
        &entry,
        "file",
        &[
            "entrypoint",
            "execute",
            "getattr",
            "ioctl",
            "map",
            "open",
            "read",
        ],
    );
    if module.has(Own::Program) {
        let program = module.name(Own::Program);
        module.because("other programs, in the same domain");
        let executed = ["execute", "execute_no_trans"].into_iter().chain(READ);
        module.may(&program, "file", &executed.collect::<Vec<_>>());
    }
    if module.has(Own::Code) {
        let code = module.name(Own::Code);
        module.because("libraries: mapped, and executed by no name of their own");
        let mapped = ["execute"].into_iter().chain(READ);
        module.may(&code, "file", &mapped.collect::<Vec<_>>());
    }
    let tree = module.name(Own::Tree);
    module.because("what its tree has");
    let (list, read) = (watching(module, &LIST), watching(module, &READ));
    module.may(&tree, "dir", &list);
    module.may(&tree, "file", &read);
    module.may(&tree, "lnk_file", &["getattr", "read"]);
}
