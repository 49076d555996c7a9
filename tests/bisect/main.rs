//! `bisect` and `minimize`: jails with planted faults, and with planted superfluous things.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod faults;
mod minimal;
mod named;
#[path = "../refusals"]
#[allow(dead_code, reason = "other tests need more of it")]
mod refusals {
    pub mod common;
}
mod subject;
mod trials;

use refusals::common;
