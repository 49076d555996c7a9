//! From a spec, a manifest and the live state to [findings](Finding), as a table of checks.
//! Changes nothing.
#![forbid(unsafe_code)]

mod exercise_checks;
pub mod live;
mod live_checks;
mod score;
mod static_checks;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use score::score;
pub use static_checks::is_dangerous_call;

use crate::build::Manifest;
use crate::plan::Plan;
use crate::spec::Spec;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; adds nothing to the score.
    Info,
    /// Weaker than it could be.
    Low,
    /// A layer is missing or loose.
    Medium,
    /// The jail does not hold here.
    High,
    /// The jail does not hold.
    Critical,
}

/// One thing that a check saw.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Stable id, as in `live.uid`.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: a process, a path, a setting.
    pub subject: String,
    /// What was seen.
    pub evidence: String,
    /// What to do about it.
    pub remedy: String,
}

impl Finding {
    fn new(
        severity: Severity,
        subject: impl Into<String>,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            id: String::new(),
            severity,
            subject: subject.into(),
            evidence: evidence.into(),
            remedy: remedy.into(),
        }
    }
}

/// What is audited.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The policy.
    pub spec: &'a Spec,
    /// What was built.
    pub manifest: &'a Manifest,
    /// How it is started.
    pub plan: &'a Plan,
    /// Differences between the tree and the manifest: path, what.
    pub drift: &'a [(String, String)],
    /// The running jail, if it was looked at.
    pub live: Option<&'a live::Live>,
    /// The exercises that were tried out on the running jail and failed.
    pub failed: &'a [FailedExercise],
}

/// An exercise that a running jail did not pass.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedExercise {
    /// Its name.
    pub name: String,
    /// What it did instead of what is expected, in words.
    pub why: String,
    /// The last lines of what it printed, fit for a terminal.
    pub last_words: String,
}

/// One rule: its id, what it protects from, and how to look.
#[derive(Clone, Copy)]
pub struct Check {
    /// Stable id of its findings.
    pub id: &'static str,
    /// What it looks for and why.
    pub about: &'static str,
    /// Looks. The findings get the check's id.
    look: fn(&Subject<'_>) -> Vec<Finding>,
}

/// Every check there is, static ones first.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    static_checks::CHECKS
        .iter()
        .chain(live_checks::CHECKS)
        .chain(exercise_checks::CHECKS)
}

/// Runs every check that can be run: the live ones need a running jail.
pub fn audit(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = checks()
        .flat_map(|check| {
            (check.look)(subject).into_iter().map(|finding| Finding {
                id: check.id.to_owned(),
                ..finding
            })
        })
        .collect();
    findings.sort_by(|left, right| {
        right
            .severity
            .cmp(&left.severity)
            .then_with(|| left.id.cmp(&right.id))
    });
    findings
}
