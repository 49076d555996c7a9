//! `gaoler metrics`, as Prometheus and promtool see it: over a port, over a Unix socket, as a file; and
//! the rules and the dashboard that come with it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of a test fails the test"
)]

#[path = "../watch/busy.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod busy;
#[path = "../refusals"]
mod refusals {
    #[allow(dead_code, unused_imports, reason = "other tests need more of it")]
    pub mod common;
}

mod examples;
mod exporter;
mod refused;
mod scraped;

use refusals::common;
