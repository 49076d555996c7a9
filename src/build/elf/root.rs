//! Files of the host, or of a tree that stands for one: every path is resolved beneath its root.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, DirEntry, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::error::{Doing, Error, Result};

/// How often a path is tried again when a rename elsewhere disturbed its resolution
/// (openat2(2), `EAGAIN`).
const ATTEMPTS: u32 = 16;

/// A root directory, and paths beneath it; symbolic links cannot lead out (openat2(2),
/// `RESOLVE_IN_ROOT`). A relative path begins at the root too.
#[derive(Debug)]
pub(super) struct HostRoot {
    directory: OwnedFd,
    path: PathBuf,
}

impl HostRoot {
    /// Opens the root directory `path`.
    pub fn new(path: &Path) -> Result<Self> {
        let what = || format!("open the root directory {}", path.display());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).doing(what)?;
        let path = std::fs::canonicalize(path).doing(what)?;
        Ok(Self { directory, path })
    }

    /// Opens `path` for reading. Never waits for a writer of a named pipe; whether it is a
    /// regular file is for the caller to ask.
    pub fn open(&self, path: &str) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.resolve(path, flags).map(File::from)
    }

    /// Whether `path` is a directory.
    pub fn is_directory(&self, path: &str) -> bool {
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }

    /// The names in the directory `path` that are UTF-8, at most `limit` of them; none if it
    /// cannot be read.
    pub fn names(&self, path: &str, limit: usize) -> Vec<String> {
        let directory = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY);
        let Ok(entries) = directory.and_then(Dir::new) else {
            return Vec::new();
        };
        let name = |entry: DirEntry| entry.file_name().to_str().ok().map(str::to_owned);
        let mut names: Vec<String> = entries
            .map_while(Result::ok)
            .take(limit)
            .filter_map(name)
            .collect();
        names.sort();
        names
    }

    /// The path of an open file beneath the root, without symbolic links.
    pub fn real_path(&self, file: &File) -> Result<PathBuf> {
        let link = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        let path = std::fs::read_link(&link).doing(|| format!("read the link {link}"))?;
        match path.strip_prefix(&self.path) {
            Ok(rest) => Ok(Path::new("/").join(rest)),
            Err(_) => Err(Error::new(
                format!("name {} beneath {}", path.display(), self.path.display()),
                "it has moved out of it",
            )),
        }
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        let mut attempts = 0;
        loop {
            let opened = openat2(
                &self.directory,
                path,
                flags,
                Mode::empty(),
                ResolveFlags::IN_ROOT,
            );
            match opened {
                Err(Errno::AGAIN | Errno::INTR) if attempts < ATTEMPTS => attempts += 1,
                result => return result,
            }
        }
    }
}
