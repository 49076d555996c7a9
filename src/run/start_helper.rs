//! What stays beside a service that took this process over, until it is ready: somebody has to
//! say yes to the calls of its start. Neither its parent nor its child, so that nothing of it
//! reaches the service; it ends by itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions};

use super::child::Word;
use super::launch::{pipe, read_message};
use super::prepare::{high, null};
use super::readiness::is_ready;
use super::start_calls::StartCalls;
use super::state::{ProcessName, State};
use super::warm_up::WarmUp;
use crate::host::begun::Begun;
use crate::plan::Plan;
use crate::sys::fork::{Namespaces, Side};
use crate::{Doing, Error, Result, sys};

/// How often the service is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Starts it. Answers with the pipe on which this process tells the number of its filter's
/// listener.
///
/// # Errors
/// As `pipe2(2)`, `pidfd_open(2)` and `clone3(2)`.
pub(super) fn start(plan: &Plan, directory: &Path) -> Result<OwnedFd> {
    let doing = || "start what attends to the service's start";
    let begun = Begun::now(&plan.signs_of_its_own());
    let (words, told) = pipe()?;
    let own = ProcessName::of(std::process::id().cast_signed())?;
    let service = Pid::from_raw(own.pid).ok_or_else(|| Error::new(doing(), "no pid"))?;
    let service = rustix::process::pidfd_open(service, PidfdFlags::empty()).doing(doing)?;
    match sys::fork::fork(Namespaces::default()).doing(doing)? {
        Side::Parent { pid, .. } => {
            // The one in between has ended by now, or is about to.
            rustix::process::waitpid(Pid::from_raw(pid), WaitOptions::empty()).doing(doing)?;
            high(told)
        }
        Side::Child => {
            drop(told);
            let helper = Helper {
                plan,
                directory,
                own,
                service,
                words,
                begun,
            };
            helper.leave_and_attend()
        }
    }
}

struct Helper<'a> {
    plan: &'a Plan,
    directory: &'a Path,
    /// Who becomes the service.
    own: ProcessName,
    service: OwnedFd,
    words: OwnedFd,
    begun: Begun,
}

impl Helper<'_> {
    /// Forks once more, so that the service has no child that it did not make.
    fn leave_and_attend(&self) -> ! {
        let attended = match sys::fork::fork(Namespaces::default()) {
            Ok(Side::Parent { .. }) => Ok(()),
            Ok(Side::Child) => self
                .settle()
                .and_then(|(service, words)| self.attend(service, words)),
            Err(errno) => Err(errno).doing(|| "fork"),
        };
        // Nobody is there to be told: without a listener the service's start fails, and says so.
        sys::fork::exit_now(i32::from(attended.is_err()))
    }

    /// A session of its own and nothing open but what it needs: not the terminal, not the lock.
    fn settle(&self) -> Result<(BorrowedFd<'static>, BorrowedFd<'static>)> {
        let doing = || "close what was inherited";
        rustix::process::setsid().doing(doing)?;
        let null = null()?;
        for standard in 0..3 {
            sys::close::place(&null, standard, true).doing(doing)?;
        }
        // Out of the way of the numbers that they get; all others are closed by number.
        let raised = |descriptor: &OwnedFd| high(descriptor.try_clone().doing(doing)?);
        let (service, words) = (raised(&self.service)?, raised(&self.words)?);
        let placed = (
            sys::close::place(&service, 3, false).doing(doing)?,
            sys::close::place(&words, 4, false).doing(doing)?,
        );
        std::mem::forget((null, service, words));
        sys::close::close_from(5).doing(doing)?;
        Ok(placed)
    }

    fn attend(&self, service: BorrowedFd<'_>, words: BorrowedFd<'_>) -> Result<()> {
        let mut word = [0; Word::SIZE];
        let told = read_message(words, &mut word).doing(|| "hear of the service's filter")?;
        // Without a listener the pipe is just closed: exercises are all that there is.
        let mut start = match told.then(|| Word::from_bytes(word)) {
            None => None,
            Some(Word::Listener(number)) => Some(StartCalls::take(service, number)?),
            Some(Word::Failed(..)) => return Ok(()),
        };
        let mut look_at = Instant::now();
        let mut warm_up = WarmUp::of(self.plan);
        let signs = self.plan.start_ends_with().unwrap_or_default();
        while asks(start.as_mut())? && !wait(service, start.as_ref(), look_at)? {
            if Instant::now() < look_at {
                continue;
            }
            let shown = is_ready(signs, self.own.pid, &self.begun, &|_| false);
            let called = start.as_ref().and_then(|start| start.called);
            if warm_up.is_over(shown, self.own.pid, called) {
                break;
            }
            look_at = Instant::now() + LOOK;
        }
        drop(start);
        self.record()
    }

    /// Writes down that the start is over, if it is still this service's jail.
    fn record(&self) -> Result<()> {
        match State::load(self.directory)? {
            Some(state) if state.service == self.own => State {
                serving: true,
                complaining: false,
                ..state
            }
            .save(self.directory),
            _ => Ok(()),
        }
    }
}

/// Lets calls run that wait now. `false` if nobody can ask any more.
fn asks(start: Option<&mut StartCalls>) -> Result<bool> {
    start.map_or(Ok(true), StartCalls::answer)
}

/// Waits until a call asks or it is time to look. Answers whether the service has ended.
fn wait(service: BorrowedFd<'_>, start: Option<&StartCalls>, until: Instant) -> Result<bool> {
    let mut watched = vec![PollFd::from_borrowed_fd(service, PollFlags::IN)];
    watched.extend(start.map(|start| PollFd::from_borrowed_fd(start.as_fd(), PollFlags::IN)));
    let left = until.saturating_duration_since(Instant::now());
    match poll(&mut watched, Timespec::try_from(left).ok().as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno).doing(|| "wait for the service"),
    }
    Ok(watched
        .first()
        .is_some_and(|service| !service.revents().is_empty()))
}
