//! What is weaker in an ordinary user's jail than in root's: the plan knows it, and here it counts.

use super::rule::rule;
use super::weights::{ROOT_EQUAL_GROUPS, TELLING_GROUPS};
use super::{Check, Finding, Severity, Subject};
use crate::plan::{GROUPS, NEIGHBOURS, OWNER};

/// The table.
pub(super) const CHECKS: &[Check] = &[
    rule(
        OWNER,
        Severity::Low,
        "the tree of an ordinary user's jail belongs to the user that the service runs as: the \
         owner of a file is no barrier, only mounts and Landlock are",
        "user_namespaces(7)",
        "a jail of root's has a tree of root's: sudo gaoler",
        |subject| said(subject, OWNER, |_| Severity::Low),
    ),
    rule(
        GROUPS,
        Severity::High,
        "without root nobody can leave a supplementary group, so the service keeps its user's",
        "setgroups(2); user_namespaces(7), /proc/PID/setgroups",
        "run gaoler as a user who is in no other group, or as root: sudo gaoler",
        |subject| said(subject, GROUPS, worst_group),
    ),
    rule(
        NEIGHBOURS,
        Severity::Medium,
        "whoever may signal the processes of the service's user can end everything that the user \
         runs",
        "kill(2)",
        "set pid_namespace and landlock to \"require\"",
        |subject| said(subject, NEIGHBOURS, |_| Severity::Medium),
    ),
];

/// Whether a line of what a plan lacks is one of these rules'.
pub(super) fn is_said_here(lacking: &str) -> bool {
    CHECKS.iter().any(|check| rest(lacking, check.id).is_some())
}

fn rest<'a>(lacking: &'a str, id: &str) -> Option<&'a str> {
    lacking.strip_prefix(id)?.strip_prefix(": ")
}

fn said(subject: &Subject<'_>, id: &str, severity: fn(&Subject<'_>) -> Severity) -> Vec<Finding> {
    let lacking = subject.plan.lacking.iter();
    let words = lacking.filter_map(|line| rest(line, id));
    words
        .map(|words| Finding::plain(severity(subject), subject.spec.service.user.clone(), words))
        .collect()
}

/// By the names that the spec has for them: some groups are as good as root.
fn worst_group(subject: &Subject<'_>) -> Severity {
    let groups = &subject.spec.service.groups;
    let has = |named: &[&str]| groups.iter().any(|group| named.contains(&group.as_str()));
    if has(&ROOT_EQUAL_GROUPS) {
        Severity::High
    } else if has(&TELLING_GROUPS) {
        Severity::Medium
    } else {
        Severity::Low
    }
}
