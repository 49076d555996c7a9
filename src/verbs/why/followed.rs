//! A run of a service in its jail, under a tracer.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use rustix::io::Errno;

use super::super::lifecycle;
use super::super::supervisor::Supervisor;
use super::super::{Event, Jail, Places, Report};
use crate::learn::{self, Held, Progress, Request, Trace};
use crate::plan::{Mode, Step};
use crate::run::Reached;
use crate::run::state::{Last, State};
use crate::spec::{Exercise, Ready};
use crate::{Doing, Error, Result};

/// How long a jailed service may take to become ready under the tracer.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// In place of what the service says, which the tracer does not hear.
const QUIET: Ready = Ready::Quiet(500);

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// What it did; `None` if the jail could not be set up.
    pub trace: Option<Trace>,
    /// What did not work, in words.
    pub failures: Vec<String>,
    /// What it printed or logged last.
    pub words: String,
    /// How often limits of its cgroups were reached.
    pub reached: Reached,
    /// The kernel did not find the program, or what runs it.
    pub unexecuted: bool,
}

impl Followed {
    /// The jail could not be set up.
    fn failed(jail: &Jail, error: &Error) -> Self {
        let (doing, why, _) = error.parts();
        let not_found = crate::error::explain(&Errno::NOENT.into());
        let executes =
            |step: &Step| matches!(step, Step::Execute { .. } | Step::OpenProgram { .. });
        let mut steps = jail.plan.steps.iter().map(|planned| &planned.step);
        let at = steps.any(|step| executes(step) && doing.ends_with(&step.to_string()));
        Self {
            failures: vec![error.to_string()],
            unexecuted: at && why == not_found,
            ..Self::default()
        }
    }
}

/// Starts the jail, exercises it and stops it.
pub(super) fn follow(places: &Places, jail: &Jail, report: &Report<'_>) -> Result<Followed> {
    let name = &jail.spec.name;
    report(Event::Doing(format!("running {name} in its jail")));
    lifecycle::before_start(places, jail)?;
    let mut supervisor = Supervisor::start(places, name, Mode::Traced, &[], Vec::new())?;
    let pid = match supervisor.has_forked() {
        Ok(pid) => pid,
        Err(error) => {
            supervisor.wait()?;
            return Ok(Followed::failed(jail, &error));
        }
    };
    let failed = Mutex::new(Vec::new());
    let progress = |event| match event {
        Progress::ExerciseStarted { name: exercise } => {
            report(Event::Doing(format!(
                "running {name} in its jail: {exercise}"
            )));
        }
        Progress::ExerciseFailed { name, why, .. } => {
            if let Ok(mut failed) = failed.lock() {
                failed.push(format!("exercise {name}: {why}"));
            }
        }
        _ => {}
    };
    let directory = places.runtime(name);
    let says_so = jail.spec.service.ready.contains(&Ready::Notify);
    let waits = says_so || jail.spec.exercises.iter().any(Exercise::is_of_start);
    let held = Held {
        pid,
        let_go: Box::new(|| supervisor.let_go()),
        // The supervisor runs the exercises of the start, and has its sockets.
        has_started: Box::new(|| {
            let state = State::load(&directory).ok().flatten();
            !waits || state.is_some_and(|state| state.serving && (state.notified || !says_so))
        }),
    };
    let (trace, error) = match learn::follow(&request(jail)?, held, &progress) {
        Ok(followed) => followed,
        // A launch that failed is gone before anybody can take hold of it.
        Err(error) => {
            return match supervisor.has_failed()? {
                Some(failed) => Ok(Followed::failed(jail, &failed)),
                None => Err(error),
            };
        }
    };
    // A launch that fails at its last step looks to the tracer like a service that exits.
    let error = match error {
        Some(error) => supervisor.has_failed()?.or(Some(error)),
        None => {
            supervisor.wait()?;
            None
        }
    };
    let (words, reached) = Last::load(&places.runtime(name))
        .map(|last| (last.words, last.reached))
        .unwrap_or_default();
    let mut failures: Vec<String> = error.iter().map(Error::to_string).collect();
    failures.extend(failed.into_inner().unwrap_or_default());
    Ok(Followed {
        trace: Some(trace),
        failures,
        words,
        reached,
        unexecuted: false,
    })
}

fn request(jail: &Jail) -> Result<Request> {
    let service = &jail.spec.service;
    let null = std::fs::File::open("/dev/null").doing(|| "open /dev/null")?;
    let ready = service.ready.iter().map(|sign| match sign {
        Ready::Log(_) | Ready::Notify => QUIET,
        other => other.clone(),
    });
    Ok(Request {
        command: service.command.clone(),
        environment: service.environment.clone(),
        workdir: PathBuf::from("/"),
        ids: None,
        ready: ready.collect(),
        ready_timeout: READY_TIMEOUT,
        exercises: jail
            .spec
            .exercises
            .iter()
            .filter(|exercise| !exercise.is_of_start())
            .cloned()
            .collect(),
        serve_for: Duration::ZERO,
        stop_command: service.stop.clone(),
        stop_timeout: Duration::from_secs(service.stop_timeout_s.into()),
        output: null.into(),
        passes: 1,
        capabilities: learn::trace::CapabilitySource::KernelEvent,
        unfinished: None,
        notifications: None,
    })
}
