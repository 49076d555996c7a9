//! Whether a jail runs, and since when: what `list` shows of each, from a few small files.

use std::path::Path;

use serde::Serialize;

use crate::run::Ended;
use crate::run::state::{Last, State};

/// What ends a service that was told to end (`systemd.service(5)`, SuccessExitStatus=): HUP, INT,
/// PIPE, TERM.
const ORDERLY_SIGNALS: [i32; 4] = [1, 2, 13, 15];

/// How a jail stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It runs, and what only its start needs is over.
    Running,
    /// It runs, and its start goes on.
    Starting,
    /// It does not run.
    Stopped,
    /// It does not run, and has ended with an exit code or by a signal that means a failure.
    Failed,
    /// What is known of it cannot be read.
    Unknown,
}

impl Condition {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Condition::Running => "running",
            Condition::Starting => "starting",
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
    let running = State::load(directory).map(|state| {
        let state = state?;
        let status = state.service.status()?;
        Some((state, status))
    });
    match running {
        Ok(Some((state, status))) => Standing {
            condition: if state.serving {
                Condition::Running
            } else {
                Condition::Starting
            },
            uid: Some(status.uids[1]),
            state: Some(state),
            problem: None,
        },
        Ok(None) => at_rest(condition_after(
            Last::load(directory).map(|last| last.ended),
        )),
        Err(error) => Standing {
            problem: Some(error.to_string()),
            ..at_rest(Condition::Unknown)
        },
    }
}

fn condition_after(ended: Option<Ended>) -> Condition {
    match ended {
        Some(Ended::Exited(code)) if code != 0 => Condition::Failed,
        Some(Ended::Killed(signal)) if !ORDERLY_SIGNALS.contains(&signal) => Condition::Failed,
        _ => Condition::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orderly_end_is_no_failure() {
        for ended in [None, Some(Ended::Exited(0)), Some(Ended::Killed(15))] {
            assert_eq!(condition_after(ended), Condition::Stopped);
        }
        for ended in [Ended::Exited(1), Ended::Killed(9), Ended::Killed(11)] {
            assert_eq!(condition_after(Some(ended)), Condition::Failed);
        }
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
