//! Risks that the spec accepts: they are shown and do not count until they expire.

use serde::Serialize;

use super::{Check, Finding, Needs, Severity, Subject, checks, found};
use crate::spec::{Accepted, Date};

/// The table. What is not used can only be told once everything else was looked at, and is
/// therefore added by [`apply`].
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "accepted.expired",
        worst: Severity::Low,
        about: "an accepted risk is looked at again on the day that was set for it: what it \
                covered counts again",
        from: "field: fleets keep lists of exclusions (freeipa#4316), and forget them",
        remedy: "mend it, or set another day in [[accepted]]",
        needs: Needs::Nothing,
        look: expired,
    },
    Check {
        id: "accepted.idle",
        worst: Severity::Info,
        about: "what is accepted is there to be accepted: an entry that covers nothing would hide \
                what comes later",
        from: "as accepted.expired",
        remedy: "take the entry out of the spec",
        needs: Needs::Nothing,
        look: idle,
    },
];

/// Why a finding does not count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Risk {
    /// The reason in the spec.
    pub because: String,
    /// The last day.
    pub until: Date,
}

/// Marks the findings that are accepted.
pub(super) fn apply(subject: &Subject<'_>, findings: &mut [Finding]) {
    for finding in findings {
        let holds = |risk: &&Accepted| {
            risk.until >= subject.today && risk.covers(&finding.id, &finding.subject)
        };
        finding.accepted = subject.spec.accepted.iter().find(holds).map(|risk| Risk {
            because: risk.because.clone(),
            until: risk.until,
        });
    }
}

fn expired(subject: &Subject<'_>) -> Vec<Finding> {
    let all = subject.spec.accepted.iter();
    all.filter(|risk| risk.until < subject.today)
        .map(|risk| {
            Finding::plain(
                Severity::Low,
                format!("{}: {}", risk.check, risk.subject),
                format!("accepted until {}: {}", risk.until, risk.because),
            )
        })
        .collect()
}

fn idle(subject: &Subject<'_>) -> Vec<Finding> {
    let looked = |check: &&Check| match check.needs {
        Needs::Exercise => subject.failed.is_some(),
        Needs::Live => subject.live.is_some(),
        Needs::Nothing => !check.id.starts_with("accepted."),
    };
    let covers_nothing = |risk: &&Accepted| {
        let mut check = checks()
            .filter(looked)
            .filter(|check| check.id == risk.check);
        check.any(|check| {
            let found = found(check, subject);
            !found.iter().any(|one| risk.covers(check.id, &one.subject))
        })
    };
    let all = subject.spec.accepted.iter();
    all.filter(covers_nothing)
        .map(|risk| {
            Finding::plain(
                Severity::Info,
                format!("{}: {}", risk.check, risk.subject),
                "nothing of that kind is found",
            )
        })
        .collect()
}
