//! The parts of Landlock that must run without allocating, or that the `landlock` crate keeps
//! private (kernel `Documentation/userspace-api/landlock.rst`).

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};

const CREATE_RULESET_VERSION: u32 = 1;

/// `LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF`: what is refused before the next execve is not for
/// the audit log.
const LOG_SAME_EXEC_OFF: u32 = 1;

/// The first ABI with that flag (Linux 6.15).
const LOG_FLAGS_ABI: u32 = 7;

/// The Landlock ABI of this kernel; 0 where there is none.
pub fn abi() -> u32 {
    // SAFETY: with the VERSION flag the kernel wants a null attribute of size 0 and reads no
    // memory.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(result).unwrap_or(0)
}

/// Applies a ruleset to the calling thread and all that it starts. Needs no_new_privs.
///
/// # Errors
/// As `landlock_restrict_self(2)`.
pub fn restrict_self(ruleset: impl AsFd) -> Result<()> {
    let flags = if abi() >= LOG_FLAGS_ABI {
        LOG_SAME_EXEC_OFF
    } else {
        0
    };
    // SAFETY: takes a descriptor and flags; touches no memory of the caller.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_restrict_self,
            ruleset.as_fd().as_raw_fd(),
            flags,
        )
    };
    super::check(result).map(drop)
}

/// Holds that reading the directory `forbidden`, which everybody may but for Landlock, is refused:
/// the kernel has no call that says whether a ruleset is in force.
///
/// # Errors
/// `EPERM` if it could be read.
pub fn refuses(forbidden: impl AsFd) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat(forbidden, c".", flags, Mode::empty()) {
        Err(Errno::ACCESS) => Ok(()),
        Err(errno) => Err(errno),
        Ok(_) => Err(Errno::PERM),
    }
}
