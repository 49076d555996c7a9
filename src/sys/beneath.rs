//! Work strictly beneath one directory: no path, whatever was planted in it, leads outside.
//!
//! Every path is opened by `openat2(2)` with `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS` and
//! `RESOLVE_NO_MAGICLINKS`, and the last component is only ever named relative to the directory
//! that was opened so. Copying into a tree by path, re-resolved at every call, is what
//! CVE-2021-30465, CVE-2024-45310 and firecracker's jailer fixes were about.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timestamps, Uid,
};
use rustix::io::{Errno, Result};

/// How deep [`Beneath::remove_tree`] goes: deeper than any tree that gaoler writes, shallow
/// enough for its own descriptors.
const DEEPEST: usize = 512;

/// A directory, and what can be done under it. Paths are relative to it; a leading `/` means the
/// directory itself.
#[derive(Debug)]
pub struct Beneath {
    directory: OwnedFd,
}

impl Beneath {
    /// Opens `path`, whose last component must be a directory and no symbolic link.
    ///
    /// # Errors
    /// `ENOTDIR` if it is anything but a directory; `open(2)`'s others.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self {
            directory: rustix::fs::openat(CWD, path, flags, Mode::empty())?,
        })
    }

    /// The directory itself.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// The directory `path` under this one, for work beneath it.
    ///
    /// # Errors
    /// `ELOOP` for a symbolic link anywhere on the way, `EXDEV` for a way out.
    pub fn beneath(&self, path: &Path) -> Result<Self> {
        Ok(Self {
            directory: self.directory(path)?,
        })
    }

    /// Opens the directory `path` for reading.
    ///
    /// # Errors
    /// As [`Beneath::beneath`].
    pub fn directory(&self, path: &Path) -> Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens the file `path` for reading. A pipe or device does not block the caller, but the
    /// caller must still look at what it got.
    ///
    /// # Errors
    /// As [`Beneath::beneath`].
    pub fn file(&self, path: &Path) -> Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// Creates the file `path`, which must not exist, for reading and writing, with exactly `mode`.
    ///
    /// # Errors
    /// `EEXIST` if anything has that name, a dangling symbolic link too.
    pub fn create(&self, path: &Path, mode: u32) -> Result<OwnedFd> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(parent, name, flags | OFlags::CLOEXEC, Mode::RUSR)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(file)
    }

    /// Makes the directory `path` with exactly `mode`, whatever the process's umask.
    ///
    /// # Errors
    /// `EEXIST` if anything has that name.
    pub fn make_directory(&self, path: &Path, mode: u32) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::mkdirat(&parent, &name, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&parent, &name, flags, Mode::empty())?;
        rustix::fs::fchmod(made, Mode::from_raw_mode(mode))
    }

    /// Makes the symbolic link `path` with the text `target`, which is not looked at.
    ///
    /// # Errors
    /// `EEXIST` if anything has that name.
    pub fn make_symlink(&self, path: &Path, target: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::symlinkat(target, parent, name)
    }

    /// Makes the character device `path` with exactly `mode`.
    ///
    /// # Errors
    /// `EPERM` without CAP_MKNOD, as in a user namespace.
    pub fn make_device(&self, path: &Path, number: (u32, u32), mode: u32) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let device = rustix::fs::makedev(number.0, number.1);
        rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::RUSR, device)?;
        self.chmod(path, mode)
    }

    /// What is at `path`, held: a link itself, never what it leads to.
    ///
    /// # Errors
    /// As [`Beneath::beneath`], and `ENOENT` if there is nothing.
    pub fn node(&self, path: &Path) -> Result<Node> {
        let held = self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        Ok(Node(held))
    }

    /// Sets the owner of `path` itself, of a symbolic link too.
    ///
    /// # Errors
    /// `EPERM` without CAP_CHOWN.
    pub fn chown(&self, path: &Path, uid: u32, gid: u32) -> Result<()> {
        self.node(path)?.chown(uid, gid)
    }

    /// Sets the mode of `path`, which must not be a symbolic link.
    ///
    /// # Errors
    /// `ELOOP` for a symbolic link.
    pub fn chmod(&self, path: &Path, mode: u32) -> Result<()> {
        self.node(path)?.chmod(mode)
    }

    /// Sets the times of `path` itself, of a symbolic link too.
    ///
    /// # Errors
    /// `utimensat(2)`'s.
    pub fn touch(&self, path: &Path, times: &Timestamps) -> Result<()> {
        if relative(path)? == Path::new(".") {
            return rustix::fs::futimens(&self.directory, times);
        }
        let (parent, name) = self.parent(path)?;
        rustix::fs::utimensat(parent, name, times, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Renames within the directory; an existing `to` is replaced as by `rename(2)`.
    ///
    /// # Errors
    /// `rename(2)`'s.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (from_parent, from_name) = self.parent(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        rustix::fs::renameat(from_parent, from_name, to_parent, to_name)
    }

    /// Removes what is not a directory.
    ///
    /// # Errors
    /// `EISDIR` for a directory.
    pub fn unlink(&self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::unlinkat(parent, name, AtFlags::empty())
    }

    /// What is at `path`, without following it.
    ///
    /// # Errors
    /// `ENOENT` if there is nothing.
    pub fn stat(&self, path: &Path) -> Result<Stat> {
        rustix::fs::fstat(self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW)?)
    }

    /// The text of the symbolic link `path`.
    ///
    /// # Errors
    /// `EINVAL` if it is none.
    pub fn read_link(&self, path: &Path) -> Result<PathBuf> {
        let (parent, name) = self.parent(path)?;
        let text = rustix::fs::readlinkat(parent, name, Vec::new())?;
        Ok(PathBuf::from(OsStr::from_bytes(text.as_bytes())))
    }

    /// The names in the directory `path`, sorted, at most `limit` of them.
    ///
    /// # Errors
    /// `EOVERFLOW` if there are more than `limit`.
    pub fn names(&self, path: &Path, limit: usize) -> Result<Vec<OsString>> {
        names(self.directory(path)?, limit)
    }

    /// Removes `path` and everything in it; links are removed, never followed. `Ok` if there is
    /// nothing.
    ///
    /// # Errors
    /// `EBUSY` if something is mounted in it, `ELOOP` if it is deeper than any tree of gaoler's.
    pub fn remove_tree(&self, path: &Path) -> Result<()> {
        match self.parent(path) {
            Ok((parent, name)) => remove(parent.as_fd(), &name, 0),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The parent of `path`, opened, and the last component.
    fn parent(&self, path: &Path) -> Result<(OwnedFd, OsString)> {
        let name = path.file_name().ok_or(Errno::INVAL)?.to_owned();
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((
            self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY)?,
            name,
        ))
    }

    /// Opens `path` with all the restrictions. `O_PATH | O_NOFOLLOW` gives a link itself.
    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let relative = relative(path)?;
        let only = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        // openat2(2): EAGAIN when a rename raced with the walk; try again, but not for ever.
        for _ in 0..16 {
            match rustix::fs::openat2(&self.directory, &relative, flags, Mode::empty(), only) {
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }
}

/// One thing under a [`Beneath`]. Whatever takes its name meanwhile, this stays what was looked at.
#[derive(Debug)]
pub struct Node(OwnedFd);

impl Node {
    /// What it is.
    ///
    /// # Errors
    /// `fstat(2)`'s.
    pub fn stat(&self) -> Result<Stat> {
        rustix::fs::fstat(&self.0)
    }

    /// Sets its owner, of a symbolic link too.
    ///
    /// # Errors
    /// `EPERM` without CAP_CHOWN.
    pub fn chown(&self, uid: u32, gid: u32) -> Result<()> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(&self.0, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
    }

    /// Sets its mode.
    ///
    /// Goes through `/proc/self/fd`: before Linux 6.6 (`fchmodat2(2)`) there is no other way that
    /// neither follows a link nor opens a device.
    ///
    /// # Errors
    /// `ELOOP` for a symbolic link.
    pub fn chmod(&self, mode: u32) -> Result<()> {
        if FileType::from_raw_mode(self.stat()?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
        let own = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        rustix::fs::chmodat(CWD, own, Mode::from_raw_mode(mode), AtFlags::empty())
    }
}

/// `path` without its leading `/`; `.` for the directory itself. `..` is refused outright: no
/// caller has a use for it.
fn relative(path: &Path) -> Result<PathBuf> {
    let mut relative = PathBuf::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => relative.push(name),
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::XDEV),
        }
    }
    if relative.as_os_str().is_empty() {
        relative.push(".");
    }
    Ok(relative)
}

/// The names in an open directory.
fn names(directory: OwnedFd, limit: usize) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::new(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == limit {
            return Err(Errno::OVERFLOW);
        }
        names.push(OsStr::from_bytes(name).to_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes `name` in `parent`, depth first. Only a real directory is entered.
fn remove(parent: BorrowedFd<'_>, name: &OsStr, depth: usize) -> Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error),
    }
    if depth == DEEPEST {
        return Err(Errno::LOOP);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    for name in names(directory.try_clone().map_err(|_| Errno::MFILE)?, usize::MAX)? {
        remove(directory.as_fd(), &name, depth + 1)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests;
