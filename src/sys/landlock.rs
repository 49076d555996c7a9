//! The parts of Landlock that must run without allocating, or that the `landlock` crate keeps
//! private (kernel `Documentation/userspace-api/landlock.rst`).

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Result;

const CREATE_RULESET_VERSION: u32 = 1;

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
    // SAFETY: takes a descriptor and flags; touches no memory of the caller.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_restrict_self,
            ruleset.as_fd().as_raw_fd(),
            0_u32,
        )
    };
    super::check(result).map(drop)
}
