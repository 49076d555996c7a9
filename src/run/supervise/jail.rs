//! The loop beside a running jail.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::super::attest::Attest;
use super::super::cgroup::Reached;
use super::super::complaints::Complaints;
use super::super::launch::{Ended, Launched};
use super::super::liveness::Liveness;
use super::super::output::Output;
use super::super::pid_file;
use super::super::readiness::is_ready;
use super::super::restarts;
use super::super::started;
use super::super::state::State;
use super::super::warm_up::WarmUp;
use super::beside::Beside;
use super::{Progress, SIGCHLD, Supervision, privilege, record};
use crate::host::begun::Begun;
use crate::host::process;
use crate::plan::Sign;
use crate::sys;
use crate::{Doing, Result};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// INT, QUIT and TERM: whoever sends them to a supervisor wants an end.
const TO_END: [i32; 3] = [2, 3, SIGTERM];

/// How long a service must live before the supervisor makes itself small for it: what it needed
/// to start it needs again to clean up.
pub(super) const SETTLED: Duration = Duration::from_millis(50);

/// How often a service that starts is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// How often the counts of complaints are kept.
const KEEP: Duration = Duration::from_secs(1);

/// How often one is looked at that has no sign of readiness, or that takes long: the part of the
/// time that it has taken so far.
const PART: u32 = 50;

/// How long a service that has no sign of readiness must live to count as ready.
const LIFE: Duration = Duration::from_millis(200);

/// A jail that runs.
pub(super) struct Jail<'a> {
    pub(super) supervision: &'a Supervision<'a>,
    pub(super) beside: Beside,
    pub(super) launched: Launched,
    /// The service has said that another process is its main one now.
    pub(super) handed_over: bool,
    /// When the memory that only the start needed is given back; `None`: it has been.
    pub(super) release_at: Option<Instant>,
    pub(super) begun: Begun,
    /// When it is looked whether it is ready; or, in complain mode, counts are kept.
    pub(super) look_at: Option<Instant>,
    pub(super) warm_up: WarmUp<'a>,
    /// It is ready, or nothing of its start has an end.
    pub(super) serving: bool,
    /// It has shown every sign that it is ready.
    pub(super) ready: bool,
    /// When it is looked for these.
    pub(super) signs_at: Instant,
    /// That it is ready could not be written down, and is tried again then.
    pub(super) unrecorded: bool,
    pub(super) liveness: Liveness<'a>,
    /// It does not live, and is ended: why, and when by force.
    pub(super) dying: Option<(String, Instant)>,
    /// This process was told to end.
    pub(super) told_to_end: bool,
    /// How often limits of its cgroups had been reached before this run.
    pub(super) reached_before: Reached,
    /// Why the run that has ended counted as dead.
    pub(super) dead: Option<String>,
    /// What is taken for the service was left behind by the first one, whose end was told already.
    pub(super) is_heir: bool,
    /// Somebody wanted the end that it has come to.
    pub(super) stopped: bool,
    /// The end that it has come to was not looked at yet.
    pub(super) unnoticed: bool,
    /// Why it is not started again although the spec has that.
    pub(super) stays_down: Option<String>,
    /// Compares it with what was started, now and then.
    pub(super) attest: Attest<'a>,
    /// The pid that stands where the host's own tools look for it.
    pub(super) published: Option<i32>,
}

impl<'a> Jail<'a> {
    /// One that was just started.
    pub(super) fn new(
        supervision: &'a Supervision<'a>,
        beside: Beside,
        launched: Launched,
        begun: Begun,
    ) -> Self {
        let plan = supervision.plan;
        let now = Instant::now();
        Self {
            supervision,
            beside,
            launched,
            release_at: Some(now + SETTLED),
            begun,
            handed_over: false,
            look_at: Some(now),
            warm_up: WarmUp::of(plan),
            serving: plan.start_ends_with().is_none(),
            ready: false,
            signs_at: now,
            unrecorded: false,
            liveness: Liveness::new(plan.living.liveness.as_ref()),
            dying: None,
            told_to_end: false,
            reached_before: Reached::default(),
            dead: None,
            is_heir: false,
            stopped: false,
            unnoticed: false,
            stays_down: None,
            attest: Attest::of(plan, supervision.attest),
            published: None,
        }
    }

    /// Writes down what was started.
    pub(super) fn begin(&mut self) -> Result<()> {
        let plan = self.supervision.plan;
        started::save(self.supervision.directory, plan, self.launched.child_pid)?;
        self.event("start", format!("generation {}", plan.generation));
        self.record()?;
        privilege::lower()
    }

    /// What the one before knew. The calls of a start that was not over were refused from the
    /// moment when nobody answered them any more: that start is over.
    pub(super) fn take_over(&mut self, state: &State) -> Result<()> {
        self.serving = true;
        self.ready = state.ready;
        // Only the one that gaoler itself has started has the same number inside and outside.
        let pids = process::status(state.service.pid).map(|status| status.pids);
        self.is_heir = state.init.is_some() && pids.is_ok_and(|pids| pids.first() != pids.last());
        if self.ready {
            self.liveness.begin();
        }
        self.event("takeover", "its supervisor had been killed".to_owned());
        self.beside
            .relay
            .tell("its supervisor was killed; this one has taken over");
        self.record()?;
        privilege::lower()
    }

    pub(super) fn event(&mut self, event: &str, detail: String) {
        let pid = self.main();
        self.beside
            .event(self.supervision, event, Some(pid), detail);
    }

    /// The service's process, or the first one of its jail.
    pub(super) fn main(&self) -> i32 {
        self.launched.service_pid.unwrap_or(self.launched.child_pid)
    }

    /// Until the service, and a daemon that it left behind, has ended.
    pub(super) fn until_ended(&mut self, signals: &OwnedFd) -> Result<Ended> {
        if std::mem::take(&mut self.is_heir) {
            return self.until_empty(signals);
        }
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
        let left = matches!(
            ended,
            Ended::Exited(0) | Ended::Killed(SIGTERM) | Ended::Unseen
        );
        let forks = self.supervision.plan.forks && self.dying.is_none();
        if forks && left && self.adopt()? {
            return self.until_empty(signals);
        }
        if self.handed_over {
            return self.until_empty(signals);
        }
        Ok(ended)
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
            if ended && self.dying.is_some() {
                return Ok(Ended::Killed(SIGTERM));
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
        ];
        let start = self.launched.start.as_ref();
        watched.extend(start.map(|start| PollFd::from_borrowed_fd(start.as_fd(), PollFlags::IN)));
        let looks = self.attest.looks();
        watched.extend(looks.map(|it| PollFd::from_borrowed_fd(it, PollFlags::IN)));
        let look_at = self.look_at.filter(|_| start.is_some() || !self.serving);
        let wakes = [
            self.release_at,
            look_at,
            self.attest.wakes_at(),
            (!self.ready || self.unrecorded || self.is_awaited()).then_some(self.signs_at),
            self.liveness.wakes_at().filter(|_| self.dying.is_none()),
            self.dying.as_ref().map(|(_, kill_at)| *kill_at),
        ];
        self.wait_beside(&mut watched, signals, wakes.into_iter().flatten().min())?;
        let readable = |index: usize| {
            let watched = watched.get(index);
            watched.is_some_and(|watched| !watched.revents().is_empty())
        };
        Ok([readable(0), readable(1)])
    }

    /// Waits for one of these, for a signal, for something to pass on, or until then.
    pub(super) fn wait_beside<'w>(
        &'w self,
        watched: &mut Vec<PollFd<'w>>,
        signals: &'w OwnedFd,
        until: Option<Instant>,
    ) -> Result<()> {
        watched.push(PollFd::new(signals, PollFlags::IN));
        watched.extend(self.beside.relay.watched());
        let notified = self.beside.notified.socket();
        watched.extend(notified.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
        let output = self.beside.output.as_ref();
        watched.extend(output.map(|it| PollFd::from_borrowed_fd(it.as_fd(), PollFlags::IN)));
        let more = output.is_some_and(Output::has_more).then(Instant::now);
        let wakes = [more, until, self.beside.relay.wakes_at()];
        let timeout =
            wakes.into_iter().flatten().min().and_then(|at| {
                Timespec::try_from(at.saturating_duration_since(Instant::now())).ok()
            });
        match poll(watched, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno).doing(|| "wait for the jail"),
        }
    }

    fn handle(&mut self, signals: &OwnedFd) -> Result<()> {
        while let Some(signal) = self.hear_signal(signals)? {
            self.launched.signal(signal)?;
        }
        self.beside.relay.pump()?;
        self.pump_output();
        let failed = self.hear()?;
        if self.attest.attend(&mut self.beside.relay) {
            // What that took is given back.
            self.release_at = Some(Instant::now() + SETTLED);
        }
        self.attend_start()?;
        self.attend_signs()?;
        self.attend_manager();
        self.attend_liveness(failed)
    }

    /// The next signal that is to be passed on. Whoever ends this process ends the jail, for good.
    pub(super) fn hear_signal(&mut self, signals: &OwnedFd) -> Result<Option<i32>> {
        while let Some(signal) = sys::signals::next(signals).doing(|| "read a signal")? {
            self.told_to_end |= TO_END.contains(&signal);
            if signal != SIGCHLD {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }

    /// Lets the calls of the start run, until the service is ready; in complain mode, everything
    /// for as long as it lives.
    pub(super) fn attend_start(&mut self) -> Result<()> {
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
        let shown = self.shows(self.supervision.plan.start_ends_with().unwrap_or_default());
        let main = self.main();
        let called = self.launched.start.as_ref().and_then(|start| start.called);
        if !asks || self.warm_up.is_over(shown, main, called) {
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

    fn shows(&self, signs: &[Sign]) -> bool {
        let heard = |sign: &Sign| match sign {
            Sign::Log(expression) => self.beside.relay.words().has_seen(expression),
            _ => self.beside.notified.is_ready(),
        };
        is_ready(signs, self.launched.child_pid, &self.begun, &heard)
    }

    /// Looks whether it is ready, until it is.
    pub(super) fn attend_signs(&mut self) -> Result<()> {
        if Instant::now() >= self.signs_at && self.unrecorded {
            self.record_that_it_is_ready();
        }
        if self.ready || !self.serving || Instant::now() < self.signs_at {
            return Ok(());
        }
        let signs = &self.supervision.plan.ready;
        let ready = match signs.is_empty() {
            true => self.begun.elapsed() >= LIFE,
            false => self.shows(signs),
        };
        if !ready {
            let wait = (self.begun.elapsed() / PART).clamp(LOOK, KEEP);
            self.signs_at = Instant::now() + wait;
            return Ok(());
        }
        self.ready = true;
        self.liveness.begin();
        if let Err(error) = started::keep_maps(self.supervision.directory, self.main()) {
            self.beside.relay.tell(&error.to_string());
        }
        // What looking took is given back.
        self.release_at = Some(Instant::now() + SETTLED);
        self.event("ready", String::new());
        self.record_that_it_is_ready();
        Ok(())
    }

    /// A service that works is not ended because the disk is full.
    fn record_that_it_is_ready(&mut self) {
        let recorded = self.record();
        if let Err(error) = &recorded
            && !self.unrecorded
        {
            self.beside.relay.tell(&error.to_string());
        }
        self.unrecorded = recorded.is_err();
        if self.unrecorded {
            self.signs_at = Instant::now() + KEEP;
        }
    }

    /// Looks whether it lives, and ends one that does not.
    fn attend_liveness(&mut self, failed: bool) -> Result<()> {
        if let Some((_, kill_at)) = &mut self.dying {
            if Instant::now() >= *kill_at {
                *kill_at = Instant::now() + KEEP;
                self.launched.signal(SIGKILL)?;
            }
            return Ok(());
        }
        let (first, main) = (self.launched.child_pid, self.main());
        let why = match failed && self.ready {
            true => Some("it has said WATCHDOG=trigger".to_owned()),
            false => self.liveness.attend(first, main),
        };
        if self.liveness.take_looked() {
            // What that took is given back.
            self.release_at = Some(Instant::now() + SETTLED);
        }
        // One that is frozen does nothing, and is not to be ended for that.
        if why.is_some() && restarts::frozen(self.supervision.directory).is_some() {
            self.liveness.begin();
            return Ok(());
        }
        let Some(why) = why else {
            return Ok(());
        };
        self.liveness.end();
        self.beside
            .relay
            .tell(&format!("it does not live and is ended: {why}"));
        let patience = Duration::from_secs(self.supervision.plan.living.stop_timeout_s.into());
        self.dying = Some((why, Instant::now() + patience));
        self.launched.signal(SIGTERM)
    }

    pub(super) fn record(&mut self) -> Result<()> {
        self.record_as(false)
    }

    pub(super) fn record_as(&mut self, restarting: bool) -> Result<()> {
        self.publish((!restarting).then(|| self.main()))?;
        let progress = Progress {
            serving: self.serving,
            notified: self.beside.notified.is_ready(),
            waits_for: self.warm_up.failed().filter(|_| !self.serving),
            ready: self.ready,
            restarting,
            restarts: self.beside.restarts.count,
        };
        record(
            self.supervision,
            &self.launched,
            &self.beside.held,
            progress,
        )
    }

    /// Writes the pid where the host's own tools look for it, and takes it away with `None`. A run
    /// that is none of the jail's usual ones is not what they are to find.
    pub(super) fn publish(&mut self, pid: Option<i32>) -> Result<()> {
        let living = &self.supervision.plan.living;
        let path = living.host_pid_file.as_deref();
        let usual = self.supervision.history.is_some();
        let Some(path) = path.filter(|_| usual && pid != self.published) else {
            return Ok(());
        };
        match (pid, self.published) {
            (Some(pid), _) => pid_file::publish(path, pid)?,
            (None, Some(before)) => pid_file::withdraw(path, before)?,
            (None, None) => {}
        }
        self.published = pid;
        Ok(())
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

    pub(super) fn complaints(&mut self) -> Option<&mut Complaints> {
        self.launched.start.as_mut()?.complaints.as_deref_mut()
    }

    pub(super) fn pump_output(&mut self) {
        let pid = self.main();
        self.beside.pump_output(self.supervision, pid);
    }
}
