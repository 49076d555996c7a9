//! What a jail has said last, and whoever listens while it starts.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::plan::LogSigns;

/// How many lines are kept.
const LINES: usize = 20;

/// How much of a line is kept, in bytes. A line and what ends it fit into what a pipe takes as one
/// (`PIPE_BUF`, `pipe(7)`).
const LONGEST: usize = 1024;

/// The last lines of a jail: printed or logged, in the order in which they came. As hostile as the
/// jail: they are made harmless where they are shown.
#[derive(Debug, Default)]
pub struct Words {
    lines: VecDeque<Vec<u8>>,
    listener: Option<OwnedFd>,
    signs: LogSigns,
}

impl Words {
    /// Passes each line on to `listener` too, the writing end of a pipe that does not block, for as
    /// long as somebody reads it. Lines for which it has no room are not passed on. The `log:`
    /// signs are looked for in each.
    pub fn to(listener: Option<OwnedFd>, signs: LogSigns) -> Self {
        Self {
            lines: VecDeque::with_capacity(LINES),
            listener,
            signs,
        }
    }

    /// Whether somebody still reads what is passed on: whoever started the service waits for it.
    pub fn are_heard(&self) -> bool {
        let Some(listener) = &self.listener else {
            return false;
        };
        let no_time = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut watched = [PollFd::new(listener, PollFlags::empty())];
        // POLLERR: nobody has the reading end (pipe(7)).
        matches!(poll(&mut watched, Some(&no_time)), Ok(0))
    }

    /// Whether a line has matched this `log:` sign.
    pub fn has_seen(&self, expression: &str) -> bool {
        self.signs.has_seen(expression)
    }

    /// Takes one line: the parts, one after another. What would end it early becomes a blank.
    pub(super) fn add(&mut self, parts: [&[u8]; 3]) {
        let mut line = match self.lines.len() {
            LINES => self.lines.pop_front().unwrap_or_default(),
            _ => Vec::new(),
        };
        line.clear();
        let bytes = parts.into_iter().flatten().take(LONGEST);
        line.extend(bytes.map(|byte| {
            if matches!(byte, b'\n' | 0) {
                b' '
            } else {
                *byte
            }
        }));
        if !self.signs.is_empty() {
            self.signs.look_at(&String::from_utf8_lossy(&line));
        }
        self.tell(&mut line);
        self.lines.push_back(line);
    }

    fn tell(&mut self, line: &mut Vec<u8>) {
        let Some(listener) = &self.listener else {
            return;
        };
        line.push(b'\n');
        match rustix::io::write(listener, line) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            // EPIPE: the service is ready, or nobody waits for it any more.
            Err(_) => self.listener = None,
        }
        line.pop();
    }

    /// All of them, a line each. What is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        let lines: Vec<_> = self
            .lines
            .iter()
            .map(|line| String::from_utf8_lossy(line))
            .collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_short() {
        let mut words = Words::default();
        for number in 0..100 {
            words.add([b"tag", b": ", format!("line {number}").as_bytes()]);
        }
        let text = words.text();
        assert_eq!(text.lines().count(), LINES);
        assert!(
            text.starts_with("tag: line 80\n") && text.ends_with("tag: line 99"),
            "{text}"
        );
        words.add([b"", b"", &[b'x'; 10_000]]);
        words.add([b"", b"", b"one\nline\0"]);
        let text = words.text();
        let lines: Vec<_> = text.lines().rev().collect();
        assert_eq!((lines[0], lines[1].len()), ("one line ", LONGEST));
    }

    #[test]
    fn a_listener_never_holds_anything_up() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        let mut words = Words::to(Some(writer), LogSigns::default());
        words.add([b"tag", b": ", b"heard"]);
        // Nobody reads meanwhile: the pipe is full long before that.
        for _ in 0..1000 {
            words.add([b"", b"", &[b'x'; LONGEST]]);
        }
        let mut reader = std::fs::File::from(reader);
        let mut start = [0; 11];
        reader.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"tag: heard\n");
        assert!(words.listener.is_some());
        drop(reader);
        words.add([b"", b"", b"not heard"]);
        assert!(words.listener.is_none());
        assert!(words.text().ends_with("\nnot heard"));
    }
}
