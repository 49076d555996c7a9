//! Jails of an ordinary user: learned, built, run and attacked without root, with Debian's own
//! servers. Needs root for the machines that the tests run in, in which that user is made; and
//! memcached, named, nginx, redis, curl, dig.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout
)]

#[path = "../jail/machine/mod.rs"]
#[allow(dead_code, unused_imports, reason = "other tests need more of it")]
mod machine;

mod devices;
mod refusals;
mod services;
mod user;
