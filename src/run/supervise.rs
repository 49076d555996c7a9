//! One small process for each jail: passes signals on, relays the log, tells how it ended.

mod jail;

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::attest::Attest;
use super::events::Compared;
use super::launch::{Ended, Launched, Stdio, launch};
use super::log::{LogSocket, Relay, Sink, Words};
use super::notified::Notified;
use super::output::Output;
use super::state::{self, Last, ProcessName, State};
use super::warm_up::WarmUp;
use super::{cgroup, leftover, started};
use crate::plan::{LogSigns, NOTIFY_SOCKET, Plan};
use crate::sys;
use crate::{Doing, Error, Result};
use jail::{Jail, SETTLED};

/// The name of the jail's log socket in its directory: what `/dev/log` leads to.
const LOG_SOCKET: &str = "log";

/// The log socket's directory in the jail's own, as the plan has it.
const LOG_DIRECTORY: &str = "log";

const SIGCHLD: i32 = 17;

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
    /// Messages go to the host's `/dev/log` or journald, if it has one of them.
    pub host_log: bool,
    /// Where they go otherwise.
    pub log_file: &'a Path,
    /// What gaoler itself is told so that it compares this jail with what was started; what it then
    /// prints is logged. Empty: that is not done.
    pub attest: &'a [OsString],
}

/// How far a start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The service's process is there, with this pid on the host. In [`crate::plan::Mode::Traced`]
    /// it does not execute the service before this has been told.
    Forked(i32),
    /// The service runs.
    Started,
}

/// Starts the jail and stays until it has ended. `tell` is called as it starts. What the service
/// says goes to `listener` too, line by line: a pipe that does not block, until nobody reads it.
///
/// # Errors
/// As [`launch`]; another supervisor has this jail, or it runs. Then nothing is left behind.
pub fn supervise(
    supervision: &Supervision<'_>,
    listener: Option<OwnedFd>,
    tell: &mut dyn FnMut(Stage) -> Result<()>,
) -> Result<Ended> {
    let lock = leftover::lock_and_clear(supervision.directory)?;
    let ended = live(supervision, listener, tell);
    let removed = remove_files(supervision.directory)
        .and_then(|()| cgroup::remove(&supervision.plan.cgroups()));
    cgroup::forget(&supervision.plan.counting());
    drop(lock);
    // What went wrong first is what the user needs to know.
    let ended = ended?;
    removed.map(|()| ended)
}

fn live(
    supervision: &Supervision<'_>,
    listener: Option<OwnedFd>,
    tell: &mut dyn FnMut(Stage) -> Result<()>,
) -> Result<Ended> {
    let plan = supervision.plan;
    let signs = LogSigns::among(plan.start_ends_with().unwrap_or_default())?;
    let words = Words::to(listener, signs);
    Last::remove(supervision.directory)?;
    let (relay, notified) = open_relay(supervision, words)?;
    let output = (!supervision.foreground)
        .then(|| Output::open(supervision.directory))
        .transpose()?;
    let stdio = match &output {
        Some(output) => Stdio::To(output.for_service()?),
        None => Stdio::Inherit,
    };
    let mut signals = sys::signals::FORWARDED.to_vec();
    signals.push(SIGCHLD);
    let signals = sys::signals::descriptor(&signals).doing(|| "block the signals")?;
    let serving = plan.start_ends_with().is_none();
    let launched = launch(plan, &stdio, &mut |launched| {
        record(
            supervision,
            launched,
            Progress {
                serving,
                ..Progress::default()
            },
        )?;
        launched
            .service_pid
            .map_or(Ok(()), |pid| tell(Stage::Forked(pid)))
    })?;
    drop(stdio);
    let mut jail = Jail {
        supervision,
        launched,
        relay,
        notified,
        output,
        release_at: Some(Instant::now() + SETTLED),
        begun: Instant::now(),
        look_at: Some(Instant::now()),
        warm_up: WarmUp::of(plan),
        serving,
        attest: Attest::of(plan, supervision.attest),
    };
    let ended = started::save(supervision.directory, plan, jail.launched.child_pid)
        .and_then(|()| tell(Stage::Started))
        .and_then(|()| jail.until_ended(&signals));
    jail.finish(ended)
}

/// How far a start is, for the other commands.
#[derive(Clone, Copy, Debug, Default)]
struct Progress<'a> {
    serving: bool,
    notified: bool,
    waits_for: Option<&'a str>,
}

/// Writes down who runs, for the other commands.
fn record(
    supervision: &Supervision<'_>,
    launched: &Launched,
    progress: Progress<'_>,
) -> Result<()> {
    let plan = supervision.plan;
    let pid = launched.service_pid.unwrap_or(launched.child_pid);
    let init = launched
        .has_init()
        .then(|| ProcessName::of(launched.child_pid))
        .transpose()?;
    let state = State {
        name: plan.name.clone(),
        generation: plan.generation,
        // One that has ended already has no start time any more, and so is not alive.
        service: ProcessName::of(pid).unwrap_or(ProcessName::ended(pid)),
        init,
        supervisor: Some(ProcessName::of(std::process::id().cast_signed())?),
        cgroups: plan.cgroups(),
        counting: plan.counting(),
        serving: progress.serving,
        complaining: plan.complaints().is_some(),
        notified: progress.notified,
        waits_for: progress.waits_for.map(str::to_owned),
        restarts: 0,
    };
    state.save(supervision.directory)
}

/// The jail's log socket, which appears at its `/dev/log`.
fn open_relay(supervision: &Supervision<'_>, words: Words) -> Result<(Relay, Notified)> {
    let Supervision { plan, log_file, .. } = *supervision;
    let sink = if supervision.host_log {
        Sink::choose(log_file)
    } else {
        Sink::file(log_file)
    };
    relay_to(plan, sink, words)
}

/// The jail's log socket in the place that the plan has for it, passed on to `sink`; and beside it
/// that on which the service says that it is ready.
pub(super) fn relay_to(plan: &Plan, sink: Sink, words: Words) -> Result<(Relay, Notified)> {
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
    let notified = Notified::open(plan, directory.as_fd())?;
    Ok((Relay::new(socket, sink, &plan.name, words), notified))
}

pub(super) fn remove_log(directory: &Path) -> Result<()> {
    let doing = || format!("remove {}", directory.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match rustix::fs::open(directory, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Err(Error::setup(doing(), "it is a symbolic link or a file")
                .hint("remove it, and look who can write in that directory"));
        }
        Err(errno) => return Err(errno).doing(doing),
    };
    for socket in [LOG_SOCKET, NOTIFY_SOCKET] {
        match rustix::fs::unlinkat(&opened, socket, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => {
                return Err(errno).doing(|| format!("remove {socket} in {}", directory.display()));
            }
        }
    }
    rustix::fs::rmdir(directory).doing(doing)
}

/// Removes what a running jail has on the host beside cgroups: log socket, FIFO, state.
pub(super) fn remove_files(directory: &Path) -> Result<()> {
    remove_log(&directory.join(LOG_DIRECTORY))?;
    Output::remove(directory)?;
    started::remove(directory)?;
    Compared::remove(directory)?;
    State::remove(directory)
}
