//! The calls that only starting needs. The filter sends them to a listener, which says yes to all
//! while the service starts. Once nobody listens, the kernel answers ENOSYS by itself
//! (`seccomp_unotify(2)`): nothing is put into the service, and no thread of it escapes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use super::complaints::Complaints;
use crate::{Doing, Error, Result, sys};

/// How many calls are answered in a row. A service whose threads call without end must not keep
/// its supervisor from signals, the log, and the end of the start.
const IN_A_ROW: usize = 64;

const NO_TIME: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The listener of a service that starts. Dropping it ends the start.
#[derive(Debug)]
pub struct StartCalls {
    listener: OwnedFd,
    /// When the last call was let run.
    pub(super) called: Option<Instant>,
    /// In complain mode, where the listener stays after the start.
    pub(super) complaints: Option<Box<Complaints>>,
}

impl StartCalls {
    /// Takes the listener over from the process that installed the filter and waits in its
    /// execve, which is the first call that asks.
    ///
    /// # Errors
    /// As `pidfd_getfd(2)`, which takes CAP_SYS_PTRACE.
    pub(super) fn take(process: BorrowedFd<'_>, number: i32) -> Result<Self> {
        let listener = pidfd_getfd(process, number, PidfdGetfdFlags::empty()).map_err(|errno| {
            Error::setup("take over the listener of the service's filter", errno)
                .hint("it takes CAP_SYS_PTRACE; without phase = \"start\" in the spec's calls there is no listener")
        })?;
        Ok(Self {
            listener,
            called: None,
            complaints: None,
        })
    }

    /// Lets calls run that wait now, up to a bound; complaints are heard. `false` if nobody can ask any more.
    ///
    /// # Errors
    /// As `ioctl(2)`, and as writing a file.
    pub(super) fn answer(&mut self) -> Result<bool> {
        for _ in 0..IN_A_ROW {
            let mut watched = [PollFd::new(&self.listener, PollFlags::IN)];
            match poll(&mut watched, Some(&NO_TIME)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| "look for calls that wait"),
            }
            let [watched] = watched;
            if watched.revents().contains(PollFlags::IN) {
                let asked =
                    sys::notify::let_run(&self.listener).doing(|| "let a call of the start run")?;
                self.called = Some(Instant::now());
                if let (Some(asked), Some(complaints)) = (asked, &mut self.complaints) {
                    complaints.hear(&asked)?;
                }
            } else {
                return Ok(!watched.revents().contains(PollFlags::HUP));
            }
        }
        Ok(true)
    }

    /// Answers until there is something to read from `end`.
    ///
    /// # Errors
    /// As [`StartCalls::answer`].
    pub(super) fn answer_until(&mut self, end: impl AsFd) -> Result<()> {
        loop {
            let asks = self.answer()?;
            let end = end.as_fd();
            let mut watched = vec![PollFd::from_borrowed_fd(end, PollFlags::IN)];
            if asks {
                watched.push(PollFd::new(&self.listener, PollFlags::IN));
            }
            match poll(&mut watched, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| "wait for the service's execve"),
            }
            if watched.first().is_some_and(|end| !end.revents().is_empty()) {
                return Ok(());
            }
        }
    }
}

impl AsFd for StartCalls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
