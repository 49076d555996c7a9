//! From a spec, a manifest, the host and the live state to [findings](Finding), as a table of
//! checks; and from the processes that listen to what confines them ([`scan`]). Changes nothing.
#![forbid(unsafe_code)]

mod accepted;
mod elf_checks;
pub mod facts;
mod host_checks;
pub mod live;
mod live_checks;
mod live_places;
mod memory_checks;
pub mod principles;
mod rootless_checks;
mod rule;
pub mod scan;
mod score;
mod spec_checks;
mod spec_places;
mod stack_checks;
#[cfg(test)]
mod tests;
mod tree_checks;
mod tree_programs;
mod weights;

use serde::Serialize;

pub use accepted::Risk;
pub use facts::Facts;
pub use rule::{Check, Needs, checks};
pub use score::{score, weight};
pub use weights::is_dangerous_call;

use crate::build::Manifest;
use crate::plan::Plan;
use crate::spec::{Date, Spec};

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

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 5] = [
        Self::Info,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
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
    /// Why it does not count, if the spec says so.
    pub accepted: Option<Risk>,
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
            accepted: None,
        }
    }

    /// With the remedy of its rule.
    fn plain(severity: Severity, subject: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self::new(severity, subject, evidence, "")
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
    /// What else is known of the tree and the host.
    pub facts: &'a Facts,
    /// The running jail, if it was looked at.
    pub live: Option<&'a live::Live>,
    /// The exercises that were tried out on the running jail and failed, if they were tried out.
    pub failed: Option<&'a [FailedExercise]>,
    /// The day on which accepted risks are or are not.
    pub today: Date,
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

/// Runs every check that can be run: the live ones need a running jail. What counts comes first,
/// worst first, then what the spec accepts.
pub fn audit(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = checks().flat_map(|check| found(check, subject)).collect();
    accepted::apply(subject, &mut findings);
    findings.sort_by(|left, right| {
        (left.accepted.is_some().cmp(&right.accepted.is_some()))
            .then_with(|| right.severity.cmp(&left.severity))
            .then_with(|| left.id.cmp(&right.id))
    });
    findings
}

/// Rules about a running jail that find what is not drift: what it was started with, or how far it
/// is.
const NO_DRIFT: [&str; 2] = ["live.complain", "live.start"];

/// What is different from what was started, worst first: the tree, and of the running jail
/// everything that was promised. What the spec accepts is left out.
pub fn drift(subject: &Subject<'_>) -> Vec<Finding> {
    let is_of_drift = |check: &&Check| {
        let live = check.needs == Needs::Live && !NO_DRIFT.contains(&check.id);
        live || check.id == "tree.drift"
    };
    let mut findings: Vec<Finding> = checks()
        .filter(is_of_drift)
        .flat_map(|check| found(check, subject))
        .collect();
    accepted::apply(subject, &mut findings);
    findings.retain(|finding| finding.accepted.is_none() && finding.severity > Severity::Info);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// What one rule finds.
fn found(check: &Check, subject: &Subject<'_>) -> Vec<Finding> {
    let named = |mut finding: Finding| {
        finding.id = check.id.to_owned();
        if finding.remedy.is_empty() {
            finding.remedy = check.remedy.to_owned();
        }
        finding
    };
    (check.look)(subject).into_iter().map(named).collect()
}
