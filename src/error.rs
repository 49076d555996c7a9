//! One error type for the whole program: what was being done, to what, why it failed,
//! and what to do next. It is printed once, by [`crate::cli`].
#![forbid(unsafe_code)]

use std::fmt;
use std::io;

/// What an error means to the caller: it decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The work was tried and failed: exit code 1.
    Failed,
    /// The command line or a file that a person wrote is wrong: exit code 2.
    Usage,
    /// The jail could not be set up, and nothing was started: exit code 125.
    Setup,
}

/// A failure, in the words that a person needs.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    doing: String,
    why: String,
    hint: Option<String>,
    interruption: bool,
}

/// The result of anything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure while `doing` something (a verb and its object, as in "open /etc/passwd"),
    /// and `why`.
    pub fn new(doing: impl Into<String>, why: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Failed,
            doing: doing.into(),
            why: why.to_string(),
            hint: None,
            interruption: false,
        }
    }

    /// As [`Error::new`], for what the user wrote: exit code 2.
    pub fn usage(doing: impl Into<String>, why: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Usage,
            ..Self::new(doing, why)
        }
    }

    /// As [`Error::new`], for a jail that could not be set up: exit code 125.
    pub fn setup(doing: impl Into<String>, why: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Setup,
            ..Self::new(doing, why)
        }
    }

    /// The same, because the user wanted it to end: nothing else is tried in its place.
    #[must_use]
    pub fn interruption(mut self) -> Self {
        self.interruption = true;
        self
    }

    /// Whether the user wanted it to end.
    pub fn is_interruption(&self) -> bool {
        self.interruption
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    /// The same failure, which now means `kind`.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same failure, before anything was started: what merely failed becomes
    /// [`Kind::Setup`], so that the exit code is not taken for the service's own.
    #[must_use]
    pub fn nothing_started(self) -> Self {
        match self.kind {
            Kind::Failed => self.kind(Kind::Setup),
            Kind::Usage | Kind::Setup => self,
        }
    }

    /// The exit code of the table in the manual.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Setup => 125,
        }
    }

    /// What was being done, why it failed, and what to do next.
    pub fn parts(&self) -> (&str, &str, Option<&str>) {
        (&self.doing, &self.why, self.hint.as_deref())
    }

    /// Why it failed, without what was being done.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What to do next, where that is known.
    pub fn next(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.why)
    }
}

impl std::error::Error for Error {}

/// Says what was being done when a lower-level error came up.
pub trait Doing<T> {
    /// Turns the error into an [`Error`] whose text begins with `what` (a verb and its object).
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error::new(what(), explain(&error)))
    }
}

impl<T> Doing<T> for rustix::io::Result<T> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| Error::new(what(), explain(&io::Error::from(errno))))
    }
}

/// The kernel's words, without Rust's " (os error N)".
pub fn explain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
