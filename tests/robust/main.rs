//! `build`, `run` and `start` of the real command, killed at every system call that changes
//! something, with every such call failing, and short of room, descriptors and processes: the last
//! good jail starts, and nothing is left of the one that was not. Run as root.
//!
//! `tracer.c` does the killing. `GAOLER_ROBUST=all` takes every place and every error, not only
//! those that fit into the time of a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of a test fails the test, and a test tells how many places it had"
)]

mod failing;
mod killed;
mod lab;
#[path = "../refusals"]
#[allow(dead_code, reason = "other tests need more of it")]
mod refusals {
    pub mod common;
}
mod short;

use refusals::common;
