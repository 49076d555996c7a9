//! Executes a plan and lives with the jail: pidfd, log socket, signals. Knows no names and no
//! policy.
#![forbid(unsafe_code)]

pub mod log;
