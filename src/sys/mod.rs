//! Every `unsafe` and raw system call, a file per facility. Knows neither spec nor plan.

pub mod abi;
pub mod beneath;
pub mod calls;
pub mod capability_events;
pub mod caps;
pub mod close;
pub mod copy;
pub mod datagram;
pub mod directory;
pub mod errno;
pub mod exec;
pub mod families;
pub mod fork;
pub mod handle;
pub mod ids;
pub mod isolation;
pub mod landlock;
pub mod memory;
pub mod mount;
pub mod notify;
pub mod passed;
pub mod peek_socket;
pub mod perf;
pub mod process_memory;
pub mod ptrace;
pub mod reuseport;
pub mod seccomp;
pub mod signals;
pub mod spawn_traced;
pub mod tick;
pub mod tracefs;
pub mod unsent;
pub mod user_namespace;

/// Turns the -1 of a raw system call into the thread's errno.
fn check(result: libc::c_long) -> rustix::io::Result<libc::c_long> {
    if result < 0 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

/// The calling thread's errno.
fn last_errno() -> rustix::io::Errno {
    // SAFETY: __errno_location returns the address of this thread's errno, which lives as long
    // as the thread and is read here by that thread only.
    rustix::io::Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}
