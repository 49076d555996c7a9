//! How often a jail was started again, when and why: in its directory below `/var/lib/gaoler`, so
//! that it is known after the host was started anew.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Ended;
use super::state::Last;
use crate::plan::{MOST_RESTARTS, Restart, When};
use crate::{Doing, Error, Result};

/// The file's name.
const FILE: &str = "restarts.json";
/// The name that it is written under.
const HALF: &str = ".restarts.json.new";

/// So many are kept one by one; of those before, how many there were.
const KEPT: usize = MOST_RESTARTS as usize;

/// In the jail's directory below `/run/gaoler`: `restart` was asked for.
const BY_HAND: &str = "by-hand";

/// In the same place: the jail is frozen, and why.
const FROZEN: &str = "frozen";

/// In the same place: `stop` was asked for, so that the end to come is final.
const STOP: &str = "stop";

/// Signals that tell a service to end, and not that it has failed: HUP, INT, PIPE, TERM.
const TO_END: [i32; 4] = [1, 2, 13, 15];

/// Why a service was started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It had exited with this code.
    Exit(i32),
    /// This signal had killed it.
    Signal(i32),
    /// It had ended without anybody to see how.
    Unseen,
    /// It did not show that it lives.
    Liveness(String),
    /// The start before had failed.
    Start(String),
    /// Somebody asked for it.
    ByHand,
}

impl From<Ended> for Cause {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Exited(code) => Cause::Exit(code),
            Ended::Killed(signal) => Cause::Signal(signal),
            Ended::Unseen => Cause::Unseen,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Exit(code) => write!(f, "exit code {code}"),
            Cause::Signal(signal) => write!(f, "signal {signal}"),
            Cause::Unseen => f.write_str("an end that nobody saw"),
            Cause::Liveness(why) => write!(f, "liveness: {why}"),
            Cause::Start(why) => write!(f, "a start that failed: {why}"),
            Cause::ByHand => f.write_str("by hand"),
        }
    }
}

impl Cause {
    /// Whether the service has failed, rather than been told to end.
    pub fn is_failure(&self) -> bool {
        match self {
            Cause::Exit(code) => *code != 0,
            Cause::Signal(signal) => !TO_END.contains(signal),
            Cause::ByHand => false,
            Cause::Unseen | Cause::Liveness(_) | Cause::Start(_) => true,
        }
    }

    /// Why a start that somebody asks for is one more of the same service: it was asked to start
    /// again, or has failed. A service that was stopped is just started.
    pub(super) fn of_start(directory: &Path) -> Option<Self> {
        if directory.join(BY_HAND).exists() {
            return Some(Cause::ByHand);
        }
        let last = Last::load(directory)?;
        let cause = match last.dead {
            Some(why) => Cause::Liveness(why),
            None => Self::from(last.ended),
        };
        (!last.stopped && cause.is_failure()).then_some(cause)
    }
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarted {
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Why.
    pub cause: Cause,
    /// By the jail's supervisor, as its spec has it, and not by a person.
    pub by_itself: bool,
}

/// All of a jail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// How many.
    pub count: u64,
    /// The last ones, the newest last.
    pub recent: Vec<Restarted>,
}

/// What follows the end of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It stays down.
    Down,
    /// It stays down, although it would be started again if that had not been done so often.
    Limit,
    /// It is started again after this time.
    After(Duration),
}

impl Restarts {
    /// Those of the jail whose directory below `/var/lib/gaoler` this is. One without the file, or
    /// with one that is damaged, has none.
    pub fn load(directory: &Path) -> Self {
        let text = fs::read_to_string(directory.join(FILE)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Adds one.
    pub(super) fn add(&mut self, cause: Cause, by_itself: bool) {
        self.count = self.count.saturating_add(1);
        if self.recent.len() >= KEPT {
            self.recent.remove(0);
        }
        self.recent.push(Restarted {
            at_ms: now_ms(),
            cause,
            by_itself,
        });
    }

    /// Writes them in one rename.
    ///
    /// # Errors
    /// The directory is not writable.
    pub(super) fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let beside = directory.join(HALF);
        let doing = || format!("write {}", path.display());
        let text = serde_json::to_string(self).map_err(|error| Error::new(doing(), error))?;
        fs::write(&beside, text).doing(doing)?;
        fs::rename(&beside, &path).doing(doing)
    }

    /// What the spec has for an end by this cause, at this time. How long to wait, and whether that
    /// is done too often, follows from what was written down alone, so that a supervisor that takes
    /// over goes on where the one before was.
    pub(super) fn next(&self, policy: &Restart, cause: &Cause, now_ms: u64) -> Next {
        let wanted = match policy.when {
            When::Never => false,
            When::OnFailure => cause.is_failure(),
            When::Always => true,
        };
        if !wanted {
            return Next::Down;
        }
        let begun = now_ms.saturating_sub(policy.period_ms.into());
        let within = |it: &&Restarted| it.by_itself && it.at_ms > begun;
        let count = self.recent.iter().filter(within).count();
        if count >= usize::try_from(policy.limit).unwrap_or(usize::MAX) {
            return Next::Limit;
        }
        let doublings = u32::try_from(count).unwrap_or(u32::MAX).min(31);
        let delay = u64::from(policy.delay_ms) << doublings;
        Next::After(Duration::from_millis(
            delay.min(policy.longest_delay_ms.into()),
        ))
    }
}

/// Now, in milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// A file that says what was asked for, in the jail's directory below `/run/gaoler`.
fn mark(directory: &Path, name: &str) -> Result<()> {
    let path = directory.join(name);
    fs::write(&path, "").doing(|| format!("write {}", path.display()))
}

fn unmark(path: PathBuf) -> Result<()> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// From now on the next end of the service is final.
///
/// # Errors
/// The directory is not writable.
pub fn ask_to_stop(directory: &Path) -> Result<()> {
    mark(directory, STOP)
}

/// Whether somebody has asked for that.
pub(super) fn is_to_stop(directory: &Path) -> bool {
    directory.join(STOP).exists()
}

/// The next start is one more of the same service, because somebody asked for that.
///
/// # Errors
/// The directory is not writable.
pub fn ask_to_restart(directory: &Path) -> Result<()> {
    mark(directory, BY_HAND)
}

/// From now on the service is neither started again nor ended because it does not live.
///
/// # Errors
/// The directory is not writable.
pub fn freeze(directory: &Path, why: &str) -> Result<()> {
    let path = directory.join(FROZEN);
    fs::write(&path, why).doing(|| format!("write {}", path.display()))
}

/// Why the jail is frozen, if it is.
pub fn frozen(directory: &Path) -> Option<String> {
    fs::read_to_string(directory.join(FROZEN)).ok()
}

/// It is frozen no more.
///
/// # Errors
/// The directory is not writable.
pub fn thaw(directory: &Path) -> Result<()> {
    unmark(directory.join(FROZEN))
}

/// Forgets what was asked for.
pub(super) fn forget_asked(directory: &Path) -> Result<()> {
    thaw(directory)?;
    unmark(directory.join(BY_HAND))?;
    unmark(directory.join(STOP))
}

/// Forgets that it was to stop, with what else a running jail has.
pub(super) fn forget_stop(directory: &Path) -> Result<()> {
    thaw(directory)?;
    unmark(directory.join(STOP))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Restart = Restart {
        when: When::OnFailure,
        delay_ms: 100,
        longest_delay_ms: 1000,
        limit: 6,
        period_ms: 60_000,
    };

    fn after(times: u64, step_ms: u64) -> Restarts {
        let mut restarts = Restarts::default();
        for number in 1..=times {
            restarts.recent.push(Restarted {
                at_ms: 1_000_000 + number * step_ms,
                cause: Cause::Exit(1),
                by_itself: true,
            });
        }
        restarts
    }

    #[test]
    fn waits_double_up_to_the_longest_and_end_at_the_limit() {
        let waits: Vec<_> = (0..8)
            .map(|times| after(times, 10).next(&POLICY, &Cause::Exit(1), 1_000_100))
            .collect();
        let wait = |ms| Next::After(Duration::from_millis(ms));
        let wanted = [100, 200, 400, 800, 1000, 1000].map(wait);
        assert_eq!(waits[..6], wanted);
        assert_eq!(waits[6..], [Next::Limit, Next::Limit]);
    }

    #[test]
    fn what_is_long_ago_and_what_a_person_did_does_not_count() {
        let mut restarts = after(20, 1);
        let late = 1_000_000 + 61_000;
        let first = Next::After(Duration::from_millis(100));
        assert_eq!(restarts.next(&POLICY, &Cause::Exit(1), late), first);
        for _ in 0..20 {
            restarts.add(Cause::ByHand, false);
        }
        assert_eq!(restarts.next(&POLICY, &Cause::Exit(1), now_ms()), first);
        assert_eq!(restarts.count, 20);
    }

    #[test]
    fn only_the_ends_that_are_asked_for_are_followed() {
        let none = Restarts::default();
        let next = |when, cause: &Cause| none.next(&Restart { when, ..POLICY }, cause, 0);
        let failures = [
            Cause::Exit(3),
            Cause::Signal(11),
            Cause::Signal(9),
            Cause::Unseen,
            Cause::Liveness("x".to_owned()),
            Cause::Start("x".to_owned()),
        ];
        let first = Next::After(Duration::from_millis(100));
        for cause in &failures {
            assert_eq!(next(When::OnFailure, cause), first, "{cause}");
            assert_eq!(next(When::Never, cause), Next::Down, "{cause}");
        }
        for cause in [Cause::Exit(0), Cause::Signal(15), Cause::Signal(1)] {
            assert_eq!(next(When::OnFailure, &cause), Next::Down, "{cause}");
            assert_eq!(next(When::Always, &cause), first, "{cause}");
        }
    }

    #[test]
    fn they_are_kept_and_do_not_grow_for_ever() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(Restarts::load(place.path()), Restarts::default());
        let mut restarts = Restarts::default();
        for number in 0..1000 {
            restarts.add(Cause::Exit(number), true);
        }
        restarts.save(place.path()).unwrap();
        let found = Restarts::load(place.path());
        assert_eq!((found.count, found.recent.len()), (1000, KEPT));
        assert_eq!(found.recent[KEPT - 1].cause, Cause::Exit(999));
        fs::write(place.path().join(FILE), "{\"count\":").unwrap();
        assert_eq!(Restarts::load(place.path()), Restarts::default());
    }

    #[test]
    fn a_start_after_a_failure_is_one_more_and_after_a_stop_it_is_not() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(Cause::of_start(place.path()), None);
        let last = |ended, stopped| {
            let words = String::new();
            let last = Last {
                ended,
                words,
                stopped,
                ..Last::default()
            };
            last.save(place.path()).unwrap();
            Cause::of_start(place.path())
        };
        assert_eq!(last(Ended::Exited(7), false), Some(Cause::Exit(7)));
        assert_eq!(last(Ended::Killed(9), true), None);
        assert_eq!(last(Ended::Exited(0), false), None);
        ask_to_restart(place.path()).unwrap();
        assert_eq!(last(Ended::Exited(0), true), Some(Cause::ByHand));
        forget_asked(place.path()).unwrap();
        assert_eq!(last(Ended::Exited(0), true), None);
    }
}
