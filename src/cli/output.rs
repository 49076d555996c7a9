//! What is printed, and how: progress on a terminal, JSON for machines, nothing that panics
//! when the reader has gone away.

use std::io::{self, IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::fs::{FileType, OFlags};
use serde::Serialize;

use crate::verbs::Event;
use crate::{Error, Result};

/// How often the progress line moves.
const TICK: Duration = Duration::from_millis(120);

/// Both outputs of the command.
pub(super) struct Output {
    bar: ProgressBar,
    moving: Once,
}

impl Output {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        Self {
            bar,
            moving: Once::new(),
        }
    }

    /// Shows what is going on: a moving line on a terminal, plain lines elsewhere for what is
    /// worth keeping.
    pub(super) fn event(&self, event: &Event) {
        match event {
            Event::Doing(text) => {
                self.bar.set_message(text.clone());
                self.moving.call_once(|| self.move_on());
            }
            Event::Did(text) => self.line(text),
            Event::Note(text) => self.line(&format!("note: {text}")),
            Event::Warning(text) => self.line(&format!("warning: {text}")),
        }
    }

    /// Moves the line for as long as it is there. indicatif's own way panics where no thread can be
    /// had; then it stands still.
    fn move_on(&self) {
        if self.bar.is_hidden() {
            return;
        }
        let bar = self.bar.downgrade();
        let tick = move || {
            while let Some(bar) = bar.upgrade().filter(|bar| !bar.is_finished()) {
                bar.tick();
                drop(bar);
                thread::sleep(TICK);
            }
        };
        match thread::Builder::new().spawn(tick) {
            Ok(_) | Err(_) => {}
        }
    }

    fn line(&self, text: &str) {
        let print = || match writeln!(io::stderr(), "{text}") {
            Ok(()) | Err(_) => {}
        };
        self.bar.suspend(print);
    }

    /// Prints `value` as JSON, or the text for people.
    pub(super) fn show<T: Serialize>(
        &self,
        json: bool,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<u8> {
        self.bar.finish_and_clear();
        if !json {
            return self.print(&text());
        }
        let mut text =
            serde_json::to_string_pretty(value).map_err(|error| Error::new("write JSON", error))?;
        text.push('\n');
        self.print(&text)
    }

    /// Prints a text. A reader that has gone away (`| head`) is no error.
    pub(super) fn print(&self, text: &str) -> Result<u8> {
        self.print_bytes(text.as_bytes())
    }

    /// The same for what need not be Unicode: names of files.
    pub(super) fn print_bytes(&self, text: &[u8]) -> Result<u8> {
        self.bar.finish_and_clear();
        let mut out = io::stdout().lock();
        match out.write_all(text).and_then(|()| out.flush()) {
            Ok(()) => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            Err(error) => Err(Error::new("write to standard output", error)),
        }
    }

    /// Prints a line; answers whether somebody reads it.
    pub(super) fn say(&self, line: &str) -> Result<bool> {
        self.bar.finish_and_clear();
        let mut out = io::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Error::new("write to standard output", error)),
        }
    }

    /// Whether a person sits at both ends.
    pub(super) fn is_dialogue(&self) -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// Colour only on a terminal, and not where the user does not want it (no-color.org).
    pub(super) fn colour(&self) -> bool {
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }
}

/// Standard output once more, made not to block, if it is a pipe: nobody else writes to that, so
/// nobody else minds.
pub(super) fn standard_output_as_listener() -> Option<OwnedFd> {
    let status = rustix::fs::fstat(rustix::stdio::stdout()).ok()?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Fifo {
        return None;
    }
    let listener = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).ok()?;
    let flags = rustix::fs::fcntl_getfl(&listener).ok()?;
    rustix::fs::fcntl_setfl(&listener, flags | OFlags::NONBLOCK).ok()?;
    Some(listener)
}

/// Puts `/dev/null` in the place of standard output, so that whoever reads it sees its end.
pub(super) fn leave_standard_output() {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null");
    // Without it the reader only waits longer.
    match null.map(|null| rustix::stdio::dup2_stdout(&null)) {
        Ok(_) | Err(_) => {}
    }
}
