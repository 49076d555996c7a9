//! Runs an exercise, which shows that a service works: a command, what is expected of it, and how
//! long it may take. Never waits by itself.

use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process_group};

use super::command::PATH;
use crate::spec::Exercise;

/// An exercise that takes longer is killed.
pub const LONGEST: Duration = Duration::from_secs(30);

/// More of an exercise's output is not looked at.
const MOST_OUTPUT: usize = 1 << 20;

/// How much is read at once.
const CHUNK: usize = 8192;

/// How long the end of the output may come after the end of the exercise: something that it left
/// running may hold the pipe open.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// How one ended: its exit code, if it had one, and what it printed.
pub type Outcome = (Option<i32>, Vec<u8>);

/// A command that is being run, in a process group of its own. Dropping it kills what is left.
#[derive(Debug)]
pub struct Attempt {
    child: Child,
    reader: PipeReader,
    output: Vec<u8>,
    /// Nobody holds the writing end any more, or it cannot be read.
    closed: bool,
    kill_at: Instant,
    /// How it ended, and when that was seen.
    ended: Option<(Option<i32>, Instant)>,
}

impl Attempt {
    /// Starts a command, which may take as long as `longest`; `None` if it cannot be started.
    pub fn start(command: &[String], longest: Duration) -> Option<Self> {
        let (program, arguments) = command.split_first()?;
        let (reader, writer) = std::io::pipe().ok()?;
        let flags = rustix::fs::fcntl_getfl(reader.as_fd()).ok()?;
        rustix::fs::fcntl_setfl(reader.as_fd(), flags | OFlags::NONBLOCK).ok()?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().ok()?)
            .stderr(writer)
            .process_group(0);
        // A supervisor has no environment.
        if std::env::var_os("PATH").is_none() {
            command.env("PATH", PATH).env("LC_ALL", "C.UTF-8");
        }
        Some(Self {
            child: command.spawn().ok()?,
            reader,
            output: Vec::new(),
            closed: false,
            kill_at: Instant::now() + longest,
            ended: None,
        })
    }

    /// Looks at it, reads what it has printed, and kills it if its time is over. `None` while it
    /// goes on.
    pub fn look(&mut self) -> Option<Outcome> {
        self.read();
        let (exit, since) = match self.ended {
            Some(ended) => ended,
            None => {
                let ended = (self.exit()?, Instant::now());
                *self.ended.insert(ended)
            }
        };
        // What it printed before it ended is in the pipe by now.
        self.read();
        let over = self.closed || exit.is_none() || since.elapsed() >= LAST_OUTPUT;
        over.then(|| (exit, std::mem::take(&mut self.output)))
    }

    /// How it ended; `Some(None)` without an exit code.
    fn exit(&mut self) -> Option<Option<i32>> {
        match self.child.try_wait() {
            Ok(Some(status)) => Some(status.code()),
            Ok(None) if Instant::now() < self.kill_at => None,
            Ok(None) | Err(_) => {
                self.kill();
                Some(None)
            }
        }
    }

    fn read(&mut self) {
        let mut chunk = [0; CHUNK];
        while !self.closed {
            match self.reader.read(&mut chunk) {
                Ok(0) => self.closed = true,
                Ok(count) => {
                    // The rest is read too: a full pipe would hold it up.
                    let room = MOST_OUTPUT.saturating_sub(self.output.len()).min(count);
                    self.output
                        .extend_from_slice(chunk.get(..room).unwrap_or_default());
                }
                Err(error) => match error.kind() {
                    std::io::ErrorKind::WouldBlock => return,
                    std::io::ErrorKind::Interrupted => {}
                    _ => self.closed = true,
                },
            }
        }
    }

    fn kill(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It has not been waited for, so the number is its own still.
        let killed = group.map(|group| kill_process_group(group, Signal::KILL));
        if matches!(killed, Some(Ok(()))) {
            // It cannot say no; how it ended is known.
            match self.child.wait() {
                Ok(_) | Err(_) => {}
            }
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
        }
    }
}

/// What an exercise did instead of what is expected of it.
pub fn failure(exercise: &Exercise, (exit, output): &Outcome, longest: Duration) -> Option<String> {
    let Some(code) = *exit else {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn end(attempt: &mut Attempt) -> Outcome {
        loop {
            match attempt.look() {
                Some(outcome) => return outcome,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn words(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).into()
    }

    #[test]
    fn more_than_a_pipe_holds_is_read_and_the_rest_is_not_kept() {
        let script = "head -c 3000000 /dev/zero; exit 7";
        let mut attempt = Attempt::start(&words(script), LONGEST).unwrap();
        let (exit, output) = end(&mut attempt);
        assert_eq!((exit, output.len()), (Some(7), MOST_OUTPUT));
    }

    #[test]
    fn what_takes_too_long_is_killed_with_what_it_started() {
        let begun = Instant::now();
        let script = "sleep 60 & echo $!; sleep 60";
        let mut attempt = Attempt::start(&words(script), Duration::from_millis(300)).unwrap();
        let (exit, output) = end(&mut attempt);
        assert_eq!(exit, None);
        let child = String::from_utf8(output).unwrap();
        // It is not ours to be waited for, and a killed process takes its time on a busy machine.
        let stat = format!("/proc/{}/stat", child.trim());
        let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        while runs() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_it_leaves_running_holds_nothing_up() {
        let begun = Instant::now();
        let mut attempt = Attempt::start(&words("sleep 20 & echo $!"), LONGEST).unwrap();
        let (exit, output) = end(&mut attempt);
        assert_eq!(exit, Some(0));
        assert!(begun.elapsed() < Duration::from_secs(10));
        let left: i32 = String::from_utf8(output).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(left).unwrap(), Signal::KILL).unwrap();
    }

    #[test]
    fn one_that_is_given_up_is_gone() {
        let attempt = Attempt::start(&words("sleep 60"), LONGEST).unwrap();
        let id = attempt.child.id();
        drop(attempt);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}
