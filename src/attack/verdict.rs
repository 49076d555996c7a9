//! From the answers of a probe, in the jail and outside, to a verdict.

use serde::{Deserialize, Serialize};

use super::{Answer, Layer, Probe};
use crate::filter::Instruction;
use crate::filter::evaluate::{Call, evaluate};
use crate::spec::Spec;
use crate::sys::seccomp::answers;

/// SIGSYS: what a filter kills with (`signal(7)`).
const SIGSYS: i32 = 31;

/// What limits kill with: SIGKILL (out of memory), SIGXCPU, SIGXFSZ.
const BY_LIMITS: [i32; 3] = [9, 24, 25];

/// How a probe ended for the jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It got through, and nothing allows that.
    Escaped,
    /// It cannot be told: where nothing confines it, it does not get through either.
    NotProven,
    /// It got through, and the spec allows that.
    AllowedBySpec,
    /// It did not get through.
    Blocked,
}

/// What comes of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// The layer that stopped it; `None` if none did, or it is not known.
    pub layer: Option<Layer>,
    /// What was seen.
    pub evidence: String,
}

/// What happened in the jail, and what the jail is.
#[derive(Clone, Copy, Debug)]
pub struct Confined<'a> {
    /// The answer.
    pub answer: &'a Answer,
    /// The jail's policy; another launcher has none, and its layers are not known.
    pub spec: Option<&'a Spec>,
    /// Its filters, of which the strictest answers; none if it has none.
    pub filters: &'a [&'a [Instruction]],
    /// `AUDIT_ARCH_*` of its calls.
    pub architecture: u32,
    /// The layers that were taken out.
    pub without: &'a [Layer],
    /// The start is over: nobody listens to its calls any more.
    pub serving: bool,
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unconfined {
    /// As whoever may do the most.
    pub root: Answer,
    /// Who that is: `root`, but for an ordinary user's jail.
    pub most: &'static str,
    /// As the service's user.
    pub user: Answer,
}

/// Judges.
pub fn judge(probe: &Probe, confined: Confined<'_>, outside: &Unconfined) -> Verdict {
    let answer = confined.answer;
    if let Answer::Through(_) = answer {
        return match confined.spec.and_then(|spec| probe.allowed_by(spec)) {
            Some(what) => Verdict {
                outcome: Outcome::AllowedBySpec,
                layer: None,
                evidence: format!("{}; the spec has {what}", answer.evidence()),
            },
            None => Verdict {
                outcome: Outcome::Escaped,
                layer: None,
                evidence: answer.evidence(),
            },
        };
    }
    let unproven = |why: String| Verdict {
        outcome: Outcome::NotProven,
        layer: None,
        evidence: why,
    };
    // One that a fault of its own has ended was not stopped by anything.
    let has_crashed = |signal: &i32| *signal != SIGSYS && !BY_LIMITS.contains(signal);
    if matches!(answer, Answer::TimedOut | Answer::Failed(_))
        || matches!(answer, Answer::Killed(signal) if has_crashed(signal))
    {
        return unproven(format!("in the jail: {}", answer.evidence()));
    }
    if matches!(answer, Answer::Left(_)) && confined.spec.is_none() {
        return unproven("what the host does with it is not the launcher's doing".to_owned());
    }
    if !outside.root.is_through() && !outside.user.is_through() {
        let (root, user) = (outside.root.evidence(), outside.user.evidence());
        let why = match root == user {
            true => format!("unconfined too: {root}"),
            false => format!(
                "unconfined too: as {}: {root}; as its user: {user}",
                outside.most
            ),
        };
        return unproven(why);
    }
    Verdict {
        outcome: Outcome::Blocked,
        layer: layer(probe, confined),
        evidence: answer.evidence(),
    }
}

/// Which layer stopped it: the filter says so itself, of the others the first that is there.
fn layer(probe: &Probe, confined: Confined<'_>) -> Option<Layer> {
    let there = |layer: &&Layer| !confined.without.contains(layer);
    let others = || {
        let mut layers = probe.layers.iter().filter(there);
        layers.find(|layer| **layer != Layer::Seccomp).copied()
    };
    match confined.answer {
        Answer::Killed(SIGSYS) => Some(Layer::Seccomp),
        _ if confined.spec.is_none() => None,
        Answer::Left(_) => Some(Layer::Host).filter(|layer| there(&layer)),
        Answer::Killed(_) => Some(Layer::Limits),
        Answer::Refused {
            call: Some(call), ..
        } => match is_allowed(&confined, call) {
            Some(false) => Some(Layer::Seccomp),
            Some(true) | None => others(),
        },
        Answer::Refused { call: None, .. } => probe.layers.iter().find(there).copied(),
        _ => others(),
    }
}

/// Whether the filters let a call run; `None` without any.
fn is_allowed(confined: &Confined<'_>, call: &[u64; 7]) -> Option<bool> {
    let [number, arguments @ ..] = *call;
    let call = Call {
        architecture: confined.architecture,
        number: u32::try_from(number).ok()?,
        arguments,
    };
    let lets_run = |program: &&[Instruction]| {
        let answer = evaluate(program, &call)?.answer;
        let asks = answer & answers::ACTION_FULL == answers::USER_NOTIF;
        Some(answer == answers::ALLOW || asks && !confined.serving)
    };
    let each: Vec<bool> = confined
        .filters
        .iter()
        .map(lets_run)
        .collect::<Option<_>>()?;
    (!each.is_empty()).then(|| each.into_iter().all(|runs| runs))
}
