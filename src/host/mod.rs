//! The host, probed once, as plain data. Decides nothing.
#![forbid(unsafe_code)]

pub mod apparmor;
pub mod audit_records;
pub mod begun;
pub mod cgroup;
pub mod command;
pub mod confinement;
pub mod exercise;
pub mod kernel_log;
pub mod memory;
pub mod names;
pub mod netlink;
pub mod notifications;
pub mod packages;
pub mod process;
pub mod process_events;
pub mod sock_diag;
pub mod sockets;
pub mod user_namespaces;
pub mod users;

use std::fs;
use std::path::Path;

use crate::sys;
use crate::{Doing, Result};

/// What this machine can do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// Kernel release, as `uname -r`.
    pub kernel: String,
    /// Landlock ABI; 0 for none.
    pub landlock_abi: u32,
    /// The last capability that the kernel knows.
    pub last_capability: u8,
    /// cgroup hierarchies.
    pub cgroups: cgroup::Cgroups,
    /// The first port that needs no capability.
    pub unprivileged_port_start: u16,
    /// Who runs gaoler, if that is not root.
    pub user: Option<user_namespaces::OrdinaryUser>,
}

impl Host {
    /// Looks at the machine.
    ///
    /// # Errors
    /// A `/proc` that is not there or not readable.
    pub fn probe() -> Result<Self> {
        Ok(Self {
            kernel: number_file("/proc/sys/kernel/osrelease")?,
            landlock_abi: sys::landlock::abi(),
            last_capability: number_file("/proc/sys/kernel/cap_last_cap")?
                .parse()
                .unwrap_or(40),
            cgroups: cgroup::Cgroups::probe()?,
            unprivileged_port_start: number_file("/proc/sys/net/ipv4/ip_unprivileged_port_start")?
                .parse()
                .unwrap_or(1024),
            user: user_namespaces::OrdinaryUser::of_this_process(),
        })
    }
}

fn number_file(path: &str) -> Result<String> {
    let text = fs::read_to_string(Path::new(path)).doing(|| format!("read {path}"))?;
    Ok(text.trim().to_owned())
}
