//! Traces real programs. Needs root, a C compiler, strace, bind9, dig and inetd.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod capabilities;
mod common;
mod merging;
mod named;
mod odd;
mod passes;
mod plugins;
mod programs;
