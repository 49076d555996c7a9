//! The child's side of a launch, from the fork to the end of the first process, or to execve.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::child::{self, Carried, Word};
use super::init::{self, Message};
use super::launch::Stdio;
use super::prepare::{Prepared, Service};
use crate::sys;

/// Exit code of a child that could not become the service: 125 in the manual's table.
const SETUP_FAILED: i32 = 125;

/// The child's ends of the pipes between it and the parent.
pub(super) struct Pipes {
    /// Where it says what failed.
    pub errors: OwnedFd,
    /// Where the first process says how the service ended.
    pub status: OwnedFd,
    /// Opened by the parent once it has written down who runs: a jail that nobody knows of must
    /// not outlive a parent that is killed before that.
    pub gate: OwnedFd,
    /// What the first process keeps open.
    pub kept: init::Kept,
}

/// Waits at the gate. Ends this process, and what is in its namespace, if nobody is left to open
/// it.
fn pass(gate: &OwnedFd) -> rustix::io::Result<()> {
    loop {
        match rustix::io::read(gate, &mut [0_u8; 1]) {
            Ok(0) => sys::fork::exit_now(SETUP_FAILED),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The child's whole life up to execve. It allocates nothing.
pub(super) fn run_child(
    prepared: &mut Prepared,
    stdio: &Stdio,
    null: &OwnedFd,
    pipes: &Pipes,
) -> ! {
    let begun = begin(prepared, stdio, null, pipes);
    let Prepared {
        first,
        service,
        opened,
        ..
    } = prepared;
    let mut carried = Carried::new(opened, Some(&pipes.errors), 0);
    let failure = match begun {
        Err(errno) => Some((0, errno)),
        Ok(outside) => {
            carried.pid = outside.pid;
            let failure = child::perform(first, &mut carried);
            if let (None, Some(service)) = (failure, service) {
                first_process(service, &outside, &mut carried, pipes);
            }
            failure
        }
    };
    fail(carried.errors, failure)
}

/// The rest of the first process's life: it starts the service and reaps.
fn first_process(
    service: &mut Service,
    outside: &Outside,
    carried: &mut Carried<'_>,
    pipes: &Pipes,
) -> ! {
    let Service {
        step,
        first_filter,
        operations,
        stack,
    } = service;
    let errors = carried.errors;
    let mut told = false;
    // In this process's memory, but with descriptors of its own: what it carries at its end has
    // no meaning here.
    let mut become_service = |pid| {
        let failure = match init::tell(&pipes.status, Message::Started(pid)) {
            Err(errno) => Some((*step, errno)),
            Ok(()) => {
                told = true;
                carried.pid = pid;
                child::perform(operations, carried)
            }
        };
        fail(carried.errors, failure)
    };
    // The gate is for this process alone, so that the service need not wait: its end is theirs.
    // A parent that was not told of a service opens no gate, and waits for this process's end.
    let forked = match &outside.proc {
        Some(proc) => {
            init::fork_with_likely_pid(outside.pid, proc.as_fd(), stack, &mut become_service)
        }
        None => init::fork_with_same_pid(outside.pid, stack, &mut become_service),
    };
    let result = forked
        .and_then(|pid| if told { pass(&pipes.gate) } else { Ok(()) }.map(|()| pid))
        .and_then(|pid| init::reap(pid, &pipes.status, &pipes.kept, first_filter));
    match result {
        Ok(()) => sys::fork::exit_now(0),
        Err(errno) => fail(errors, Some((*step, errno))),
    }
}

/// Ends the child, after a word to the parent about what failed.
fn fail(errors: Option<BorrowedFd<'_>>, failure: Option<(u32, Errno)>) -> ! {
    if let (Some(errors), Some(failure)) = (errors, failure) {
        // If not even this can be written, the parent sees an end without a word.
        match child::tell(errors, Word::Failed(failure.0, failure.1)) {
            Ok(_) | Err(_) => {}
        }
    }
    sys::fork::exit_now(SETUP_FAILED)
}

/// What the child knows of itself before its root changes.
struct Outside {
    /// Its pid outside.
    pid: i32,
    /// `/proc` of there, for who cannot choose a pid there. Closed by number, as everything else.
    proc: Option<ManuallyDrop<OwnedFd>>,
}

/// What comes before the first step: signals, cgroup, standard descriptors.
fn begin(
    prepared: &Prepared,
    stdio: &Stdio,
    null: &OwnedFd,
    pipes: &Pipes,
) -> rustix::io::Result<Outside> {
    sys::signals::reset()?;
    if prepared.service.is_none() {
        pass(&pipes.gate)?;
    }
    for join in &prepared.cgroups {
        rustix::io::write(join, b"0")?;
    }
    for join in &prepared.counting {
        // A host may have rules of its own for where processes are; without it nothing is counted.
        match rustix::io::write(join, b"0") {
            Ok(_) | Err(_) => {}
        }
    }
    sys::close::place(null, 0, true)?;
    if let Stdio::To(output) = stdio {
        sys::close::place(output, 1, true)?;
        sys::close::place(output, 2, true)?;
    }
    let proc = match prepared.unprivileged {
        true => Some(ManuallyDrop::new(init::proc_outside()?)),
        false => None,
    };
    Ok(Outside {
        pid: init::pid_outside()?,
        proc,
    })
}
