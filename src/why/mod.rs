//! Why something does not work in a jail, and the smallest change that lets it: from what a run
//! in the jail showed, what the kernel wrote down, and what the service said.
#![forbid(unsafe_code)]

pub mod audit;
mod calls;
mod decides;
mod denial;
mod explain;
mod limits;
pub mod linker;
mod places;
mod quote;
mod records;
mod said;
pub mod symbols;
#[cfg(test)]
mod tests;
mod wider;

pub use decides::{Decider, Inside};
pub use denial::{Denial, Limit, Remedy, Source};
pub use explain::{Evidence, NEVER_GIVEN, explain};
pub use limits::{HostLimits, Inherited};
pub use places::Places;
pub use records::{Counts, Records, Scope, explained};
pub use said::said;
pub use wider::{Wider, wider};
