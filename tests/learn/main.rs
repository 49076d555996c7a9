//! Traces real programs. Needs root, a C compiler, strace, bind9 and dig.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod capabilities;
mod common;
mod merging;
mod named;
mod passes;
mod programs;
