//! One small process for each jail: passes signals on, relays the log, tells how it ended.

mod beside;
mod ends;
mod heir;
mod jail;
mod managed;
mod privilege;

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::events::Compared;
use super::launch::{Ended, Launched};
use super::log::{self, LogSocket, Logged, Relay, Sink, Words};
use super::manager::Speaker;
use super::notified::Notified;
use super::output::Output;
use super::restarts::{self, Cause, Restarts};
use super::sockets::{self, Held, Offers};
use super::state::{self, Last, ProcessName, State};
use super::{cgroup, leftover, started};
use crate::host::begun::Begun;
use crate::plan::{JOURNAL_SOCKET, LogSigns, LogSink, Managed, NOTIFY_SOCKET, Plan};
use crate::sys;
use crate::{Doing, Error, Result};
use beside::Beside;
use jail::Jail;

/// The name of the jail's log socket in its directory: what `/dev/log` leads to.
pub const LOG_SOCKET: &str = "log";

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
    /// Its directory below `/var/lib/gaoler`, where it is written down that it was started again.
    /// `None`: this run is none of its usual ones, and its end is final.
    pub history: Option<&'a Path>,
    /// In the foreground the service has the caller's standard output, and its end is the caller's;
    /// else what it prints is logged.
    pub foreground: bool,
    /// Messages go where the plan says, else to the file.
    pub host_log: bool,
    /// The file, if they go to one.
    pub log_file: &'a Path,
    /// What gaoler itself is told so that it compares this jail with what was started; what it then
    /// prints is logged. Empty: that is not done.
    pub attest: &'a [OsString],
}

/// What a supervisor is handed.
#[derive(Debug, Default)]
pub struct Handed {
    /// What the service says goes here too, line by line: a pipe that does not block, until nobody
    /// reads it.
    pub listener: Option<OwnedFd>,
    /// Sockets that are open already.
    pub sockets: Offers,
    /// The manager that waits for word of the service, if there is one.
    pub manager: Managed,
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

/// Starts the jail and stays until it has ended. `tell` is called as it starts.
///
/// # Errors
/// As [`super::launch`]; a socket cannot be opened; another supervisor has this jail, or it runs.
/// Then nothing is left behind.
pub fn supervise(
    supervision: &Supervision<'_>,
    handed: Handed,
    tell: &mut dyn FnMut(Stage) -> Result<()>,
) -> Result<Ended> {
    let lock = leftover::lock_and_clear(supervision.directory)?;
    let ended = live(supervision, handed, tell);
    clear(supervision, lock, ended)
}

/// Takes over a jail whose supervisor was killed, and stays until it has ended. `Ok(None)`: there
/// is none to take over. `tell` is called when that is done.
///
/// # Errors
/// Another one does it already.
pub fn take_over(
    supervision: &Supervision<'_>,
    tell: &mut dyn FnMut(Stage) -> Result<()>,
) -> Result<Option<Ended>> {
    let lock = state::lock(supervision.directory)?;
    let state = State::load(supervision.directory)?.filter(State::is_unwatched);
    let Some(state) = state else {
        return Ok(None);
    };
    // What cannot be taken over goes on without a supervisor: nothing of it is removed.
    let signals = block_signals()?;
    let mut jail = inherit(supervision, &state)?;
    jail.take_over(&state)?;
    tell(Stage::Started)?;
    let ended = jail.until_over(&signals);
    let ended = jail.finish(ended);
    clear(supervision, lock, ended).map(Some)
}

/// Removes what is left on the host once a jail has ended.
fn clear(supervision: &Supervision<'_>, lock: OwnedFd, ended: Result<Ended>) -> Result<Ended> {
    let files = remove_files(supervision.directory);
    let cgroups = cgroup::remove(&supervision.plan.cgroups());
    cgroup::forget(&supervision.plan.counting());
    drop(lock);
    // What went wrong first is what the user needs to know.
    let ended = ended?;
    files.and(cgroups).map(|()| ended)
}

fn block_signals() -> Result<OwnedFd> {
    let mut signals = sys::signals::forwarded();
    signals.push(SIGCHLD);
    sys::signals::descriptor(&signals).doing(|| "block the signals")
}

fn live(
    supervision: &Supervision<'_>,
    handed: Handed,
    tell: &mut dyn FnMut(Stage) -> Result<()>,
) -> Result<Ended> {
    let plan = supervision.plan;
    let cause = Cause::of_start(supervision.directory).filter(|_| supervision.history.is_some());
    restarts::forget_asked(supervision.directory)?;
    let manager = Speaker::to(&handed.manager)?;
    let words = Words::to(handed.listener, LogSigns::among(&plan.ready)?);
    let sockets = sockets::open(plan, handed.sockets)?;
    Last::remove(supervision.directory)?;
    let (relay, notified) = open_relay(supervision, words)?;
    let output = (!supervision.foreground)
        .then(|| Output::open(supervision.directory))
        .transpose()?;
    let mut beside = Beside {
        relay,
        notified,
        manager,
        held: sockets::held(plan, &sockets),
        sockets,
        output,
        restarts: supervision.history.map(Restarts::load).unwrap_or_default(),
    };
    let signals = block_signals()?;
    let serving = plan.start_ends_with().is_none();
    let begun = Begun::now(&plan.signs_of_its_own());
    let launched = beside.launch(supervision, &mut |launched, beside| {
        let progress = Progress {
            serving,
            restarts: beside.restarts.count,
            ..Progress::default()
        };
        record(supervision, launched, &beside.held, progress)?;
        launched
            .service_pid
            .map_or(Ok(()), |pid| tell(Stage::Forked(pid)))
    })?;
    if let Some(cause) = cause {
        beside.count(supervision, cause, false);
    }
    let mut jail = Jail::new(supervision, beside, launched, begun);
    let ended = jail
        .begin()
        .and_then(|()| tell(Stage::Started))
        .and_then(|()| jail.until_over(&signals));
    jail.finish(ended)
}

/// What another supervisor has left of the jail, as far as it can be had.
fn inherit<'a>(supervision: &'a Supervision<'a>, state: &State) -> Result<Jail<'a>> {
    let plan = supervision.plan;
    let (launched, inherited) = Launched::take_over(state)?;
    let offers = Offers {
        kept: sockets::keep(state)?,
        ..Offers::default()
    };
    let sockets = sockets::open(plan, offers)?;
    let words = Words::to(None, LogSigns::among(&plan.ready)?);
    let counted = Logged::load(supervision.directory).map(|logged| logged.counts);
    let (relay, notified) = match inherited.log {
        Some(log) => {
            let log = LogSocket::take_over(log)?;
            let (sink, generation) = (sink(supervision), plan.generation);
            let mut relay = Relay::new(log, sink, &plan.name, generation, words);
            if let Some(journal) = inherited.journal.filter(|_| plan.has_journal_socket()) {
                relay = relay.with_journal(LogSocket::take_over(journal)?);
            }
            let notify = inherited.notify.filter(|_| plan.notifies());
            let notify = notify.map(LogSocket::take_over).transpose()?;
            (
                relay.kept_in(supervision.directory),
                Notified::take_over(notify, state.notified),
            )
        }
        // Nobody has held it: the service finds a new one in the same place.
        None => open_relay(supervision, words)?,
    };
    let beside = Beside {
        relay: relay.going_on_from(counted.unwrap_or_default()),
        notified,
        // Whoever was told of the jail has lost its supervisor.
        manager: None,
        held: sockets::held(plan, &sockets),
        sockets,
        output: Output::take_over(supervision.directory)?,
        restarts: supervision.history.map(Restarts::load).unwrap_or_default(),
    };
    // What is there by now the service has made.
    Ok(Jail::new(supervision, beside, launched, Begun::now(&[])))
}

/// How far a start is, for the other commands.
#[derive(Clone, Copy, Debug, Default)]
struct Progress<'a> {
    serving: bool,
    notified: bool,
    waits_for: Option<&'a str>,
    ready: bool,
    restarting: bool,
    restarts: u64,
}

/// Writes down who runs, for the other commands.
fn record(
    supervision: &Supervision<'_>,
    launched: &Launched,
    sockets: &[Held],
    progress: Progress<'_>,
) -> Result<()> {
    let plan = supervision.plan;
    let pid = launched.service_pid.unwrap_or(launched.child_pid);
    let init = (launched.has_init() && !progress.restarting)
        .then(|| ProcessName::of(launched.child_pid))
        .transpose()?;
    let service = match progress.restarting {
        true => ProcessName::ended(pid),
        // One that has ended already has no start time any more, and so is not alive.
        false => ProcessName::of(pid).unwrap_or(ProcessName::ended(pid)),
    };
    let state = State {
        name: plan.name.clone(),
        generation: plan.generation,
        service,
        init,
        supervisor: Some(ProcessName::of(std::process::id().cast_signed())?),
        cgroups: plan.cgroups(),
        counting: plan.counting(),
        sockets: sockets.to_vec(),
        managed: Managed::default(),
        serving: progress.serving,
        complaining: launched.start.is_some() && plan.complaints().is_some(),
        notified: progress.notified,
        waits_for: progress.waits_for.map(str::to_owned),
        ready: progress.ready,
        restarting: progress.restarting,
        restarts: progress.restarts,
    };
    state.save(supervision.directory)
}

fn sink(supervision: &Supervision<'_>) -> Sink {
    match supervision.host_log {
        true => Sink::of(
            &supervision.plan.log,
            &log::Places::of_host(supervision.log_file),
        ),
        false => Sink::file(supervision.log_file, &LogSink::default()),
    }
}

/// The jail's log socket, which appears at its `/dev/log`.
fn open_relay(supervision: &Supervision<'_>, words: Words) -> Result<(Relay, Notified)> {
    let (relay, notified) = relay_to(supervision.plan, sink(supervision), words)?;
    Ok((relay.kept_in(supervision.directory), notified))
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
    let relay = Relay::new(socket, sink, &plan.name, plan.generation, words);
    if !plan.has_journal_socket() {
        return Ok((relay, notified));
    }
    let socket = LogSocket::bind(&directory, JOURNAL_SOCKET)?;
    Ok((relay.with_journal(socket), notified))
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
    for socket in [LOG_SOCKET, NOTIFY_SOCKET, JOURNAL_SOCKET] {
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
    restarts::forget_stop(directory)?;
    Compared::remove(directory)?;
    State::remove(directory)
}
