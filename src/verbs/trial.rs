//! Trials: a variant of a jail's spec is built, started, exercised and stopped, in a place of its
//! own (docs/decisions/0010-trials.md). Isolated, the real jail may go on running and several
//! trials go on at once; in place, the real jail is stopped meanwhile and started again.

mod copies;
mod crew;
mod follow;
mod keeper;
mod place;
mod worker;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Places;
use super::worker::Worker;
use crate::spec::{self, Spec};
use crate::{Error, Result};
use copies::Copied;
pub(super) use crew::{Crew, Signals, Terms};
pub use follow::Need;
pub(super) use follow::{Follow, Followed};
pub use keeper::trial_keeper;
use place::Place;
pub use place::killed_trial;
pub use worker::trial_worker;
use worker::{Answer, Begin, Job, Task};

/// Where trials are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// In namespaces of its own, with a network of just the loopback interface, and on copies of
    /// what the service writes.
    Isolated,
    /// With the host's network and the service's own files, while the real jail is stopped.
    InPlace,
}

impl Way {
    fn option(self) -> &'static str {
        match self {
            Self::Isolated => "--isolated",
            Self::InPlace => "--in-place",
        }
    }
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// It started, every exercise passed, and it stopped when it was told to.
    Passed {
        /// How long it took to build and start, in ms.
        start_ms: u64,
        /// How long the longest exercise took, in ms.
        exercise_ms: u64,
        /// How long it was busy after that, while nobody asked it anything, in ms.
        busy_ms: u64,
    },
    /// It did not.
    Failed {
        /// The exercise that failed first; `start`, `serve` or `stop` if it was none.
        what: String,
        /// What was wrong.
        why: String,
        /// What was printed last.
        output: String,
    },
}

/// As much of what an exercise printed is kept.
const MOST_OUTPUT: usize = 4096;

impl Outcome {
    fn failed(what: &str, why: &str, output: &str) -> Self {
        let end = output.len().saturating_sub(MOST_OUTPUT);
        let end = (end..output.len()).find(|at| output.is_char_boundary(*at));
        Self::Failed {
            what: what.to_owned(),
            why: why.to_owned(),
            output: output[end.unwrap_or(output.len())..].to_owned(),
        }
    }

    /// Both: the slower one, or the failure.
    pub(super) fn slower(self, other: Self) -> Self {
        match (&self, &other) {
            (
                Self::Passed {
                    start_ms,
                    exercise_ms,
                    busy_ms,
                },
                Self::Passed {
                    start_ms: start,
                    exercise_ms: exercise,
                    busy_ms: busy,
                },
            ) => Self::Passed {
                start_ms: *start_ms.max(start),
                exercise_ms: *exercise_ms.max(exercise),
                busy_ms: *busy_ms.max(busy),
            },
            (Self::Failed { .. }, _) => self,
            (Self::Passed { .. }, _) => other,
        }
    }

    /// It did everything.
    pub(super) fn has_passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }
}

/// As much longer than at first, in ms, a service that has nothing to do may be busy while it is
/// watched: what never sleeps is busy three times as long.
const BUSY_MS: u64 = 50;

/// How long things may take. Before anything is known, as long as elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    ready_ms: u64,
    exercise_ms: u64,
    busy_ms: Option<u64>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            ready_ms: 60_000,
            exercise_ms: 30_000,
            busy_ms: None,
        }
    }
}

impl Patience {
    /// Several times as long as it has taken, and some seconds.
    pub(super) fn after(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Failed { .. } => Self::default(),
            Outcome::Passed {
                start_ms,
                exercise_ms,
                busy_ms,
            } => Self {
                ready_ms: start_ms.saturating_mul(4).saturating_add(3000).min(60_000),
                exercise_ms: exercise_ms
                    .saturating_mul(4)
                    .saturating_add(2000)
                    .min(30_000),
                // A call that is denied and made again at once, for ever, starts nothing and
                // breaks no exercise.
                busy_ms: Some(busy_ms.saturating_add(BUSY_MS)),
            },
        }
    }
}

/// One worker and its place. Everything of it goes when it is dropped.
#[derive(Debug)]
pub(super) struct Trial {
    // Before its place, which can only be removed when it has ended.
    process: Worker,
    copied: Copied,
    place: Place,
}

impl Trial {
    /// Makes the place number `number` and starts its worker, whose copies cover `required`, and
    /// `optional` as far as they are not too large.
    ///
    /// # Errors
    /// Another command is trying the jail out; no namespaces are to be had; a place that must be
    /// covered is too large.
    pub(super) fn begin(
        places: &Places,
        name: &str,
        number: usize,
        way: Way,
        (required, optional): (&[PathBuf], &[PathBuf]),
    ) -> Result<Self> {
        let place = Place::make(places, name, number)?;
        let process = start_worker(&place, name, way)?;
        let mut trial = Self {
            process,
            copied: Copied::default(),
            place,
        };
        trial.process.send(&Begin {
            required: required.to_vec(),
            optional: optional.to_vec(),
        })?;
        match trial.process.receive()? {
            Answer::Ready(copied) => trial.copied = copied,
            Answer::Failed(failure) => return Err(failure.into()),
            Answer::Tried(_) | Answer::Followed(_) => return Err(out_of_turn()),
        }
        Ok(trial)
    }

    /// Ends the worker; the place stays.
    pub(super) fn end(self) -> Place {
        drop(self.process);
        self.place
    }

    /// What was copied for it.
    pub(super) fn copied(&self) -> &Copied {
        &self.copied
    }

    /// Its place on the host.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Has a spec tried, with its own exercises.
    ///
    /// # Errors
    /// The worker has ended.
    pub(super) fn send(
        &mut self,
        spec: &Spec,
        patience: Patience,
        (restarted, watch): (bool, bool),
    ) -> Result<()> {
        self.process.send(&Task::Try(Job {
            spec: spec::to_toml(spec),
            ready_ms: patience.ready_ms,
            exercise_ms: patience.exercise_ms,
            busy_ms: patience.busy_ms,
            restarted,
            watch,
        }))
    }

    /// Has a spec followed.
    ///
    /// # Errors
    /// The worker has ended.
    pub(super) fn send_to_follow(&mut self, task: Follow) -> Result<()> {
        self.process.send(&Task::Follow(task))
    }

    /// What was seen of the spec that was sent to be followed; waits for it.
    ///
    /// # Errors
    /// It could not be followed.
    pub(super) fn receive_followed(&mut self) -> Result<Followed> {
        match self.process.receive()? {
            Answer::Followed(followed) => Ok(followed),
            Answer::Failed(failure) => Err(failure.into()),
            Answer::Ready(_) | Answer::Tried(_) => Err(out_of_turn()),
        }
    }

    /// How the spec that was sent did; waits for it.
    ///
    /// # Errors
    /// What was no fault of the spec's.
    pub(super) fn receive(&mut self) -> Result<Outcome> {
        match self.process.receive()? {
            Answer::Tried(outcome) => Ok(outcome),
            Answer::Failed(failure) => Err(failure.into()),
            Answer::Ready(_) | Answer::Followed(_) => Err(out_of_turn()),
        }
    }
}

/// To wait for an answer.
impl AsFd for Trial {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

fn out_of_turn() -> Error {
    Error::new("hear of a trial", "it answered what it was not asked")
}

/// Starts a worker for the jail in a place.
fn start_worker(place: &Place, name: &str, way: Way) -> Result<Worker> {
    let places = place.places();
    let arguments = [
        OsStr::new("--etc"),
        places.etc.as_os_str(),
        OsStr::new("--state"),
        places.state.as_os_str(),
        OsStr::new("--run"),
        places.run.as_os_str(),
        OsStr::new("trial-worker"),
        OsStr::new(name),
        OsStr::new(way.option()),
    ];
    Worker::start(format!("a trial of {name}"), &arguments)
}

/// The places that a spec has writable, and those that it has read-only.
pub(super) fn bound(spec: &Spec) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let of = |writable: bool| {
        let binds = spec.binds.iter().filter(|bind| bind.writable == writable);
        binds.map(|bind| bind.path.clone()).collect()
    };
    (of(true), of(false))
}
