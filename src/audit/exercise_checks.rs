//! Checks of what the running jail does for its clients: the exercises of its spec.

use super::{Check, Finding, Severity, Subject};

/// The table.
pub(super) const CHECKS: &[Check] = &[Check {
    id: "live.exercise",
    about: "the service does in the jail what it did when it was learned (with `--exercise`)",
    look: exercises,
}];

fn exercises(subject: &Subject<'_>) -> Vec<Finding> {
    let failed = subject.failed.iter();
    failed
        .map(|exercise| {
            let mut evidence = exercise.why.clone();
            if !exercise.last_words.is_empty() {
                evidence += &format!("; its last words: {}", exercise.last_words);
            }
            Finding::new(
                Severity::High,
                format!("exercise {}", exercise.name),
                evidence,
                "run it by hand; if the jail is the reason, learn more of the service: gaoler learn --merge",
            )
        })
        .collect()
}
