//! What can be seen of running jails: as root, with real jails, and with services that would rather
//! not be seen as they are.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../refusals"]
mod refusals {
    #[allow(dead_code, unused_imports, reason = "other tests need more of it")]
    pub mod common;
}

mod busy;
mod events;
mod incidents;
mod lists;
mod traffic;
mod trees;

use refusals::common;
