//! Whether a service that was ready still does its work: a command, a port, `WATCHDOG=1`.

use std::time::{Duration, Instant};

use super::readiness;
use crate::host::begun::Begun;
use crate::host::exercise::Attempt;
use crate::plan::{Exercise, Liveness as Wanted, duration_text};

/// How often a command that runs is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The schedule, and the look that goes on.
#[derive(Debug)]
pub(super) struct Liveness<'a> {
    wanted: Option<&'a Wanted>,
    /// When the next look begins, or the one that goes on is looked at; `None`: it is not ready.
    due: Option<Instant>,
    attempt: Option<Attempt>,
    failures: u32,
    /// When it said last that it lives.
    beat: Instant,
    /// A look has ended, and what it took is not given back yet.
    has_looked: bool,
}

impl<'a> Liveness<'a> {
    /// Nothing is looked at before [`Liveness::begin`].
    pub fn new(wanted: Option<&'a Wanted>) -> Self {
        Self {
            wanted,
            due: None,
            attempt: None,
            failures: 0,
            beat: Instant::now(),
            has_looked: false,
        }
    }

    /// Whether a look has ended since this was asked last.
    pub fn take_looked(&mut self) -> bool {
        std::mem::take(&mut self.has_looked)
    }

    /// It is ready.
    pub fn begin(&mut self) {
        self.beat = Instant::now();
        self.failures = 0;
        self.due = self.wanted.map(|wanted| Instant::now() + every(wanted));
    }

    /// Looks at it no more.
    pub fn end(&mut self) {
        self.due = None;
        self.attempt = None;
    }

    /// It has said that it lives.
    pub fn beats(&mut self) {
        self.beat = Instant::now();
    }

    /// When there is something to attend to.
    pub fn wakes_at(&self) -> Option<Instant> {
        let (due, wanted) = (self.due?, self.wanted?);
        let silent = wanted.watchdog_ms.map(|ms| self.beat + milliseconds(ms));
        let looks = has_looks(wanted).then_some(due);
        looks.into_iter().chain(silent).min()
    }

    /// Looks at it when it is time. Why it counts as dead, if it does. `first` is the first process
    /// of the jail, `main` the service's.
    pub fn attend(&mut self, first: i32, main: i32) -> Option<String> {
        let (due, wanted) = (self.due?, self.wanted?);
        if let Some(longest) = wanted.watchdog_ms
            && self.beat.elapsed() >= milliseconds(longest)
        {
            let longest = duration_text(longest);
            return Some(format!("it has not said WATCHDOG=1 for {longest}"));
        }
        if !has_looks(wanted) || Instant::now() < due {
            return None;
        }
        if self.attempt.is_none() {
            if let Some(port) = &wanted.port
                && !readiness::is_ready(
                    std::slice::from_ref(port),
                    first,
                    &Begun::now(&[]),
                    &|_| false,
                )
            {
                return self.has_failed(wanted, format!("nothing waits at {port}"));
            }
            if wanted.command.is_empty() {
                return self.has_passed(wanted);
            }
            let command = Exercise::words_for(&wanted.command, main);
            self.attempt = Attempt::start(&command, milliseconds(wanted.timeout_ms));
        }
        let program = wanted.command.first().map_or("", String::as_str);
        let outcome = match &mut self.attempt {
            Some(attempt) => match attempt.look() {
                Some((exit, _)) => exit,
                None => {
                    self.due = Some(Instant::now() + LOOK);
                    return None;
                }
            },
            None => return self.has_failed(wanted, format!("{program} cannot be run")),
        };
        self.attempt = None;
        match outcome {
            Some(0) => self.has_passed(wanted),
            Some(code) => self.has_failed(wanted, format!("{program}: exit code {code}")),
            None => {
                let longest = duration_text(wanted.timeout_ms);
                let why = format!("{program}: killed, as it is after {longest}");
                self.has_failed(wanted, why)
            }
        }
    }

    fn has_passed(&mut self, wanted: &Wanted) -> Option<String> {
        self.failures = 0;
        self.has_looked = true;
        self.due = Some(Instant::now() + every(wanted));
        None
    }

    fn has_failed(&mut self, wanted: &Wanted, why: String) -> Option<String> {
        self.failures += 1;
        self.has_looked = true;
        self.due = Some(Instant::now() + every(wanted));
        (self.failures >= wanted.failures).then_some(why)
    }
}

fn has_looks(wanted: &Wanted) -> bool {
    wanted.port.is_some() || !wanted.command.is_empty()
}

fn every(wanted: &Wanted) -> Duration {
    milliseconds(wanted.every_ms)
}

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(script: &str) -> Wanted {
        Wanted {
            every_ms: 1,
            timeout_ms: 200,
            failures: 2,
            command: ["sh", "-c", script].map(str::to_owned).into(),
            port: None,
            watchdog_ms: None,
        }
    }

    /// What it says of the service within a while.
    fn verdict(wanted: &Wanted, looks: u32) -> Option<String> {
        let mut liveness = Liveness::new(Some(wanted));
        liveness.begin();
        for _ in 0..looks {
            let wait = liveness.wakes_at()?;
            std::thread::sleep(wait.saturating_duration_since(Instant::now()));
            if let Some(why) = liveness.attend(1, 7) {
                return Some(why);
            }
        }
        None
    }

    #[test]
    fn one_that_passes_lives_and_gets_the_number_of_the_service() {
        let mut passes = wanted("test $0 = 7");
        passes.command.push("$PID".to_owned());
        assert_eq!(verdict(&passes, 20), None);
    }

    #[test]
    fn one_that_fails_often_enough_in_a_row_is_dead() {
        assert_eq!(
            verdict(&wanted("exit 3"), 1000).as_deref(),
            Some("sh: exit code 3")
        );
        let why = verdict(&wanted("sleep 20"), 10_000).unwrap();
        assert!(why.contains("after 200ms"), "{why}");
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        // Every second look passes.
        let script = format!("rm {0} || {{ touch {0}; exit 1; }}", file.display());
        let patient = Wanted {
            timeout_ms: 60_000,
            ..wanted(&script)
        };
        assert_eq!(verdict(&patient, 100), None);
    }

    #[test]
    fn one_that_is_silent_is_dead() {
        let silent = Wanted {
            command: Vec::new(),
            watchdog_ms: Some(300),
            ..wanted("")
        };
        let mut liveness = Liveness::new(Some(&silent));
        assert_eq!(liveness.wakes_at(), None);
        liveness.begin();
        std::thread::sleep(Duration::from_millis(200));
        liveness.beats();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(liveness.attend(1, 1), None);
        std::thread::sleep(Duration::from_millis(200));
        assert!(liveness.attend(1, 1).is_some());
        liveness.end();
        assert_eq!((liveness.attend(1, 1), liveness.wakes_at()), (None, None));
    }
}
