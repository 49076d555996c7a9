//! Who is the service when a daemon's first process has ended.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::jail::Jail;
use crate::host::process;
use crate::{Doing, Result};

/// How long what is about to happen is waited for before it is looked at again.
const A_MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 1_000_000,
};

impl Jail<'_> {
    /// After a daemon's first process has ended: the oldest one left is the service. Answers
    /// whether one is left.
    pub(super) fn adopt(&mut self) -> Result<bool> {
        if !self.launched.has_init() {
            return Ok(false);
        }
        loop {
            match eldest(self.launched.child_pid) {
                Ok(Some(pid)) => {
                    self.launched.follow_process(pid);
                    self.record()?;
                    return Ok(true);
                }
                // One that was forked while the others were listed is missed, and its parent
                // may have ended before it was looked at: only the end of the first process,
                // which reaps, says that nobody is left.
                Ok(None) if self.is_empty_soon()? => return Ok(false),
                Err(_) if self.is_empty_soon()? => return Ok(false),
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the first process ends within a moment.
    fn is_empty_soon(&self) -> Result<bool> {
        let mut watched = [PollFd::new(&self.launched.child, PollFlags::IN)];
        match poll(&mut watched, Some(&A_MOMENT)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno).doing(|| "wait for the jail"),
        }
    }
}

/// The oldest process beside the first one.
fn eldest(first: i32) -> Result<Option<i32>> {
    let eldest = process::companions(first)?
        .into_iter()
        .filter(|pid| *pid != first && !is_ended(*pid))
        .filter_map(|pid| Some((process::start_time(pid).ok()?, pid)))
        .min();
    Ok(eldest.map(|(_, pid)| pid))
}

/// Whether a process has ended and is only not reaped yet.
fn is_ended(pid: i32) -> bool {
    process::status(pid).is_ok_and(|status| ['Z', 'X'].contains(&status.state))
}
