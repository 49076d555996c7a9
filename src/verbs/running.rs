//! What stays with a jail while it runs: its supervisor, or who runs it in the foreground.

use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use super::lifecycle::Announcement;
use super::{Places, attest, jail};
use crate::host::cgroup::Cgroups;
use crate::plan::{Mode, Plan};
use crate::run::manager::Manager;
use crate::run::restarts::Restarts;
use crate::run::sockets::{self, Offers};
use crate::run::state::{self, ProcessName, State};
use crate::run::supervise::{self, Handed, Stage, Supervision};
use crate::run::{Ended, cgroup, launch, leftover, started};
use crate::{Doing, Error, Result};

/// Where a supervisor finds what it needs of a jail.
struct Supervised {
    directory: PathBuf,
    history: Option<PathBuf>,
    host_log: bool,
    log_file: PathBuf,
    attest: Vec<OsString>,
}

impl Supervised {
    fn of(places: &Places, name: &str, mode: Mode) -> Self {
        // What is tried, or traced, is not the jail's life.
        let tried = places.trial().is_some() || mode == Mode::Traced;
        Self {
            directory: places.runtime(name),
            history: (!tried).then(|| places.state.join(name)),
            host_log: places.trial().is_none(),
            log_file: places.log(name),
            attest: attest::words(places, name, mode),
        }
    }

    fn supervision<'a>(&'a self, plan: &'a Plan, foreground: bool) -> Supervision<'a> {
        Supervision {
            plan,
            directory: &self.directory,
            history: self.history.as_deref(),
            foreground,
            host_log: self.host_log,
            log_file: &self.log_file,
            attest: &self.attest,
        }
    }
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
    let jail = Supervised::of(places, name, mode);
    supervise::supervise(
        &jail.supervision(&plan, false),
        handed,
        &mut |stage| match stage {
            Stage::Forked(pid) if mode == Mode::Traced => announce(&Announcement::Forked(pid)),
            Stage::Forked(_) => Ok(()),
            Stage::Started => announce(&Announcement::Started),
        },
    )?;
    Ok(())
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
    let plan = match started::plan(&places.runtime(name))? {
        Some(plan) => plan,
        None => plan_for(places, name, Mode::Supervised)?,
    };
    let jail = Supervised::of(places, name, Mode::Supervised);
    supervise::take_over(&jail.supervision(&plan, false), &mut |_| {
        announce(&Announcement::Started)
    })?;
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
    let plan = within_own_cgroup(plan)?;
    state::make_directory(&directory)?;
    if mode == Mode::Exec {
        return Err(execute(
            &plan,
            &directory,
            &places.state.join(name),
            manager,
        )?);
    }
    let handed = Handed {
        listener: None,
        sockets: Offers {
            manager: manager.sockets,
            kept: Vec::new(),
        },
        manager: manager.managed,
    };
    let jail = Supervised::of(places, name, mode);
    supervise::supervise(&jail.supervision(&plan, true), handed, &mut |_| Ok(()))
}

/// What systemd leaves to gaoler (`Delegate=yes`) is where the jail belongs then: what is counted and
/// limited for the unit is so for the jail, and nobody is in it who is not the unit's.
fn within_own_cgroup(plan: Plan) -> Result<Plan> {
    if plan.cgroups().is_empty() && plan.counting().is_empty() {
        return Ok(plan);
    }
    let Some((mount, own)) = Cgroups::probe()?.delegated()? else {
        return Ok(plan);
    };
    cgroup::step_aside(&own)?;
    Ok(plan.within(&mount, &own))
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
