//! The exercises of the start: a service that shows every sign of readiness is started when they
//! have passed. They are run beside everything else that a supervisor attends to: nothing here
//! waits.

use std::time::{Duration, Instant};

use super::readiness::Settling;
use crate::host::exercise::{Attempt, LONGEST, failure};
use crate::plan::{Exercise, Plan};

/// How long it takes until one that has failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// What is left of a start.
#[derive(Debug)]
pub(super) struct WarmUp<'a> {
    settling: Settling,
    left: &'a [Exercise],
    attempt: Option<Attempt>,
    again_at: Instant,
    failed: Option<String>,
    /// That one has failed was not asked for yet.
    is_news: bool,
}

impl<'a> WarmUp<'a> {
    /// All of it.
    pub fn of(plan: &'a Plan) -> Self {
        Self {
            settling: Settling::default(),
            left: plan.start_exercises(),
            attempt: None,
            again_at: Instant::now(),
            failed: None,
            is_news: false,
        }
    }

    /// Whether the start is over, after a look that has shown whether the signs of readiness are
    /// there: they have held for a while, the exercises of the service whose process is `main` have
    /// passed, and then they have held for a while again. `called` is when the last call of the start
    /// was made.
    pub fn is_over(&mut self, shown: bool, main: i32, called: Option<Instant>) -> bool {
        if !self.settling.is_over(shown, called) {
            return false;
        }
        let Some((exercise, others)) = self.left.split_first() else {
            return true;
        };
        if self.has_passed(exercise, main) {
            self.left = others;
            self.failed = None;
            self.settling = Settling::default();
        }
        false
    }

    /// Why the exercise that is its turn has not passed, if it was tried.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Whether that has changed since this was asked last.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    /// Starts an exercise, or looks at the one that runs.
    fn has_passed(&mut self, exercise: &Exercise, main: i32) -> bool {
        if self.attempt.is_none() {
            if Instant::now() < self.again_at {
                return false;
            }
            self.attempt = Attempt::start(&exercise.command_for(main), LONGEST);
        }
        let outcome = match &mut self.attempt {
            Some(attempt) => match attempt.look() {
                Some(outcome) => outcome,
                None => return false,
            },
            // No such program.
            None => (None, Vec::new()),
        };
        self.attempt = None;
        let Some(why) = failure(exercise, &outcome, LONGEST) else {
            return true;
        };
        self.again_at = Instant::now() + AGAIN;
        let failed = format!("its exercise {} has not passed: {why}", exercise.name);
        self.is_news = self.failed.as_ref() != Some(&failed);
        self.failed = Some(failed);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Phase, PlannedStep, Step};

    fn plan(scripts: &[&str]) -> Plan {
        let exercises = scripts.iter().map(|script| Exercise {
            name: "warm".to_owned(),
            command: ["sh", "-c", script].map(str::to_owned).into(),
            expect: 0,
            output: String::new(),
            phase: crate::learn::trace::Phase::Start,
            because: String::new(),
        });
        let step = Step::EndStart {
            calls: Vec::new(),
            signs: Vec::new(),
            exercises: exercises.collect(),
        };
        Plan {
            name: "web".to_owned(),
            generation: 1,
            forks: false,
            steps: vec![PlannedStep {
                phase: Phase::Ready,
                step,
                reason: String::new(),
            }],
            ready: Vec::new(),
            lacking: Vec::new(),
            check_every_s: 0,
            living: crate::plan::Living::default(),
            log: Default::default(),
        }
    }

    fn until_over(warm_up: &mut WarmUp<'_>) {
        let begun = Instant::now();
        while !warm_up.is_over(true, 1, None) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{warm_up:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn calls_of_the_start_put_its_end_off_but_not_for_ever() {
        let mut settling = Settling::default();
        let begun = Instant::now();
        while !settling.is_over(true, Some(Instant::now())) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(begun.elapsed() >= Duration::from_secs(1));
        let mut settling = Settling::default();
        let (begun, called) = (Instant::now(), Some(Instant::now()));
        while !settling.is_over(true, called) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(begun.elapsed() >= Duration::from_millis(100));
    }

    #[test]
    fn each_is_tried_until_it_passes_one_after_another() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("log");
        let first = format!(
            "echo first >> {0}; grep -c first {0} | grep -qx 2",
            log.display()
        );
        let second = format!("echo second >> {}", log.display());
        let plan = plan(&[&first, &second]);
        let mut warm_up = WarmUp::of(&plan);
        until_over(&mut warm_up);
        let log = std::fs::read_to_string(log).unwrap();
        assert_eq!(log, "first\nfirst\nsecond\n");
        assert_eq!(warm_up.failed(), None);
    }

    #[test]
    fn nothing_is_tried_before_the_signs_show() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        let plan = plan(&[&format!("touch {}", file.display())]);
        let mut warm_up = WarmUp::of(&plan);
        for _ in 0..30 {
            assert!(!warm_up.is_over(false, 1, None));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!file.exists());
        until_over(&mut warm_up);
        assert!(file.exists());
    }

    #[test]
    fn one_that_fails_says_why_once() {
        let plan = plan(&["exit 3"]);
        let mut warm_up = WarmUp::of(&plan);
        let begun = Instant::now();
        while warm_up.failed().is_none() && begun.elapsed() < Duration::from_secs(20) {
            assert!(!warm_up.is_over(true, 1, None));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(warm_up.failed().unwrap().contains("exit code 3 where 0"));
        assert!(warm_up.take_news() && !warm_up.take_news());
    }
}
