//! The jail's `/dev/log`: gaoler listens where the jailed service logs, and passes on what comes
//! to the host's log, so that the jail sees nothing of the host's.
//!
//! What comes is hostile. Which jail and which process a message is from is not taken from its
//! text, and nothing in it reaches a log or a terminal that could be mistaken for either.

mod message;
mod sink;
mod socket;
mod words;

#[cfg(test)]
mod tests;

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use message::OWN_TAG;
pub(in crate::run) use message::write_time;
pub use message::{LIMIT, Message, rewrite};
pub use sink::{Format, Places, Sink};
pub use socket::LogSocket;
pub use words::Words;

use crate::error::{Doing, Result};
use crate::sys::datagram::{self, Received};

/// How many messages one call of [`Relay::pump`] takes, so that a flood cannot keep the
/// supervisor from its other work.
const BATCH: usize = 64;

/// Facility daemon, severity informational (RFC 5424, section 6.2.1).
const DAEMON_INFO: u8 = 3 * 8 + 6;

/// Facility daemon, severity warning.
const DAEMON_WARNING: u8 = 3 * 8 + 4;

/// What a [`Relay`] has seen. `received` is `forwarded` and `dropped` together. What the kernel
/// dropped before is not known: a sender that does not block is told, and nobody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that came from the jail.
    pub received: u64,
    /// Messages that the host's log took.
    pub forwarded: u64,
    /// Messages that it did not take, because it was full or away.
    pub dropped: u64,
    /// Messages that were longer than [`LIMIT`] and were cut; they are among the others.
    pub truncated: u64,
}

/// Passes on one jail's messages. Holds two buffers of [`LIMIT`] bytes, its last [`Words`], and
/// never more.
#[derive(Debug)]
pub struct Relay {
    socket: LogSocket,
    sink: Sink,
    jail: String,
    input: Box<[u8]>,
    output: Vec<u8>,
    counts: Counts,
    /// Dropped since that was told in the log.
    untold: u64,
    words: Words,
}

impl Relay {
    /// Passes what comes to `socket` on to `sink`, as messages of `jail`, and to `words`.
    pub fn new(socket: LogSocket, sink: Sink, jail: &str, words: Words) -> Self {
        Self {
            socket,
            sink,
            jail: jail.to_owned(),
            input: vec![0; LIMIT].into_boxed_slice(),
            // One byte more for what ends a message on a stream.
            output: Vec::with_capacity(LIMIT + 1),
            counts: Counts::default(),
            untold: 0,
            words,
        }
    }

    /// Takes what has come, up to a bound, and passes it on. Never waits, neither for the jail
    /// nor for the host's log. Answers whether there may be more.
    ///
    /// # Errors
    /// The jail's socket cannot be read. A log that takes nothing is no error: see [`Counts`].
    pub fn pump(&mut self) -> Result<bool> {
        for _ in 0..BATCH {
            // Taken when it was passed on: whoever takes over from a supervisor that was killed
            // in between passes it on again, and none is lost.
            let looked = datagram::look(self.socket.descriptor(), &mut self.input);
            match looked {
                Ok(received) => {
                    self.forward(received);
                    self.discard()?;
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| "read the jail's /dev/log"),
            }
        }
        Ok(true)
    }

    fn discard(&self) -> Result<()> {
        loop {
            match datagram::discard(self.socket.descriptor()) {
                Ok(()) | Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| "read the jail's /dev/log"),
            }
        }
    }

    /// What the jail has said last: printed or logged.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// What has been seen so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The jail's socket, to wait for: readable when [`Relay::pump`] has work.
    pub fn socket(&self) -> &LogSocket {
        &self.socket
    }

    /// Where messages go.
    pub fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Opens the host's log anew with the next message, as after its files were rotated.
    pub fn reopen(&mut self) {
        self.sink.close();
    }

    /// Passes on a line that the service printed rather than logged (`daemon.info`).
    pub fn printed(&mut self, line: &[u8], service: &str, pid: i32) {
        let message = Message {
            priority: DAEMON_INFO,
            timestamp: None,
            tag: service,
            text: line,
            truncated: false,
        };
        self.words.add([line, b"", b""]);
        let format = self.sink.format();
        let whole = write(&message, format, &self.jail, pid, &mut self.output);
        self.count(whole);
    }

    fn forward(&mut self, received: Received) {
        let input = self.input.get(..received.length).unwrap_or_default();
        let message = Message {
            truncated: received.truncated,
            ..Message::parse(input)
        };
        self.words
            .add([message.tag.as_bytes(), b": ", message.text]);
        let format = self.sink.format();
        let whole = write(&message, format, &self.jail, received.pid, &mut self.output);
        self.count(whole);
    }

    fn count(&mut self, whole: bool) {
        self.counts.received += 1;
        self.counts.truncated += u64::from(!whole);
        if self.sink.send(&mut self.output) {
            self.counts.forwarded += 1;
            self.tell_dropped();
        } else {
            self.counts.dropped += 1;
            self.untold += 1;
        }
    }

    /// Tells the host's log how many messages it did not take, if it takes that. It is no message
    /// of the jail's and is not counted.
    pub fn tell_dropped(&mut self) {
        if self.untold == 0 {
            return;
        }
        let text = format!(
            "{} messages were lost here: this log did not take them",
            self.untold
        );
        if self.tell(&text) {
            self.untold = 0;
        }
    }

    /// A word of gaoler's own about the jail (`daemon.warning`), which is not counted either.
    /// Answers whether the log took it.
    pub fn tell(&mut self, text: &str) -> bool {
        let message = Message {
            priority: DAEMON_WARNING,
            timestamp: None,
            tag: OWN_TAG,
            text: text.as_bytes(),
            truncated: false,
        };
        let own = std::process::id().cast_signed();
        let format = self.sink.format();
        write(&message, format, &self.jail, own, &mut self.output);
        self.sink.send(&mut self.output)
    }
}

/// The message as the sink wants it; answers whether it is whole.
fn write(message: &Message<'_>, format: Format, jail: &str, pid: i32, out: &mut Vec<u8>) -> bool {
    match format {
        Format::Syslog => message.to_syslog(jail, pid, out),
        Format::Journal => message.to_journal(jail, pid, out),
        Format::Line => message.to_line(now(), jail, pid, out),
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
