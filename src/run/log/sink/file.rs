//! A file of lines that does not grow for ever.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, write};

/// A log file: `NAME`, and what was put aside as `NAME.1`, the youngest, to `NAME.N`. What else has
/// its name, a link above all, is not written to.
#[derive(Debug)]
pub struct RotatedFile {
    path: PathBuf,
    largest: u64,
    old: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    descriptor: OwnedFd,
    /// Device and inode.
    identity: (u64, u64),
    size: u64,
}

impl RotatedFile {
    /// The file at `path`, which is put aside before it has more than `largest` bytes; `old` of those
    /// are kept. Opened, or made with mode 0640, with the first line.
    pub fn new(path: &Path, largest: u64, old: u32) -> Self {
        Self {
            path: path.to_owned(),
            largest,
            old,
            open: None,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it, if it can be had now.
    pub(super) fn open(&mut self) -> bool {
        self.open = self.open.take().or_else(|| open(&self.path).ok());
        self.open.is_some()
    }

    /// Looks whether the name still leads to the file, as it does not once logrotate(8) has moved it,
    /// and how large it is, as that is less once it was emptied.
    pub fn look(&mut self) {
        let Some(open) = &mut self.open else {
            return;
        };
        let named = rustix::fs::statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW);
        match named {
            Ok(status) if identity(&status) == open.identity => open.size = size(&status),
            // Its directory may be unreadable for now; what is gone is made anew.
            _ => self.open = None,
        }
    }

    /// Appends whole lines; answers whether all of it is there. If not, nothing of it is.
    pub fn append(&mut self, lines: &[u8]) -> bool {
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let largest = self.largest;
        let full = |open: &Open| open.size > 0 && open.size.saturating_add(length) > largest;
        if self.open() && self.open.as_ref().is_some_and(full) {
            self.rotate();
        }
        if !self.open() {
            return false;
        }
        let Some(open) = &mut self.open else {
            return false;
        };
        match write(&open.descriptor, lines) {
            Ok(written) if written == lines.len() => {
                open.size += length;
                true
            }
            // The disk is full. Half a line would become the beginning of the next one.
            Ok(_) => match rustix::fs::ftruncate(&open.descriptor, open.size) {
                Ok(()) | Err(_) => false,
            },
            Err(Errno::NOSPC | Errno::DQUOT | Errno::INTR | Errno::AGAIN | Errno::FBIG) => false,
            Err(_) => {
                self.open = None;
                false
            }
        }
    }

    /// Puts it aside. Where that cannot be done it goes on growing: a line is worth more than a limit.
    fn rotate(&mut self) {
        let aside = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let moved = match self.old {
            0 => rustix::fs::unlink(&self.path),
            old => {
                for number in (1..old).rev() {
                    // What is missing leaves a gap, which the next rotation fills.
                    match rustix::fs::rename(aside(number), aside(number + 1)) {
                        Ok(()) | Err(_) => {}
                    }
                }
                rustix::fs::rename(&self.path, aside(1))
            }
        };
        if moved.is_ok() {
            self.open = None;
        }
    }
}

/// Opens a regular file of this user's own for appending; whatever else has its name is refused.
fn open(path: &Path) -> rustix::io::Result<Open> {
    // Without NONBLOCK, a FIFO in its place would make the open wait.
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let descriptor = rustix::fs::open(path, flags, Mode::from_raw_mode(0o640))?;
    let status = rustix::fs::fstat(&descriptor)?;
    let regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    // A second name would be a file of somebody else's.
    if !regular || status.st_nlink != 1 {
        return Err(Errno::INVAL);
    }
    Ok(Open {
        descriptor,
        identity: identity(&status),
        size: size(&status),
    })
}

fn identity(status: &Stat) -> (u64, u64) {
    (status.st_dev, status.st_ino)
}

fn size(status: &Stat) -> u64 {
    u64::try_from(status.st_size).unwrap_or(0)
}
