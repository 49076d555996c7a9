//! Jails whose supervisor was killed: the next command of gaoler's that has to do with one starts
//! another.

use std::time::{Duration, Instant};

use super::supervisor::Supervisor;
use super::{Event, Places, Report};
use crate::Result;
use crate::run::state::State;

/// How long another command that does the same is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Starts a supervisor for a jail that runs without the one that it had. That it cannot be done is
/// told: the jail is not the worse for it. What cannot be read is the caller's to tell.
pub(super) fn ensure(places: &Places, name: &str, report: &Report<'_>) {
    if !is_unwatched(places, name) {
        return;
    }
    match take_over(places, name) {
        Ok(()) => report(Event::Note(format!(
            "the supervisor of {name} had been killed: another one has taken over"
        ))),
        Err(error) => report(Event::Warning(format!(
            "the supervisor of {name} was killed, and no other could take over: {error}"
        ))),
    }
}

fn is_unwatched(places: &Places, name: &str) -> bool {
    let state = State::load(&places.runtime(name));
    matches!(state, Ok(Some(state)) if state.is_unwatched())
}

fn take_over(places: &Places, name: &str) -> Result<()> {
    let taken = Supervisor::take_over(places, name)?.has_taken_over();
    let until = Instant::now() + PATIENCE;
    // Another command may do the same: one of them has it.
    while is_unwatched(places, name) {
        if Instant::now() > until {
            return taken;
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
