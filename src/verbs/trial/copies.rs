//! Copies of the host's places that a jail uses, mounted over them in a trial's own mount
//! namespace: what a trial writes does not reach the host. Links are never followed; owners,
//! modes, times and extended attributes are kept.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
    XattrFlags,
};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};
use serde::{Deserialize, Serialize};

use crate::sys::beneath::Beneath;
use crate::{Doing, Error, Result};

/// More than this is not copied: the copies are in memory, twice.
const MOST_BYTES: u64 = 256 << 20;
/// Nor more files and directories than this.
const MOST_FILES: u64 = 100_000;
/// Nor a tree that is deeper.
const DEEPEST: usize = 64;
/// Nor longer extended attributes.
const LONGEST_ATTRIBUTE: usize = 64 << 10;

/// What was copied, for the user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copied {
    /// Places.
    pub places: u64,
    /// Files and directories.
    pub files: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// Sockets and devices, which were left out.
    pub skipped: u64,
    /// Places that were not needed to be copied and were too large: they are the host's own.
    pub too_large: Vec<PathBuf>,
}

/// The copies of one trial.
#[derive(Debug)]
pub(super) struct Copies {
    /// As the host had it, for the next refill.
    snapshot: PathBuf,
    /// What is mounted.
    present: PathBuf,
    /// How many there are; they are called by their numbers.
    count: u64,
}

/// What may still be copied, and what was.
struct Budget {
    copied: Copied,
}

impl Copies {
    /// Copies the places into the directory `own` and mounts the copies over them. A place that
    /// is not there has no copy. One of the `optional` that is too large is left as it is.
    ///
    /// # Errors
    /// One of the `required` is too large; the disk is full; there is a link in a path.
    pub(super) fn cover(
        own: &Path,
        required: &[PathBuf],
        optional: &[PathBuf],
    ) -> Result<(Self, Copied)> {
        let mut copies = Self {
            snapshot: own.join("snapshot"),
            present: own.join("copies"),
            count: 0,
        };
        for directory in [&copies.snapshot, &copies.present] {
            std::fs::create_dir(directory).doing(|| format!("make {}", directory.display()))?;
        }
        let mut budget = Budget {
            copied: Copied::default(),
        };
        let mut covered: Vec<&Path> = Vec::new();
        for (path, must) in outermost(required, optional) {
            // A copy of the one above has it.
            if covered.iter().any(|above| path.starts_with(above)) {
                continue;
            }
            let Some(source) = open_place(path)? else {
                continue;
            };
            let before = budget.copied.clone();
            match copies.take(&source, path, &mut budget) {
                Ok(()) => covered.push(path),
                Err(error) if must => return Err(error),
                Err(_) => {
                    remove(&copies.snapshot, &copies.count.to_string())?;
                    budget.copied = before;
                    budget.copied.too_large.push(path.to_owned());
                }
            }
        }
        Ok((copies, budget.copied))
    }

    /// One place: its snapshot, its copy, and the mount.
    fn take(&mut self, source: &OwnedFd, path: &Path, budget: &mut Budget) -> Result<()> {
        let doing = || format!("copy {} for a trial", path.display());
        let name = self.count.to_string();
        copy_place(source, &self.snapshot, &name, budget).map_err(|why| {
            let error = Error::setup(doing(), why);
            error.hint("--in-place tries it out where it is, with the running jail stopped")
        })?;
        let mut unbounded = Budget {
            copied: Copied::default(),
        };
        let snapshot = open_place(&self.snapshot.join(&name))?
            .ok_or_else(|| Error::new(doing(), "the copy is gone"))?;
        copy_place(&snapshot, &self.present, &name, &mut unbounded)
            .map_err(|why| Error::setup(doing(), why))?;
        mount_over(&self.present.join(&name), source)
            .doing(|| format!("mount a copy over {}", path.display()))?;
        self.count += 1;
        budget.copied.places += 1;
        Ok(())
    }

    /// Makes every copy again what the host had, in the same directories and files, which are
    /// mounted.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn refill(&self) -> Result<()> {
        for number in 0..self.count {
            let name = number.to_string();
            let (from, to) = (self.snapshot.join(&name), self.present.join(&name));
            let doing = || format!("fill {} again", to.display());
            refill(&from, &to).map_err(|why| Error::new(doing(), why))?;
        }
        Ok(())
    }
}

/// All of them with whether they must be copied, those above others first.
fn outermost<'a>(required: &'a [PathBuf], optional: &'a [PathBuf]) -> Vec<(&'a Path, bool)> {
    let required = required.iter().map(|path| (path.as_path(), true));
    let optional = optional.iter().map(|path| (path.as_path(), false));
    let mut all: Vec<(&Path, bool)> = required.chain(optional).collect();
    all.sort_by_key(|(path, must)| (path.components().count(), !must, *path));
    all
}

/// Opens a place of the host, with no link in its path; `None` if it is not there.
fn open_place(path: &Path) -> Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno).doing(|| format!("open {}", path.display())),
    }
}

fn mount_over(copy: &Path, target: &OwnedFd) -> rustix::io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = rustix::mount::open_tree(CWD, copy, flags)?;
    let both = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(&mount, "", target, "", both)
}

fn remove(directory: &Path, name: &str) -> Result<()> {
    Beneath::open(directory)
        .and_then(|beneath| beneath.remove_tree(Path::new(name)))
        .doing(|| format!("remove {}", directory.join(name).display()))
}

/// Why something could not be copied.
type Why = String;

fn explained(what: &OsStr) -> impl Fn(Errno) -> Why {
    move |errno| {
        format!(
            "{}: {}",
            what.display(),
            crate::error::explain(&errno.into())
        )
    }
}

/// Copies what is behind `source` to `name` in the directory `to`.
fn copy_place(
    source: &OwnedFd,
    to: &Path,
    name: &str,
    budget: &mut Budget,
) -> std::result::Result<(), Why> {
    let name = OsStr::new(name);
    let say = explained(name);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let to = rustix::fs::open(to, flags, Mode::empty()).map_err(&say)?;
    let stat = rustix::fs::fstat(source).map_err(&say)?;
    // What was opened, not what has its name by now.
    let again = |flags| {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(source));
        rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let source = again(OFlags::RDONLY | OFlags::DIRECTORY).map_err(&say)?;
            copy_directory(source, to.as_fd(), name, &stat, budget, 0)
        }
        FileType::RegularFile => {
            let source = again(OFlags::RDONLY | OFlags::NONBLOCK).map_err(&say)?;
            copy_file(source, to.as_fd(), name, &stat, budget)
        }
        _ => Err("it is neither a directory nor a file".to_owned()),
    }
}

fn copy_directory(
    source: OwnedFd,
    to: BorrowedFd<'_>,
    name: &OsStr,
    stat: &Stat,
    budget: &mut Budget,
    depth: usize,
) -> std::result::Result<(), Why> {
    let say = explained(name);
    budget.file()?;
    rustix::fs::mkdirat(to, name, Mode::RWXU).map_err(&say)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(to, name, flags, Mode::empty()).map_err(&say)?;
    copy_children(&source, &made, budget, depth)?;
    attributes(&source, &made, stat).map_err(&say)
}

fn copy_children(
    source: &OwnedFd,
    to: &OwnedFd,
    budget: &mut Budget,
    depth: usize,
) -> std::result::Result<(), Why> {
    if depth >= DEEPEST {
        return Err(format!("it is deeper than {DEEPEST} directories"));
    }
    let entries = Dir::read_from(source).map_err(explained(OsStr::new("a directory")))?;
    for entry in entries {
        let entry = entry.map_err(explained(OsStr::new("a directory")))?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_child(source.as_fd(), name, to.as_fd(), budget, depth + 1)?;
        }
    }
    Ok(())
}

fn copy_child(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    budget: &mut Budget,
    depth: usize,
) -> std::result::Result<(), Why> {
    let label = OsStr::from_bytes(name.to_bytes());
    let say = explained(label);
    let stat = match rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        // The running service has just removed it.
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(say(errno)),
    };
    let open = |flags| {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(from, name, flags, Mode::empty())
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let source = open(OFlags::RDONLY | OFlags::DIRECTORY).map_err(&say)?;
            copy_directory(source, to, label, &stat, budget, depth)
        }
        FileType::RegularFile => match open(OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(source) => copy_file(source, to, label, &stat, budget),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(say(errno)),
        },
        FileType::Symlink => {
            budget.file()?;
            let target = rustix::fs::readlinkat(from, name, Vec::new()).map_err(&say)?;
            rustix::fs::symlinkat(target.as_c_str(), to, name).map_err(&say)?;
            own(to, name, &stat).map_err(&say)
        }
        FileType::Fifo => {
            budget.file()?;
            let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
            rustix::fs::mknodat(to, name, FileType::Fifo, mode, 0).map_err(&say)?;
            own(to, name, &stat).map_err(&say)?;
            rustix::fs::chmodat(to, name, mode, AtFlags::empty()).map_err(&say)
        }
        _ => {
            budget.copied.skipped += 1;
            Ok(())
        }
    }
}

fn own(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

fn copy_file(
    source: OwnedFd,
    to: BorrowedFd<'_>,
    name: &OsStr,
    stat: &Stat,
    budget: &mut Budget,
) -> std::result::Result<(), Why> {
    let say = explained(name);
    budget.file()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR).map_err(&say)?;
    content(source, made, stat, budget).map_err(|why| format!("{}: {why}", name.display()))
}

/// The bytes and the attributes of a file.
fn content(
    source: OwnedFd,
    to: OwnedFd,
    stat: &Stat,
    budget: &mut Budget,
) -> std::result::Result<(), Why> {
    let (source, mut to) = (File::from(source), File::from(to));
    // One more than may be: so that it is seen.
    let room = MOST_BYTES.saturating_sub(budget.copied.bytes);
    let copied = std::io::copy(&mut (&source).take(room.saturating_add(1)), &mut to);
    let copied = copied.map_err(|error| crate::error::explain(&error))?;
    if copied > room {
        return Err(format!(
            "there is more to copy than {} MiB",
            MOST_BYTES >> 20
        ));
    }
    budget.copied.bytes += copied;
    attributes(&OwnedFd::from(source), &OwnedFd::from(to), stat)
        .map_err(|errno| crate::error::explain(&errno.into()))
}

impl Budget {
    fn file(&mut self) -> std::result::Result<(), Why> {
        self.copied.files += 1;
        if self.copied.files > MOST_FILES {
            return Err(format!("there are more than {MOST_FILES} files to copy"));
        }
        Ok(())
    }
}

/// Owner first: a change of it clears the set-id bits (`chown(2)`).
fn attributes(from: &OwnedFd, to: &OwnedFd, stat: &Stat) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(to, Some(uid), Some(gid))?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    extended(from, to)?;
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    rustix::fs::futimens(to, &times)
}

/// Extended attributes, as far as memory's file system takes them (`tmpfs(5)`).
fn extended(from: &OwnedFd, to: &OwnedFd) -> rustix::io::Result<()> {
    let mut names = vec![0_u8; LONGEST_ATTRIBUTE];
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::PERM) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let listed = names.get(..length).unwrap_or_default();
    for name in listed
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = OsStr::from_bytes(name);
        let mut value = vec![0_u8; LONGEST_ATTRIBUTE];
        let length = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        let value = value.get(..length).unwrap_or_default();
        match rustix::fs::fsetxattr(to, name, value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Gives a copy the content of its snapshot again, without replacing it.
fn refill(from: &Path, to: &Path) -> std::result::Result<(), Why> {
    let say = explained(from.as_os_str());
    let stat = rustix::fs::lstat(from).map_err(&say)?;
    let open = |path: &Path, flags| {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).map_err(explained(path.as_os_str()))
    };
    let mut unbounded = Budget {
        copied: Copied::default(),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        let (from, to) = (
            open(from, OFlags::RDONLY)?,
            open(to, OFlags::WRONLY | OFlags::TRUNC)?,
        );
        return content(from, to, &stat, &mut unbounded);
    }
    let beneath = Beneath::open(to).map_err(&say)?;
    for name in beneath.names(Path::new(""), usize::MAX).map_err(&say)? {
        beneath.remove_tree(Path::new(&name)).map_err(&say)?;
    }
    let directory = OFlags::RDONLY | OFlags::DIRECTORY;
    let (from, to) = (open(from, directory)?, open(to, directory)?);
    copy_children(&from, &to, &mut unbounded, 0)?;
    attributes(&from, &to, &stat).map_err(&say)
}

#[cfg(test)]
mod tests;
