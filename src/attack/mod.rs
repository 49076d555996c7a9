//! Attacks on jails, as data: what is tried, which layers are to stop it, what a jail's plan is
//! without one of them, and what an attempt's end means. Starts nothing.
#![forbid(unsafe_code)]

mod answer;
mod layer;
mod logged;
mod table;
#[cfg(test)]
mod tests;
mod verdict;

pub use answer::Answer;
pub use layer::{
    Layer, launched, unconfined, unconfined_as_is, unconfined_in_namespace, with_log_of_host,
    with_prober, without,
};
pub use logged::{believed, lost};
pub use table::{Permit, Probe, probes};
pub use verdict::{Confined, Outcome, Unconfined, Verdict, judge};

/// The program that makes the attempts (docs/decisions/0012-the-prober.md): a static ELF file.
pub const PROBER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prober"));
