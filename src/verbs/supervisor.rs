//! The process that stays beside a jail, as whoever starts it sees it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::lifecycle::Announcement;
use super::listening::Listening;
use super::{Places, handed};
use crate::plan::Mode;
use crate::run::leftover;
use crate::run::sockets::Offered;
use crate::spec::Ready;
use crate::{Doing, Error, Result};

/// A supervisor that has been started, and has not said yet how it went.
#[derive(Debug)]
pub(super) struct Supervisor {
    name: String,
    child: Child,
    listening: Listening,
}

impl Supervisor {
    /// Leaves one running, which takes the sockets that were kept.
    pub(super) fn start(
        places: &Places,
        name: &str,
        mode: Mode,
        signs: &[Ready],
        kept: Vec<Offered>,
    ) -> Result<Self> {
        let mut command = Self::command(places, name);
        let input = match mode {
            Mode::Complaining => {
                command.arg("--complain");
                Stdio::null()
            }
            Mode::Traced => {
                command.arg("--traced");
                Stdio::piped()
            }
            Mode::Supervised | Mode::Exec => match handed::channel(kept)? {
                Some(channel) => {
                    command.arg("--sockets");
                    Stdio::from(channel)
                }
                None => Stdio::null(),
            },
        };
        Self::of(name, command, input, signs)
    }

    /// Leaves one running that takes over a jail.
    pub(super) fn take_over(places: &Places, name: &str) -> Result<Self> {
        let mut command = Self::command(places, name);
        command.arg("--take-over");
        Self::of(name, command, Stdio::null(), &[])
    }

    fn command(places: &Places, name: &str) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("--etc")
            .arg(&places.etc)
            .arg("--state")
            .arg(&places.state)
            .arg("--run")
            .arg(&places.run)
            .args(["supervise", name]);
        command
    }

    fn of(name: &str, mut command: Command, input: Stdio, signs: &[Ready]) -> Result<Self> {
        let doing = || format!("start the supervisor of {name}");
        let mut child = command
            .env_clear()
            .current_dir("/")
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .doing(doing)?;
        let Some(output) = child.stdout.take() else {
            return Err(Error::setup(doing(), "it has no standard output"));
        };
        Ok(Self {
            name: name.to_owned(),
            child,
            listening: Listening::new(output, signs)?,
        })
    }

    /// Waits for its word that the service runs, and from then on hears what the jail says.
    /// `directory` is the jail's own, for what a supervisor leaves there that was killed.
    ///
    /// # Errors
    /// What it could not do: then nothing runs.
    pub(super) fn has_started(mut self, directory: &Path) -> Result<Listening> {
        let started = match self.word() {
            Ok(Announcement::Started) => self.listening.wait_no_more(),
            Ok(Announcement::Failed(doing, why, hint)) => {
                let error = Error::setup(doing, why);
                return Err(hint.into_iter().fold(error, Error::hint));
            }
            Ok(Announcement::Forked(_)) => Err(self.unexpected()),
            Err(error) => Err(error),
        };
        match started {
            Ok(()) => Ok(self.listening),
            Err(error) => Err(self.give_up(directory, error)),
        }
    }

    /// Waits for its word that it has taken over.
    ///
    /// # Errors
    /// What it could not do.
    pub(super) fn has_taken_over(&mut self) -> Result<()> {
        match self.word()? {
            Announcement::Started => Ok(()),
            Announcement::Failed(doing, why, hint) => {
                let error = Error::new(doing, why);
                Err(hint.into_iter().fold(error, Error::hint))
            }
            Announcement::Forked(_) => Err(self.unexpected()),
        }
    }

    /// Ends it, and what it has started, because nothing more can be heard of it.
    fn give_up(&mut self, directory: &Path, error: Error) -> Error {
        let doing = || format!("end the supervisor of {}", self.name);
        let killed = self.child.kill().doing(doing);
        let pid = self.child.id().cast_signed();
        let ended = killed
            .and_then(|()| self.wait())
            .and_then(|()| leftover::end_unwatched(directory, pid));
        match ended {
            Ok(()) => error,
            Err(more) => error.hint(format!("what it started may still run: {more}")),
        }
    }

    /// The pid of a service that waits to be traced.
    ///
    /// # Errors
    /// What the supervisor could not do.
    pub(super) fn has_forked(&mut self) -> Result<i32> {
        match self.word()? {
            Announcement::Forked(pid) => Ok(pid),
            Announcement::Failed(doing, why, hint) => {
                let error = Error::setup(doing, why);
                Err(hint.into_iter().fold(error, Error::hint))
            }
            Announcement::Started => Err(self.unexpected()),
        }
    }

    /// Lets such a service go on.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub(super) fn let_go(&mut self) -> Result<()> {
        let doing = || format!("let {} go on", self.name);
        match self.child.stdin.take() {
            Some(mut input) => input.write_all(b"\n").doing(doing),
            None => Err(Error::new(doing(), "its supervisor has no standard input")),
        }
    }

    /// Why it could not start a service that it held, once it has ended; `None` if it could.
    ///
    /// # Errors
    /// As [`Supervisor::let_go`] and `waitpid(2)`.
    pub(super) fn has_failed(&mut self) -> Result<Option<Error>> {
        if self.child.stdin.is_some() {
            self.let_go()?;
        }
        let word = self.word();
        self.wait()?;
        Ok(match word? {
            Announcement::Failed(doing, why, hint) => {
                let error = Error::setup(doing, why);
                Some(hint.into_iter().fold(error, Error::hint))
            }
            Announcement::Started | Announcement::Forked(_) => None,
        })
    }

    /// Waits until it has ended and cleaned up.
    ///
    /// # Errors
    /// As `waitpid(2)`.
    pub(super) fn wait(&mut self) -> Result<()> {
        let doing = || format!("wait for the supervisor of {}", self.name);
        self.child.wait().doing(doing).map(drop)
    }

    fn word(&mut self) -> Result<Announcement> {
        let word = self.listening.word()?;
        serde_json::from_str(&word).map_err(|_| self.unexpected())
    }

    fn unexpected(&self) -> Error {
        let doing = format!("start the supervisor of {}", self.name);
        Error::setup(doing, "it ended without a word")
    }
}
