//! What the learner says happened is what happened: against calls that are known beforehand.
//! Needs root and gcc.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod learner;
mod storms;
