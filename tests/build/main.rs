//! Trees built from specs, as root: run in, killed in the middle, compared with their manifests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod common;
mod drift;
mod errors;
mod generations;
mod interrupted;
mod named;
mod permissions;
mod programs;
mod standalone;
