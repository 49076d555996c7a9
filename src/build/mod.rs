//! From a [`Spec`](crate::spec::Spec) and the host to a root tree and its [`Manifest`]: ELF
//! closure, users, devices, permissions; built beside, then swapped in one rename.
#![forbid(unsafe_code)]

pub mod elf;
pub mod manifest;

pub use manifest::{Entry, EntryKind, Manifest};

/// Where the directory with the log socket is mounted in a jail; `/dev/log` leads there.
pub const LOG_DIRECTORY: &str = "/run/gaoler";
