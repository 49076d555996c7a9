//! `run`, `start`, `stop`, `restart`, `reload`: as an init script would
//! have them.

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use super::preflight::Copies;
use super::supervisor::Supervisor;
use super::{
    Event, Jail, Places, Report, attest, config_test, guard, handed, jail, ports, preflight,
    readiness, takeover,
};
use crate::build;
use crate::host::begun::Begun;
use crate::host::command;
use crate::plan::{Mode, Plan};
use crate::run::manager::Manager;
use crate::run::restarts::{self, Restarts};
use crate::run::sockets::{self, Offered, Offers};
use crate::run::state::{self, ProcessName, State};
use crate::run::supervise::{self, Handed, Stage, Supervision};
use crate::run::{Ended, launch, leftover, started};
use crate::spec::{Reload, Spec};
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
    let kept = handed::keep(&places.runtime(name), report)?;
    if stop(places, name, report)? {
        restarts::ask_to_restart(&places.runtime(name))?;
    }
    let started = (Mode::Supervised, kept);
    start_as(places, name, started, readiness::PATIENCE, report).map(drop)
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

/// What the supervisor does. `announce` gets the lines that `start` waits for, and in
/// [`Mode::Traced`] waits itself until the service may go on; `handed` is as in
/// [`supervise::supervise`].
///
/// # Errors
/// As [`supervise::supervise`].
pub fn supervise(
    places: &Places,
    name: &str,
    mode: Mode,
    handed: Handed,
    announce: &mut dyn FnMut(&Announcement) -> Result<()>,
) -> Result<()> {
    let result = supervise_announced(places, name, mode, handed, announce);
    if let Err(error) = &result {
        let (what, why, hint) = error.parts();
        announce(&Announcement::Failed(
            what.to_owned(),
            why.to_owned(),
            hint.map(str::to_owned),
        ))?;
    }
    result
}

fn supervise_announced(
    places: &Places,
    name: &str,
    mode: Mode,
    handed: Handed,
    announce: &mut dyn FnMut(&Announcement) -> Result<()>,
) -> Result<()> {
    rustix::process::setsid().doing(|| "start a session for the supervisor")?;
    let plan = plan_for(places, name, mode)?;
    let directory = places.runtime(name);
    let history = history(places, name, mode);
    let supervision = Supervision {
        plan: &plan,
        directory: &directory,
        history: history.as_deref(),
        foreground: false,
        host_log: places.trial().is_none(),
        log_file: &places.log(name),
        attest: &attest::words(places, name, mode),
    };
    supervise::supervise(&supervision, handed, &mut |stage| match stage {
        Stage::Forked(pid) if mode == Mode::Traced => announce(&Announcement::Forked(pid)),
        Stage::Forked(_) => Ok(()),
        Stage::Started => announce(&Announcement::Started),
    })?;
    Ok(())
}

/// Where it is written down that the jail was started again: what is tried, or traced, is not its
/// life.
fn history(places: &Places, name: &str, mode: Mode) -> Option<PathBuf> {
    let tried = places.trial().is_some() || mode == Mode::Traced;
    (!tried).then(|| places.state.join(name))
}

/// Stays beside a jail whose supervisor was killed. `announce` is told when it is taken over.
///
/// # Errors
/// As [`supervise::take_over`].
pub fn take_over(
    places: &Places,
    name: &str,
    announce: &mut dyn FnMut(&Announcement) -> Result<()>,
) -> Result<()> {
    super::valid_name(name)?;
    super::may_jail(&format!("take over the jail {name}"))?;
    rustix::process::setsid().doing(|| "start a session for the supervisor")?;
    let directory = places.runtime(name);
    let plan = match started::plan(&directory)? {
        Some(plan) => plan,
        None => plan_for(places, name, Mode::Supervised)?,
    };
    let history = history(places, name, Mode::Supervised);
    let supervision = Supervision {
        plan: &plan,
        directory: &directory,
        history: history.as_deref(),
        foreground: false,
        host_log: places.trial().is_none(),
        log_file: &places.log(name),
        attest: &attest::words(places, name, Mode::Supervised),
    };
    supervise::take_over(&supervision, &mut |_| announce(&Announcement::Started))?;
    Ok(())
}

/// The compiled plan if it still holds, else a new one.
fn plan_for(places: &Places, name: &str, mode: Mode) -> Result<Plan> {
    match jail::compiled(places, name, mode)? {
        Some(plan) => Ok(plan),
        None => Ok(jail::plan(places, name, mode, &|_| ())?.plan),
    }
}

/// Runs the service in the foreground. In [`Mode::Exec`] this process becomes the service, and this
/// function returns only on failure.
///
/// # Errors
/// It runs already; the jail could not be set up; what `manager` hands over is not what the spec says.
pub fn run(places: &Places, name: &str, mode: Mode, manager: Manager) -> Result<Ended> {
    // Every exit code but 2 and 125 is the service's own.
    run_planned(places, name, mode, manager).map_err(Error::nothing_started)
}

fn run_planned(places: &Places, name: &str, mode: Mode, manager: Manager) -> Result<Ended> {
    let plan = plan_for(places, name, mode)?.managed(&manager.managed)?;
    let directory = places.runtime(name);
    if let Some(state) = State::running(&directory)? {
        return Err(leftover::runs_already(&state));
    }
    state::make_directory(&directory)?;
    if mode == Mode::Exec {
        return Err(execute(
            &plan,
            &directory,
            &places.state.join(name),
            manager,
        )?);
    }
    let history = history(places, name, mode);
    let supervision = Supervision {
        plan: &plan,
        directory: &directory,
        history: history.as_deref(),
        foreground: true,
        host_log: places.trial().is_none(),
        log_file: &places.log(name),
        attest: &attest::words(places, name, mode),
    };
    let handed = Handed {
        listener: None,
        sockets: Offers {
            manager: manager.sockets,
            kept: Vec::new(),
        },
        manager: manager.managed,
    };
    supervise::supervise(&supervision, handed, &mut |_| Ok(()))
}

/// Becomes the service. Comes back only on failure.
fn execute(plan: &Plan, directory: &Path, history: &Path, manager: Manager) -> Result<Error> {
    let lock = leftover::lock_and_clear(directory)?;
    let offers = Offers {
        manager: manager.sockets,
        kept: Vec::new(),
    };
    // Closed by number on the way, as what follows.
    let sockets = ManuallyDrop::new(sockets::open(plan, offers)?);
    let state = State {
        name: plan.name.clone(),
        generation: plan.generation,
        service: ProcessName::of(std::process::id().cast_signed())?,
        init: None,
        supervisor: None,
        cgroups: plan.cgroups(),
        counting: plan.counting(),
        sockets: sockets::passed(plan),
        managed: manager.managed,
        serving: plan.start_ends_with().is_none(),
        complaining: false,
        notified: false,
        waits_for: None,
        ready: false,
        restarting: false,
        restarts: Restarts::load(history).count,
    };
    state.save(directory)?;
    // Both are closed by number on the way, so that nobody may close them once more.
    let saved = ManuallyDrop::new(state::Handle::open(directory)?);
    let _lock = ManuallyDrop::new(lock);
    let error = launch::execute(plan, directory, &sockets);
    // One with cgroups stays: this process is still in them, and whoever looks next finds them
    // by it.
    if state.cgroups.is_empty() {
        saved.forget();
    }
    Ok(error)
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
