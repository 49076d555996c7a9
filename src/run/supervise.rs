//! One small process for each jail: passes signals on, relays the log, tells how it ended.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::launch::{Ended, Launched, Stdio, launch};
use super::log::Relay;
use super::output::Output;
use super::state::{ProcessName, State};
use super::cgroup;
use crate::host::process;
use crate::plan::{Plan, Step};
use crate::sys;
use crate::{Doing, Result};

/// What the supervisor needs beside the plan.
#[derive(Debug)]
pub struct Supervision<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The jail's directory below `/run/gaoler`.
    pub directory: &'a Path,
    /// In the foreground the service has the caller's standard output; else what it prints is
    /// logged.
    pub foreground: bool,
    /// Where messages go if the host has neither `/dev/log` nor journald.
    pub log_file: &'a Path,
}

/// Starts the jail and stays until it has ended. `started` is called once the service runs.
///
/// # Errors
/// As [`launch`]; then nothing is left behind.
pub fn supervise(
    supervision: &Supervision<'_>,
    started: &mut dyn FnMut(&State) -> Result<()>,
) -> Result<Ended> {
    let plan = supervision.plan;
    let mut relay = Relay::open(&plan.name, plan.log_directory(), supervision.log_file)?;
    let mut output = (!supervision.foreground).then(|| Output::open(supervision.directory)).transpose()?;
    let stdio = match &output {
        Some(output) => Stdio::To(output.for_service()?),
        None => Stdio::Inherit,
    };
    let mut signals = sys::signals::FORWARDED.to_vec();
    signals.push(libc_sigchld());
    let signals = sys::signals::descriptor(&signals).doing(|| "block the signals")?;
    let launched = launch(plan, &stdio);
    drop(stdio);
    let ended = launched.and_then(|launched| {
        let mut jail = Jail { supervision, launched, relay: &mut relay, output: &mut output };
        jail.live(&signals, started)
    });
    clean_up(supervision, relay, output)?;
    ended
}

/// A jail that runs.
struct Jail<'a> {
    supervision: &'a Supervision<'a>,
    launched: Launched,
    relay: &'a mut Relay,
    output: &'a mut Option<Output>,
}

impl Jail<'_> {
    fn live(
        &mut self,
        signals: &OwnedFd,
        started: &mut dyn FnMut(&State) -> Result<()>,
    ) -> Result<Ended> {
        let state = self.record(self.launched.service_pid)?;
        if let Err(error) = started(&state) {
            self.launched.finish()?;
            return Err(error);
        }
        let mut ended = self.until_ended(signals)?;
        if self.supervision.plan.forks && ended == Ended::Exited(0) && self.adopt()? {
            ended = self.until_empty(signals)?;
        }
        self.launched.finish()?;
        self.relay.drain();
        if let Some(output) = self.output {
            output.pump(self.relay);
        }
        Ok(ended)
    }

    fn record(&self, pid: i32) -> Result<State> {
        let state = State {
            name: self.supervision.plan.name.clone(),
            generation: self.supervision.plan.generation,
            service: ProcessName::of(pid)
                .unwrap_or(ProcessName { pid, start_time: 0 }),
            init: self.launched.status.as_ref().map(|_| ProcessName::of(self.launched.child_pid)).transpose()?,
            supervisor: Some(ProcessName::of(std::process::id().cast_signed())?),
            cgroups: cgroups(self.supervision.plan),
        };
        state.save(self.supervision.directory)?;
        Ok(state)
    }

    /// Until the service says that it has ended.
    fn until_ended(&mut self, signals: &OwnedFd) -> Result<Ended> {
        loop {
            let end = match &self.launched.status {
                Some(status) => status.as_fd(),
                None => self.launched.child.as_fd(),
            };
            let ready = wait(end, signals, self.relay, self.output.as_ref())?;
            self.handle(signals)?;
            if ready {
                return self.launched.ended();
            }
        }
    }

    /// Until nothing is left for the first process to reap.
    fn until_empty(&mut self, signals: &OwnedFd) -> Result<Ended> {
        loop {
            let ready = wait(self.launched.child.as_fd(), signals, self.relay, self.output.as_ref())?;
            self.handle(signals)?;
            if ready {
                return Ok(Ended::Exited(0));
            }
        }
    }

    fn handle(&mut self, signals: &OwnedFd) -> Result<()> {
        while let Some(signal) = sys::signals::next(signals).doing(|| "read a signal")? {
            if signal == libc_sigchld() {
                continue;
            }
            match sys::signals::send(&self.launched.service, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => {
                    return Err(errno).doing(|| format!("pass signal {signal} on to the service"));
                }
            }
        }
        self.relay.pump();
        if let Some(output) = self.output {
            output.pump(self.relay);
        }
        Ok(())
    }

    /// After a daemon's first process has ended: the oldest one left is the service.
    fn adopt(&mut self) -> Result<bool> {
        if self.launched.status.is_none() {
            return Ok(false);
        }
        let first = self.launched.child_pid;
        let eldest = process::companions(first)?
            .into_iter()
            .filter(|pid| *pid != first)
            .filter_map(|pid| Some((process::start_time(pid).ok()?, pid)))
            .min();
        let Some((_, pid)) = eldest else { return Ok(false) };
        let Some(name) = rustix::process::Pid::from_raw(pid) else { return Ok(false) };
        self.launched.service =
            rustix::process::pidfd_open(name, rustix::process::PidfdFlags::empty())
                .doing(|| format!("follow the daemon's process {pid}"))?;
        self.launched.service_pid = pid;
        self.record(pid)?;
        Ok(true)
    }
}

/// Waits for anything; answers whether `end` is readable.
fn wait(
    end: BorrowedFd<'_>,
    signals: &OwnedFd,
    relay: &Relay,
    output: Option<&Output>,
) -> Result<bool> {
    let mut watched = vec![
        PollFd::new(&end, PollFlags::IN),
        PollFd::new(signals, PollFlags::IN),
    ];
    if let Some(socket) = relay.socket() {
        watched.push(PollFd::from_borrowed_fd(socket, PollFlags::IN));
    }
    if let Some(output) = output {
        watched.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
    }
    match poll(&mut watched, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno).doing(|| "wait for the jail"),
    }
    Ok(watched.first().is_some_and(|first| !first.revents().is_empty()))
}

fn cgroups(plan: &Plan) -> Vec<PathBuf> {
    plan.steps
        .iter()
        .find_map(|planned| match &planned.step {
            Step::JoinCgroup { directories, .. } => Some(directories.clone()),
            _ => None,
        })
        .unwrap_or_default()
}

fn clean_up(supervision: &Supervision<'_>, relay: Relay, output: Option<Output>) -> Result<()> {
    relay.close()?;
    if let Some(output) = output {
        output.close()?;
    }
    cgroup::remove(&cgroups(supervision.plan))?;
    State::remove(supervision.directory)
}

fn libc_sigchld() -> i32 {
    rustix::process::Signal::CHILD.as_raw()
}
