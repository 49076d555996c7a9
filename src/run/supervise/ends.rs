//! The end of a service: final, or followed by another start.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::super::cgroup::{self, Reached};
use super::super::launch::Ended;
use super::super::restarts::{self, Cause, Next, now_ms};
use super::super::state::Last;
use super::super::warm_up::WarmUp;
use super::jail::{Jail, SETTLED};
use super::{Progress, privilege, record, remove_files};
use crate::Result;
use crate::host::begun::Begun;
use crate::plan::duration_text;
use crate::sys;

impl Jail<'_> {
    /// Until the service has ended and is not started again.
    pub(super) fn until_over(&mut self, signals: &OwnedFd) -> Result<Ended> {
        loop {
            let ended = self.until_ended(signals)?;
            let cause = self.cause(ended);
            self.stopped = self.is_final();
            self.event("exit", self.told(&cause));
            self.tell_limits();
            self.unnoticed = cause.is_failure() && !self.stopped;
            if !self.start_again(ended, cause, signals)? {
                return Ok(ended);
            }
        }
    }

    /// How it ended, for people.
    fn told(&self, cause: &Cause) -> String {
        match (cause, self.stopped) {
            (Cause::Exit(_) | Cause::Signal(_), true) => format!("{cause}, when it was stopped"),
            _ => cause.to_string(),
        }
    }

    /// Why it ended.
    fn cause(&mut self, ended: Ended) -> Cause {
        self.dead = self.dying.take().map(|(why, _)| why);
        match &self.dead {
            Some(why) => Cause::Liveness(why.clone()),
            None => Cause::from(ended),
        }
    }

    /// Whether somebody wants this end.
    fn is_final(&self) -> bool {
        self.told_to_end || restarts::is_to_stop(self.supervision.directory)
    }

    /// That limits of its cgroups were reached.
    fn tell_limits(&mut self) {
        let reached = self.reached();
        for (count, what) in [
            (reached.memory_kills, "processes killed for want of memory"),
            (reached.memory, "times out of memory"),
            (reached.processes, "times out of processes"),
        ] {
            if count > 0 {
                self.event("limit", format!("{count} {what}"));
            }
        }
    }

    fn reached(&self) -> Reached {
        cgroup::reached(&self.supervision.plan.cgroups()).since(self.reached_before)
    }

    /// Starts the service again as the spec has it. `false`: its end is final.
    fn start_again(&mut self, ended: Ended, cause: Cause, signals: &OwnedFd) -> Result<bool> {
        // A start that somebody still waits for has failed: who waits is told.
        if self.beside.relay.words().are_heard() || self.supervision.plan.complaints().is_some() {
            return Ok(false);
        }
        let mut cause = cause;
        let mut first = true;
        while let Some(delay) = self.delay(&cause) {
            if first {
                self.end_run(ended)?;
                first = false;
            }
            self.record_as(true)?;
            self.notice();
            if !self.back_off(delay, signals)? {
                return Ok(false);
            }
            self.beside.notified.begin();
            self.beside.count(self.supervision, cause.clone(), true);
            match self.launch_again() {
                Ok(()) => return Ok(true),
                Err(error) => {
                    self.beside.relay.tell(&error.to_string());
                    cause = Cause::Start(error.to_string());
                }
            }
        }
        Ok(false)
    }

    /// How long to wait for the next start, if there is to be one.
    fn delay(&mut self, cause: &Cause) -> Option<Duration> {
        if self.supervision.foreground || self.supervision.history.is_none() || self.is_final() {
            return None;
        }
        if let Some(why) = restarts::frozen(self.supervision.directory) {
            self.stays_down = Some(format!("it is frozen: {why}"));
            return None;
        }
        let policy = &self.supervision.plan.living.restart;
        match self.beside.restarts.next(policy, cause, now_ms()) {
            Next::Down => None,
            Next::After(delay) => Some(delay),
            Next::Limit => {
                let (limit, period) = (policy.limit, duration_text(policy.period_ms));
                let why = format!("it was started again {limit} times within {period}");
                self.beside
                    .relay
                    .tell(&format!("it stays down after {cause}: {why}"));
                self.event("limit", format!("it stays down: {why}"));
                self.stays_down = Some(why);
                None
            }
        }
    }

    /// The last messages of a run, how it ended, and the end of whatever is left in the jail.
    fn end_run(&mut self, ended: Ended) -> Result<()> {
        if let Some(complaints) = self.complaints() {
            complaints.save()?;
        }
        self.launched.start = None;
        self.attest.end();
        self.liveness.end();
        self.last_words(ended)?;
        self.launched.finish()
    }

    fn last_words(&mut self, ended: Ended) -> Result<()> {
        while self.beside.relay.pump()? {}
        let pid = self.main();
        let (stopped, reached) = (self.stopped, self.reached());
        let beside = &mut self.beside;
        let Some(output) = &mut beside.output else {
            return Ok(());
        };
        output.end(&mut beside.relay, &self.supervision.plan.name, pid);
        Last {
            ended,
            words: beside.relay.words().text(),
            reached,
            stopped,
            dead: self.dead.clone(),
            stays_down: self.stays_down.clone(),
        }
        .save(self.supervision.directory)
    }

    /// Has it looked at whether the end that it has come to may be that of an attack.
    fn notice(&mut self) {
        if std::mem::take(&mut self.unnoticed) {
            self.attest.last_look(&mut self.beside.relay);
        }
    }

    /// Waits, and passes on what still comes. `false`: somebody wants no other start.
    fn back_off(&mut self, delay: Duration, signals: &OwnedFd) -> Result<bool> {
        let until = Instant::now() + delay;
        // It may take long.
        sys::memory::release_program();
        // What was asked for before it could be seen that this one waits is final too.
        let frozen = || restarts::frozen(self.supervision.directory).is_some();
        while Instant::now() < until && !self.is_final() && !frozen() {
            self.wait_beside(&mut Vec::new(), signals, Some(until))?;
            // There is nobody to pass a signal on to.
            while self.hear_signal(signals)?.is_some() {}
            self.beside.relay.pump()?;
            self.pump_output();
        }
        if let Some(why) = restarts::frozen(self.supervision.directory) {
            self.stays_down = Some(format!("it is frozen: {why}"));
            return Ok(false);
        }
        Ok(!self.is_final())
    }

    /// One more start, by the same plan and with the same log and output.
    fn launch_again(&mut self) -> Result<()> {
        privilege::raise()?;
        let supervision = self.supervision;
        self.reached_before = cgroup::reached(&supervision.plan.cgroups());
        let plan = supervision.plan;
        let serving = plan.start_ends_with().is_none();
        let begun = Begun::now(&plan.signs_of_its_own());
        self.launched = self.beside.launch(supervision, &mut |launched, beside| {
            let progress = Progress {
                serving,
                restarts: beside.restarts.count,
                ..Progress::default()
            };
            record(supervision, launched, &beside.held, progress)
        })?;
        let now = Instant::now();
        self.begun = begun;
        self.handed_over = false;
        self.release_at = Some(now + SETTLED);
        (self.look_at, self.signs_at) = (Some(now), now);
        self.warm_up = WarmUp::of(plan);
        (self.serving, self.ready) = (serving, false);
        self.attest.soon();
        let begun = self.begin();
        if begun.is_err() {
            self.launched.finish()?;
        }
        begun
    }

    /// The last messages, then the end of whatever is left in the jail, whatever became of them.
    pub(super) fn finish(mut self, ended: Result<Ended>) -> Result<Ended> {
        let told = self.take_leave(&ended);
        let withdrawn = self.publish(None);
        self.launched.finish()?;
        told?;
        withdrawn?;
        ended
    }

    fn take_leave(&mut self, ended: &Result<Ended>) -> Result<()> {
        privilege::raise()?;
        if let Some(complaints) = self.complaints() {
            complaints.save()?;
        }
        self.attest.end();
        let Ok(ended) = ended else {
            return Ok(());
        };
        self.last_words(*ended)?;
        self.notice();
        self.beside.relay.finish()?;
        // While the kernel takes the jail's namespaces down.
        remove_files(self.supervision.directory)
    }
}
