//! Starts a program that waits to be seized, and then stops at its system calls.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, configure_capability_in_ambient_set, set_capabilities,
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::ptrace;
use super::seccomp::{self, Instruction};

/// A program and the surroundings that it starts with.
#[derive(Debug)]
pub struct Program {
    /// The file to execute.
    pub file: CString,
    /// `argv`, the name first.
    pub arguments: Vec<CString>,
    /// `NAME=VALUE`.
    pub environment: Vec<CString>,
    /// Where it starts.
    pub workdir: CString,
    /// Whom it starts as; `None` for the caller.
    pub ids: Option<Ids>,
    /// With `no_new_privs`, without which only `CAP_SYS_ADMIN` may install a filter: a
    /// set-user-ID program gains nothing then, nor does it under a tracer without privileges.
    pub no_new_privs: bool,
    /// Its standard input.
    pub input: OwnedFd,
    /// Its standard output and error.
    pub output: OwnedFd,
}

/// A user and groups, as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// The supplementary groups, exactly.
    pub groups: Vec<Gid>,
    /// It keeps this capability, through `execve(2)` too.
    pub capability: CapabilitySet,
}

/// The steps of the child that can fail.
const STEPS: [&str; 8] = [
    "wait for the tracer",
    "reset its signals",
    "take its standard streams",
    "start its own session",
    "enter its working directory",
    "install the filter that says which calls stop",
    "become its user",
    "execute it",
];

/// A seized child on its way to `execve(2)`.
#[derive(Debug)]
pub struct Launched {
    /// Its process id.
    pub pid: i32,
    failure: OwnedFd,
}

impl Launched {
    /// Which step failed, and why, once the child has ended without executing the program.
    pub fn failure(self) -> Option<(&'static str, io::Error)> {
        let mut word = [0u8; 8];
        // The child is gone: the bytes are there, or never will be.
        std::fs::File::from(self.failure)
            .read_exact(&mut word)
            .ok()?;
        let [a, b, c, d, e, f, g, h] = word;
        let step = usize::try_from(i32::from_ne_bytes([a, b, c, d])).ok()?;
        let errno = i32::from_ne_bytes([e, f, g, h]);
        Some((STEPS.get(step)?, io::Error::from_raw_os_error(errno)))
    }
}

/// Forks, seizes the child and lets it go on. The child takes its own session, closes everything
/// above its standard streams, installs `filter` if there is one, and executes the program. Its
/// calls stop where the filter answers `SECCOMP_RET_TRACE`. Without a filter it is interrupted at
/// once, so that its tracer can resume it to the next call and so to all of them. Before it does
/// anything, `meanwhile` is called with its process id.
///
/// The child becomes one of the calling thread, which must be the one to wait for it. A filter
/// takes `CAP_SYS_ADMIN` or `no_new_privs`.
///
/// # Errors
/// As `pipe2(2)`, `fork(2)` and `ptrace(2)`. What fails in the child is reported by its exit
/// and [`Launched::failure`].
pub fn launch(
    program: &Program,
    filter: &[Instruction],
    meanwhile: impl FnOnce(i32),
) -> io::Result<Launched> {
    let (gate, gate_opener) = pipe()?;
    let (failure, failure_writer) = pipe()?;
    let arguments = pointers(&program.arguments);
    let environment = pointers(&program.environment);
    let child = Child {
        file: program.file.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        workdir: program.workdir.as_ptr(),
        ids: program.ids.as_ref(),
        no_new_privs: program.no_new_privs,
        input: program.input.as_raw_fd(),
        output: program.output.as_raw_fd(),
        filter,
        gate: gate.as_raw_fd(),
        opener: gate_opener.as_raw_fd(),
        failure: failure_writer.as_raw_fd(),
    };
    // SAFETY: the raw call, not fork(3), so that no handlers run and no lock of the C library is
    // touched. The child has its own copy of the memory, only this thread, and does nothing but
    // system calls on what was prepared above, until it executes or exits.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    match pid {
        -1 => return Err(io::Error::last_os_error()),
        // SAFETY: this is the child, and every pointer in `child` is to memory that this
        // function's caller keeps.
        0 => unsafe { child.run() },
        _ => {}
    }
    let pid = i32::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ERANGE))?;
    drop(gate);
    drop(failure_writer);
    let opened = take(pid, filter.is_empty()).and_then(|()| {
        meanwhile(pid);
        std::fs::File::from(gate_opener)
            .write_all(&[1])
            .map(|()| pid)
    });
    match opened {
        Ok(pid) => Ok(Launched { pid, failure }),
        Err(error) => {
            abandon(pid);
            Err(error)
        }
    }
}

/// Seizes the child; where every call shall stop, so does the child itself, now.
fn take(pid: i32, every_call: bool) -> io::Result<()> {
    ptrace::seize(pid, !every_call)?;
    if every_call {
        ptrace::interrupt(pid)?;
    }
    Ok(())
}

/// Ends a child that could not be seized, and reaps it.
fn abandon(pid: i32) {
    // SAFETY: `pid` is our own child, not yet waited for, so the number is still its own.
    let killed = unsafe { libc::kill(pid, libc::SIGKILL) };
    debug_assert_eq!(killed, 0);
    // SAFETY: a null status is allowed.
    while unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WALL) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr())
        .chain([ptr::null()])
        .collect()
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let [reader, writer] = ends;
    // SAFETY: pipe2(2) has just opened both, and nothing else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(reader), OwnedFd::from_raw_fd(writer)) })
}

/// Everything that the child needs, prepared before the fork.
struct Child<'a> {
    file: *const libc::c_char,
    arguments: *const *const libc::c_char,
    environment: *const *const libc::c_char,
    workdir: *const libc::c_char,
    ids: Option<&'a Ids>,
    no_new_privs: bool,
    input: i32,
    output: i32,
    filter: &'a [Instruction],
    gate: i32,
    opener: i32,
    failure: i32,
}

impl Child<'_> {
    /// Walks the steps; on the first that fails, says which down the pipe and exits.
    ///
    /// # Safety
    /// Only in a freshly forked child, with every pointer valid.
    unsafe fn run(&self) -> ! {
        // SAFETY: the caller's promise.
        let step = unsafe { self.steps() };
        // SAFETY: the C library's errno is of this thread, which is the only one.
        let errno = unsafe { *libc::__errno_location() };
        let mut word = [0u8; 8];
        let (first, second) = word.split_at_mut(4);
        first.copy_from_slice(&step.to_ne_bytes());
        second.copy_from_slice(&errno.to_ne_bytes());
        // SAFETY: `word` is a live local. There is nobody to tell if the pipe is gone too.
        let told = unsafe { libc::write(self.failure, word.as_ptr().cast(), 8) };
        // SAFETY: ends the process without running anything of the parent's.
        unsafe { libc::_exit(if told == 8 { 125 } else { 126 }) }
    }

    /// The number in [`STEPS`] of the step that failed; `errno` says why.
    ///
    /// # Safety
    /// As [`Child::run`].
    unsafe fn steps(&self) -> i32 {
        let mut byte = 0u8;
        // SAFETY: every call in here is given integers, pointers to live locals, and the
        // pointers of `self`, which the caller vouches for; all are async-signal-safe.
        unsafe {
            // Its own copy of the writing end would keep the gate from ever reading as closed.
            if libc::close(self.opener) < 0 || libc::read(self.gate, (&raw mut byte).cast(), 1) != 1
            {
                return 0;
            }
            if !reset_signals() {
                return 1;
            }
            if libc::dup2(self.input, 0) < 0
                || libc::dup2(self.output, 1) < 0
                || libc::dup2(self.output, 2) < 0
                || libc::syscall(
                    libc::SYS_close_range,
                    3u32,
                    u32::MAX,
                    libc::CLOSE_RANGE_CLOEXEC,
                ) < 0
            {
                return 2;
            }
            if libc::setsid() < 0 {
                return 3;
            }
            if libc::chdir(self.workdir) < 0 {
                return 4;
            }
            if self.no_new_privs && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 {
                return 5;
            }
            if !self.filter.is_empty()
                && seccomp::install(self.filter, seccomp::Options::default()).is_err()
            {
                return 5;
            }
            if let Some(Err(errno)) = self.ids.map(become_user) {
                *libc::__errno_location() = errno.raw_os_error();
                return 6;
            }
            libc::execve(self.file, self.arguments, self.environment);
            7
        }
    }
}

/// Takes the ids in all their forms, groups first (`setresuid(2)`), and keeps the capability. After
/// the filter, which needs a capability that goes with the uid.
fn become_user(ids: &Ids) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
    set_thread_groups(&ids.groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_keep_capabilities(true)?;
    set_thread_res_uid(uid, uid, uid)?;
    set_keep_capabilities(false)?;
    let kept = ids.capability;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: kept,
    };
    set_capabilities(None, sets)?;
    if kept.is_empty() {
        return Ok(());
    }
    configure_capability_in_ambient_set(kept, true)
}

/// Default dispositions and an empty mask: Rust ignores SIGPIPE, and an ignored signal stays
/// ignored across `execve(2)`. The raw calls, because the C library keeps two signals to itself.
///
/// # Safety
/// Only where no handler of this process is needed any more.
unsafe fn reset_signals() -> bool {
    // struct sigaction of the kernel: handler, flags, restorer, mask; SIG_DFL is 0.
    let default = [0u64; 4];
    let mask = 0u64;
    for signal in 1..=64 {
        if signal == libc::SIGKILL || signal == libc::SIGSTOP {
            continue;
        }
        // SAFETY: the kernel reads one struct sigaction, which `default` is as long as.
        let set = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null::<u64>(),
                8,
            )
        };
        if set < 0 {
            return false;
        }
    }
    // SAFETY: the kernel reads the 8 bytes of `mask`.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            ptr::null::<u64>(),
            8,
        ) == 0
    }
}
