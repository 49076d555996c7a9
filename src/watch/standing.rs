//! Whether a jail runs, and since when: what `list` shows of each, from a few small files.

use std::path::Path;

use serde::Serialize;

use crate::host::process;
use crate::run::restarts::{self, Cause};
use crate::run::state::{Last, State};

/// How a jail stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It runs, and has shown that it is ready.
    Running,
    /// Its processes are stopped where they were, for a look.
    Frozen,
    /// It runs, and its start goes on.
    Starting,
    /// It has ended, and its supervisor waits to start it again.
    Restarting,
    /// It does not run.
    Stopped,
    /// It does not run, and nobody has told it to end.
    Failed,
    /// What is known of it cannot be read.
    Unknown,
}

impl Condition {
    /// Each that there is.
    pub const ALL: [Condition; 7] = [
        Condition::Running,
        Condition::Frozen,
        Condition::Starting,
        Condition::Restarting,
        Condition::Stopped,
        Condition::Failed,
        Condition::Unknown,
    ];

    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Condition::Running => "running",
            Condition::Frozen => "frozen",
            Condition::Starting => "starting",
            Condition::Restarting => "restarting",
            Condition::Stopped => "stopped",
            Condition::Failed => "failed",
            Condition::Unknown => "unknown",
        }
    }
}

/// How a jail stands, with what is known of its service.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// In one word.
    pub condition: Condition,
    /// What the supervisor wrote down of one that runs.
    pub state: Option<State>,
    /// The effective user of the service's process.
    pub uid: Option<u32>,
    /// Why its state is unknown.
    pub problem: Option<String>,
}

/// Looks at a jail by its directory below `/run/gaoler`. Whatever is wrong with one jail is told of
/// that one.
pub fn standing(directory: &Path) -> Standing {
    let at_rest = |condition| Standing {
        condition,
        state: None,
        uid: None,
        problem: None,
    };
    let state = match State::load(directory) {
        Ok(state) => state,
        Err(error) => {
            return Standing {
                problem: Some(error.to_string()),
                ..at_rest(Condition::Unknown)
            };
        }
    };
    if state.as_ref().is_some_and(State::is_restarting) {
        return at_rest(Condition::Restarting);
    }
    match state.filter(|state| state.service.is_alive()) {
        Some(state) => Standing {
            condition: match restarts::frozen(directory) {
                Some(_) => Condition::Frozen,
                None => condition_of(&state),
            },
            uid: process::effective_user(state.service.pid).ok(),
            state: Some(state),
            problem: None,
        },
        None => at_rest(condition_after(Last::load(directory))),
    }
}

/// Without a supervisor nobody sees that it is ready.
fn condition_of(state: &State) -> Condition {
    let started = match state.supervisor {
        Some(_) => state.ready,
        None => state.serving,
    };
    match started {
        true => Condition::Running,
        false => Condition::Starting,
    }
}

fn condition_after(last: Option<Last>) -> Condition {
    let Some(last) = last else {
        return Condition::Stopped;
    };
    let failed = last.dead.is_some() || Cause::from(last.ended).is_failure();
    match failed && !last.stopped {
        true => Condition::Failed,
        false => Condition::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Ended;

    fn last(ended: Ended) -> Last {
        Last {
            ended,
            ..Last::default()
        }
    }

    #[test]
    fn an_orderly_end_is_no_failure() {
        assert_eq!(condition_after(None), Condition::Stopped);
        for ended in [Ended::Exited(0), Ended::Killed(15)] {
            assert_eq!(condition_after(Some(last(ended))), Condition::Stopped);
        }
        for ended in [Ended::Exited(1), Ended::Killed(9), Ended::Killed(11)] {
            assert_eq!(condition_after(Some(last(ended))), Condition::Failed);
            let stopped = Last {
                stopped: true,
                ..last(ended)
            };
            assert_eq!(condition_after(Some(stopped)), Condition::Stopped);
        }
        let dead = Last {
            dead: Some("it is silent".to_owned()),
            ..last(Ended::Killed(15))
        };
        assert_eq!(condition_after(Some(dead)), Condition::Failed);
    }

    #[test]
    fn a_state_that_somebody_could_have_written_is_told_and_not_believed() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(standing(place.path()).condition, Condition::Stopped);
        std::os::unix::fs::symlink("/etc/passwd", place.path().join("state.json")).unwrap();
        let found = standing(place.path());
        assert_eq!(found.condition, Condition::Unknown);
        assert!(found.problem.unwrap().contains("somebody else"));
    }
}
