//! Installing a seccomp filter (`seccomp(2)`). The program is compiled elsewhere and long
//! before: here nothing is allocated, so that a freshly forked child can call it.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::{Errno, Result};

/// One instruction of classic BPF: the kernel's `struct sock_filter` (`linux/filter.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if a test holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

// `install` hands a slice of `Instruction` to the kernel as an array of `sock_filter`.
const _: () = {
    use std::mem::{align_of, offset_of, size_of};
    assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());
    assert!(align_of::<Instruction>() == align_of::<libc::sock_filter>());
    assert!(offset_of!(Instruction, code) == offset_of!(libc::sock_filter, code));
    assert!(offset_of!(Instruction, jt) == offset_of!(libc::sock_filter, jt));
    assert!(offset_of!(Instruction, jf) == offset_of!(libc::sock_filter, jf));
    assert!(offset_of!(Instruction, k) == offset_of!(libc::sock_filter, k));
};

/// What a filter returns (`linux/seccomp.h`): an action in the high half, its data in the low.
pub mod answers {
    pub use libc::{
        SECCOMP_RET_ACTION_FULL as ACTION_FULL, SECCOMP_RET_ALLOW as ALLOW,
        SECCOMP_RET_DATA as DATA, SECCOMP_RET_ERRNO as ERRNO,
        SECCOMP_RET_KILL_PROCESS as KILL_PROCESS, SECCOMP_RET_LOG as LOG,
        SECCOMP_RET_TRACE as TRACE, SECCOMP_RET_TRAP as TRAP, SECCOMP_RET_USER_NOTIF as USER_NOTIF,
    };
}

/// A program with the same answer, one of [`answers`], for every call of every architecture.
pub fn always(answer: u32) -> Vec<Instruction> {
    vec![Instruction {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: answer,
    }]
}

/// How a filter is installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Have the kernel log every answer other than ALLOW, as far as
    /// `/proc/sys/kernel/seccomp/actions_logged` lets it (`SECCOMP_FILTER_FLAG_LOG`).
    pub log: bool,
    /// Answer with a descriptor on which calls that the program sends to user space arrive
    /// (`SECCOMP_FILTER_FLAG_NEW_LISTENER`). It is close-on-exec. A process can have one.
    pub listener: bool,
}

/// Puts `program` on the calling thread and on whatever it starts, for good. The listener's
/// descriptor comes back if [`Options::listener`] asked for it.
///
/// Async-signal-safe. The thread must have no_new_privs, or CAP_SYS_ADMIN.
///
/// # Errors
/// `EACCES` without either of these, `EINVAL` for a program that the kernel's checker refuses
/// or one that is empty or too long, `EBUSY` for a second listener, `ENOMEM` if all filters
/// together exceed 32768 instructions (`seccomp(2)`).
pub fn install(program: &[Instruction], options: Options) -> Result<Option<OwnedFd>> {
    let descriptor = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    let mut flags: libc::c_ulong = 0;
    if options.log {
        flags |= libc::SECCOMP_FILTER_FLAG_LOG;
    }
    if options.listener {
        flags |= libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    }
    // SAFETY: `descriptor` outlives the call, and its pointer and length are those of `program`,
    // whose elements have the layout of `sock_filter` (asserted above). The kernel copies the
    // program and never writes through the pointer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
            flags,
            &raw const descriptor,
        )
    };
    if result < 0 {
        return Err(last_errno());
    }
    if !options.listener {
        return Ok(None);
    }
    let number = i32::try_from(result).map_err(|_| Errno::BADF)?;
    // SAFETY: with NEW_LISTENER and no TSYNC a non-negative result is a descriptor that the
    // kernel has just made for us; nobody else knows its number.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(number) }))
}

/// Holds that a filter refuses to type into a terminal: for no descriptor at all the kernel itself
/// answers `EBADF`, and only a filter answers `EPERM`.
///
/// # Errors
/// What the call answered, if it was not `EPERM`.
pub fn refuses_typing() -> Result<()> {
    // SAFETY: there is no descriptor -1, so the kernel looks at nothing else.
    let result =
        unsafe { libc::syscall(libc::SYS_ioctl, -1, libc::TIOCSTI, std::ptr::null::<u8>()) };
    match last_errno() {
        Errno::PERM if result < 0 => Ok(()),
        errno => Err(errno),
    }
}

/// The error of the last failed call, without allocating.
fn last_errno() -> Errno {
    let code = std::io::Error::last_os_error().raw_os_error();
    code.map_or(Errno::INVAL, Errno::from_raw_os_error)
}
