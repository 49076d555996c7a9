//! Every hole that was published of launchers and builders of this kind, tried on gaoler, and on a
//! small launcher that has the hole: a check that finds nothing there would find nothing here.
//! `rows.rs` is the table, of which `tests/docs` makes docs/cve.md. Run as root, through the real
//! binary.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod calls;
mod descriptors;
mod hosts;
mod ids;
mod lab;
mod launcher;
mod links;
mod neighbours;
mod processes;
mod races;
#[path = "../refusals"]
#[allow(dead_code, reason = "other tests need more of it")]
mod refusals {
    pub mod common;
}

use refusals::common;
