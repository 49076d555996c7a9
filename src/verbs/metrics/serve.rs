//! Handing the metrics out to whoever asks: one thread, no more than some connections at a time, and none
//! for longer than a while. On a loopback address everybody of this machine can ask.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, SocketFlags};

use super::address::Bound;
use super::http::{Answer, Asked, LONGEST_HEAD, Status};
use super::look::Looker;
use super::{Event, Report, signalled, wait};
use crate::plan::Managed;
use crate::run::manager::Speaker;
use crate::watch::metrics::open_metrics;
use crate::{Error, Result};

/// As many connections are there at a time; for one more the oldest one goes.
const MOST_CONNECTIONS: usize = 64;

/// As many are accepted before the others are looked after.
const MOST_ACCEPTED: usize = 16;

/// A connection ends after this time, whatever it has asked or read.
const PATIENCE: Duration = Duration::from_secs(10);

/// For how long, and how much, is read from a client that has its answer: closed before, TCP would take the
/// answer back from it (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// How long nobody is accepted if that fails, for want of descriptors say.
const PAUSE: Duration = Duration::from_secs(1);

/// The jails are looked at no more often, however often somebody asks.
const AGE: Duration = Duration::from_millis(500);

/// As much is read at once, bytes.
const CHUNK: usize = 2048;

/// Serves until a signal ends it.
///
/// # Errors
/// The kernel does not let it wait; the manager's address is none.
pub(super) fn serve(
    looker: Looker<'_>,
    bound: &Bound,
    signals: &OwnedFd,
    managed: &Managed,
    report: &Report<'_>,
) -> Result<()> {
    let mut manager = Speaker::to(managed)?;
    let mut page = Page::new(looker);
    let mut server = Server::new(PATIENCE);
    let mut failed = String::new();
    loop {
        if let Some(manager) = manager.as_mut().filter(|manager| manager.is_waited_for())
            && let Some(errno) = manager.announce()
        {
            let told = Error::new("tell the manager that this is ready", errno);
            report(Event::Warning(told.to_string()));
        }
        let due = server.due();
        wait(&mut page.looker, signals, &server.descriptors(bound), due)?;
        if signalled(signals)? {
            return Ok(());
        }
        server.turn(bound, &mut || {
            page.text().inspect_err(|error| {
                // Each is told once, however often somebody asks.
                let error = error.to_string();
                if failed != error {
                    report(Event::Warning(error.clone()));
                    failed = error;
                }
            })
        });
    }
}

/// The text, which is kept for a moment.
struct Page<'a> {
    looker: Looker<'a>,
    text: Rc<str>,
    looked: Option<Instant>,
}

impl<'a> Page<'a> {
    fn new(looker: Looker<'a>) -> Self {
        Self {
            looker,
            text: Rc::from(""),
            looked: None,
        }
    }

    fn text(&mut self) -> Result<Rc<str>> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= AGE) {
            self.looked = None;
            self.text = open_metrics(self.looker.look()?)?.into();
            self.looked = Some(Instant::now());
        }
        Ok(Rc::clone(&self.text))
    }
}

/// The connections, the oldest first.
struct Server {
    connections: Vec<Connection>,
    patience: Duration,
    accepts_from: Instant,
}

/// One who asks.
struct Connection {
    socket: OwnedFd,
    until: Instant,
    stage: Stage,
}

/// How far that has come.
enum Stage {
    /// This much of the request is there.
    Reading(Vec<u8>),
    /// So many bytes of this answer are gone.
    Writing(Answer, usize),
    /// It has its answer, and may send as much as is left before it is cut off.
    Lingering(usize),
}

impl Server {
    fn new(patience: Duration) -> Self {
        Self {
            connections: Vec::new(),
            patience,
            accepts_from: Instant::now(),
        }
    }

    /// What to wait for.
    fn descriptors<'a>(&'a self, listener: &'a impl AsFd) -> Vec<PollFd<'a>> {
        let connections = self.connections.iter().map(|connection| {
            let flags = match connection.stage {
                Stage::Reading(_) | Stage::Lingering(_) => PollFlags::IN,
                Stage::Writing(..) => PollFlags::OUT,
            };
            PollFd::new(&connection.socket, flags)
        });
        let accepts = Instant::now() >= self.accepts_from;
        let listener = accepts.then(|| PollFd::new(listener, PollFlags::IN));
        listener.into_iter().chain(connections).collect()
    }

    /// Until when, at most.
    fn due(&self) -> Option<Instant> {
        let paused = Some(self.accepts_from).filter(|from| *from > Instant::now());
        let ends = self.connections.iter().map(|connection| connection.until);
        ends.chain(paused).min()
    }

    /// Does for each what can be done without waiting for it.
    fn turn(&mut self, listener: &impl AsFd, page: &mut dyn FnMut() -> Result<Rc<str>>) {
        self.accept(listener);
        let now = Instant::now();
        let mut before = std::mem::take(&mut self.connections);
        before.retain(|connection| connection.until > now);
        let went_on = before.into_iter();
        self.connections = went_on
            .filter_map(|connection| connection.go_on(page))
            .collect();
    }

    fn accept(&mut self, listener: &impl AsFd) {
        if Instant::now() < self.accepts_from {
            return;
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        for _ in 0..MOST_ACCEPTED {
            match rustix::net::accept_with(listener, flags) {
                Ok(socket) => self.connections.push(Connection {
                    socket,
                    until: Instant::now() + self.patience,
                    stage: Stage::Reading(Vec::new()),
                }),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.accepts_from = Instant::now() + PAUSE;
                    break;
                }
            }
        }
        let too_many = self.connections.len().saturating_sub(MOST_CONNECTIONS);
        self.connections.drain(..too_many);
    }
}

impl Connection {
    /// Nothing when it is over.
    fn go_on(mut self, page: &mut dyn FnMut() -> Result<Rc<str>>) -> Option<Self> {
        loop {
            let next = match &mut self.stage {
                Stage::Reading(head) => match read(&self.socket, head, LONGEST_HEAD + 2) {
                    // It did not ask to the end.
                    Read::End => return None,
                    Read::Nothing => return Some(self),
                    Read::Some => answer(head, page).map(|answer| Stage::Writing(answer, 0)),
                },
                Stage::Writing(answer, sent) => match send(&self.socket, answer, sent) {
                    Ok(true) => {
                        self.until = self.until.min(Instant::now() + LINGER);
                        rustix::net::shutdown(&self.socket, Shutdown::Write).ok()?;
                        Some(Stage::Lingering(LINGER_BYTES))
                    }
                    Ok(false) => return Some(self),
                    Err(_) => return None,
                },
                Stage::Lingering(left) => {
                    let mut rest = Vec::new();
                    match read(&self.socket, &mut rest, (*left).min(CHUNK)) {
                        Read::End => return None,
                        Read::Nothing => return Some(self),
                        Read::Some => *left -= rest.len(),
                    }
                    None
                }
            };
            if let Some(next) = next {
                self.stage = next;
            }
        }
    }
}

/// What a read came to.
enum Read {
    Some,
    Nothing,
    /// The peer has ended, or there is no room.
    End,
}

/// Adds to `bytes`, which has room for so many, what has come.
fn read(socket: &OwnedFd, bytes: &mut Vec<u8>, most: usize) -> Read {
    let mut chunk = [0; CHUNK];
    let room = most.saturating_sub(bytes.len()).min(CHUNK);
    loop {
        return match rustix::io::read(socket, chunk.get_mut(..room).unwrap_or_default()) {
            Ok(0) => Read::End,
            Ok(length) => {
                bytes.extend_from_slice(chunk.get(..length).unwrap_or_default());
                Read::Some
            }
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => Read::Nothing,
            Err(_) => Read::End,
        };
    }
}

/// Nothing while more is to come.
fn answer(head: &[u8], page: &mut dyn FnMut() -> Result<Rc<str>>) -> Option<Answer> {
    match Asked::read(head) {
        Asked::Unfinished => None,
        Asked::Refused(status) => Some(Answer::refusal(status)),
        Asked::Metrics { with_text } => Some(match page() {
            Ok(text) => Answer::metrics(&text, with_text),
            Err(_) => Answer::refusal(Status::Failed),
        }),
    }
}

/// Sends as much as goes; whether that was all of it.
fn send(socket: &OwnedFd, answer: &Answer, sent: &mut usize) -> rustix::io::Result<bool> {
    loop {
        let rest = answer.rest(*sent);
        if rest.is_empty() {
            return Ok(true);
        }
        match rustix::net::send(socket, rest, SendFlags::NOSIGNAL) {
            Ok(length) => *sent += length,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(false),
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests;
