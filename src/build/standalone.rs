//! `build NAME --standalone DIR`: a tree that needs nobody. What a jail has bound in from the
//! host is copied into it, so that plain `chroot(8)`, the service's own `-t`, and an init script
//! can run it where gaoler is not installed.

use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};

use super::host_tree::{HostTree, Reach, file_type, reach};
use super::inventory::{Layout, Planner, Wanted, What, vanished};
use super::{Built, Manifest, Progress, generation, plan, tree, trusted, users::Account};
use crate::error::{Doing, Error, Result};
use crate::spec::{BindRule, Spec};
use crate::sys::beneath::Beneath;
use crate::sys::copy::Identity;

/// The most files and directories that are copied out of one bind.
const MOST_ENTRIES: usize = 200_000;
/// How deep directories in a bind may go.
const DEEPEST: usize = 128;

/// A standalone tree that was built.
#[derive(Clone, Debug, PartialEq)]
pub struct Standalone {
    /// How much it is.
    pub built: Built,
    /// What is in it.
    pub manifest: Manifest,
    /// Paths of the host that cannot be in it: sockets, pipes and devices under a bind.
    pub left_out: Vec<PathBuf>,
}

/// Builds a complete tree in `directory`, which must not exist, or be empty, root's, and writable
/// by nobody else. It appears in one rename.
///
/// # Errors
/// As [`super::build`], `modes` too; there is something in `directory`.
pub fn standalone(
    spec: &Spec,
    account: &Account,
    directory: &Path,
    modes: &[(PathBuf, u32)],
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Standalone> {
    let target = Target::of(directory)?;
    let host = HostTree::open(Path::new("/"))?.with_modes(modes);
    let inventory = plan(spec, &host, account, Layout::Standalone, progress)?;
    let root = target.begin()?;
    let copied = |bytes| progress(Progress::Copied(bytes));
    let written = tree::write(&root, &inventory, &host, &copied).and_then(|manifest| {
        progress(Progress::Syncing);
        generation::sync(root.fd())?;
        target.publish()?;
        Ok(manifest)
    });
    match written {
        Ok(manifest) => Ok(Standalone {
            built: Built::new(0, true, &manifest),
            manifest,
            left_out: inventory.left_out,
        }),
        Err(error) => Err(target.abandon(error)),
    }
}

/// Where the tree will be, and the name that it is made under.
struct Target {
    parent: Beneath,
    name: PathBuf,
    building: PathBuf,
}

impl Target {
    fn of(directory: &Path) -> Result<Self> {
        let doing = || format!("build a standalone tree in {}", directory.display());
        let (parent, name) = match (directory.parent(), directory.file_name()) {
            (Some(parent), Some(name)) if directory.has_root() => (parent, name),
            _ => return Err(Error::usage(doing(), "it is not an absolute path")),
        };
        let parent = trusted::open(parent)?;
        let name = PathBuf::from(name);
        if parent.stat(&name).is_ok() {
            trusted::open(directory)?;
            let names = parent.names(&name, 1).doing(doing);
            if !names.is_ok_and(|names| names.is_empty()) {
                return Err(Error::new(doing(), "it is not an empty directory")
                    .hint("name one that does not exist, or empty it"));
            }
        }
        let mut building = std::ffi::OsString::from(".");
        building.push(&name);
        building.push(format!(".building-{}", std::process::id()));
        Ok(Self {
            parent,
            name,
            building: building.into(),
        })
    }

    fn begin(&self) -> Result<Beneath> {
        let doing = || format!("make {}", self.building.display());
        self.parent
            .make_directory(&self.building, 0o700)
            .doing(doing)?;
        self.parent.beneath(&self.building).doing(doing)
    }

    /// rename(2) puts it in the place of an empty directory, too.
    fn publish(&self) -> Result<()> {
        let doing = || format!("put the tree at {}", self.name.display());
        self.parent
            .rename(&self.building, &self.name)
            .doing(doing)?;
        rustix::fs::fsync(self.parent.fd()).doing(doing)
    }

    fn abandon(&self, error: Error) -> Error {
        match self.parent.remove_tree(&self.building) {
            Ok(()) => error,
            Err(errno) => error.hint(format!(
                "{} could not be removed: {}",
                self.building.display(),
                crate::error::explain(&errno.into())
            )),
        }
    }
}

/// Adds what a jail would have mounted: copies of the binds, and writable directories for
/// scratch.
pub(super) fn places(planner: &mut Planner<'_>) -> Result<()> {
    let spec = planner.spec;
    for bind in &spec.binds {
        let found = planner.way_to(&bind.path, &bind.because)?;
        let Some(stat) = found.stat else {
            return Err(vanished(&bind.path, &bind.because));
        };
        Bind {
            rule: bind,
            left: MOST_ENTRIES,
        }
        .copy(planner, &found.real, &stat, found.reach, 0)?;
    }
    for scratch in &spec.scratch {
        let real = planner.way_to(&scratch.path, &scratch.because)?.real;
        let account = planner.account;
        let mut wanted = Wanted::of_root(What::Directory, 0o700, &scratch.because);
        (wanted.uid, wanted.gid) = (account.user.uid, account.group.gid);
        planner.set(&real, wanted);
    }
    Ok(())
}

/// One bind that is being copied.
struct Bind<'a> {
    rule: &'a BindRule,
    left: usize,
}

impl Bind<'_> {
    /// Adds what is at `path`, and in it.
    fn copy(
        &mut self,
        planner: &mut Planner<'_>,
        path: &Path,
        stat: &Stat,
        reached: Reach,
        depth: usize,
    ) -> Result<()> {
        let doing = || format!("copy {} into the tree", path.display());
        self.left = self
            .left
            .checked_sub(1)
            .filter(|_| depth < DEEPEST)
            .ok_or_else(|| {
                Error::new(
                    doing(),
                    format!("there is too much under {}", self.rule.path.display()),
                )
                .hint("bind something smaller, or build a jail that gaoler runs")
            })?;
        match file_type(stat) {
            FileType::Directory => {
                let passable = reach(stat, planner.account, 0o1).min(reached);
                let what = self.wanted(planner.account, What::Directory, stat, passable, 0o755);
                planner.set(path, what);
                self.copy_names(planner, path, passable, depth)
            }
            FileType::RegularFile => {
                let readable = reach(stat, planner.account, 0o4).min(reached);
                let file = What::File(Identity::from(stat));
                let mut wanted = self.wanted(planner.account, file, stat, readable, 0o444);
                wanted.source = Some(path.to_owned());
                planner.set(path, wanted);
                Ok(())
            }
            FileType::Symlink => {
                let target = planner.host.root().read_link(path).doing(doing)?;
                let mut wanted = Wanted::of_root(What::Symlink(target), 0o777, &self.rule.because);
                wanted.source = Some(path.to_owned());
                planner.set(path, wanted);
                Ok(())
            }
            _ => {
                planner.inventory.left_out.push(path.to_owned());
                Ok(())
            }
        }
    }

    fn copy_names(
        &mut self,
        planner: &mut Planner<'_>,
        directory: &Path,
        reached: Reach,
        depth: usize,
    ) -> Result<()> {
        let doing = || format!("read {}", directory.display());
        for name in planner
            .host
            .root()
            .names(directory, self.left)
            .doing(doing)?
        {
            let path = directory.join(name);
            let other_bind = planner.spec.binds.iter().any(|bind| bind.path == path);
            if other_bind {
                continue;
            }
            let stat = planner.host.root().stat(&path).doing(doing)?;
            self.copy(planner, &path, &stat, reached, depth + 1)?;
        }
        Ok(())
    }

    /// A writable bind's content becomes the service's, with the host's mode; a read-only bind's
    /// becomes root's, readable for the service if it is so on the host. Nobody else may write,
    /// and no set-id bit comes along.
    fn wanted(
        &self,
        account: &Account,
        what: What,
        stat: &Stat,
        reach: Reach,
        bits: u32,
    ) -> Wanted {
        let mut wanted = Wanted::of_root(what, bits, &self.rule.because);
        if self.rule.writable {
            (wanted.uid, wanted.gid) = (account.user.uid, account.group.gid);
            wanted.mode = stat.st_mode & 0o775;
            return wanted;
        }
        match reach {
            Reach::Everyone => {}
            Reach::Service => {
                wanted.gid = account.group.gid;
                wanted.mode &= 0o770;
                wanted.mode &= !0o020;
            }
            Reach::Root => wanted.mode &= 0o700,
        }
        wanted
    }
}
