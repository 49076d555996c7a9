//! `run`, `start`, `stop`, `restart`, `reload`: as an init script would
//! have them.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use super::preflight::Copies;
use super::supervisor::Supervisor;
use super::{
    Event, Jail, Places, Report, attest, config_test, elsewhere, guard, handed, jail, ports,
    preflight, readiness, takeover,
};
use crate::build;
use crate::host::begun::Begun;
use crate::host::command;
use crate::plan::Mode;
use crate::run::backlog::Backlog;
use crate::run::leftover;
use crate::run::restarts;
use crate::run::sockets::Offered;
use crate::run::state::{self, ProcessName, State};
use crate::spec::{Exercise, Reload, Spec};
use crate::sys;
use crate::{Doing, Error, Result};

/// How often something that the kernel does not announce is looked at.
pub(super) const POLL: Duration = Duration::from_millis(5);

/// How long a supervisor may take to clean up after its service.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(5);

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// What the supervisor tells `start`, as lines of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub enum Announcement {
    /// In [`Mode::Traced`]: the service's process is there, and waits until whoever started the
    /// supervisor has answered with a line.
    Forked(i32),
    /// The service runs.
    Started,
    /// It could not be started: what, why, hint.
    Failed(String, String, Option<String>),
}

/// Starts the service and waits until it is ready. `Ok(None)`: it ran already.
///
/// # Errors
/// The jail could not be set up (125), or the service ended before it was ready (1).
pub fn start(
    places: &Places,
    name: &str,
    complain: bool,
    report: &Report<'_>,
) -> Result<Option<State>> {
    let mode = if complain {
        Mode::Complaining
    } else {
        Mode::Supervised
    };
    start_as(
        places,
        name,
        (mode, Vec::new()),
        readiness::PATIENCE,
        report,
    )
}

/// Stops the service if it runs, starts it and waits until it is ready. Its sockets stay open: who
/// connects meanwhile waits.
///
/// # Errors
/// As [`stop`] and [`start`].
pub fn restart(places: &Places, name: &str, report: &Report<'_>) -> Result<()> {
    super::may_jail(&format!("restart {name}"))?;
    super::valid_name(name)?;
    let directory = places.runtime(name);
    let kept = handed::keep(&directory, report)?;
    let backlog = backlog(places, name)?;
    if stop(places, name, report)? {
        restarts::ask_to_restart(&directory)?;
    }
    let started = (Mode::Supervised, kept);
    let state = start_as(places, name, started, readiness::PATIENCE, report)?;
    if let Some(state) = state {
        backlog.hand_on(&elsewhere::jailed(&state));
    }
    Ok(())
}

/// What comes for the running service from now on. One that has to answer before it is ready cannot
/// be kept from its port.
fn backlog(places: &Places, name: &str) -> Result<Backlog> {
    let answers = |one: &Exercise| one.is_of_start();
    match State::running(&places.runtime(name))? {
        Some(state) if !jail::load_spec(places, name)?.exercises.iter().any(answers) => {
            Ok(Backlog::hold(&elsewhere::jailed(&state)))
        }
        _ => Ok(Backlog::default()),
    }
}

/// As [`start`], for a service that must be ready within `patience`.
pub(super) fn start_within(
    places: &Places,
    name: &str,
    patience: Duration,
    report: &Report<'_>,
) -> Result<Option<State>> {
    start_as(
        places,
        name,
        (Mode::Supervised, Vec::new()),
        patience,
        report,
    )
}

fn start_as(
    places: &Places,
    name: &str,
    (mode, kept): (Mode, Vec<Offered>),
    patience: Duration,
    report: &Report<'_>,
) -> Result<Option<State>> {
    let directory = places.runtime(name);
    let prepared = prepare_start(places, name, mode, report).map_err(Error::nothing_started)?;
    let Some(jail) = prepared else {
        return Ok(None);
    };
    report(Event::Doing(format!("starting {name}")));
    let service = &jail.spec.service;
    let begun = Begun::now(&jail.plan.signs_of_its_own());
    let supervisor = Supervisor::start(places, name, mode, &service.ready, kept)
        .map_err(Error::nothing_started)?;
    let listening = supervisor
        .has_started(&directory)
        .map_err(Error::nothing_started);
    let mut listening = listening?;
    let state = readiness::wait(&jail.spec, &directory, &mut listening, &begun, patience)?;
    if let Some(pid_file) = service.pid_file.as_ref().filter(|_| service.forks) {
        crate::run::pid_file::translate(pid_file, &state)?;
    }
    // It runs, whatever can be written about it.
    if let Err(error) = note_ready(places, &state) {
        report(Event::Warning(error.to_string()));
    }
    Ok(Some(state))
}

/// Leaves beside the generation that it has worked: `rollback` goes by that.
fn note_ready(places: &Places, state: &State) -> Result<()> {
    match build::state_of(&places.state, &state.name)? {
        Some(built) => built.note_ready(state.generation, &attest::now()),
        None => Ok(()),
    }
}

/// The jail, planned and ready to be started; `None` if it runs already.
pub(super) fn prepare_start(
    places: &Places,
    name: &str,
    mode: Mode,
    report: &Report<'_>,
) -> Result<Option<Jail>> {
    let jail = jail::plan(places, name, mode, report)?;
    let directory = places.runtime(name);
    takeover::ensure(places, name, report);
    if State::running(&directory)?.is_some() {
        return Ok(None);
    }
    settled(&directory, CLEAN_UP_TIMEOUT)?;
    // One that waits to be started again need not wait any more.
    if let Some(state) = State::load(&directory)?.filter(State::is_restarting) {
        end_waiting(&directory, &state)?;
    }
    before_start(places, &jail)?;
    Ok(Some(jail))
}

pub(super) fn before_start(places: &Places, jail: &Jail) -> Result<()> {
    let Jail { spec, account, .. } = jail;
    let name = &spec.name;
    preflight::host_copy_is_stopped(name, &spec.service.command, Copies::SameCommand)?;
    ports::are_free(name, &handed::signs_of_its_own(spec), &places.trace(name))?;
    let writable = spec
        .binds
        .iter()
        .filter(|bind| bind.writable)
        .map(|bind| bind.path.as_path());
    preflight::make_own_directories(writable, account.user.uid, account.group.gid)?;
    state::make_directory(&places.runtime(name))
}

/// Stops the service: its own way, then TERM, then KILL. `Ok(false)`: it did not run.
///
/// A first process that waits while others serve leaves the service to them when it ends: then
/// those are asked too.
///
/// # Errors
/// It cannot be signalled, or what is left of the jail cannot be removed.
pub fn stop(places: &Places, name: &str, report: &Report<'_>) -> Result<bool> {
    super::may_jail(&format!("stop {name}"))?;
    let spec = jail::load_spec(places, name)?;
    let directory = places.runtime(name);
    if State::load(&directory)?.is_none() {
        return Ok(false);
    }
    // What it has said, and nobody has passed on, is not to be lost.
    takeover::ensure(places, name, report);
    restarts::ask_to_stop(&directory)?;
    let mut ran = false;
    let deadline = Instant::now() + CLEAN_UP_TIMEOUT;
    loop {
        if let Some(state) = State::running(&directory)? {
            if !ran {
                report(Event::Doing(format!("stopping {name}")));
            }
            ran = true;
            end(places, &spec, &state)?;
            let Some(supervisor) = state.supervisor.filter(|supervisor| supervisor.is_alive())
            else {
                return leftover::remove(&directory, &state).map(|()| true);
            };
            if end_or_heir(&directory, supervisor)?.is_none() {
                return Ok(true);
            }
            continue;
        }
        match State::load(&directory)? {
            Some(state) if state.is_restarting() => {
                ran = true;
                end_waiting(&directory, &state)?;
            }
            // It cleans up, or is about to wait: then it finds out that it is to stop.
            Some(state)
                if state.supervisor.is_some_and(ProcessName::is_alive)
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(POLL);
            }
            Some(state) => return leftover::remove(&directory, &state).map(|()| ran),
            None => return Ok(ran),
        }
    }
}

/// Waits for a supervisor whose service has ended, until it has cleaned up or waits to start it again.
pub(super) fn settled(directory: &Path, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    while let Some(state) = State::load(directory)? {
        let cleans = state.supervisor.is_some_and(ProcessName::is_alive)
            && !state.service.is_alive()
            && !state.is_restarting();
        if !cleans || Instant::now() > deadline {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Ends a supervisor that waits to start its service again. Comes back earlier if it has done so.
fn end_waiting(directory: &Path, state: &State) -> Result<()> {
    let doing = || format!("stop {}", state.name);
    let Some(supervisor) = state.supervisor else {
        return Ok(());
    };
    restarts::ask_to_stop(directory)?;
    if let Ok(handle) = supervisor.open()
        && supervisor.is_alive()
    {
        match sys::signals::send(&handle, SIGTERM) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
    }
    let deadline = Instant::now() + CLEAN_UP_TIMEOUT;
    while supervisor.is_alive() && State::running(directory)?.is_none() {
        if Instant::now() > deadline {
            return Err(Error::new(doing(), "its supervisor does not end"));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Ends the process that is the service.
fn end(places: &Places, spec: &Spec, state: &State) -> Result<()> {
    let doing = || format!("stop {}", spec.name);
    let pid = Pid::from_raw(state.service.pid).ok_or_else(|| Error::new(doing(), "no pid"))?;
    let handle = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        opened => opened.doing(doing)?,
    };
    let patience = Duration::from_secs(spec.service.stop_timeout_s.into());
    if state.service.is_alive() {
        let own = || command::run(&spec.service.stop, patience);
        // One that is frozen can do nothing about it.
        let frozen = restarts::frozen(&places.runtime(&spec.name)).is_some();
        let asks = !frozen && !spec.service.stop.is_empty();
        let asked = asks && guard::past(places, own)?.succeeded();
        let gone = asked && wait_for_end(state.service, patience);
        let ways = [(SIGTERM, patience), (SIGKILL, CLEAN_UP_TIMEOUT)];
        for (signal, patience) in ways.into_iter().skip(usize::from(frozen)) {
            if gone || !state.service.is_alive() {
                break;
            }
            match sys::signals::send(&handle, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(errno).doing(doing),
            }
            wait_for_end(state.service, patience);
        }
    }
    if state.service.is_alive() {
        return Err(Error::new(doing(), "it does not end, not even by SIGKILL"));
    }
    Ok(())
}

/// Waits for the supervisor's end; answers earlier if it has found another process to be the
/// service now.
fn end_or_heir(directory: &Path, supervisor: ProcessName) -> Result<Option<State>> {
    let deadline = Instant::now() + CLEAN_UP_TIMEOUT;
    while supervisor.is_alive() {
        let heir = State::running(directory)?;
        if heir.is_some() {
            return Ok(heir);
        }
        if Instant::now() > deadline {
            return Err(Error::new(
                format!("stop the jail of {}", directory.display()),
                "its supervisor does not end",
            ));
        }
        std::thread::sleep(POLL);
    }
    Ok(None)
}

fn wait_for_end(process: ProcessName, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while process.is_alive() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

/// Tests the configuration, then has the service read it again.
///
/// # Errors
/// It does not run; the configuration is bad, as the jail sees it (nothing is done then); its spec knows no way.
pub fn reload(places: &Places, name: &str, report: &Report<'_>) -> Result<()> {
    super::may_jail(&format!("reload {name}"))?;
    let spec = jail::load_spec(places, name)?;
    let doing = || format!("reload {name}");
    takeover::ensure(places, name, report);
    let Some(state) = State::running(&places.runtime(name))? else {
        return Err(
            Error::new(doing(), "it does not run").hint(format!("start it: gaoler start {name}"))
        );
    };
    config_test::run(places, &spec, &state, report)?;
    match &spec.service.reload {
        None => Err(Error::usage(doing(), "its spec knows no way")
            .hint("set service.reload to a signal or a command, or restart it")),
        Some(Reload::Signal(signal)) => {
            let pid =
                Pid::from_raw(state.service.pid).ok_or_else(|| Error::new(doing(), "no pid"))?;
            let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).doing(doing)?;
            // The test took its time: the number may have become somebody else's.
            if !state.service.is_alive() {
                return Err(Error::new(doing(), "it has ended meanwhile")
                    .hint(format!("start it: gaoler start {name}")));
            }
            sys::signals::send(handle, *signal).doing(doing)
        }
        Some(Reload::Command(words)) => {
            let run = || command::run(words, Duration::from_secs(60));
            let outcome = guard::past(places, run)?;
            if outcome.succeeded() {
                return Ok(());
            }
            let how = outcome
                .exit
                .map_or("a signal".to_owned(), |code| format!("exit code {code}"));
            Err(
                Error::new(doing(), format!("{} ended with {how}", words.join(" ")))
                    .hint(outcome.last_lines(10)),
            )
        }
    }
}
