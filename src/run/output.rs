//! What the service prints. A FIFO that the service itself holds open for reading too: it
//! neither blocks when nobody reads nor is killed when the supervisor goes away.
//!
//! What was not passed on yet stays in the FIFO, where a new supervisor finds it if this one is
//! killed: it is looked at (`tee(2)`), passed on, and only then taken.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{Timespec, epoll};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};

use super::log::Relay;
use crate::{Doing, Error, Result};

/// The FIFO's name.
const FILE: &str = "output";

/// A longer line is passed on in parts.
const LONGEST_LINE: usize = 1024;

/// How much is looked at at once, and how often before something else has its turn.
const CHUNK: usize = 4096;
const TURNS: usize = 16;

const NO_TIME: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The supervisor's end.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    fifo: OwnedFd,
    /// Readable when something was printed since it was looked at last (`EPOLLET`): the beginning
    /// of a line stays in the FIFO and is no news.
    news: OwnedFd,
    /// Where what is looked at goes: both ends of a pipe.
    beside: (OwnedFd, OwnedFd),
    /// There was more than could be passed on in one turn.
    more: bool,
    /// The beginning of a line that is longer than what is looked at at once.
    line: Vec<u8>,
}

impl Output {
    /// Makes the FIFO in the jail's directory.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let doing = || format!("make {}", path.display());
        Self::remove(directory)?;
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).doing(doing)?;
        Self::of(path)
    }

    /// Opens one that is there, with all that is in it; `None` if there is none.
    pub(super) fn take_over(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        match rustix::fs::lstat(&path) {
            Ok(status) if FileType::from_raw_mode(status.st_mode) == FileType::Fifo => {
                Self::of(path).map(Some)
            }
            Ok(_) => Err(Error::new(
                format!("open {}", path.display()),
                "it is no FIFO",
            )),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno).doing(|| format!("open {}", path.display())),
        }
    }

    fn of(path: PathBuf) -> Result<Self> {
        let doing = || format!("open {}", path.display());
        let fifo = open(&path).doing(doing)?;
        let news = epoll::create(epoll::CreateFlags::CLOEXEC).doing(doing)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&news, &fifo, epoll::EventData::new_u64(0), flags).doing(doing)?;
        let beside = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).doing(doing)?;
        Ok(Self {
            path,
            fifo,
            news,
            beside,
            more: false,
            line: Vec::new(),
        })
    }

    /// The service's end.
    pub(super) fn for_service(&self) -> Result<OwnedFd> {
        open(&self.path).doing(|| format!("open {}", self.path.display()))
    }

    /// To wait for.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }

    /// The FIFO itself.
    pub(super) fn fifo(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }

    /// Whether there is something to pass on although nothing new was printed.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// Passes on the lines that have been printed, up to a bound.
    pub(super) fn pump(&mut self, relay: &mut Relay, service: &str, pid: i32) {
        // What is printed from here on is news again.
        let mut news = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }];
        match epoll::wait(&self.news, &mut news, Some(&NO_TIME)) {
            Ok(_) | Err(_) => {}
        }
        self.more = true;
        for _ in 0..TURNS {
            if !self.pass_on(relay, service, pid, false) {
                self.more = false;
                return;
            }
        }
    }

    /// Passes on whole lines, or with `all` whatever there is. Answers whether there may be more.
    fn pass_on(&mut self, relay: &mut Relay, service: &str, pid: i32, all: bool) -> bool {
        let mut chunk = [0_u8; CHUNK];
        let Some(count) = self.look(&mut chunk) else {
            return false;
        };
        let seen = chunk.get(..count).unwrap_or_default();
        let whole = match seen.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            // Not the end of it, though it may be all that is there in one piece.
            None if all || count == CHUNK || self.waits_more_than(count) => count,
            None => return false,
        };
        for byte in seen.get(..whole).unwrap_or_default() {
            if *byte == b'\n' || self.line.len() == LONGEST_LINE {
                relay.printed(&self.line, service, pid);
                self.line.clear();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
        self.take(whole)
    }

    /// What is in the FIFO, which stays there.
    fn look(&self, chunk: &mut [u8]) -> Option<usize> {
        let (reading, writing) = &self.beside;
        let copied = tee(&self.fifo, writing, chunk.len(), SpliceFlags::NONBLOCK);
        // Nothing there now; a FIFO gives no other error that waiting would not.
        let copied = copied.ok().filter(|count| *count > 0)?;
        let mut read = 0;
        while read < copied {
            match rustix::io::read(reading, chunk.get_mut(read..copied)?) {
                Ok(0) => return None,
                Ok(count) => read += count,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        Some(copied)
    }

    fn waits_more_than(&self, count: usize) -> bool {
        let waiting = rustix::io::ioctl_fionread(&self.fifo).unwrap_or_default();
        usize::try_from(waiting).is_ok_and(|waiting| waiting > count)
    }

    /// Takes what was passed on out of the FIFO.
    fn take(&self, mut count: usize) -> bool {
        let mut away = [0_u8; CHUNK];
        while count > 0 {
            let Some(room) = away.get_mut(..count.min(CHUNK)) else {
                return false;
            };
            match rustix::io::read(&self.fifo, room) {
                Ok(0) => return false,
                Ok(taken) => count = count.saturating_sub(taken),
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Passes on everything, the beginning of a line whose end will not come included.
    pub(super) fn end(&mut self, relay: &mut Relay, service: &str, pid: i32) {
        for _ in 0..TURNS * TURNS {
            if !self.pass_on(relay, service, pid, true) {
                break;
            }
        }
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
