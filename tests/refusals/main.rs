//! What the command refuses, in which words and with which exit code, and what hostile callers
//! and hostile services get out of it: nothing. Run as root, through the real binary.
#![allow(clippy::unwrap_used, clippy::panic)]

mod checks;
mod common;
mod complaints;
mod daemons;
mod disks;
mod drift;
mod hostile;
mod init_script;
mod launch;
mod learning;
mod managed;
mod mounts;
mod names;
mod notified;
mod perms;
mod phases;
mod pid_file;
mod planted;
mod programs;
mod reload;
mod running;
mod sockets;
mod specs;
mod supervision;
mod warm_up;
