//! What a jail says while it starts: its supervisor passes each line on to whoever started it.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::ChildStdout;
use std::time::Instant;

use rustix::fs::OFlags;

use crate::spec::{LogSigns, Ready};
use crate::{Doing, Result};

/// How much is read at once.
const CHUNK: usize = 4096;

/// A longer line is none of a supervisor's.
const LONGEST_LINE: usize = 1 << 20;

/// How many lines are kept for an error.
const LINES: usize = 20;

/// The reading end. The supervisor stops telling when it is dropped.
#[derive(Debug)]
pub(super) struct Listening {
    pipe: ChildStdout,
    heard: Instant,
    rest: Vec<u8>,
    lines: Vec<String>,
    signs: LogSigns,
}

impl Listening {
    /// The supervisor's own lines come first, then what the jail says, in which the `log:` signs
    /// among `signs` are looked for.
    pub(super) fn new(pipe: ChildStdout, signs: &[Ready]) -> Result<Self> {
        Ok(Self {
            pipe,
            heard: Instant::now(),
            rest: Vec::new(),
            lines: Vec::new(),
            signs: LogSigns::among(signs)?,
        })
    }

    /// Waits for a line of the supervisor's own; empty if it has ended.
    pub(super) fn word(&mut self) -> Result<String> {
        let mut chunk = [0; CHUNK];
        loop {
            if let Some(line) = self.next_line() {
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            let count = self
                .pipe
                .read(&mut chunk)
                .doing(|| "hear of the supervisor")?;
            if count == 0 {
                return Ok(String::new());
            }
            self.take(chunk.get(..count).unwrap_or_default());
        }
    }

    /// The supervisor has said everything: what comes now is the jail's.
    pub(super) fn wait_no_more(&self) -> Result<()> {
        let doing = || "hear of the supervisor";
        let flags = rustix::fs::fcntl_getfl(self.pipe.as_fd()).doing(doing)?;
        rustix::fs::fcntl_setfl(self.pipe.as_fd(), flags | OFlags::NONBLOCK).doing(doing)
    }

    /// Takes what has been said meanwhile; never waits.
    pub(super) fn listen(&mut self) {
        let mut chunk = [0; CHUNK];
        loop {
            // Also what came together with the supervisor's last word.
            while let Some(line) = self.next_line() {
                self.hear(&line);
            }
            match self.pipe.read(&mut chunk) {
                Ok(count @ 1..) => self.take(chunk.get(..count).unwrap_or_default()),
                // The end, or nothing there now.
                _ => return,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.rest.len() > LONGEST_LINE {
            self.rest.clear();
        }
        self.rest.extend_from_slice(bytes);
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.rest.drain(..=end).collect();
        line.pop();
        Some(line)
    }

    fn hear(&mut self, line: &[u8]) {
        self.heard = Instant::now();
        let line = String::from_utf8_lossy(line).into_owned();
        self.signs.look_at(&line);
        if self.lines.len() == LINES {
            self.lines.remove(0);
        }
        self.lines.push(line);
    }

    /// Whether a line has matched this `log:` sign.
    pub(super) fn has_seen(&self, expression: &str) -> bool {
        self.signs.has_seen(expression)
    }

    /// When something was said last.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// The last lines.
    pub(super) fn words(&self) -> String {
        self.lines.join("\n")
    }
}
