//! The first process of a pid namespace: starts the service, reaps, tells how it ended.
//! It has no privilege, takes no input, and ends when nothing is left to reap.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};
use rustix::process::{Pid, WaitOptions, WaitStatus};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::sys;
use crate::sys::fork::Stack;
use crate::sys::seccomp::Instruction;

/// How many numbers are tried when the wanted pid is taken.
const TRIES: i32 = 4096;

/// Below this the kernel starts no pid again after a wrap (`RESERVED_PIDS`).
const RESERVED_PIDS: i32 = 300;

/// What the first process writes: the kind of message, and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The service's pid, inside and outside.
    Started(i32),
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

impl Message {
    /// How a process ended.
    pub(super) fn ended(how: WaitStatus) -> Self {
        match (how.exit_status(), how.terminating_signal()) {
            (Some(code), _) => Message::Exited(code),
            (None, signal) => Message::Killed(signal.unwrap_or_default()),
        }
    }

    /// The size of every message on the pipe.
    pub(super) const SIZE: usize = 8;

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let (kind, number): (u32, i32) = match self {
            Message::Started(pid) => (1, pid),
            Message::Exited(code) => (2, code),
            Message::Killed(signal) => (3, signal),
        };
        let mut bytes = [0; Self::SIZE];
        let (first, second) = bytes.split_at_mut(4);
        first.copy_from_slice(&kind.to_ne_bytes());
        second.copy_from_slice(&number.to_ne_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Self::SIZE]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = bytes;
        let number = i32::from_ne_bytes([e, f, g, h]);
        match u32::from_ne_bytes([a, b, c, d]) {
            1 => Some(Message::Started(number)),
            2 => Some(Message::Exited(number)),
            3 => Some(Message::Killed(number)),
            _ => None,
        }
    }
}

/// The calling process's pid in the pid namespace of the `/proc` that is mounted.
pub(super) fn pid_outside() -> Result<i32> {
    number_in(proc_outside()?.as_fd())
}

/// The same, in that of `proc`.
fn number_in(proc: BorrowedFd<'_>) -> Result<i32> {
    let mut buffer = [0_u8; 16];
    let length = rustix::fs::readlinkat_raw(proc, c"self", &mut buffer[..])?;
    let text = buffer.get(..length).ok_or(Errno::NAMETOOLONG)?;
    text.iter()
        .try_fold(0_i32, |number, digit| {
            let digit = i32::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
            number.checked_mul(10)?.checked_add(digit)
        })
        .ok_or(Errno::INVAL)
}

/// The directory in which [`number_in`] finds a process's pid outside.
pub(super) fn proc_outside() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(c"/proc", flags, Mode::empty())
}

/// Forks the service so that it has one number in both pid namespaces, as [`fork_with_same_pid`],
/// where the number outside cannot be chosen: the one inside is made to be what the next one
/// outside is likely to be, and a child for which it is not ends at once. `proc` is that of the
/// pid namespace outside.
pub(super) fn fork_with_likely_pid(
    outside: i32,
    proc: BorrowedFd<'_>,
    stack: &mut Stack,
    service: &mut dyn FnMut(i32),
) -> Result<i32> {
    let mut likely = outside + 1;
    for _ in 0..TRIES {
        let mut found = Err(Errno::CHILD);
        let forked = sys::fork::fork_borrowing(&[likely], stack, &mut || {
            found = number_in(proc);
            if found == Ok(likely) {
                service(likely);
            }
            sys::fork::exit_now(0)
        });
        match forked {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                likely += 1;
                continue;
            }
            // Past the host's pid_max.
            Err(Errno::INVAL) if likely > RESERVED_PIDS => {
                likely = RESERVED_PIDS;
                continue;
            }
            Err(errno) => return Err(errno),
        }
        let number = found?;
        if number == likely {
            return Ok(likely);
        }
        rustix::process::waitpid(Pid::from_raw(likely), WaitOptions::empty())?;
        likely = number + 1;
    }
    Err(Errno::AGAIN)
}

/// Forks the service so that it has one number in both pid namespaces: the first free one
/// after `outside`, which is where the kernel itself would look. Answers with that number once
/// the service has executed its program or ended. `service` gets the number too.
pub(super) fn fork_with_same_pid(
    outside: i32,
    stack: &mut Stack,
    service: &mut dyn FnMut(i32),
) -> Result<i32> {
    let mut pid = outside;
    for _ in 0..TRIES {
        pid += 1;
        match sys::fork::fork_borrowing(&[pid, pid], stack, &mut || service(pid)) {
            Ok(()) => return Ok(pid),
            Err(Errno::EXIST) => {}
            // Past the host's pid_max.
            Err(Errno::INVAL) if pid > RESERVED_PIDS => pid = RESERVED_PIDS,
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::AGAIN)
}

/// What the first process holds open, and has no other use for: a supervisor that takes over from
/// one that was killed finds there what has come and was not passed on, and how the service ended.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What the service prints goes there.
    pub output: Option<OwnedFd>,
    /// The jail's `/dev/log`.
    pub log: Option<OwnedFd>,
    /// The socket for `sd_notify(3)`.
    pub notify: Option<OwnedFd>,
    /// The jail's socket in the place of journald's own.
    pub journal: Option<OwnedFd>,
    /// The reading end of the pipe on which this process tells how the service ended.
    pub endings: Option<OwnedFd>,
}

/// The numbers under which it holds them; where there is none, its end of the pipe has that number.
pub(super) const OUTPUT: u32 = 1;
pub(super) const LOG: u32 = 2;
pub(super) const NOTIFY: u32 = 3;
pub(super) const ENDINGS: u32 = 4;
pub(super) const JOURNAL: u32 = 5;

/// Reaps until nobody is left; tells `status` about the end of `service`.
///
/// # Errors
/// As the calls that take away the process's own privileges.
pub(super) fn reap(
    service: i32,
    status: &OwnedFd,
    kept: &Kept,
    filter: &[Instruction],
) -> Result<()> {
    give_up_privileges(status, kept)?;
    sys::seccomp::install(filter, sys::seccomp::Options::default())?;
    let status = rustix::stdio::stdin();
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, how))) if pid.as_raw_pid() == service => {
                tell(status, Message::ended(how))?;
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
}

/// Keeps the status pipe as descriptor 0, what a supervisor may want back, no capability, and nothing
/// that execve could bring.
fn give_up_privileges(status: &OwnedFd, kept: &Kept) -> Result<()> {
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )?;
    rustix::thread::set_no_new_privs(true)?;
    sys::close::place(status.as_fd(), 0, false)?;
    let numbered = [
        (OUTPUT, &kept.output),
        (LOG, &kept.log),
        (NOTIFY, &kept.notify),
        (ENDINGS, &kept.endings),
        (JOURNAL, &kept.journal),
    ];
    for (number, descriptor) in numbered {
        let descriptor = descriptor.as_ref().unwrap_or(status);
        sys::close::place(descriptor.as_fd(), number, false)?;
    }
    sys::close::close_from(JOURNAL + 1)
}

/// A supervisor that has gone away is no reason to end the service.
pub(super) fn tell(status: impl AsFd, message: Message) -> Result<()> {
    match rustix::io::write(status, &message.to_bytes()) {
        Ok(_) | Err(Errno::PIPE) => Ok(()),
        Err(errno) => Err(errno),
    }
}
