//! `why` against real programs: what the dynamic linker really prints, and where a real process
//! really is.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod denied;
mod jail;
mod lab;
mod linker;
mod logs;
mod removals;
mod said;
mod symbols;
