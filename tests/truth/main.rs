//! What the learner says happened is what happened: against calls that are known beforehand
//! (`storms`), and, for daemons as Debian ships them, against the kernel's own trace of the same
//! run and against `strace -f` of another (`daemons`). Needs root and the packages that the rows
//! name; each daemon runs in a machine of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod addresses;
mod compare;
// Some rows are not used here.
#[allow(dead_code)]
#[path = "../services/rows/mod.rs"]
mod daemon_rows;
mod daemons;
mod learner;
// The machine has more than these tests use.
#[allow(dead_code, unused_imports)]
#[path = "../jail/machine/mod.rs"]
mod machine;
mod oracle;
mod rows;
mod storms;
mod strace;
mod witness;
