//! `ptrace(2)` and the `waitpid(2)` that belongs to it. All of it works only on the thread
//! that seized the process.

mod registers;

use std::io;

pub use registers::*;

/// The options that every seized process has. Its children are seized with it and inherit them.
///
/// `PTRACE_O_EXITKILL`: what is learned is not jailed, and under a filter that answers TRACE every
/// call would fail with `ENOSYS` from the moment that nobody traces (`seccomp(2)`). So it does not
/// outlive its tracer.
/// `PTRACE_O_TRACEEXIT`: a thread that is killed while it is stopped at the entry of a call never
/// makes that call, and only its registers at its end tell ([`result_register`]).
const OPTIONS: libc::c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEEXIT
    | libc::PTRACE_O_EXITKILL;

/// `PTRACE_EVENT_STOP` of `linux/ptrace.h`.
const EVENT_STOP: i32 = 128;

/// What `waitpid(2)` reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The thread.
    pub tid: i32,
    /// What happened to it.
    pub change: Change,
}

/// What happened to a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It ended with this exit code.
    Exited(i32),
    /// A signal killed it.
    Killed(i32),
    /// It is stopped.
    Stopped(Stop),
    /// Something that no seized thread reports.
    Other(i32),
}

/// Why a thread is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It is making a child or a thread; [`event_message`] is the new thread's id.
    Child,
    /// `execve(2)` succeeded; [`event_message`] is the thread's former id.
    Exec,
    /// It is ending, whatever ends it.
    Exit,
    /// The whole process is stopped by this signal. Answered by [`listen`].
    Group(i32),
    /// A new thread that has not run yet, one that was interrupted, or the end of a group stop.
    Idle,
    /// A seccomp filter returned `SECCOMP_RET_TRACE`.
    Seccomp,
    /// A signal is about to be delivered.
    Signal(i32),
    /// Entry to or exit from a system call; [`syscall_info`] says which.
    Syscall,
}

/// What `PTRACE_GET_SYSCALL_INFO` says of a stopped thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyscallInfo {
    /// A call has been asked for: [`Stop::Seccomp`].
    Asked(Call),
    /// A call is entered: [`Stop::Syscall`].
    Entered(Call),
    /// The stop has nothing to do with a system call.
    Nothing,
    /// A call has returned this value, negative errno for a failure.
    Returned(i64),
}

/// A system call as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// `AUDIT_ARCH_` number of `linux/audit.h`.
    pub arch: u32,
    /// Its number.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// The address that it is made from.
    pub instruction: u64,
}

/// How a stopped thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// To the next event.
    Event,
    /// To the next event, or entry to or exit from a system call.
    Syscall,
}

/// Attaches to a process without stopping it (`PTRACE_SEIZE`). If `filtered`, it stops where a
/// filter of it answers `SECCOMP_RET_TRACE`; otherwise such a call fails with `ENOSYS`, as it
/// would without a tracer.
///
/// # Errors
/// As `ptrace(2)`.
pub fn seize(pid: i32, filtered: bool) -> io::Result<()> {
    let filter = if filtered {
        libc::PTRACE_O_TRACESECCOMP
    } else {
        0
    };
    request(libc::PTRACE_SEIZE, pid, 0, (OPTIONS | filter) as usize)
}

/// Lets a stopped thread go on, with `signal` delivered to it (0 for none).
///
/// # Errors
/// `ESRCH` if it has been killed meanwhile; as `ptrace(2)` otherwise.
pub fn resume(tid: i32, until: Until, signal: i32) -> io::Result<()> {
    let what = match until {
        Until::Event => libc::PTRACE_CONT,
        Until::Syscall => libc::PTRACE_SYSCALL,
    };
    request(what, tid, 0, usize::try_from(signal).unwrap_or(0))
}

/// Leaves a thread in its group stop and goes on watching it (`PTRACE_LISTEN`).
///
/// # Errors
/// As [`resume`].
pub fn listen(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_LISTEN, tid, 0, 0)
}

/// Makes a running thread stop with [`Stop::Idle`].
///
/// # Errors
/// As [`resume`].
pub fn interrupt(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0)
}

/// The id that goes with [`Stop::Child`] and [`Stop::Exec`].
///
/// # Errors
/// As [`resume`].
pub fn event_message(tid: i32) -> io::Result<i32> {
    let mut message: libc::c_ulong = 0;
    request(
        libc::PTRACE_GETEVENTMSG,
        tid,
        0,
        (&raw mut message) as usize,
    )?;
    i32::try_from(message).map_err(|_| io::Error::from_raw_os_error(libc::ERANGE))
}

/// What the system call stop of a thread is about.
///
/// # Errors
/// As [`resume`].
pub fn syscall_info(tid: i32) -> io::Result<SyscallInfo> {
    // SAFETY: the structure is plain integers, and a union of such; all zeroes is a value of it.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::ptrace_syscall_info>();
    request(
        libc::PTRACE_GET_SYSCALL_INFO,
        tid,
        size,
        (&raw mut info) as usize,
    )?;
    Ok(match info.op {
        libc::PTRACE_SYSCALL_INFO_SECCOMP => {
            // SAFETY: the kernel filled this member of the union, as `op` says.
            let asked = unsafe { info.u.seccomp };
            SyscallInfo::Asked(Call {
                arch: info.arch,
                number: asked.nr,
                arguments: asked.args,
                instruction: info.instruction_pointer,
            })
        }
        libc::PTRACE_SYSCALL_INFO_ENTRY => {
            // SAFETY: the kernel filled this member of the union, as `op` says.
            let entry = unsafe { info.u.entry };
            SyscallInfo::Entered(Call {
                arch: info.arch,
                number: entry.nr,
                arguments: entry.args,
                instruction: info.instruction_pointer,
            })
        }
        // SAFETY: the kernel filled this member of the union, as `op` says.
        libc::PTRACE_SYSCALL_INFO_EXIT => SyscallInfo::Returned(unsafe { info.u.exit }.sval),
        _ => SyscallInfo::Nothing,
    })
}

/// Waits for a change of any thread seized by, or child of, the calling thread; children of
/// other threads are left to them (`__WNOTHREAD`).
///
/// `None` means that a signal interrupted the wait or, without `block`, that nothing has changed.
///
/// # Errors
/// `ECHILD` when there is nothing left to wait for.
pub fn wait(block: bool) -> io::Result<Option<Report>> {
    let flags = libc::__WALL | libc::__WNOTHREAD | if block { 0 } else { libc::WNOHANG };
    let mut status = 0;
    // SAFETY: `status` outlives the call, which writes one int to it.
    let tid = unsafe { libc::waitpid(-1, &raw mut status, flags) };
    match tid {
        0 => Ok(None),
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            error => Err(error),
        },
        tid => Ok(Some(Report {
            tid,
            change: decode(status),
        })),
    }
}

/// The kernel's name of the native architecture, `AUDIT_ARCH_` of `linux/audit.h`.
pub const NATIVE_ARCH: u32 = if cfg!(target_arch = "aarch64") {
    0xC000_00B7
} else {
    0xC000_003E
};

/// The wait status as `ptrace(2)` lays it out. A realtime signal is an ordinary number here.
fn decode(status: i32) -> Change {
    if libc::WIFEXITED(status) {
        return Change::Exited(libc::WEXITSTATUS(status));
    }
    if libc::WIFSIGNALED(status) {
        return Change::Killed(libc::WTERMSIG(status));
    }
    if !libc::WIFSTOPPED(status) {
        return Change::Other(status);
    }
    let signal = libc::WSTOPSIG(status);
    Change::Stopped(match status >> 16 {
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
            Stop::Child
        }
        libc::PTRACE_EVENT_EXEC => Stop::Exec,
        libc::PTRACE_EVENT_EXIT => Stop::Exit,
        libc::PTRACE_EVENT_SECCOMP => Stop::Seccomp,
        EVENT_STOP if signal == libc::SIGTRAP => Stop::Idle,
        EVENT_STOP => Stop::Group(signal),
        0 if signal == libc::SIGTRAP | 0x80 => Stop::Syscall,
        0 => Stop::Signal(signal),
        _ => Stop::Idle,
    })
}

fn request(what: libc::c_uint, tid: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: the callers in this file pass an address and data that fit the request: integers,
    // or a pointer to a live local of the size that the kernel writes. A thread that is not
    // ours is refused by the kernel with ESRCH.
    let done = unsafe { libc::ptrace(what, tid, address, data) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(signal: i32, event: i32) -> i32 {
        (event << 16) | (signal << 8) | 0x7f
    }

    #[test]
    fn statuses_decode_as_the_manual_says() {
        assert_eq!(decode(3 << 8), Change::Exited(3));
        assert_eq!(decode(libc::SIGKILL), Change::Killed(libc::SIGKILL));
        assert_eq!(decode(libc::SIGSEGV | 0x80), Change::Killed(libc::SIGSEGV));
        let table = [
            (stopped(libc::SIGTRAP, libc::PTRACE_EVENT_FORK), Stop::Child),
            (
                stopped(libc::SIGTRAP, libc::PTRACE_EVENT_CLONE),
                Stop::Child,
            ),
            (stopped(libc::SIGTRAP, libc::PTRACE_EVENT_EXEC), Stop::Exec),
            (
                stopped(libc::SIGTRAP, libc::PTRACE_EVENT_SECCOMP),
                Stop::Seccomp,
            ),
            (stopped(libc::SIGTRAP, EVENT_STOP), Stop::Idle),
            (
                stopped(libc::SIGTSTP, EVENT_STOP),
                Stop::Group(libc::SIGTSTP),
            ),
            (stopped(libc::SIGTRAP | 0x80, 0), Stop::Syscall),
            (stopped(libc::SIGTRAP, 0), Stop::Signal(libc::SIGTRAP)),
            (stopped(64, 0), Stop::Signal(64)),
        ];
        for (status, stop) in table {
            assert_eq!(decode(status), Change::Stopped(stop), "{status:#x}");
        }
    }

    #[test]
    fn a_thread_without_children_has_nothing_to_wait_for() {
        let error = std::thread::spawn(|| wait(true))
            .join()
            .unwrap()
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
    }
}
