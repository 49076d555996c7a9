//! Drives the service while it is traced: runs the exercises, lets it serve, and asks it to
//! stop. On a thread of its own, outside the trace.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::trace::ExerciseRun;
use super::{Progress, Request};
use crate::host::exercise::{self, Attempt, LONGEST, Outcome};
use crate::spec::Exercise;

/// How often a running exercise is looked at.
const PAUSE: Duration = Duration::from_millis(10);
/// How long it takes until an exercise of the start that has failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// A service that has its ports need not do its work yet (`named(8)` answers SERVFAIL until it has
/// loaded its zones): an exercise that fails sooner than this is tried once more.
const YOUNG: Duration = Duration::from_millis(300);

/// What the driver tells the tracer.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// An exercise has ended.
    Ran(ExerciseRun),
    /// The exercises of the start have all passed.
    Started,
    /// The time to serve is over, and the service's own way to stop is being tried.
    Stop,
    /// An exercise of the start has failed, and how; it will be tried again.
    Waits(String),
}

/// What the driver and the tracer share.
#[derive(Debug, Default)]
pub struct Shared {
    /// The run is over: whatever still runs shall end.
    pub over: AtomicBool,
    /// The exercise that is running, counted from 1; 0 for none.
    pub exercise: AtomicU16,
    /// The service's main process.
    pub main: AtomicI32,
}

/// Everything that an exercise is driven with.
struct Drive<'a> {
    pass: u32,
    tell: &'a Sender<Message>,
    shared: &'a Shared,
    progress: &'a (dyn Fn(Progress) + Sync),
    /// When it was ready.
    since: Instant,
}

/// Waits until the service shows that it is `ready`, then exercises it, in pass number `pass`:
/// first with the exercises of the start, if there are any, after which it is told to go on once
/// more. Ends early when the run is over.
pub fn drive(
    request: &Request,
    pass: u32,
    ready: &Receiver<()>,
    tell: &Sender<Message>,
    shared: &Shared,
    progress: &(dyn Fn(Progress) + Sync),
) {
    if ready.recv().is_err() {
        return;
    }
    let drive = Drive {
        pass,
        tell,
        shared,
        progress,
        since: Instant::now(),
    };
    let numbered = || request.exercises.iter().zip(1..);
    let of_start = || numbered().filter(|(exercise, _)| exercise.is_of_start());
    if of_start().next().is_some() {
        let started = of_start().all(|(exercise, number)| drive.until_passed(exercise, number));
        if !started || tell.send(Message::Started).is_err() || ready.recv().is_err() {
            return;
        }
    }
    let mut of_serve = numbered().filter(|(exercise, _)| !exercise.is_of_start());
    if !of_serve.all(|(exercise, number)| drive.once(exercise, number)) {
        return;
    }
    drive.serve_and_stop(request);
}

impl Drive<'_> {
    /// Runs an exercise, passed or not. `false` if nobody is there to be told.
    fn once(&self, exercise: &Exercise, number: u16) -> bool {
        self.started(exercise);
        let (mut run, mut failure) = self.attempt(exercise, number);
        if let Some(rest) = youth(self.since).filter(|_| failure.is_some()) {
            self.wait(rest);
            (run, failure) = self.attempt(exercise, number);
        }
        (self.progress)(Progress::ExerciseEnded(run.clone()));
        failure.map(self.progress).unwrap_or_default();
        self.tell.send(Message::Ran(run)).is_ok()
    }

    /// Runs an exercise of the start until it has passed. `false` if the run is over before.
    fn until_passed(&self, exercise: &Exercise, number: u16) -> bool {
        self.started(exercise);
        while !self.shared.over.load(Ordering::Relaxed) {
            let (run, failure) = self.attempt(exercise, number);
            let Some(Progress::ExerciseFailed { name, why, .. }) = failure else {
                (self.progress)(Progress::ExerciseEnded(run.clone()));
                return self.tell.send(Message::Ran(run)).is_ok();
            };
            let waits = Message::Waits(format!("its exercise {name} has not passed: {why}"));
            if self.tell.send(waits).is_err() {
                return false;
            }
            self.wait(AGAIN);
        }
        false
    }

    fn started(&self, exercise: &Exercise) {
        (self.progress)(Progress::ExerciseStarted {
            name: exercise.name.clone(),
        });
    }

    fn attempt(&self, exercise: &Exercise, number: u16) -> (ExerciseRun, Option<Progress>) {
        self.shared.exercise.store(number, Ordering::Relaxed);
        let main = self.shared.main.load(Ordering::Relaxed);
        let ran = run_within(exercise, main, self.pass, &self.shared.over, LONGEST);
        self.shared.exercise.store(0, Ordering::Relaxed);
        ran
    }

    /// Waits, unless the run is over.
    fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.shared.over.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
        }
    }

    fn serve_and_stop(&self, request: &Request) {
        if self.pass == request.passes {
            self.wait(request.serve_for);
        }
        (self.progress)(Progress::Stopping);
        // Before it is asked to end: an end that comes at once is none of its own accord. A tracer
        // that is gone needs no telling.
        self.tell.send(Message::Stop).unwrap_or_default();
        let over = &self.shared.over;
        if !request.stop_command.is_empty() && !over.load(Ordering::Relaxed) {
            // If it does nothing, SIGTERM follows, so its result does not matter.
            finish(&request.stop_command, over, LONGEST);
        }
    }
}

/// How much longer one that has been ready since then may fail because it is young.
fn youth(since: Instant) -> Option<Duration> {
    YOUNG.checked_sub(since.elapsed())
}

/// Runs an exercise of a service that is not traced, whose process is `main` and which has been
/// ready since then; `Err` says what was wrong, in words, and what it printed.
pub fn try_out(
    exercise: &Exercise,
    main: i32,
    since: Instant,
) -> std::result::Result<(), (String, String)> {
    try_out_within(exercise, main, since, LONGEST)
}

/// As [`try_out`]; one that takes longer than `longest` is killed.
pub fn try_out_within(
    exercise: &Exercise,
    main: i32,
    since: Instant,
    longest: Duration,
) -> std::result::Result<(), (String, String)> {
    let first = once_within(exercise, main, longest);
    match youth(since) {
        Some(rest) if first.is_err() => {
            std::thread::sleep(rest);
            once_within(exercise, main, longest)
        }
        _ => first,
    }
}

fn once_within(
    exercise: &Exercise,
    main: i32,
    longest: Duration,
) -> std::result::Result<(), (String, String)> {
    match run_within(exercise, main, 0, &AtomicBool::new(false), longest).1 {
        Some(Progress::ExerciseFailed { why, output, .. }) => Err((why, output)),
        _ => Ok(()),
    }
}

/// Runs one exercise to its end; says what was wrong if it was not passed.
fn run_within(
    exercise: &Exercise,
    main: i32,
    pass: u32,
    over: &AtomicBool,
    longest: Duration,
) -> (ExerciseRun, Option<Progress>) {
    let outcome = finish(&exercise.command_for(main), over, longest);
    let why = exercise::failure(exercise, &outcome, longest);
    let (exit, output) = outcome;
    let run = ExerciseRun {
        name: exercise.name.clone(),
        command: exercise.command.clone(),
        exit,
        passed: why.is_none(),
        pass,
        phase: exercise.phase,
    };
    let failed = why.map(|why| Progress::ExerciseFailed {
        name: exercise.name.clone(),
        why,
        output: String::from_utf8_lossy(&output).into_owned(),
    });
    (run, failed)
}

/// Runs a command to its end, or kills it when the run is `over`.
fn finish(command: &[String], over: &AtomicBool, longest: Duration) -> Outcome {
    let Some(mut attempt) = Attempt::start(command, longest) else {
        return (None, Vec::new());
    };
    loop {
        if let Some(outcome) = attempt.look() {
            return outcome;
        }
        if over.load(Ordering::Relaxed) {
            return (None, Vec::new());
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::Phase;
    use super::*;

    fn exercise(command: &[&str], output: &str) -> ExerciseRun {
        let exercise = Exercise {
            name: "it".to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            expect: 3,
            output: output.to_owned(),
            phase: Phase::Serve,
            because: String::new(),
        };
        let (run, failed) = run_within(&exercise, 77, 1, &AtomicBool::new(false), LONGEST);
        assert_eq!(run.passed, failed.is_none());
        run
    }

    #[test]
    fn a_failure_says_what_it_was() {
        let exercise = Exercise {
            name: "it".to_owned(),
            command: Vec::new(),
            expect: 3,
            output: "text".to_owned(),
            phase: Phase::Serve,
            because: String::new(),
        };
        let failure = |exit, output: &str| {
            let outcome = (exit, output.as_bytes().to_vec());
            exercise::failure(&exercise, &outcome, LONGEST)
        };
        assert_eq!(failure(Some(3), "some text"), None);
        let why = failure(Some(3), "other").unwrap();
        assert!(why.contains("did not print \"text\""), "{why}");
        let why = failure(Some(0), "text").unwrap();
        assert!(why.contains("exit code 0 where 3"), "{why}");
        assert!(failure(None, "text").unwrap().contains("could not be run"));
    }

    #[test]
    fn exit_code_and_output_decide() {
        let script = ["sh", "-c", "echo some text >&2; exit 3"];
        assert!(exercise(&script, "me te").passed);
        assert!(exercise(&script, "").passed);
        let run = exercise(&script, "other");
        assert_eq!((run.exit, run.passed), (Some(3), false));
        assert!(!exercise(&["true"], "").passed);
        let asked = ["sh", "-c", "echo $1 $2; exit 3", "sh", "$PID", "x$PID"];
        assert!(exercise(&asked, "77 x$PID").passed);
    }

    #[test]
    fn what_is_missing_or_killed_has_no_exit_code() {
        assert_eq!(exercise(&["/no/such/program"], "").exit, None);
        assert_eq!(exercise(&[], "").exit, None);
        assert_eq!(exercise(&["sh", "-c", "kill -9 $$"], "").exit, None);
    }

    #[test]
    fn one_that_is_tried_out_says_what_it_printed() {
        let exercise = |script: &str| Exercise {
            name: "it".to_owned(),
            command: ["sh", "-c", script].map(str::to_owned).into(),
            expect: 0,
            output: String::new(),
            phase: Phase::Serve,
            because: String::new(),
        };
        let old = Instant::now().checked_sub(YOUNG).unwrap();
        assert_eq!(try_out(&exercise("true"), 1, old), Ok(()));
        let (why, output) = try_out(&exercise("echo sorry; exit 4"), 1, old).unwrap_err();
        assert!(why.contains("exit code 4"), "{why}");
        assert_eq!(output, "sorry\n");
        // The first time fails, and the second passes.
        let place = tempfile::tempdir().unwrap();
        let twice = format!("rmdir {0}/x 2>&1 || ! mkdir {0}/x", place.path().display());
        let tried = |since| try_out(&exercise(&twice), 1, since).is_ok();
        assert_eq!([old, old, old].map(tried), [false, true, false]);
        std::fs::remove_dir(place.path().join("x")).unwrap();
        assert!(tried(Instant::now()));
    }

    #[test]
    fn it_ends_when_the_service_has() {
        let begun = Instant::now();
        let (exit, _) = finish(
            &["sleep".to_owned(), "20".to_owned()],
            &AtomicBool::new(true),
            LONGEST,
        );
        assert_eq!(exit, None);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
