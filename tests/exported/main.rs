//! What `export` writes for other launchers, run by them: as root, with a real service in a network of
//! its own; and images on their way to a registry and back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of a test fails the test"
)]

mod bubblewrap;
mod equivalence;
mod firejail;
mod kubernetes;
mod misbehaving;
mod oci;
mod odd;
mod registry;
mod selinux;
mod started;
// The machine has more than these tests use.
#[allow(dead_code, unused_imports)]
#[path = "../jail/machine/mod.rs"]
mod machine;
#[path = "../refusals"]
#[allow(dead_code, reason = "other tests need more of it")]
mod refusals {
    pub mod common;
}

use refusals::common;
