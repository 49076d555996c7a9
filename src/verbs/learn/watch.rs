//! Runs the service under the tracer, and refuses a trace that must not become a policy.

use std::fs;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::super::{Event, Report, ports};
use super::LearnOptions;
use super::service::Service;
use crate::host::command::last_lines;
use crate::host::notifications::Notifications;
use crate::learn::trace::CapabilitySource;
use crate::learn::{self, Progress, Request, Trace};
use crate::spec::Ready;
use crate::{Doing, Error, Result};

/// How long a service may take to become ready under the tracer.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long it may take to stop: squid gives its clients 30 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

/// How many lines of the service's own words an error shows.
const LAST_WORDS: usize = 12;

impl Service {
    /// Runs it, exercises it, stops it.
    pub(super) fn trace(
        &self,
        options: &LearnOptions,
        unfinished: PathBuf,
        report: &Report<'_>,
    ) -> Result<Trace> {
        report(Event::Doing(format!(
            "learning {}: starting it under the tracer",
            self.name
        )));
        let output = tempfile()?;
        let handle = output.try_clone().doing(|| "duplicate a descriptor")?;
        let stop = self
            .knowledge()
            .map(|known| known.stop.clone())
            .unwrap_or_default();
        let request = Request {
            command: self.command.clone(),
            environment: self.environment(),
            workdir: PathBuf::from("/"),
            ids: self.ids.clone(),
            ready: self.ready.clone(),
            ready_timeout: READY_TIMEOUT,
            exercises: self.exercises.clone(),
            serve_for: Duration::from_secs(options.serve_for),
            stop_command: stop,
            stop_timeout: STOP_TIMEOUT,
            output: OwnedFd::from(handle),
            passes: options.passes,
            capabilities: CapabilitySource::KernelEvent,
            unfinished: Some(unfinished),
            notifications: match self.ready.contains(&Ready::Notify) {
                true => Some(Notifications::open()?),
                false => None,
            },
        };
        let progress = |progress: Progress| match progress {
            Progress::Started { pass: 2, .. } => report(Event::Doing(format!(
                "learning {}: once more, at full speed, for what was not seen yet",
                self.name
            ))),
            Progress::Ready { .. } => {
                report(Event::Doing(format!("learning {}: it is ready", self.name)))
            }
            Progress::ExerciseStarted { name } => {
                report(Event::Doing(format!("learning {}: {name}", self.name)));
            }
            Progress::ExerciseFailed { name, why, output } => {
                report(Event::Warning(failed_exercise(&name, &why, &output)));
            }
            Progress::Stopping => {
                report(Event::Doing(format!("learning {}: stopping it", self.name)))
            }
            _ => {}
        };
        let words = || own_words(&output);
        let trace = learn::learn(request, &progress).map_err(|error| {
            let words = words();
            let error = if words.is_empty() {
                error
            } else {
                error.hint(format!("its last words:\n{words}"))
            };
            ports::explain(&self.name, &self.ready, error)
        })?;
        self.judge(&trace, &words())?;
        Ok(trace)
    }

    /// A trace that must not become a policy.
    fn judge(&self, trace: &Trace, words: &str) -> Result<()> {
        let doing = || format!("learn {}", self.name);
        ports::were_free(&self.name, trace)?;
        if trace.calls.is_empty() {
            return Err(Error::setup(doing(), "the trace is empty").hint(words));
        }
        Ok(())
    }
}

/// What is said of an exercise that was not passed. The service is learned all the same, but what
/// the exercise should have reached may be missing from its spec.
fn failed_exercise(name: &str, why: &str, output: &str) -> String {
    let output: String = last_lines(output, LAST_WORDS)
        .lines()
        .map(|line| format!("\n    {line}"))
        .collect();
    format!(
        "the exercise {name} failed, and what it should reach may not be allowed: {why}{output}"
    )
}

/// A file without a name: what the service prints while it is learned.
fn tempfile() -> Result<fs::File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let file = rustix::fs::memfd_create("output", flags).doing(|| "make a file in memory")?;
    Ok(fs::File::from(file))
}

fn own_words(mut output: &fs::File) -> String {
    let mut text = Vec::new();
    let read = output.rewind().and_then(|()| output.read_to_end(&mut text));
    match read {
        Ok(_) => last_lines(&String::from_utf8_lossy(&text), LAST_WORDS),
        Err(_) => String::new(),
    }
}
