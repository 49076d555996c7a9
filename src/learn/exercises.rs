//! Drives the service while it is traced: runs the exercises, lets it serve, and asks it to
//! stop. On a thread of its own, outside the trace.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::trace::ExerciseRun;
use super::{Progress, Request};
use crate::spec::Exercise;

/// An exercise that takes longer is killed.
const LONGEST: Duration = Duration::from_secs(30);
/// More of an exercise's output is not looked at.
const MOST_OUTPUT: u64 = 1 << 20;
/// How often a running exercise is looked at.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the end of the output may come after the end of the exercise: something that it left
/// running may hold the pipe open.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// What the driver tells the tracer.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// An exercise has ended.
    Ran(ExerciseRun),
    /// The time to serve is over, and the service's own way to stop is being tried.
    Stop,
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

/// Waits until the service is `ready`, then exercises it, in pass number `pass`. Ends early when
/// the run is over.
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
    let over = &shared.over;
    for (exercise, number) in request.exercises.iter().zip(1..) {
        progress(Progress::ExerciseStarted {
            name: exercise.name.clone(),
        });
        shared.exercise.store(number, Ordering::Relaxed);
        let main = shared.main.load(Ordering::Relaxed);
        let (run, failure) = run_within(exercise, main, pass, over, LONGEST);
        shared.exercise.store(0, Ordering::Relaxed);
        progress(Progress::ExerciseEnded(run.clone()));
        failure.map(progress).unwrap_or_default();
        if tell.send(Message::Ran(run)).is_err() {
            return;
        }
    }
    let serve_for = if pass == request.passes {
        request.serve_for
    } else {
        Duration::ZERO
    };
    let until = Instant::now() + serve_for;
    while Instant::now() < until && !over.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
    }
    progress(Progress::Stopping);
    // Before it is asked to end: an end that comes at once is none of its own accord. A tracer
    // that is gone needs no telling.
    tell.send(Message::Stop).unwrap_or_default();
    if !request.stop_command.is_empty() && !over.load(Ordering::Relaxed) {
        // If it does nothing, SIGTERM follows, so its result does not matter.
        finish(&request.stop_command, over, LONGEST);
    }
}

/// Runs an exercise of a service that is not traced and whose process is `main`; `Err` says what
/// was wrong, in words, and what it printed.
pub fn try_out(exercise: &Exercise, main: i32) -> std::result::Result<(), (String, String)> {
    try_out_within(exercise, main, LONGEST)
}

/// As [`try_out`]; one that takes longer than `longest` is killed.
pub fn try_out_within(
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
    let (exit, output) = finish(&exercise.command_for(main), over, longest);
    let why = failure(exercise, exit, &output, longest);
    let run = ExerciseRun {
        name: exercise.name.clone(),
        command: exercise.command.clone(),
        exit,
        passed: why.is_none(),
        pass,
    };
    let failed = why.map(|why| Progress::ExerciseFailed {
        name: exercise.name.clone(),
        why,
        output: String::from_utf8_lossy(&output).into_owned(),
    });
    (run, failed)
}

/// What an exercise did instead of what is expected of it.
fn failure(
    exercise: &Exercise,
    exit: Option<i32>,
    output: &[u8],
    longest: Duration,
) -> Option<String> {
    let Some(code) = exit else {
        let seconds = longest.as_secs();
        return Some(format!(
            "it could not be run, or was killed, as it is after {seconds} s"
        ));
    };
    if code != exercise.expect {
        let expected = exercise.expect;
        return Some(format!("exit code {code} where {expected} is expected"));
    }
    let wanted = exercise.output.as_bytes();
    let found = wanted.is_empty() || output.windows(wanted.len()).any(|part| part == wanted);
    (!found).then(|| {
        format!(
            "exit code {code}, but it did not print {:?}",
            exercise.output
        )
    })
}

/// Runs a command to its end: its exit code, if it had one, and what it printed.
fn finish(command: &[String], over: &AtomicBool, longest: Duration) -> (Option<i32>, Vec<u8>) {
    let Some((mut child, output)) = start(command) else {
        return (None, Vec::new());
    };
    let exit = wait(&mut child, over, longest);
    (exit, output.recv_timeout(LAST_OUTPUT).unwrap_or_default())
}

/// Starts a command in a process group of its own, with a thread that reads what it prints.
fn start(command: &[String]) -> Option<(Child, Receiver<Vec<u8>>)> {
    let (program, arguments) = command.split_first()?;
    let (mut reader, writer) = std::io::pipe().ok()?;
    let second = writer.try_clone().ok()?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(second)
        .process_group(0)
        .spawn()
        .ok()?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        let read = reader.by_ref().take(MOST_OUTPUT).read_to_end(&mut output);
        // What was read counts, even if the rest cannot be; nobody may be waiting any more.
        sender.send(output).unwrap_or_default();
        // The rest is read too, so that the exercise is not killed by a closed pipe.
        read.and_then(|_| std::io::copy(&mut reader, &mut std::io::sink()))
            .unwrap_or_default();
    });
    Some((child, receiver))
}

fn wait(child: &mut Child, over: &AtomicBool, longest: Duration) -> Option<i32> {
    let deadline = Instant::now() + longest;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) => return status.code(),
            Ok(None) if !over.load(Ordering::Relaxed) => std::thread::sleep(PAUSE),
            Ok(None) | Err(_) => break,
        }
    }
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
    // It has not been waited for, so the number is its own still.
    kill_process_group(group, Signal::KILL).ok()?;
    child.wait().ok()?;
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exercise(command: &[&str], output: &str) -> ExerciseRun {
        let exercise = Exercise {
            name: "it".to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            expect: 3,
            output: output.to_owned(),
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
            because: String::new(),
        };
        let failure = |exit, output: &str| failure(&exercise, exit, output.as_bytes(), LONGEST);
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
            because: String::new(),
        };
        assert_eq!(try_out(&exercise("true"), 1), Ok(()));
        let (why, output) = try_out(&exercise("echo sorry; exit 4"), 1).unwrap_err();
        assert!(why.contains("exit code 4"), "{why}");
        assert_eq!(output, "sorry\n");
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
