//! A process of gaoler's own that works for another: it reads jobs and answers, a line of JSON each,
//! and ends when there is nothing more to read.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Kind;
use crate::{Doing, Error, Result};

/// An error on its way from a worker: its kind as an exit code, what, why, hint.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure(u8, String, String, Option<String>);

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let (doing, why, hint) = error.parts();
        Self(
            error.exit_code(),
            doing.to_owned(),
            why.to_owned(),
            hint.map(str::to_owned),
        )
    }
}

impl From<Failure> for Error {
    fn from(Failure(code, doing, why, hint): Failure) -> Self {
        let kind = match code {
            125 => Kind::Setup,
            2 => Kind::Usage,
            _ => Kind::Failed,
        };
        let error = Error::new(doing, why).kind(kind);
        hint.into_iter().fold(error, Error::hint)
    }
}

/// A worker's process, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    work: String,
}

impl Worker {
    /// Starts this program again, with these arguments, to do `work`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start<S: AsRef<OsStr>>(work: String, arguments: &[S]) -> Result<Self> {
        let doing = || format!("start {work}");
        let mut child = Command::new("/proc/self/exe")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .doing(doing)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let Some(output) = output else {
            return Err(Error::new(doing(), "it has no standard output"));
        };
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
            work,
        })
    }

    /// Gives it a job.
    ///
    /// # Errors
    /// It has ended.
    pub(super) fn send(&mut self, job: &impl Serialize) -> Result<()> {
        let doing = || format!("tell {} what to try", self.work);
        let mut text = serde_json::to_string(job).map_err(|error| Error::new(doing(), error))?;
        text.push('\n');
        let Some(input) = &mut self.input else {
            return Err(Error::new(doing(), "it has ended"));
        };
        input.write_all(text.as_bytes()).doing(doing)
    }

    /// Has nothing more for it to do.
    pub(super) fn close(&mut self) {
        self.input = None;
    }

    /// Waits for its answer.
    ///
    /// # Errors
    /// It has ended.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> Result<T> {
        let doing = || format!("hear of {}", self.work);
        let mut line = String::new();
        if self.output.read_line(&mut line).doing(doing)? == 0 {
            return Err(Error::new(doing(), "its process has ended"));
        }
        serde_json::from_str(&line).map_err(|error| Error::new(doing(), error))
    }
}

/// To wait for an answer.
impl AsFd for Worker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.get_ref().as_fd()
    }
}

impl Drop for Worker {
    /// One that has nothing to do ends by itself; another is killed, and with it what lives in its
    /// namespaces.
    fn drop(&mut self) {
        self.close();
        for _ in 0..20 {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        match self.child.kill().and_then(|()| self.child.wait()) {
            // It is gone either way; what it leaves is removed with its place.
            Ok(_) | Err(_) => {}
        }
    }
}
