//! From a spec, a manifest and the live state to [findings](Finding), as a table of checks.
//! Changes nothing.
#![forbid(unsafe_code)]

use serde::Serialize;

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
