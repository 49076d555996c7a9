//! What a jail's first process holds open, and a supervisor that takes the jail over finds there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use super::super::init::{self, Kept};
use super::super::prepare;
use super::super::state::State;
use super::Launched;
use crate::{Doing, Error, Result};

/// How long the kernel may take to end a jail whose first process was killed.
const PATIENCE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// What a first process is to hold open for a supervisor that takes over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep<'a> {
    /// What the service prints goes there.
    pub output: Option<BorrowedFd<'a>>,
    /// The jail's `/dev/log`.
    pub log: Option<BorrowedFd<'a>>,
    /// The socket for `sd_notify(3)`.
    pub notify: Option<BorrowedFd<'a>>,
    /// The jail's socket in the place of journald's own.
    pub journal: Option<BorrowedFd<'a>>,
}

impl Keep<'_> {
    /// Out of the way of the numbers that they get, with the pipe on which the end is told.
    pub(super) fn kept(self, endings: &OwnedFd) -> Result<Kept> {
        let raised = |descriptor: Option<BorrowedFd<'_>>| {
            let duplicate = |it: BorrowedFd<'_>| it.try_clone_to_owned();
            descriptor
                .map(|it| prepare::high(duplicate(it).doing(|| "duplicate a descriptor")?))
                .transpose()
        };
        Ok(Kept {
            output: raised(self.output)?,
            log: raised(self.log)?,
            notify: raised(self.notify)?,
            journal: raised(self.journal)?,
            endings: raised(Some(endings.as_fd()))?,
        })
    }
}

/// What one has of a jail that it takes over.
#[derive(Debug, Default)]
pub struct Inherited {
    /// The pipe on which its first process tells how the service ends.
    endings: Option<OwnedFd>,
    /// The jail's `/dev/log`.
    pub log: Option<OwnedFd>,
    /// The socket for `sd_notify(3)`.
    pub notify: Option<OwnedFd>,
    /// The jail's socket in the place of journald's own.
    pub journal: Option<OwnedFd>,
}

impl Launched {
    /// A jail that runs and whose supervisor was killed, with what its first process holds open.
    /// One of an older gaoler holds nothing, and neither does one without a pid namespace.
    ///
    /// # Errors
    /// It has ended.
    pub(in crate::run) fn take_over(state: &State) -> Result<(Self, Inherited)> {
        let first = state.init.unwrap_or(state.service);
        let child = first
            .open()
            .doing(|| "take over the jail's first process")?;
        if !first.is_alive() {
            return Err(Error::new("take over the jail", "it has ended meanwhile"));
        }
        let mut inherited = Inherited::default();
        if state.init.is_some() {
            // It is not asked: it is root's own program, and reads nothing.
            let take = |number: u32| {
                let flags = PidfdGetfdFlags::empty();
                pidfd_getfd(&child, number.cast_signed(), flags).ok()
            };
            let is_socket = |descriptor: &OwnedFd| sockopt::socket_type(descriptor).is_ok();
            inherited = Inherited {
                endings: take(init::ENDINGS),
                log: take(init::LOG).filter(is_socket),
                notify: take(init::NOTIFY).filter(is_socket),
                journal: take(init::JOURNAL).filter(is_socket),
            };
        }
        let mut launched = Self {
            child,
            child_pid: first.pid,
            service_pid: None,
            service: None,
            has_init: state.init.is_some(),
            status: inherited.endings.take(),
            taken_over: true,
            start: None,
        };
        launched.follow_process(state.service.pid);
        Ok((launched, inherited))
    }

    pub(super) fn wait_for_anothers_child(&self) -> Result<()> {
        let doing = || "wait for the jail's first process";
        let mut watched = [PollFd::new(&self.child, PollFlags::IN)];
        loop {
            match poll(&mut watched, Some(&PATIENCE)) {
                Ok(0) => return Err(Error::new(doing(), "it does not end, not even by SIGKILL")),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(doing),
            }
        }
    }
}
