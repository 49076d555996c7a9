//! The loop beside a running jail.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::super::attest::Attest;
use super::super::cgroup;
use super::super::complaints::Complaints;
use super::super::launch::{Ended, Launched};
use super::super::log::Relay;
use super::super::manager::Speaker;
use super::super::notified::Notified;
use super::super::output::Output;
use super::super::readiness::is_ready;
use super::super::sockets::Held;
use super::super::state::Last;
use super::super::warm_up::WarmUp;
use super::{Progress, SIGCHLD, Supervision, record, remove_files};
use crate::host::begun::Begun;
use crate::host::process;
use crate::plan::Sign;
use crate::sys;
use crate::{Doing, Result};

const SIGTERM: i32 = 15;

/// How long what is about to happen is waited for before it is looked at again.
const A_MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 1_000_000,
};

/// How long a service must live before the supervisor makes itself small for it: what it needed
/// to start it needs again to clean up.
pub(super) const SETTLED: Duration = Duration::from_millis(50);

/// How often a service that starts is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// How often the counts of complaints are kept.
const KEEP: Duration = Duration::from_secs(1);

/// A jail that runs.
pub(super) struct Jail<'a> {
    pub(super) supervision: &'a Supervision<'a>,
    pub(super) launched: Launched,
    pub(super) relay: Relay,
    pub(super) notified: Notified,
    /// Who is told how the service is.
    pub(super) manager: Option<Speaker>,
    /// Where this process has the sockets that it keeps.
    pub(super) held: Vec<Held>,
    /// The service has said that another process is its main one now.
    pub(super) handed_over: bool,
    pub(super) output: Option<Output>,
    /// When the memory that only the start needed is given back; `None`: it has been.
    pub(super) release_at: Option<Instant>,
    pub(super) begun: Begun,
    /// When it is looked whether it is ready; or, in complain mode, counts are kept.
    pub(super) look_at: Option<Instant>,
    pub(super) warm_up: WarmUp<'a>,
    /// It is ready, or nothing of its start has an end.
    pub(super) serving: bool,
    /// Compares it with what was started, now and then.
    pub(super) attest: Attest<'a>,
}

impl Jail<'_> {
    /// Until the service, and a daemon that it left behind, has ended.
    pub(super) fn until_ended(&mut self, signals: &OwnedFd) -> Result<Ended> {
        loop {
            let main = self.launched.service().filter(|_| self.handed_over);
            let moved = main.is_some();
            let [ended, main_ended] = self.wait(self.launched.end(), main, signals)?;
            self.handle(signals)?;
            self.release_when_settled();
            if ended {
                break;
            }
            // The process that it has named its main one: without that it is over.
            if moved && main_ended {
                return Ok(Ended::Exited(0));
            }
        }
        let ended = self.launched.ended()?;
        // One that waits for ever ends on SIGTERM, and its daemon is still to be asked.
        let left = matches!(ended, Ended::Exited(0) | Ended::Killed(SIGTERM));
        if self.supervision.plan.forks && left && self.adopt()? {
            return self.until_empty(signals);
        }
        if self.handed_over {
            return self.until_empty(signals);
        }
        Ok(ended)
    }

    /// The last messages, then the end of whatever is left in the jail.
    pub(super) fn finish(mut self, ended: Result<Ended>) -> Result<Ended> {
        if let Some(complaints) = self.complaints() {
            complaints.save()?;
        }
        self.attest.end();
        if let Ok(ended) = &ended {
            while self.relay.pump()? {}
            if let Some(output) = &mut self.output {
                let pid = self.launched.service_pid.unwrap_or(self.launched.child_pid);
                output.end(&mut self.relay, &self.supervision.plan.name, pid);
                Last {
                    ended: *ended,
                    words: self.relay.words().text(),
                    reached: cgroup::reached(&self.supervision.plan.cgroups()),
                }
                .save(self.supervision.directory)?;
            }
            self.relay.finish()?;
            // While the kernel takes the jail's namespaces down.
            remove_files(self.supervision.directory)?;
        }
        self.launched.finish()?;
        ended
    }

    /// Until nothing is left for the first process to reap. A daemon that forks twice leaves one
    /// in between, which ends: then the oldest that is left is the service.
    fn until_empty(&mut self, signals: &OwnedFd) -> Result<Ended> {
        loop {
            let (end, service) = (self.launched.child.as_fd(), self.launched.service());
            let [empty, ended] = self.wait(end, service, signals)?;
            self.handle(signals)?;
            self.release_when_settled();
            if empty {
                return Ok(Ended::Exited(0));
            }
            if ended && !self.adopt()? {
                self.launched.follow_nobody();
            }
        }
    }

    /// Gives memory back once the service has lived for a while.
    fn release_when_settled(&mut self) {
        if self.release_at.is_some_and(|at| Instant::now() >= at) {
            self.release_at = None;
            sys::memory::release_program();
        }
    }

    /// Waits for anything, also for the time to give memory back; answers whether `end` and
    /// `service` are readable.
    fn wait(
        &self,
        end: BorrowedFd<'_>,
        service: Option<BorrowedFd<'_>>,
        signals: &OwnedFd,
    ) -> Result<[bool; 2]> {
        let service = service.unwrap_or(end);
        let mut watched = vec![
            PollFd::from_borrowed_fd(end, PollFlags::IN),
            PollFd::from_borrowed_fd(service, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        watched.extend(self.relay.watched());
        let notified = self.notified.socket();
        watched.extend(notified.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        let looks = self.attest.looks();
        watched.extend(looks.map(|it| PollFd::from_borrowed_fd(it, PollFlags::IN)));
        if let Some(output) = &self.output {
            watched.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
        }
        let start = self.launched.start.as_ref();
        watched.extend(start.map(|start| PollFd::from_borrowed_fd(start.as_fd(), PollFlags::IN)));
        let looks = start.is_some() || !self.serving || self.is_awaited();
        let look_at = self.look_at.filter(|_| looks);
        let (attests_at, logs_at) = (self.attest.wakes_at(), self.relay.wakes_at());
        let timeout = [self.release_at, look_at, attests_at, logs_at]
            .into_iter()
            .flatten()
            .min()
            .and_then(|at| Timespec::try_from(at.saturating_duration_since(Instant::now())).ok());
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for the jail"),
        }
        let readable = |index: usize| {
            let watched = watched.get(index);
            watched.is_some_and(|watched| !watched.revents().is_empty())
        };
        Ok([readable(0), readable(1)])
    }

    fn handle(&mut self, signals: &OwnedFd) -> Result<()> {
        while let Some(signal) = sys::signals::next(signals).doing(|| "read a signal")? {
            if signal != SIGCHLD {
                self.launched.signal(signal)?;
            }
        }
        self.relay.pump()?;
        self.pump_output();
        self.hear()?;
        if self.attest.attend(&mut self.relay) {
            // What that took is given back.
            self.release_at = Some(Instant::now() + SETTLED);
        }
        self.attend_start()?;
        self.attend_manager();
        Ok(())
    }

    /// Lets the calls of the start run, until the service is ready; in complain mode, everything
    /// for as long as it lives.
    fn attend_start(&mut self) -> Result<()> {
        let asks = match &mut self.launched.start {
            Some(start) => start.answer()?,
            None if self.serving => return Ok(()),
            // Only its exercises are left.
            None => true,
        };
        if asks && self.look_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        if self.serving {
            return self.attend_complaints(asks);
        }
        let signs = self.supervision.plan.start_ends_with().unwrap_or_default();
        let heard = |sign: &Sign| match sign {
            Sign::Log(expression) => self.relay.words().has_seen(expression),
            _ => self.notified.is_ready(),
        };
        let ready = is_ready(signs, self.launched.child_pid, &self.begun, &heard);
        let main = self.launched.service_pid.unwrap_or(self.launched.child_pid);
        if !asks || self.warm_up.is_over(ready, main) {
            self.serving = true;
            match self.complaints().filter(|_| asks) {
                Some(complaints) => complaints.serves(),
                None => self.launched.start = None,
            }
            return self.record();
        }
        if self.warm_up.take_news() {
            self.record()?;
        }
        // From the end of the look: one that takes long must not keep the calls waiting.
        self.look_at = Some(Instant::now() + LOOK);
        Ok(())
    }

    pub(super) fn record(&self) -> Result<()> {
        let progress = Progress {
            serving: self.serving,
            notified: self.notified.is_ready(),
            waits_for: self.warm_up.failed().filter(|_| !self.serving),
        };
        record(self.supervision, &self.launched, &self.held, progress)
    }

    /// Keeps the counts of complaints now and then, while somebody complains.
    fn attend_complaints(&mut self, asks: bool) -> Result<()> {
        if let Some(complaints) = self.complaints() {
            complaints.save()?;
        }
        if !asks || self.complaints().is_none() {
            self.launched.start = None;
        }
        self.look_at = Some(Instant::now() + KEEP);
        Ok(())
    }

    fn complaints(&mut self) -> Option<&mut Complaints> {
        self.launched.start.as_mut()?.complaints.as_deref_mut()
    }

    fn pump_output(&mut self) {
        if let Some(output) = &mut self.output {
            let pid = self.launched.service_pid.unwrap_or(self.launched.child_pid);
            output.pump(&mut self.relay, &self.supervision.plan.name, pid);
        }
    }

    /// After a daemon's first process has ended: the oldest one left is the service. Answers
    /// whether one is left.
    fn adopt(&mut self) -> Result<bool> {
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
