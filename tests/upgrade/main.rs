//! Generations, rolling back, bills of materials, and upgrades: of a small service in several
//! versions, some of which do not do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod generations;
#[path = "../refusals"]
#[allow(dead_code, reason = "other tests need more of it")]
mod refusals {
    pub mod common;
}
mod sbom;
mod subject;
mod upgrade;

use refusals::common;
