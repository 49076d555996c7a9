//! What a rule is, and the table of all of them.

use super::{Finding, Severity, Subject};
use super::{accepted, elf_checks, host_checks, live_checks, memory_checks, spec_checks};
use super::{live_places, rootless_checks, spec_places, stack_checks, tree_checks, tree_programs};

/// What has to be looked at before a rule can find something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The exercises of the spec: `--exercise`.
    Exercise,
    /// The running processes: `--live`.
    Live,
    /// Spec, tree and host, which are always looked at.
    Nothing,
}

/// One rule: its id, what it protects from, and how to look.
#[derive(Clone, Copy)]
pub struct Check {
    /// Stable id of its findings.
    pub id: &'static str,
    /// The most that one of its findings weighs.
    pub worst: Severity,
    /// What it looks for and why.
    pub about: &'static str,
    /// Where it comes from, if from none of the five documents ([`super::principles`]).
    pub from: &'static str,
    /// What to do about a finding that has nothing better to say.
    pub remedy: &'static str,
    /// What has to be looked at.
    pub needs: Needs,
    /// Looks. The findings get the rule's id.
    pub(super) look: fn(&Subject<'_>) -> Vec<Finding>,
}

/// Every rule for jails, those of what they are allowed first.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    spec_checks::CHECKS
        .iter()
        .chain(spec_places::CHECKS)
        .chain(rootless_checks::CHECKS)
        .chain(tree_programs::CHECKS)
        .chain(tree_checks::CHECKS)
        .chain(elf_checks::CHECKS)
        .chain(host_checks::CHECKS)
        .chain(stack_checks::CHECKS)
        .chain(live_checks::CHECKS)
        .chain(live_places::CHECKS)
        .chain(memory_checks::CHECKS)
        .chain(accepted::CHECKS)
}

/// A line of the table that needs no running jail.
pub(super) const fn rule(
    id: &'static str,
    worst: Severity,
    about: &'static str,
    from: &'static str,
    remedy: &'static str,
    look: fn(&Subject<'_>) -> Vec<Finding>,
) -> Check {
    Check {
        id,
        worst,
        about,
        from,
        remedy,
        needs: Needs::Nothing,
        look,
    }
}
