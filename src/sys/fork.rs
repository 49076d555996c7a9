//! `clone3(2)`: a child in new namespaces with a pidfd for it, or one with a chosen pid that
//! borrows its parent's memory until it executes a program.

mod borrowing;

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::{Errno, Result};

pub use borrowing::{Stack, fork_borrowing};

/// New namespaces for a child or for the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// CLONE_NEWNS
    pub mount: bool,
    /// CLONE_NEWPID
    pub pid: bool,
    /// CLONE_NEWIPC
    pub ipc: bool,
    /// CLONE_NEWUTS
    pub uts: bool,
}

impl Namespaces {
    fn flags(self) -> i32 {
        let flag = |set: bool, bit: i32| if set { bit } else { 0 };
        flag(self.mount, libc::CLONE_NEWNS)
            | flag(self.pid, libc::CLONE_NEWPID)
            | flag(self.ipc, libc::CLONE_NEWIPC)
            | flag(self.uts, libc::CLONE_NEWUTS)
    }
}

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Side {
    /// The new process.
    Child,
    /// The old one.
    Parent {
        /// The child's pid in the caller's pid namespace.
        pid: i32,
        /// A stable handle on it.
        pidfd: OwnedFd,
    },
}

/// Forks into new namespaces. The child is a copy of the calling process with a signal of
/// SIGCHLD at its end.
///
/// # Errors
/// `EDEADLK` if the process has more than one thread: a copy of one thread could find locks
/// that nobody will ever release (`fork(2)`, NOTES). Else as `clone3(2)`: `EPERM` without
/// CAP_SYS_ADMIN.
pub fn fork(namespaces: Namespaces) -> Result<Side> {
    if !single_threaded()? {
        return Err(Errno::DEADLK);
    }
    let mut pidfd: libc::c_int = -1;
    let flags = i64::from(libc::CLONE_PIDFD) | i64::from(namespaces.flags());
    // SAFETY: clone_args is plain integers, for which all zeroes is a valid value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = flags.unsigned_abs();
    arguments.pidfd = (&raw mut pidfd).addr() as u64;
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    // SAFETY: no CLONE_VM and no new stack, so the child gets a copy of this stack and returns
    // here as from fork(2); `arguments` and `pidfd` outlive the call. The process has one
    // thread, so the copied heap and locks are in a consistent state.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match super::check(result)? {
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent {
            pid: i32::try_from(pid).map_err(|_| Errno::OVERFLOW)?,
            // SAFETY: the kernel has just put a new descriptor there, which nobody else owns.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
    }
}

/// Moves the calling process into new namespaces (`unshare(2)`). A new pid namespace is for
/// its children only.
///
/// # Errors
/// As `unshare(2)`.
pub fn unshare(namespaces: Namespaces) -> Result<()> {
    // SAFETY: takes flags only; none of them unshares memory or descriptors.
    let result = unsafe { libc::syscall(libc::SYS_unshare, namespaces.flags()) };
    super::check(result).map(drop)
}

/// Ends the process at once, without running anything that was registered for its end.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit does not return and touches no memory of this process.
    unsafe { libc::_exit(code) }
}

/// Whether the caller is the only thread: `unshare(CLONE_THREAD)` does nothing then and answers
/// `EINVAL` otherwise (`unshare(2)`), also where there is no `/proc` to look into.
fn single_threaded() -> Result<bool> {
    // SAFETY: takes flags only, and with this one changes nothing.
    let result = unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_THREAD) };
    match super::check(result) {
        Ok(_) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}
