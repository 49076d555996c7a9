//! The jail's `/dev/log`: gaoler listens where the jailed service logs, and passes on what comes
//! to the host's log, so that the jail sees nothing of the host's. The same for a service that speaks
//! journald's own protocol.
//!
//! What comes is hostile. Which jail and which process a message is from is not taken from its
//! text, and nothing in it reaches a log or a terminal that could be mistaken for either.

mod counts;
mod journal;
mod line;
mod message;
mod record;
mod sink;
mod socket;
mod source;
mod words;

#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

pub use counts::{Counts, Logged};
pub use line::Line;
use message::OWN_TAG;
pub(in crate::run) use message::write_time;
pub use message::{Arrival, LIMIT, Message, NATIVE_LIMIT, Native, rewrite};
pub use sink::{Format, Places, RotatedFile, Sink};
pub use socket::LogSocket;
pub use source::Source;
pub use words::Words;

use crate::error::{Doing, Result};
use crate::sys::datagram::{self, Received};
use counts::Keeper;
use journal::{Entry, Journal};
use record::Record;
use sink::Fate;

/// How many messages one call of [`Relay::pump`] takes, so that a flood cannot keep the
/// supervisor from its other work.
const BATCH: usize = 64;

/// Facility daemon, severity informational (RFC 5424, section 6.2.1).
const DAEMON_INFO: u8 = 3 * 8 + 6;

/// Facility daemon, severity warning.
const DAEMON_WARNING: u8 = 3 * 8 + 4;

/// How often it is told at most how many messages were lost.
const TELL: Duration = Duration::from_secs(1);

/// How long the last messages of a jail may take to their collector.
const LINGER: Duration = Duration::from_secs(2);

/// How often it is looked then whether they are there.
const A_MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 2_000_000,
};

/// Passes on one jail's messages. Holds two buffers of [`LIMIT`] bytes, one of [`NATIVE_LIMIT`] for a
/// service that speaks journald's protocol, its last [`Words`], what waits for a collector, and never
/// more.
#[derive(Debug)]
pub struct Relay {
    socket: LogSocket,
    journal: Option<Journal>,
    sink: Sink,
    jail: String,
    generation: u64,
    host: String,
    input: Box<[u8]>,
    output: Vec<u8>,
    counts: Counts,
    /// Dropped since that was told in the log.
    untold: u64,
    /// When it is told even if no message shows that the log takes something again.
    tell_at: Instant,
    /// When it was told last.
    told: Option<Instant>,
    words: Words,
    record: Option<Record>,
    keeper: Option<Keeper>,
}

impl Relay {
    /// Passes what comes to `socket` on to `sink`, as messages of this generation of `jail`, and to
    /// `words`.
    pub fn new(socket: LogSocket, sink: Sink, jail: &str, generation: u64, words: Words) -> Self {
        let host = rustix::system::uname();
        Self {
            socket,
            journal: None,
            sink,
            jail: jail.to_owned(),
            generation,
            host: host.nodename().to_string_lossy().into_owned(),
            input: vec![0; LIMIT].into_boxed_slice(),
            // One byte more for what ends a message on a stream.
            output: Vec::with_capacity(LIMIT + 1),
            counts: Counts::default(),
            untold: 0,
            tell_at: Instant::now(),
            told: None,
            words,
            record: None,
            keeper: None,
        }
    }

    /// Takes what comes to this socket too, as entries for the journal.
    pub fn with_journal(mut self, socket: LogSocket) -> Self {
        self.journal = Some(Journal::new(socket));
        self
    }

    /// Keeps the counts in the jail's directory and, unless the sink is a file, the last messages.
    pub fn kept_in(mut self, directory: &Path) -> Self {
        let file = self.sink.path_of_file().map(Path::to_owned);
        if file.is_none() {
            self.record = Some(Record::new(directory));
        }
        let record = self.record.as_ref().map(|record| record.path().to_owned());
        let file = file.or(record).unwrap_or_default();
        self.keeper = Some(Keeper::new(directory, self.sink.to_string(), file));
        self
    }

    /// Goes on from what the relay of a supervisor that was killed has counted. What was on its way
    /// from there is lost.
    pub fn going_on_from(mut self, counts: Counts) -> Self {
        let known = counts.forwarded.saturating_add(counts.dropped);
        let lost = counts.received.saturating_sub(known);
        self.counts = Counts {
            received: counts.received.max(known),
            dropped: counts.dropped.saturating_add(lost),
            ..counts
        };
        self.untold += lost;
        self
    }

    /// Takes what has come, up to a bound, and passes it on. Never waits, neither for the jail
    /// nor for the host's log. Answers whether there may be more.
    ///
    /// # Errors
    /// The jail's sockets cannot be read. A log that takes nothing is no error: see [`Counts`].
    pub fn pump(&mut self) -> Result<bool> {
        let more = self.pump_log()? | self.pump_journal()?;
        self.attend();
        Ok(more)
    }

    // What comes is taken when it was passed on: whoever takes over from a supervisor that was
    // killed in between passes it on again, and none is lost.

    fn pump_log(&mut self) -> Result<bool> {
        let doing = || "read the jail's /dev/log";
        for _ in 0..BATCH {
            match datagram::look(self.socket.descriptor(), &mut self.input) {
                Ok(received) => {
                    self.forward(received);
                    datagram::discard(self.socket.descriptor()).doing(doing)?;
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(doing),
            }
        }
        Ok(true)
    }

    fn pump_journal(&mut self) -> Result<bool> {
        let Some(mut journal) = self.journal.take() else {
            return Ok(false);
        };
        let outcome = self.pump_entries(&mut journal);
        self.journal = Some(journal);
        outcome.doing(|| "read the jail's socket of the journal")
    }

    fn pump_entries(&mut self, journal: &mut Journal) -> rustix::io::Result<bool> {
        for _ in 0..BATCH {
            match journal.look() {
                Ok(entry) => {
                    self.forward_entry(&entry);
                    journal.discard()?;
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }

    /// What is to be done besides: what waits, what is to be told, what is to be kept.
    fn attend(&mut self) {
        self.counts.forwarded += self.sink.attend();
        if self.untold > 0 && Instant::now() >= self.tell_at {
            self.tell_dropped();
        }
        if let Some(record) = &mut self.record {
            record.write();
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(self.counts);
        }
    }

    /// When [`Relay::pump`] has something to do even if nothing comes.
    pub fn wakes_at(&self) -> Option<Instant> {
        let keeper = self.keeper.as_ref();
        let waits = self.record.as_ref().is_some_and(Record::waits);
        [
            self.sink.wakes_at(),
            (self.untold > 0).then_some(self.tell_at),
            keeper.and_then(|keeper| keeper.wakes_at(self.counts)),
            waits.then(Instant::now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What to wait for: [`Relay::pump`] has work then.
    pub fn watched(&self) -> impl Iterator<Item = PollFd<'_>> {
        std::iter::once(self.socket.as_fd())
            .chain(self.journal())
            .map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN))
            .chain(self.sink.watched())
    }

    /// The last messages, also those that the jail has sent just before its end, and what is left of
    /// those on their way after a while: they are lost.
    ///
    /// # Errors
    /// As [`Relay::pump`].
    pub fn finish(&mut self) -> Result<()> {
        while self.pump()? {}
        let deadline = Instant::now() + LINGER;
        self.tell_dropped();
        while self.sink.is_on_its_way() && Instant::now() < deadline {
            let mut watched: Vec<_> = self.sink.watched().into_iter().collect();
            match poll(&mut watched, Some(&A_MOMENT)) {
                Ok(_) | Err(_) => self.attend(),
            }
            self.tell_dropped();
        }
        let Counts {
            received,
            forwarded,
            dropped,
            ..
        } = self.counts;
        let lost = received - forwarded - dropped;
        self.counts.dropped += lost;
        self.untold += lost;
        self.tell_dropped();
        // Sends that, if it can be; what else arrives now has been given up.
        self.sink.attend();
        if let Some(record) = &mut self.record {
            record.write();
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.save(self.counts);
        }
        Ok(())
    }

    /// The jail's `/dev/log`.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The socket for the journal's protocol, if the jail has one.
    pub fn journal(&self) -> Option<BorrowedFd<'_>> {
        self.journal.as_ref().map(AsFd::as_fd)
    }

    /// What the jail has said last: printed or logged.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// What has been seen so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Where messages go.
    pub fn sink(&self) -> &Sink {
        &self.sink
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
        let source = Source {
            jail: &self.jail,
            generation: self.generation,
            pid,
        };
        if let Some(record) = &mut self.record {
            record.add(&message, &source);
        }
        let format = self.sink.format();
        let whole = write(&message, &[], format, &self.host, &source, &mut self.output);
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
        let source = Source {
            jail: &self.jail,
            generation: self.generation,
            pid: received.pid,
        };
        if let Some(record) = &mut self.record {
            record.add(&message, &source);
        }
        let format = self.sink.format();
        let whole = write(&message, &[], format, &self.host, &source, &mut self.output);
        self.count(whole);
    }

    fn forward_entry(&mut self, entry: &Entry<'_>) {
        let Some(fields) = entry.fields else {
            self.counts.received += 1;
            self.lose();
            return;
        };
        let Native { message, fields } = Native::parse(fields, entry.truncated);
        self.words
            .add([message.tag.as_bytes(), b": ", message.text]);
        let source = Source {
            jail: &self.jail,
            generation: self.generation,
            pid: entry.pid,
        };
        if let Some(record) = &mut self.record {
            record.add(&message, &source);
        }
        let format = self.sink.format();
        let whole = write(
            &message,
            &fields,
            format,
            &self.host,
            &source,
            &mut self.output,
        );
        self.count(whole);
    }

    fn count(&mut self, whole: bool) {
        self.counts.received += 1;
        self.counts.truncated += u64::from(!whole);
        match self.sink.send(&mut self.output, true) {
            Fate::Taken => self.counts.forwarded += 1,
            Fate::Waits => {}
            Fate::Lost => return self.lose(),
        }
        let not_just_now = self.told.is_none_or(|told| told.elapsed() >= TELL);
        if self.untold > 0 && not_just_now {
            self.tell_dropped();
        }
    }

    fn lose(&mut self) {
        if self.untold == 0 {
            self.tell_at = Instant::now() + TELL;
        }
        self.counts.dropped += 1;
        self.untold += 1;
    }

    /// Tells the host's log how many messages it did not take, if it takes that. It is no message
    /// of the jail's and is not counted.
    pub fn tell_dropped(&mut self) {
        if self.untold == 0 {
            return;
        }
        self.tell_at = Instant::now() + TELL;
        let text = format!(
            "{} messages were lost here: this log did not take them",
            self.untold
        );
        if self.tell(&text) {
            self.untold = 0;
            self.told = Some(Instant::now());
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
        let source = Source {
            jail: &self.jail,
            generation: self.generation,
            pid: std::process::id().cast_signed(),
        };
        let format = self.sink.format();
        write(&message, &[], format, &self.host, &source, &mut self.output);
        let taken = self.sink.send(&mut self.output, false) != Fate::Lost;
        if let Some(record) = self.record.as_mut().filter(|_| taken) {
            record.add(&message, &source);
        }
        taken
    }
}

/// The message as the sink wants it; answers whether it is whole.
fn write(
    message: &Message<'_>,
    fields: &[(&str, &[u8])],
    format: Format,
    host: &str,
    source: &Source<'_>,
    out: &mut Vec<u8>,
) -> bool {
    match format {
        Format::Syslog => message.to_syslog(source, out),
        Format::Journal => message.to_journal(source, fields, out),
        Format::Line => message.to_line(now().seconds, source, out),
        Format::Ietf(limit) => {
            let Now {
                seconds,
                microseconds,
            } = now();
            let arrival = Arrival {
                seconds,
                microseconds,
                host,
            };
            message.to_ietf(&arrival, source, limit, out)
        }
    }
}

/// The time since 1970.
struct Now {
    seconds: u64,
    microseconds: u32,
}

fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    Now {
        seconds: since.as_secs(),
        microseconds: since.subsec_micros(),
    }
}
