//! What the service prints. A FIFO that the service itself holds open for reading too: it
//! neither blocks when nobody reads nor is killed when the supervisor goes away.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::log::Relay;
use crate::{Doing, Result};

/// The FIFO's name.
const FILE: &str = "output";

/// A longer line is passed on in parts.
const LONGEST_LINE: usize = 1024;

/// How much is read at once, and how often before something else has its turn.
const CHUNK: usize = 1024;
const TURNS: usize = 64;

/// The supervisor's end.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    fifo: OwnedFd,
    line: Vec<u8>,
}

impl Output {
    /// Makes the FIFO in the jail's directory.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let doing = || format!("make {}", path.display());
        Self::remove(directory)?;
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).doing(doing)?;
        let fifo = open(&path).doing(doing)?;
        Ok(Self {
            path,
            fifo,
            line: Vec::with_capacity(LONGEST_LINE),
        })
    }

    /// The service's end.
    pub(super) fn for_service(&self) -> Result<OwnedFd> {
        open(&self.path).doing(|| format!("open {}", self.path.display()))
    }

    /// To wait for.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }

    /// Passes on what has been printed, up to a bound.
    pub(super) fn pump(&mut self, relay: &mut Relay, service: &str, pid: i32) {
        let mut chunk = [0_u8; CHUNK];
        for _ in 0..TURNS {
            let count = match rustix::io::read(&self.fifo, &mut chunk[..]) {
                Ok(count) if count > 0 => count,
                // Nothing there now; a FIFO gives no other error that waiting would not.
                _ => break,
            };
            for byte in chunk.get(..count).unwrap_or_default() {
                if *byte == b'\n' || self.line.len() == LONGEST_LINE {
                    relay.printed(&self.line, service, pid);
                    self.line.clear();
                }
                if *byte != b'\n' {
                    self.line.push(*byte);
                }
            }
        }
    }

    /// Passes on the beginning of a line whose end will not come.
    pub(super) fn end(&mut self, relay: &mut Relay, service: &str, pid: i32) {
        self.pump(relay, service, pid);
        if !self.line.is_empty() {
            relay.printed(&self.line, service, pid);
            self.line.clear();
        }
    }

    /// Removes the FIFO from the jail's directory, if it is there.
    pub(super) fn remove(directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        match rustix::fs::unlink(&path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno).doing(|| format!("remove {}", path.display())),
        }
    }
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::empty())
}
