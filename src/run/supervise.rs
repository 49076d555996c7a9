//! One small process for each jail: passes signals on, relays the log, tells how it ended.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::cgroup;
use super::launch::{Ended, Launched, Stdio, launch};
use super::log::{LogSocket, Relay, Sink};
use super::output::Output;
use super::state::{self, Last, ProcessName, State};
use crate::host::process;
use crate::plan::{Plan, Step};
use crate::sys;
use crate::{Doing, Error, Result};

/// The name of the jail's log socket in its directory: what `/dev/log` leads to.
const LOG_SOCKET: &str = "log";

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
    let mut relay = open_relay(plan, supervision.log_file)?;
    let mut output = (!supervision.foreground)
        .then(|| Output::open(supervision.directory))
        .transpose()?;
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
        let mut jail = Jail {
            supervision,
            launched,
            relay: &mut relay,
            output: &mut output,
        };
        jail.live(&signals, started)
    });
    let words = output.as_ref().map(Output::last_words).unwrap_or_default();
    drop(relay);
    if let Some(output) = output {
        output.close()?;
    }
    if let Ok(ended) = &ended {
        Last {
            ended: *ended,
            words,
        }
        .save(supervision.directory)?;
    }
    remove(plan, supervision.directory)?;
    ended
}

/// The jail's log socket, which appears at its `/dev/log`.
fn open_relay(plan: &Plan, log_file: &Path) -> Result<Relay> {
    let path = plan.log_directory().ok_or_else(|| {
        Error::setup(
            format!("start the jail {}", plan.name),
            "its plan has no log",
        )
    })?;
    remove_log(&path)?;
    state::make_directory(&path)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(&path, flags, Mode::empty())
        .doing(|| format!("open {}", path.display()))?;
    let socket = LogSocket::bind(&directory, LOG_SOCKET)?;
    Ok(Relay::new(socket, Sink::choose(log_file), &plan.name))
}

fn remove_log(directory: &Path) -> Result<()> {
    match rustix::fs::unlink(directory.join(LOG_SOCKET)) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => {
            return Err(errno).doing(|| format!("remove {LOG_SOCKET} in {}", directory.display()));
        }
    }
    match rustix::fs::rmdir(directory) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("remove {}", directory.display())),
    }
}

/// Removes what a jail leaves on the host: cgroups, log socket, state.
fn remove(plan: &Plan, directory: &Path) -> Result<()> {
    if let Some(log) = plan.log_directory() {
        remove_log(&log)?;
    }
    cgroup::remove(&cgroups(plan))?;
    State::remove(directory)
}

/// The same, for a jail whose supervisor was killed.
///
/// # Errors
/// Something cannot be removed.
pub fn remove_rest(directory: &Path, state: &State) -> Result<()> {
    remove_log(&directory.join("log"))?;
    cgroup::remove(&state.cgroups)?;
    State::remove(directory)
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
        while self.relay.pump()? {}
        self.pump_output();
        Ok(ended)
    }

    fn record(&self, pid: i32) -> Result<State> {
        let state = State {
            name: self.supervision.plan.name.clone(),
            generation: self.supervision.plan.generation,
            service: ProcessName::of(pid).unwrap_or(ProcessName { pid, start_time: 0 }),
            init: self
                .launched
                .status
                .as_ref()
                .map(|_| ProcessName::of(self.launched.child_pid))
                .transpose()?,
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
            let ready = wait(
                self.launched.child.as_fd(),
                signals,
                self.relay,
                self.output.as_ref(),
            )?;
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
        self.relay.pump()?;
        self.pump_output();
        Ok(())
    }

    fn pump_output(&mut self) {
        if let Some(output) = self.output {
            let name = self.supervision.plan.name.as_str();
            output.pump(self.relay, name, self.launched.service_pid);
        }
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
        let Some((_, pid)) = eldest else {
            return Ok(false);
        };
        let Some(name) = rustix::process::Pid::from_raw(pid) else {
            return Ok(false);
        };
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
    watched.push(PollFd::from_borrowed_fd(
        relay.socket().as_fd(),
        PollFlags::IN,
    ));
    if let Some(output) = output {
        watched.push(PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN));
    }
    match poll(&mut watched, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno).doing(|| "wait for the jail"),
    }
    Ok(watched
        .first()
        .is_some_and(|first| !first.revents().is_empty()))
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

fn libc_sigchld() -> i32 {
    rustix::process::Signal::CHILD.as_raw()
}
