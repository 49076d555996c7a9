//! A run of a service in its jail, under a tracer.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use super::super::lifecycle;
use super::super::supervisor::Supervisor;
use super::super::{Event, Jail, Places, Report};
use crate::learn::{self, Held, Progress, Request, Trace};
use crate::plan::Mode;
use crate::run::state::Last;
use crate::spec::Ready;
use crate::{Doing, Error, Result};

/// How long a jailed service may take to become ready under the tracer.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// In place of a line in the log, which the tracer does not see.
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
}

/// Starts the jail, exercises it and stops it.
pub(super) fn follow(places: &Places, jail: &Jail, report: &Report<'_>) -> Result<Followed> {
    let name = &jail.spec.name;
    report(Event::Doing(format!("running {name} in its jail")));
    lifecycle::before_start(places, jail)?;
    let mut supervisor = Supervisor::start(places, name, Mode::Traced, &[])?;
    let pid = match supervisor.has_forked() {
        Ok(pid) => pid,
        Err(error) => {
            supervisor.wait()?;
            return Ok(Followed {
                failures: vec![error.to_string()],
                ..Followed::default()
            });
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
    let held = Held {
        pid,
        let_go: Box::new(|| supervisor.let_go()),
    };
    let (trace, error) = match learn::follow(&request(jail)?, held, &progress) {
        Ok(followed) => followed,
        // A launch that failed is gone before anybody can take hold of it.
        Err(error) => {
            return match supervisor.has_failed()? {
                Some(failed) => Ok(Followed {
                    failures: vec![failed.to_string()],
                    ..Followed::default()
                }),
                None => Err(error),
            };
        }
    };
    supervisor.wait()?;
    let words = Last::load(&places.runtime(name)).map_or_else(String::new, |last| last.words);
    let mut failures: Vec<String> = error.iter().map(Error::to_string).collect();
    failures.extend(failed.into_inner().unwrap_or_default());
    Ok(Followed {
        trace: Some(trace),
        failures,
        words,
    })
}

fn request(jail: &Jail) -> Result<Request> {
    let service = &jail.spec.service;
    let null = std::fs::File::open("/dev/null").doing(|| "open /dev/null")?;
    let ready = service.ready.iter().map(|sign| match sign {
        Ready::Log(_) => QUIET,
        other => other.clone(),
    });
    Ok(Request {
        command: service.command.clone(),
        environment: service.environment.clone(),
        workdir: PathBuf::from("/"),
        ids: None,
        ready: ready.collect(),
        ready_timeout: READY_TIMEOUT,
        exercises: jail.spec.exercises.clone(),
        serve_for: Duration::ZERO,
        stop_command: service.stop.clone(),
        stop_timeout: Duration::from_secs(service.stop_timeout_s.into()),
        output: null.into(),
        passes: 1,
        capabilities: learn::trace::CapabilitySource::KernelEvent,
        unfinished: None,
    })
}
