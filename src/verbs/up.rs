//! `up`: learn if there is no spec, build, start, check. Done a second time it changes nothing.

use super::{
    Event, Jail, LearnOptions, Places, Report, check, guard, heal, jail, learn, lifecycle,
    may_jail, preflight, valid_name,
};
use crate::build::Built;
use crate::error::Kind;
use crate::learn::Trace;
use crate::run::state::State;
use crate::spec::{CallRule, Spec};
use crate::sys::calls;
use crate::{Doing, Error, Result};

/// What `up` was told: as `learn`.
pub type UpOptions = LearnOptions;

/// What `up` did, and what is there now.
#[derive(Debug)]
pub struct Up {
    /// The jail.
    pub jail: Jail,
    /// The trace, if it was learned just now.
    pub trace: Option<Trace>,
    /// What learning left out, with the reason.
    pub notes: Vec<String>,
    /// What was built.
    pub built: Built,
    /// The running jail.
    pub state: State,
    /// It ran before and was left alone.
    pub ran_already: bool,
    /// What `check --live` found.
    pub report: check::Report,
}

/// Does it all.
///
/// # Errors
/// As [`learn()`], `build`, `start` and `check`; each step leaves what it made, so that the
/// next `up` goes on from there.
pub fn up(places: &Places, options: &UpOptions, report: &Report<'_>) -> Result<Up> {
    valid_name(&options.name)?;
    may_jail(&format!("jail {}", options.name))?;
    let name = &options.name;
    let (trace, notes) = if places.spec(name).exists() && !options.again && !options.merge {
        same_command(places, options)?;
        (None, Vec::new())
    } else {
        let learned = learn(places, options, report)?;
        (Some(learned.trace), learned.notes)
    };
    let running = State::running(&places.runtime(name))?;
    if running.is_none() {
        let spec = jail::load_spec(places, name)?;
        if trace.is_none() {
            report(Event::Doing("testing the configuration".to_owned()));
            let test = &spec.service.config_test;
            guard::past(places, || preflight::configuration_is_good(name, test))?;
        }
    }
    report(Event::Doing(format!("building the root tree of {name}")));
    let (jail, built) = jail::build(places, name, options.incomplete, report)?;
    let stale = running.is_some_and(|state| state.generation != built.generation);
    if stale {
        report(Event::Note(
            "the running jail is of an older generation: restarting it".to_owned(),
        ));
        lifecycle::stop(places, name, report)?;
    }
    let (jail, built, started) = match lifecycle::start(places, name, false, report) {
        Ok(started) => (jail, built, started),
        Err(error) if error.is(Kind::Failed) => {
            // What learning noted may well be the reason.
            let mended = mend(places, name, error, report);
            for note in notes.iter().filter(|_| mended.is_err()) {
                report(Event::Note(note.clone()));
            }
            mended?;
            let (jail, built) = jail::build(places, name, options.incomplete, report)?;
            let started = lifecycle::start(places, name, false, report)?;
            (jail, built, started)
        }
        Err(error) => return Err(error),
    };
    let ran_already = started.is_none();
    let state = match started.or(State::running(&places.runtime(name))?) {
        Some(state) => state,
        None => return Err(Error::new(format!("start {name}"), "it ended at once")),
    };
    report(Event::Doing(format!("checking {name}")));
    let look = check::Look {
        live: true,
        exercise: false,
    };
    let report = check::check(places, name, look, report)?;
    Ok(Up {
        jail,
        trace,
        notes,
        built,
        state,
        ran_already,
        report,
    })
}

/// The service has not started in its jail: takes what is safe of what it was denied into the
/// spec. If that does not mend it, the spec is as before, and the error says what a person may
/// allow.
fn mend(places: &Places, name: &str, error: Error, report: &Report<'_>) -> Result<()> {
    report(Event::Warning(format!("{error}; looking why")));
    // One that runs and does not get ready was left for a person to look at.
    if State::running(&places.runtime(name))?.is_some() {
        lifecycle::stop(places, name, report)?;
    }
    let path = places.spec(name);
    let before = std::fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
    let healed = heal(places, name, report)?;
    if healed.works() && !healed.rounds.is_empty() {
        return Ok(());
    }
    if !healed.rounds.is_empty() {
        jail::replace(&path, &before)?;
        report(Event::Note(
            "that did not help: the spec is as before".to_owned(),
        ));
    }
    let asked: Vec<String> = healed
        .asked()
        .map(|one| format!("{} ({})", one.denial.subject, one.denial.cause))
        .collect();
    if asked.is_empty() {
        if changes_its_user(&jail::load_spec(places, name)?) {
            report(Event::Note(format!(
                "the jail denied nothing that explains it; a service that insists on being root \
                 until it changes its user: gaoler up {name} --again --start-as-root"
            )));
        }
        return Err(error);
    }
    let subjects: Vec<String> = healed
        .asked()
        .map(|one| format!(" --allow '{}'", one.denial.subject))
        .collect();
    Err(error.hint(format!(
        "it was denied what a person has to allow: {}; if it shall have that: gaoler why {name}{}",
        asked.join(", "),
        subjects.concat()
    )))
}

/// Whether the service was learned as root, became its user by itself, and is that from the start
/// in its jail.
fn changes_its_user(spec: &Spec) -> bool {
    let changes = |rule: &CallRule| calls::name(rule.number).is_some_and(is_change_of_ids);
    !spec.service.start_as_root && !spec.service.refuses_root && spec.calls.iter().any(changes)
}

fn is_change_of_ids(call: &str) -> bool {
    calls::CHANGE_IDS.contains(&call)
}

/// A command that is given for a jail that has a spec must be the spec's.
fn same_command(places: &Places, options: &UpOptions) -> Result<()> {
    if options.command.is_empty() {
        return Ok(());
    }
    let spec = jail::load_spec(places, &options.name)?;
    let same = spec.service.command.get(1..) == options.command.get(1..)
        && spec
            .service
            .command
            .first()
            .zip(options.command.first())
            .is_some_and(|(theirs, ours)| theirs == ours || theirs.ends_with(&format!("/{ours}")));
    if same {
        return Ok(());
    }
    Err(Error::usage(
        format!("jail {}", options.name),
        format!(
            "its spec has another command: {}",
            spec.service.command.join(" ")
        ),
    )
    .hint("--again learns the new one, and keeps the old spec beside it; or change the spec"))
}
