//! What a service says while it is learned, as far as it tells that it is ready.

use std::os::fd::OwnedFd;

use super::Request;
use crate::error::{Doing, Result};
use crate::host::notifications::Notifications;
use crate::spec::{LogSigns, Ready};

/// How much is read at once.
const CHUNK: usize = 4096;

/// Of a longer line the beginning counts.
const LONGEST_LINE: usize = 1024;

/// Looks for the `log:` signs in a file that somebody else writes, and for `READY=1`.
pub struct Heard<'a> {
    output: &'a OwnedFd,
    /// How far it was read.
    offset: u64,
    line: Vec<u8>,
    signs: LogSigns,
    notifications: Option<&'a Notifications>,
    notified: bool,
}

impl<'a> Heard<'a> {
    /// Nothing was heard yet: what is in the file already is of an earlier run.
    ///
    /// # Errors
    /// One of the signs is no regular expression; the output cannot be looked at.
    pub fn of(request: &'a Request) -> Result<Self> {
        let notifications = request.notifications.as_ref();
        // What an earlier pass has said means nothing now.
        if let Some(notifications) = notifications {
            notifications.hear();
        }
        Self::printed(&request.output, &request.ready, notifications)
    }

    fn printed(
        output: &'a OwnedFd,
        signs: &[Ready],
        notifications: Option<&'a Notifications>,
    ) -> Result<Self> {
        let size = rustix::fs::fstat(output).doing(|| "look at the service's output")?;
        Ok(Self {
            output,
            offset: u64::try_from(size.st_size).unwrap_or_default(),
            line: Vec::new(),
            signs: LogSigns::among(signs)?,
            notifications,
            notified: false,
        })
    }

    /// Reads what has been printed meanwhile.
    pub fn listen(&mut self) {
        self.notified |= self.notifications.is_some_and(Notifications::hear);
        if self.signs.is_empty() {
            return;
        }
        let mut chunk = [0; CHUNK];
        // Its own place in the file: the service writes at another. What is no file has none.
        while let Ok(count @ 1..) = rustix::io::pread(self.output, &mut chunk, self.offset) {
            self.offset = self.offset.saturating_add(count as u64);
            for byte in chunk.get(..count).unwrap_or_default() {
                if *byte == b'\n' {
                    self.end_line();
                } else if self.line.len() < LONGEST_LINE {
                    self.line.push(*byte);
                }
            }
        }
    }

    fn end_line(&mut self) {
        self.signs.look_at(&String::from_utf8_lossy(&self.line));
        self.line.clear();
    }

    /// Whether it has said that it is ready.
    pub fn was_notified(&self) -> bool {
        self.notified
    }

    /// Whether a line has matched this sign.
    pub fn has_seen(&self, expression: &str) -> bool {
        self.signs.has_seen(expression)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn whole_lines_are_looked_at_once() {
        let mut file = tempfile::tempfile().unwrap();
        let output = OwnedFd::from(file.try_clone().unwrap());
        let signs = ["^ready$", "^never$", "x{3}$"].map(|text| Ready::Log(text.to_owned()));
        let mut heard = Heard::printed(&output, &signs, None).unwrap();
        file.write_all(b"not ready\nrea").unwrap();
        heard.listen();
        assert!(!heard.has_seen("^ready$"));
        file.write_all(b"dy\n\xff\n").unwrap();
        heard.listen();
        assert!(heard.has_seen("^ready$") && !heard.has_seen("^never$"));
        file.write_all(&[b'x'; 3 * CHUNK]).unwrap();
        heard.listen();
        assert!(heard.line.len() <= LONGEST_LINE && !heard.has_seen("x{3}$"));
        file.write_all(b"\n").unwrap();
        heard.listen();
        assert!(heard.has_seen("x{3}$"));
    }
}
