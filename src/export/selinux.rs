//! A module for SELinux in its intermediate language (CIL), for a host whose policy is made from the
//! reference policy, as those of Debian and Fedora are: its names of types and attributes are used.

mod files;
mod module;
mod network;
mod places;
mod ports;
mod process;
mod start;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Exported, ExportedFile, Item, Ledger, Loss, Root, Subject};
use crate::audit::Severity;
use crate::{Error, Result};
use module::Module;
pub use ports::known as port_type;

/// What the labels of what is in one place of the host say.
pub type Labels = BTreeSet<Label>;

/// The label of one file or directory, as far as a rule needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Its type.
    pub kind: String,
    /// Whether it is a file, a directory...
    pub class: Class,
}

/// What has a label. SELinux has a class for each (`security/selinux/include/classmap.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A named pipe.
    Pipe,
    /// A Unix socket.
    Socket,
    /// A symbolic link.
    Symlink,
}

impl Class {
    /// As a policy calls it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Directory => "dir",
            Class::File => "file",
            Class::Pipe => "fifo_file",
            Class::Socket => "sock_file",
            Class::Symlink => "lnk_file",
        }
    }
}

/// What is wanted of the export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whose files the service sees.
    pub root: Root,
    /// What the places of the host that the jail has are labelled with. One that is not here gets types of
    /// its own.
    pub labels: BTreeMap<PathBuf, Labels>,
}

/// What the types begin with that the jail `name` has of its own.
///
/// # Errors
/// Something is in the name that a symbol of a policy cannot have.
pub fn prefix(name: &str) -> Result<String> {
    text::symbol(name)
}

/// Writes the module, and a drop-in by which systemd starts the service in its domain.
///
/// # Errors
/// It is wanted on the host's files; a path that a module cannot hold.
pub fn export(subject: Subject<'_>, options: &Options) -> Result<Exported> {
    let name = &subject.spec.name;
    if options.root == Root::Host {
        return Err(Error::usage(
            format!("export the jail {name} to SELinux"),
            "on the host's own files its programs and libraries have the labels of the host's policy, \
             which others have too: a module can give only the jail's tree labels of its own",
        )
        .hint("leave out --host-files, and have it run on its tree: gaoler export --to systemd"));
    }
    let mut module = Module::new(subject)?;
    process::say(&mut module);
    files::say(&mut module)?;
    places::say(&mut module, &options.labels)?;
    network::say(&mut module);
    start::say(&mut module)?;
    silent(&mut module.ledger, subject);
    let file = PathBuf::from(format!("gaoler_{name}.cil"));
    let drop_in = PathBuf::from(format!("{name}.service.d")).join("60-selinux.conf");
    Ok(Exported {
        files: vec![
            ExportedFile {
                install: PathBuf::from("/usr/local/share/selinux").join(&file),
                text: format!("{}\n{}", heading(&module, &file), module.text()),
                path: file,
                executable: false,
            },
            ExportedFile {
                install: PathBuf::from("/etc/systemd/system").join(&drop_in),
                path: drop_in,
                text: start::drop_in(&module),
                executable: false,
            },
        ],
        gaps: module.ledger.close(),
    })
}

fn heading(module: &Module<'_>, file: &Path) -> String {
    let name = &module.subject.spec.name;
    let state = module.state().display().to_string();
    [
        format!("{name} in the tree of its jail: for a policy made from the reference policy."),
        format!("Made by \"gaoler export {name} --to selinux\" from the spec of the jail {name}."),
        format!("Load it: semodule -i {}", file.display()),
        format!("Label the tree, now and after each build: restorecon -RF {state}"),
    ]
    .iter()
    .map(|line| text::comment(line) + "\n")
    .collect()
}

/// What a module has no words for.
fn silent(ledger: &mut Ledger, subject: Subject<'_>) {
    let spec = subject.spec;
    let limits = [
        "core",
        "descriptors",
        "file_size",
        "memory_bytes",
        "processes",
    ]
    .map(Item::Limit);
    ledger.started_by_others(
        spec,
        limits,
        "a module confines what somebody else starts: gaoler, or a unit that says this",
    );
    ledger.without_own_tools();
    ledger.gap(
        [Item::NoPassedDirectory],
        Loss::Loosened,
        Severity::Low,
        "from a directory that another process passes it as a descriptor it opens what has one of the \
         labels that it may read: of the host's files those of its places",
    );
    let calls = spec.calls.iter();
    let numbers = calls.flat_map(|rule| [Item::Call(rule.number), Item::StartOnly(rule.number)]);
    let filter = [
        Item::NoOtherCall,
        Item::NoOtherArchitecture,
        Item::Logged,
        Item::Arguments("clone"),
        Item::Arguments("ioctl"),
        Item::Arguments("setgroups"),
    ];
    ledger.gap(
        numbers.chain(filter),
        Loss::Lost,
        Severity::Medium,
        "SELinux knows objects and what is done to them, and no system calls: the whole kernel can be reached",
    );
    ledger.gap(
        [
            "ipc_namespace",
            "mount_namespace",
            "pid_namespace",
            "uts_namespace",
        ]
        .map(Item::Namespace),
        Loss::Lost,
        Severity::Low,
        "a module makes no namespaces; it refuses what the service does not need instead",
    );
    ledger.gap(
        [Item::Check, Item::Incidents],
        Loss::Lost,
        Severity::Info,
        "what is refused is in the audit log; nobody notices what may be an attack",
    );
}
