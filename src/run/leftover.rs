//! What a jail leaves on the host if nobody stayed to remove it: after `run --exec`, whose process
//! was the service, or after a supervisor that was killed.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use super::cgroup;
use super::state::{self, ProcessName, State};
use super::supervise::remove_files;
use crate::sys;
use crate::{Doing, Error, Result};

const SIGKILL: i32 = 9;

/// How long the kernel may take to end a jail whose first process was killed.
const PATIENCE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// How long one may take that has removed everything but what only the kernel sees, or that looks.
const A_MOMENT: Duration = Duration::from_secs(1);

/// How often it is looked whether it is over.
const POLL: Duration = Duration::from_millis(5);

/// Takes the jail, as [`state::lock`] has it, refuses one that runs, and removes what one that
/// has ended left. Under the lock, so that it is not the rest of a jail that another one starts
/// or cleans up; who is at the end of that is waited for.
///
/// # Errors
/// Another one has it; it runs; something cannot be removed.
pub fn lock_and_clear(directory: &Path) -> Result<OwnedFd> {
    let lock = lock_soon(directory)?;
    clear(directory)?;
    Ok(lock)
}

fn lock_soon(directory: &Path) -> Result<OwnedFd> {
    let deadline = Instant::now() + A_MOMENT;
    loop {
        if let Some(lock) = state::try_lock(directory)? {
            return Ok(lock);
        }
        let runs = State::load(directory)?.is_some_and(|state| state.service.is_alive());
        if runs || Instant::now() >= deadline {
            return state::lock(directory);
        }
        std::thread::sleep(POLL);
    }
}

/// What is done under the lock.
fn clear(directory: &Path) -> Result<()> {
    match State::load(directory)? {
        Some(state) if state.service.is_alive() => Err(runs_already(&state)),
        Some(state) => remove(directory, &state),
        None => Ok(()),
    }
}

/// The same for who only looks: leaves alone what runs, what another one starts or cleans up,
/// and what cannot be removed, which the next start will say.
pub fn clear_if_free(directory: &Path) {
    let ended = State::load(directory)
        .ok()
        .flatten()
        .is_some_and(|state| !state.service.is_alive());
    if !ended {
        return;
    }
    if let Ok(Some(lock)) = state::try_lock(directory) {
        match clear(directory) {
            Ok(()) | Err(_) => drop(lock),
        }
    }
}

/// The refusal of a second start.
pub fn runs_already(state: &State) -> Error {
    let State { name, service, .. } = state;
    let why = format!("it runs already, as process {}", service.pid);
    Error::setup(format!("run {name}"), why).hint(format!("stop it first: gaoler stop {name}"))
}

/// Ends the jail that a supervisor with this pid has started, if that has ended without a word:
/// whoever waits for the word is going to say that nothing was started.
///
/// # Errors
/// Another one has the jail; something cannot be removed.
pub fn end_unwatched(directory: &Path, supervisor: i32) -> Result<()> {
    let is_its_own = |state: &State| {
        let recorded = state.supervisor.filter(|name| name.pid == supervisor);
        recorded.is_some_and(|name| !name.is_alive())
    };
    if !State::load(directory)?.as_ref().is_some_and(is_its_own) {
        return Ok(());
    }
    let _lock = state::lock(directory)?;
    match State::load(directory)?.filter(is_its_own) {
        Some(state) => {
            if state.init.is_none() && state.service.is_alive() {
                end(state.service)?;
            }
            remove(directory, &state)
        }
        None => Ok(()),
    }
}

/// Removes what is left of a jail whose service has ended.
///
/// # Errors
/// Something cannot be removed, or other processes of it do not end.
pub fn remove(directory: &Path, state: &State) -> Result<()> {
    if let Some(init) = state.init.filter(|init| init.is_alive()) {
        end(init)?;
    }
    remove_files(directory)?;
    cgroup::forget(&state.counting);
    cgroup::remove(&state.cgroups)
}

/// Ends a process; if it is a first one, then with it everything in its namespace.
fn end(init: ProcessName) -> Result<()> {
    let doing = || "end the jail's first process";
    let pid = Pid::from_raw(init.pid).ok_or_else(|| Error::new(doing(), "no pid"))?;
    let handle = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(Errno::SRCH) => return Ok(()),
        Err(errno) => return Err(errno).doing(doing),
    };
    // Between the last look and the handle the number may have become somebody else's.
    if !init.is_alive() {
        return Ok(());
    }
    match sys::signals::send(&handle, SIGKILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(errno).doing(doing),
    }
    match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&PATIENCE)) {
        Ok(0) => Err(Error::new(doing(), "it does not end, not even by SIGKILL")),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno).doing(doing),
    }
}
