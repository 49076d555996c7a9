//! `check`: collects what there is to look at and lets the audit judge.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    Event, Places, Report as Events, guard, jail, may_jail, scan, score, takeover, unseen,
};
use crate::audit::{self, Facts, FailedExercise, Finding, Subject, live};
use crate::build;
use crate::host::command::last_lines;
use crate::host::process;
use crate::learn;
use crate::plan::Mode;
use crate::run::state::{Last, State};
use crate::run::{Ended, started};
use crate::spec::{Date, Spec};
use crate::{Error, Result};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The jail's name.
    pub name: String,
    /// 0 is best, 10 is worst.
    pub score: f64,
    /// The exercises that were run and passed, those of its start included.
    pub passed: Vec<String>,
    /// Worst first.
    pub findings: Vec<Finding>,
}

/// How many lines of a failed exercise's output a finding has.
const LAST_WORDS: usize = 3;

/// What is looked at beside the spec and the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The running processes.
    pub live: bool,
    /// What the service does for its clients: the exercises of the spec are run.
    pub exercise: bool,
}

/// Looks at the spec and the tree, and at what else is asked for.
///
/// # Errors
/// The jail has not been built; with `live` or `exercise`, it does not run, or an older
/// generation of it does; with `exercise`, its spec has none.
pub fn check(places: &Places, name: &str, look: Look, report: &Events<'_>) -> Result<Report> {
    may_jail(&format!("check {name}"))?;
    let stamp = score::stamp(places, name);
    let spec = jail::load_spec(places, name)?;
    let built = build::state_of(&places.state, name)?.map_or(Ok(None), |state| state.current())?;
    if built.is_none() {
        return Err(Error::new(format!("check {name}"), "it has not been built")
            .hint(format!("build it: gaoler build {name}")));
    }
    let directory = places.runtime(name);
    takeover::ensure(places, name, report);
    let running = State::running(&directory)?;
    let exec = running
        .as_ref()
        .is_some_and(|state| state.supervisor.is_none());
    let mode = if exec { Mode::Exec } else { Mode::Supervised };
    let mut jail = jail::plan(places, name, mode, &|_| ())?;
    // Where nobody stays between it and a manager, it has the manager's socket.
    if let Some(state) = running.as_ref().filter(|_| exec) {
        jail.plan = jail.plan.managed(&state.managed)?;
    }
    let drift: Vec<(String, String)> = build::drift(&jail.tree, &jail.manifest)?
        .into_iter()
        .map(|drift| (drift.path.display().to_string(), drift.what.to_string()))
        .collect();
    let mut seen = None;
    let mut failed = None;
    if look.live || look.exercise {
        let state = present(name, running, jail.generation, look)?;
        if look.live {
            seen = Some(live::look(
                &state,
                &jail.plan,
                &jail.tree,
                &jail.manifest,
                started::mounts(&directory).as_deref(),
            )?);
        }
        if look.exercise {
            failed = Some(exercise(places, &spec, &state, report)?);
        }
    }
    let passed = failed
        .as_deref()
        .map_or_else(Vec::new, |failed| passed(&spec, failed));
    let facts = facts(places, &jail)?;
    let findings = audit::audit(&Subject {
        spec: &spec,
        manifest: &jail.manifest,
        plan: &jail.plan,
        drift: &drift,
        facts: &facts,
        live: seen.as_ref(),
        failed: failed.as_deref(),
        today: Date::today(),
    });
    let score = audit::score(&findings);
    if let Some(stamp) = stamp {
        score::keep(&jail, score, stamp);
    }
    Ok(Report {
        name: name.to_owned(),
        score,
        passed,
        findings,
    })
}

/// What there is to know of the tree and the host. A trace that cannot be read shows nothing, and
/// what nothing shows is not told from what is not needed.
fn facts(places: &Places, jail: &jail::Jail) -> Result<Facts> {
    let name = &jail.spec.name;
    let mut around = scan::around(places, name)?;
    if let Ok(trace) = learn::load(&places.trace(name)) {
        around.unseen = unseen::of(&jail.spec, &trace);
    }
    around.unguarded = guard::problems(places, name)?;
    around.killed_by = match Last::load(&places.runtime(name)).map(|last| last.ended) {
        Some(Ended::Killed(signal)) => Some(signal),
        Some(Ended::Exited(_) | Ended::Unseen) | None => None,
    };
    let uid = jail.account.user.uid;
    Facts::gather(&jail.spec, &jail.tree, &jail.manifest, uid, around)
}

/// The jail's state, if what runs is what was built from the present spec.
fn present(name: &str, running: Option<State>, generation: u64, look: Look) -> Result<State> {
    let option = if look.exercise {
        "--exercise"
    } else {
        "--live"
    };
    match running {
        Some(state) if state.generation == generation => Ok(state),
        Some(state) => Err(Error::new(
            format!("check {name}"),
            format!(
                "generation {} runs and {generation} is built from the present spec",
                state.generation
            ),
        )
        .hint(format!("restart it: gaoler restart {name}"))),
        None => Err(
            Error::new(format!("check {name}"), "it does not run").hint(format!(
                "start it, or check without {option}: gaoler start {name}"
            )),
        ),
    }
}

/// The exercises that are not among those that failed.
fn passed(spec: &Spec, failed: &[FailedExercise]) -> Vec<String> {
    let names = spec.exercises.iter().map(|exercise| &exercise.name);
    let failed = |name: &&String| failed.iter().any(|one| one.name == **name);
    names.filter(|name| !failed(name)).cloned().collect()
}

/// Runs the exercises of the spec, one after another. Those of the start have passed when it is
/// over, and are not repeated: what they need may be refused by now.
pub(super) fn exercise(
    places: &Places,
    spec: &Spec,
    state: &State,
    report: &Events<'_>,
) -> Result<Vec<FailedExercise>> {
    let name = &spec.name;
    if spec.exercises.is_empty() {
        return Err(
            Error::new(format!("check {name}"), "its spec has no exercise").hint(format!(
                "write [[exercise]] into it, or: gaoler learn {name} --merge --exercise COMMAND"
            )),
        );
    }
    // To the second: how long it has been there at least.
    let age = Duration::from_secs(process::uptime_s(state.service.start_time)?);
    let since = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
    let mut failed = Vec::new();
    for exercise in &spec.exercises {
        report(Event::Doing(format!("checking {name}: {}", exercise.name)));
        if exercise.is_of_start() {
            if !state.serving {
                let why = state.waits_for.as_deref();
                failed.push(FailedExercise {
                    name: exercise.name.clone(),
                    why: why.unwrap_or("the start is not over").to_owned(),
                    last_words: String::new(),
                });
            }
            continue;
        }
        let pid = state.service.pid;
        let tried = guard::past(places, || Ok(learn::try_out(exercise, pid, since)))?;
        if let Err((why, output)) = tried {
            failed.push(FailedExercise {
                name: exercise.name.clone(),
                why,
                last_words: last_lines(&output, LAST_WORDS).replace('\n', " | "),
            });
        }
    }
    Ok(failed)
}
