//! Signals: blocked and read from a descriptor in the supervisor, reset in the child.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::io::{Errno, Result};

/// Signals that the supervisor passes on, by number, beside those of real time.
const FORWARDED: [i32; 14] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGCONT,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGURG,
    libc::SIGIO,
    libc::SIGPWR,
];

/// Signals that the supervisor passes on. Not those that nobody can catch (SIGKILL, SIGSTOP), that
/// are about the supervisor itself (SIGCHLD; SIGPIPE, SIGXCPU and SIGXFSZ; SIGTSTP, SIGTTIN and
/// SIGTTOU of its terminal), or that tell of a mistake in its own program (SIGABRT, SIGBUS, SIGFPE,
/// SIGILL, SIGSEGV, SIGSTKFLT, SIGSYS, SIGTRAP): `signal(7)`.
pub fn forwarded() -> Vec<i32> {
    FORWARDED
        .into_iter()
        .chain(libc::SIGRTMIN()..=libc::SIGRTMAX())
        .collect()
}

/// Blocks `signals` and answers with a descriptor that they can be read from
/// (`signalfd(2)`), non-blocking and close-on-exec.
///
/// # Errors
/// As `signalfd(2)`.
pub fn descriptor(signals: &[i32]) -> Result<OwnedFd> {
    let set = set_of(signals);
    // SAFETY: `set` is an initialised sigset_t; the old mask is not asked for.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    super::check(result.into())?;
    // SAFETY: -1 asks for a new descriptor; `set` is only read.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) };
    super::check(fd.into())?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes the block from `signals` that [`descriptor`] has put on them.
///
/// # Errors
/// As `sigprocmask(2)`.
pub fn unblock(signals: &[i32]) -> Result<()> {
    let set = set_of(signals);
    // SAFETY: `set` is an initialised sigset_t; the old mask is not asked for.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
    super::check(result.into()).map(drop)
}

/// The next signal that is waiting in a descriptor made by [`descriptor`], if any.
///
/// # Errors
/// As `read(2)`, except `EAGAIN`.
pub fn next(descriptor: impl AsFd) -> Result<Option<i32>> {
    let mut buffer = [0_u8; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(descriptor, &mut buffer[..]) {
        Ok(_) => {
            // The signal number is the first field (signalfd(2)).
            let [a, b, c, d, ..] = buffer;
            Ok(i32::try_from(u32::from_ne_bytes([a, b, c, d])).ok())
        }
        Err(Errno::AGAIN) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Every signal back to its default, none blocked: what a program expects at its start. An
/// ignored signal would survive `execve` (`signal(7)`). Does not allocate.
///
/// # Errors
/// As `sigprocmask(2)`.
pub fn reset() -> Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is a valid disposition for any number; the two signals that cannot
        // be changed and the two that glibc keeps answer EINVAL, which leaves them at default.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let none = set_of(&[]);
    // SAFETY: `none` is an initialised sigset_t; the old mask is not asked for.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
    super::check(result.into()).map(drop)
}

/// Sends `signal`, any number, to the process behind `pidfd` (`pidfd_send_signal(2)`).
///
/// # Errors
/// `ESRCH` if it has ended; else as `kill(2)`.
pub fn send(pidfd: impl AsFd, signal: i32) -> Result<()> {
    // SAFETY: a null siginfo asks for what kill(2) would send; no memory is touched.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0_u32,
        )
    };
    super::check(result).map(drop)
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the whole set; sigaddset then only sets bits in it, and
    // answers -1 without touching it for a number that is no signal.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}
