//! From what was seen to the evidence of a rule, and to the words of its reason.
use crate::learn::Trace;
use crate::learn::trace::Witness;
use crate::spec::{Evidence, Names, Observed};

/// What a witness of this trace saw.
pub(super) fn observed(trace: &Trace, witness: &Witness) -> Observed {
    let of = trace.certificate.runs.max(1);
    Observed {
        start: witness.start,
        serve: witness.serve,
        programs: Names::of(&witness.programs),
        exercises: Names::of(&witness.exercises),
        runs: witness.runs.clamp(1, of),
        of,
    }
}

/// Adds what was seen in another way to what is known already.
pub(super) fn add(known: &mut Option<Observed>, more: Observed) {
    *known = Some(match known.take() {
        Some(known) => known.and(more),
        None => more,
    });
}

/// The evidence of something that was seen, if it was; else that of a rule in `file`.
pub(super) fn or_rule(seen: Option<Observed>, file: &str) -> Evidence {
    match seen {
        Some(seen) => Evidence::Observed(seen),
        None if file.is_empty() => Evidence::built_in(),
        None => Evidence::Rule(file.to_owned()),
    }
}

/// ` by named at start and while it serves`: no counts, which differ from run to run.
pub(super) fn by_whom_and_when(seen: &Observed) -> String {
    let whom = if seen.programs.is_empty() {
        String::new()
    } else {
        format!(" by {}", seen.programs.words())
    };
    format!("{whom} {}", when(seen))
}

/// When something was seen.
pub(super) fn when(seen: &Observed) -> &'static str {
    match (seen.start, seen.serve) {
        (_, 0) => "at start",
        (0, _) => "while it serves",
        _ => "at start and while it serves",
    }
}
