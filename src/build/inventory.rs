//! What goes into a root tree: from a spec, the host and the account to a sorted list of wanted
//! entries, each with its reason. Reads the host, writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::accounts_files;
use super::elf::Resolver;
use super::host_tree::{Found, HostTree, Step, file_type};
use super::users::Account;
use super::{JOURNAL_DIRECTORY, LOG_DIRECTORY, standalone};
use crate::error::{Error, Result};
use crate::spec::{Device, FileKind, FileRule, Spec};
use crate::sys::copy::Identity;

/// Everything that a tree is to hold, by path.
#[derive(Debug, Default)]
pub struct Inventory {
    /// The entries; `/` is the first.
    pub wanted: BTreeMap<PathBuf, Wanted>,
    /// Paths of the host that were asked for and cannot be copied: sockets under a bind that a
    /// standalone tree takes in.
    pub left_out: Vec<PathBuf>,
}

impl Inventory {
    /// Files that will be in the tree, and their bytes.
    pub fn size(&self) -> (usize, u64) {
        let sizes = self
            .wanted
            .values()
            .filter_map(|wanted| match &wanted.what {
                What::File(identity) => Some(identity.size),
                What::Generated(content) => Some(content.len() as u64),
                What::Device(_) | What::Directory | What::Mountpoint { .. } | What::Symlink(_) => {
                    None
                }
            });
        sizes.fold((0, 0), |(files, bytes), size| {
            (files + 1, u64::saturating_add(bytes, size))
        })
    }
}

/// One entry of a tree that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What it is.
    pub what: What,
    /// Where it is copied from.
    pub source: Option<PathBuf>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Why it is there.
    pub reason: String,
}

/// What a [`Wanted`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A device node.
    Device(Device),
    /// A directory.
    Directory,
    /// A copy of this file of the host.
    File(Identity),
    /// A file that gaoler writes.
    Generated(Vec<u8>),
    /// Something is mounted on it: a directory, or else an empty file.
    Mountpoint {
        /// A directory rather than a file.
        directory: bool,
    },
    /// A symbolic link with this text.
    Symlink(PathBuf),
}

impl Wanted {
    /// An entry that belongs to root.
    pub fn of_root(what: What, mode: u32, reason: impl Into<String>) -> Self {
        Self {
            what,
            source: None,
            uid: 0,
            gid: 0,
            mode,
            reason: reason.into(),
        }
    }
}

/// Whether binds stay on the host or come into the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A tree that gaoler mounts things on.
    Jail,
    /// A tree that is complete in itself.
    Standalone,
}

/// What `spec` needs of `host` for `account`.
///
/// # Errors
/// Something in the spec is not there, is of another kind than the spec says, is for another
/// machine, or could not be read by the service.
pub fn inventory(
    spec: &Spec,
    host: &HostTree,
    resolver: &mut Resolver,
    account: &Account,
    layout: Layout,
) -> Result<Inventory> {
    let mut planner = Planner {
        spec,
        host,
        resolver,
        account,
        layout,
        inventory: Inventory::default(),
        objects: BTreeMap::new(),
        interpreter: None,
    };
    planner.start()?;
    for rule in &spec.files {
        planner.file(rule)?;
    }
    planner.program()?;
    planner.places()?;
    accounts_files::add(&mut planner)?;
    Ok(owned_by_caller(planner.inventory))
}

/// An ordinary user can give nothing to root: the tree is theirs. Nor are mode bits nothing to them:
/// what its owner may not read or change, gaoler could neither check nor remove.
fn owned_by_caller(mut inventory: Inventory) -> Inventory {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if !uid.is_root() {
        for wanted in inventory.wanted.values_mut() {
            (wanted.uid, wanted.gid) = (uid.as_raw(), gid.as_raw());
            wanted.mode |= match wanted.what {
                What::Directory | What::Mountpoint { directory: true } => 0o700,
                What::Symlink(_) => 0,
                _ => 0o400,
            };
        }
    }
    inventory
}

/// The inventory in the making.
pub(super) struct Planner<'a> {
    pub(super) spec: &'a Spec,
    pub(super) host: &'a HostTree,
    pub(super) resolver: &'a mut Resolver,
    pub(super) account: &'a Account,
    pub(super) layout: Layout,
    pub(super) inventory: Inventory,
    /// Shared objects by the name that they are asked for under, with the paths in the jail that
    /// ld.so opens for it.
    pub(super) objects: BTreeMap<String, BTreeSet<PathBuf>>,
    /// The dynamic linker, where there is one.
    pub(super) interpreter: Option<PathBuf>,
}

impl Planner<'_> {
    /// The root directory.
    fn start(&mut self) -> Result<()> {
        self.add(
            Path::new("/"),
            Wanted::of_root(What::Directory, 0o755, "the root directory"),
        )
    }

    /// One rule of `[[file]]`.
    fn file(&mut self, rule: &FileRule) -> Result<()> {
        if accounts_files::is_generated(&rule.path) || self.comes_with_a_mount(&rule.path) {
            return self.refuse_program_in_a_mount(rule);
        }
        match rule.kind {
            FileKind::Data => self.data(&rule.path, &rule.because),
            FileKind::Directory => self.directory(&rule.path, &rule.because),
            FileKind::Library => self.library(&rule.path, &rule.because),
            FileKind::Program => self.executable(&rule.path, &rule.because, 0),
        }
    }

    /// The service's own program and the directory it starts in.
    fn program(&mut self) -> Result<()> {
        let spec = self.spec;
        let Some(program) = spec.service.command.first() else {
            return Err(Error::usage(
                format!("build {}", spec.name),
                "the spec's command is empty: there is nothing to run",
            ));
        };
        self.executable(Path::new(program), "the service's program", 0)?;
        let workdir = &spec.service.workdir;
        if workdir.has_root() && !self.comes_with_a_mount(workdir) {
            self.directory(workdir, "the service's working directory")?;
        }
        Ok(())
    }

    /// Where things are mounted, and devices.
    fn places(&mut self) -> Result<()> {
        let spec = self.spec;
        for device in &spec.devices {
            let real = self.way_to(&device.path, &device.because)?.real;
            if self.makes_devices() {
                let node = Wanted::of_root(What::Device(device.device), 0o666, &device.because);
                self.add(&real, node)?;
            } else {
                self.mountpoint(&real, false, &device.because)?;
            }
        }
        if self.layout == Layout::Standalone {
            return standalone::places(self);
        }
        for bind in &spec.binds {
            let found = self.way_to(&bind.path, &bind.because)?;
            let stat = found
                .stat
                .as_ref()
                .ok_or_else(|| vanished(&bind.path, &bind.because))?;
            let directory = file_type(stat) == FileType::Directory;
            self.mountpoint(&found.real, directory, &bind.because)?;
        }
        for scratch in &spec.scratch {
            let real = self.way_to(&scratch.path, &scratch.because)?.real;
            self.mountpoint(&real, true, &scratch.because)?;
        }
        self.add(Path::new("/dev"), dev("holds /dev/log"))?;
        let log = "the supervisor's socket appears here, also a new supervisor's";
        self.mountpoint(Path::new(LOG_DIRECTORY), true, log)?;
        if self.spec.log.journal {
            for above in ["/run", "/run/systemd"] {
                self.directory_above_a_mount(Path::new(above))?;
            }
            self.mountpoint(Path::new(JOURNAL_DIRECTORY), true, log)?;
        }
        let target = PathBuf::from("gaoler/log");
        self.add(
            Path::new("/dev/log"),
            Wanted::of_root(What::Symlink(target), 0o777, "syslog(3) connects here"),
        )
    }

    fn directory_above_a_mount(&mut self, path: &Path) -> Result<()> {
        if self.is_below_a_mount(path) {
            return Ok(());
        }
        let because = "leads to the socket for journald's protocol";
        self.add(path, Wanted::of_root(What::Directory, 0o755, because))
    }

    /// Only root can make a device node; an ordinary user's jail has the host's mounted.
    fn makes_devices(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn mountpoint(&mut self, path: &Path, directory: bool, reason: &str) -> Result<()> {
        if self.is_below_a_mount(path) {
            return Ok(());
        }
        let mode = if directory { 0o755 } else { 0o444 };
        self.add(
            path,
            Wanted::of_root(What::Mountpoint { directory }, mode, reason),
        )
    }

    /// An empty directory.
    fn directory(&mut self, path: &Path, because: &str) -> Result<()> {
        let found = self.way_to(path, because)?;
        if found
            .stat
            .as_ref()
            .is_some_and(|stat| file_type(stat) != FileType::Directory)
        {
            return Err(Error::usage(
                copying(path),
                "the spec calls it a directory, and it is none",
            ));
        }
        if found.real == Path::new("/") || self.comes_with_a_mount(&found.real) {
            return Ok(());
        }
        self.add(
            &found.real,
            Wanted::of_root(What::Directory, directory_mode(&found.real), because),
        )
    }

    /// Adds the links and directories on the way to `path`.
    pub(super) fn way_to(&mut self, path: &Path, because: &str) -> Result<Found> {
        if !path.has_root() {
            return Err(Error::usage(copying(path), "it is not an absolute path"));
        }
        let found = self.host.find(path, self.account)?;
        for step in &found.steps {
            let (at, wanted) = match step {
                Step::Directory(at) => {
                    let reason = format!("leads to {} ({because})", path.display());
                    (
                        at,
                        Wanted::of_root(What::Directory, directory_mode(at), reason),
                    )
                }
                Step::Symlink(at, target) => {
                    let reason = format!(
                        "a link of the host on the way to {} ({because})",
                        path.display()
                    );
                    let link = What::Symlink(target.clone());
                    (
                        at,
                        Wanted {
                            source: Some(at.clone()),
                            ..Wanted::of_root(link, 0o777, reason)
                        },
                    )
                }
            };
            if !self.is_below_a_mount(at) {
                self.add(at, wanted)?;
            }
        }
        Ok(found)
    }

    /// Adds one entry. The first reason stays; permissions of one file asked for twice add up,
    /// and a mount point wins over the directory that it is.
    pub(super) fn add(&mut self, path: &Path, wanted: Wanted) -> Result<()> {
        let Some(there) = self.inventory.wanted.get_mut(path) else {
            self.inventory.wanted.insert(path.to_owned(), wanted);
            return Ok(());
        };
        match (&there.what, &wanted.what) {
            (What::File(_), What::File(_)) => there.mode |= wanted.mode,
            (What::Directory, What::Mountpoint { directory: true }) => *there = wanted,
            (What::Mountpoint { directory: true }, What::Directory) => {}
            (old, new) if old == new => {}
            _ => {
                return Err(Error::usage(
                    format!("build {}", self.spec.name),
                    format!(
                        "{} is wanted as two different things: \"{}\" and \"{}\"",
                        path.display(),
                        there.reason,
                        wanted.reason
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Adds one entry in the place of what was there: the directory on the way to it.
    pub(super) fn set(&mut self, path: &Path, wanted: Wanted) {
        self.inventory.wanted.insert(path.to_owned(), wanted);
    }

    /// Whether the host's own file is seen at `path` because it, or a directory above, is bound,
    /// or nothing is, because a scratch directory is there and no rule shows it in that.
    pub(super) fn comes_with_a_mount(&self, path: &Path) -> bool {
        let mut shown = self.spec.files_in_scratch();
        self.mounts().any(|mount| path.starts_with(mount))
            && !shown.any(|rule| path.starts_with(&rule.path))
    }

    /// Whether `path` lies deeper than a mount, and so would be hidden by it.
    fn is_below_a_mount(&self, path: &Path) -> bool {
        let mut shown = self.spec.files_in_scratch();
        self.layout == Layout::Jail
            && self
                .mounts()
                .any(|mount| path != mount && path.starts_with(mount))
            && !shown.any(|rule| path.starts_with(&rule.path) || rule.path.starts_with(path))
    }

    fn mounts(&self) -> impl Iterator<Item = &Path> {
        let binds = self.spec.binds.iter().map(|bind| bind.path.as_path());
        binds.chain(
            self.spec
                .scratch
                .iter()
                .map(|scratch| scratch.path.as_path()),
        )
    }

    /// Mounts are noexec: code under one could not run, and saying so now saves a riddle later.
    fn refuse_program_in_a_mount(&self, rule: &FileRule) -> Result<()> {
        match rule.kind {
            FileKind::Data | FileKind::Directory => Ok(()),
            FileKind::Library | FileKind::Program => Err(Error::usage(
                copying(&rule.path),
                "it is code, and lies in a place that is mounted over it without execution",
            )
            .hint("take the bind or scratch above it out of the spec, or bind something deeper")),
        }
    }
}

/// `/dev` can be passed through, not listed: whatever appears there is not advertised.
fn directory_mode(path: &Path) -> u32 {
    if path.starts_with("/dev") {
        0o111
    } else {
        0o755
    }
}

fn dev(reason: &str) -> Wanted {
    Wanted::of_root(What::Directory, directory_mode(Path::new("/dev")), reason)
}

/// For errors.
pub(super) fn copying(path: &Path) -> String {
    format!("copy {} into the jail", path.display())
}

/// The error for what a spec names and the host no longer has.
pub(super) fn vanished(path: &Path, because: &str) -> Error {
    Error::new(
        copying(path),
        format!("it is in the spec ({because}) and no longer exists on the host"),
    )
    .hint("learn again, or take it out of the spec")
}

#[cfg(test)]
mod tests;
