//! From a spec and what was built to the files of another enforcer, and the [gaps](Gap): what that
//! enforcer cannot say. Text in, text out: nothing here reads or writes a file.
#![forbid(unsafe_code)]

pub mod apparmor;
mod item;
mod ledger;
pub mod systemd;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::audit::Severity;
use crate::build::Manifest;
use crate::spec::Spec;
pub use item::{Item, items};
pub use ledger::Ledger;

/// What is exported.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The policy.
    pub spec: &'a Spec,
    /// What is in its tree.
    pub manifest: &'a Manifest,
    /// The tree's place on the host.
    pub tree: &'a Path,
    /// `service.user` as a number.
    pub uid: u32,
    /// `service.group` as a number.
    pub gid: u32,
    /// Groups that the host's user is in beside those of the spec, by name: some enforcers take
    /// them along.
    pub other_groups: &'a [String],
}

/// Whose files the service sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Root {
    /// Those of the jail's tree.
    #[default]
    Tree,
    /// The host's.
    Host,
}

/// One file for the enforcer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportedFile {
    /// Its path below the directory that is exported into.
    pub path: PathBuf,
    /// Where it belongs on the host that is to enforce it.
    pub install: PathBuf,
    /// What is in it.
    #[serde(skip)]
    pub text: String,
}

/// What becomes of an item that an enforcer cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// It is gone: the service does without it.
    Lost,
    /// It is there, but more is allowed than the spec does.
    Loosened,
}

impl Loss {
    /// As JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Loss::Lost => "lost",
            Loss::Loosened => "loosened",
        }
    }
}

/// Something in a spec that an enforcer cannot say, or not exactly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// What it is about: [items](Item), as text.
    pub items: Vec<String>,
    /// What becomes of it.
    pub loss: Loss,
    /// Why, and what that means.
    pub why: String,
    /// How much that matters.
    pub severity: Severity,
    /// What it adds to the score of `check`.
    pub cost: f64,
}

/// What an export gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Exported {
    /// The files.
    pub files: Vec<ExportedFile>,
    /// What is not in them.
    pub gaps: Vec<Gap>,
}

impl Exported {
    /// What all gaps add to the score of `check`: 0 to 10.
    pub fn cost(&self) -> f64 {
        let sum: f64 = self.gaps.iter().map(|gap| gap.cost).sum();
        (sum.min(10.0) * 10.0).round() / 10.0
    }
}
