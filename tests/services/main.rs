//! Other people's daemons, as Debian ships them, each jailed from nothing but its command, or from
//! what gaoler knows of it: learned, healed, built, started, tried out with real clients, checked,
//! stopped, and nothing left behind.
//! `docs/services/table.md` has what came of it; `GAOLER_BLESS=1 cargo test --test services`
//! writes that anew. Needs root and the packages that the rows name; each daemon runs in a machine
//! of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod daemons;
mod knowledge;
mod page;
// The machine has more than these tests use.
#[allow(dead_code, unused_imports)]
#[path = "../jail/machine/mod.rs"]
mod machine;
mod relay;
mod rows;
mod table;
