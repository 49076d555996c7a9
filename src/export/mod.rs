//! From a spec and what was built to the files of another enforcer, and the [gaps](Gap): what that
//! enforcer cannot say. Text in, text out: nothing here reads or writes a file.
#![forbid(unsafe_code)]

pub mod apparmor;
pub mod bubblewrap;
pub mod firejail;
pub mod init;
mod item;
pub mod kubernetes;
mod launched;
mod ledger;
pub mod oci;
pub mod selinux;
mod sh;
pub mod systemd;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::audit::Severity;
use crate::build::Manifest;
use crate::spec::{CallRule, Spec};
use crate::sys::calls;
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
    /// `service.groups` as numbers.
    pub groups: &'a [u32],
    /// The option that names the user whom the service becomes, if it is known to have one: `-u`.
    pub user_option: Option<&'a str>,
    /// Groups that the host's user is in beside those of the spec, by name: some enforcers take
    /// them along.
    pub other_groups: &'a [String],
}

impl Subject<'_> {
    /// The command for a manager that starts it as its user: without the option that would have it
    /// become that user.
    pub fn command_as_user(&self) -> Vec<&str> {
        let service = &self.spec.service;
        let words: Vec<&str> = service.command.iter().map(String::as_str).collect();
        let Some(at) = self.user_option_at() else {
            return words;
        };
        let rest = words.iter().enumerate();
        let kept = rest.filter(|(index, _)| !(at..at + 2).contains(index));
        kept.map(|(_, word)| *word).collect()
    }

    /// Whether a call serves to become that user alone, and is not made without the option.
    pub fn is_for_the_option(&self, rule: &CallRule) -> bool {
        let changes_ids = |name| calls::CHANGE_IDS.contains(&name);
        rule.start_only
            && calls::name(rule.number).is_some_and(changes_ids)
            && self.user_option_at().is_some()
    }

    fn user_option_at(&self) -> Option<usize> {
        let service = &self.spec.service;
        let option = self.user_option.filter(|_| !service.start_as_root)?;
        let mut pairs = service.command.windows(2).skip(1);
        let at = pairs.position(|pair| pair == [option, service.user.as_str()]);
        at.map(|at| at + 1)
    }
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
    /// Where it belongs on the host that is to enforce it; the same if that does not matter.
    pub install: PathBuf,
    /// What is in it.
    #[serde(skip)]
    pub text: String,
    /// It is run: a script.
    pub executable: bool,
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
