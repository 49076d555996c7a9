//! Executes a plan and lives with the jail: pidfd, log socket, signals. Knows no names and no
//! policy.
#![forbid(unsafe_code)]

pub mod attempt;
mod attest;
pub mod backlog;
pub mod cgroup;
mod child;
mod complaints;
pub mod events;
mod init;
mod inside;
mod landlock;
pub mod launch;
pub mod leftover;
mod liveness;
pub mod log;
pub mod manager;
mod mounts;
mod notified;
mod output;
pub mod pid_file;
mod prepare;
pub mod readiness;
pub mod restarts;
mod scratch;
pub mod sockets;
mod start_calls;
mod start_helper;
pub mod started;
pub mod state;
pub mod supervise;
mod user_namespace;
mod warm_up;

pub use cgroup::{Reached, Usage};
pub use complaints::{Complaint, Record as ComplaintRecord};
pub use launch::{Ended, Launched, Stdio, launch};
