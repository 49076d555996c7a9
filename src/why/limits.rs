//! Limits that were reached.

use super::denial::{Denial, Limit, Remedy, Source};
use super::explain::{Evidence, errno_name, when};
use crate::learn::trace::CallFailed;
use crate::sys::abi;

/// A raised limit is this much of the old one.
const RAISE: u64 = 2;

/// Calls that failed as they do when a limit of the spec is reached.
pub(super) fn reached(evidence: &Evidence<'_>) -> Vec<Denial> {
    let failed = evidence.run.into_iter().flat_map(|run| run.failed.iter());
    let mut denials: Vec<Denial> = Vec::new();
    for (limit, value, failed) in failed.filter_map(|failed| {
        let limit = limit_of(failed)?;
        Some((limit, limit.of(evidence.spec)?, failed))
    }) {
        if denials.iter().any(|known| known.subject == key(limit)) {
            continue;
        }
        let cause = format!(
            "{} failed with {}, {}: the spec's limit of {value} was reached",
            failed.name,
            errno_name(failed.errno),
            when(failed.phase)
        );
        denials.push(Denial {
            source: Source::Run,
            subject: key(limit),
            cause,
            remedy: Remedy::Limit(limit, value.saturating_mul(RAISE)),
        });
    }
    denials
}

fn key(limit: Limit) -> String {
    format!("limits.{}", limit.key())
}

/// The limit that makes a call fail so (`errno(3)`; `fork(2)` for EAGAIN).
fn limit_of(failed: &CallFailed) -> Option<Limit> {
    match (failed.name.as_str(), failed.errno) {
        (_, abi::EMFILE) => Some(Limit::Descriptors),
        (_, abi::EFBIG) => Some(Limit::FileSize),
        ("brk" | "mmap" | "mremap" | "mprotect", abi::ENOMEM) => Some(Limit::Memory),
        ("clone" | "clone3" | "fork" | "vfork", abi::EAGAIN) => Some(Limit::Processes),
        _ => None,
    }
}
