//! Why something does not work in a jail, and the smallest change that lets it: from what a run
//! in the jail showed, what the kernel wrote down, and what the service said.
#![forbid(unsafe_code)]

pub mod audit;
mod calls;
mod denial;
mod explain;
mod limits;
pub mod linker;
pub mod symbols;
#[cfg(test)]
mod tests;

pub use denial::{Denial, Remedy, Source};
pub use explain::{Evidence, explain};
