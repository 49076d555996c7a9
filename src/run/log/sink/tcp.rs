//! A collector over TCP: messages with their lengths before them (RFC 6587, octet counting).
//!
//! Nothing here waits. A message stays in the queue until the collector's kernel has acknowledged it
//! (SIOCOUTQ), and is sent again on a new connection if the old one has broken before that: it may
//! arrive twice then. It is lost only where the queue is full.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
    sockopt,
};

use crate::sys::unsent::unacknowledged;

/// As much is kept for a collector that is away or slow, bytes.
const QUEUE: usize = 256 << 10;

/// As much is gathered before it is sent while more comes.
const ENOUGH: usize = 16 << 10;

/// The first pause before a connection is tried again; it doubles.
const SHORTEST: Duration = Duration::from_millis(500);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// How long a connection may take, or data be unacknowledged.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often acknowledgements are looked for while some are missing: nothing announces them.
const LOOK: Duration = Duration::from_millis(100);

/// A collector, and what is on its way to it.
#[derive(Debug)]
pub(super) struct Tcp {
    address: SocketAddr,
    queue: VecDeque<u8>,
    /// The messages in the queue: their lengths there, and whether they count.
    frames: VecDeque<(u16, bool)>,
    /// As many bytes of the queue were given to this connection.
    sent: usize,
    link: Link,
    pause: Duration,
}

#[derive(Debug)]
enum Link {
    /// There is none before this.
    Away(Instant),
    /// One that must be there by then.
    Coming(OwnedFd, Instant),
    There(OwnedFd),
}

impl Tcp {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            queue: VecDeque::new(),
            frames: VecDeque::new(),
            sent: 0,
            link: Link::Away(Instant::now()),
            pause: SHORTEST,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes a message if there is room for it; `counts` if it is among those that
    /// [`Tcp::attend`] tells.
    pub(super) fn offer(&mut self, message: &[u8], counts: bool) -> bool {
        let head = format!("{} ", message.len());
        let length = head.len() + message.len();
        let Ok(frame) = u16::try_from(length) else {
            return false;
        };
        if self.queue.len() + length > QUEUE {
            return false;
        }
        self.queue.extend(head.as_bytes());
        self.queue.extend(message);
        self.frames.push_back((frame, counts));
        if self.queue.len() - self.sent > ENOUGH {
            self.flush();
        }
        true
    }

    /// Connects, sends, hears of the end, takes what was acknowledged off the queue: whatever can be
    /// done now. Answers how many of the messages that count have arrived.
    pub(super) fn attend(&mut self) -> u64 {
        match &self.link {
            Link::Away(until) if self.queue.is_empty() || Instant::now() < *until => return 0,
            Link::Away(_) => self.begin(),
            Link::Coming(..) | Link::There(_) => {}
        }
        self.finish_connecting();
        self.flush();
        let arrived = self.settle();
        if self.has_ended() {
            self.give_up();
        }
        if self.queue.is_empty() {
            // What an outage needed is given back.
            self.queue.shrink_to(ENOUGH);
            self.frames.shrink_to(ENOUGH / 64);
        }
        arrived
    }

    /// What to wait for: readable at its end, writable where something waits.
    pub(super) fn descriptor(&self) -> Option<(BorrowedFd<'_>, bool)> {
        match &self.link {
            Link::Away(_) => None,
            Link::Coming(socket, _) => Some((socket.as_fd(), true)),
            Link::There(socket) => Some((socket.as_fd(), self.sent < self.queue.len())),
        }
    }

    /// When [`Tcp::attend`] has something to do in any case.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match &self.link {
            Link::Away(until) => (!self.queue.is_empty()).then_some(*until),
            Link::Coming(_, until) => Some(*until),
            Link::There(_) => (!self.queue.is_empty()).then(|| Instant::now() + LOOK),
        }
    }

    /// Whether what waits may arrive if it is given time.
    pub(super) fn is_on_its_way(&self) -> bool {
        !self.queue.is_empty() && !matches!(self.link, Link::Away(_))
    }

    fn begin(&mut self) {
        match dial(self.address) {
            Ok(socket) => self.link = Link::Coming(socket, Instant::now() + PATIENCE),
            Err(_) => self.give_up(),
        }
    }

    fn finish_connecting(&mut self) {
        let Link::Coming(socket, until) = &self.link else {
            return;
        };
        let refused = !matches!(sockopt::socket_error(socket), Ok(Ok(())));
        let connected = rustix::net::getpeername(socket).is_ok();
        let late = Instant::now() >= *until;
        if refused || (late && !connected) {
            return self.give_up();
        }
        if connected && let Link::Coming(socket, _) = self.take_link() {
            self.link = Link::There(socket);
        }
    }

    fn take_link(&mut self) -> Link {
        std::mem::replace(&mut self.link, Link::Away(Instant::now()))
    }

    fn flush(&mut self) {
        let Link::There(socket) = &self.link else {
            return;
        };
        while self.sent < self.queue.len() {
            let (first, second) = self.queue.as_slices();
            let unsent = match first.get(self.sent..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => second.get(self.sent - first.len()..).unwrap_or_default(),
            };
            match send(socket, unsent, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                // A broken connection shows itself in `has_ended`.
                Err(_) => return,
            }
        }
    }

    /// Takes the messages off the queue that were acknowledged.
    fn settle(&mut self) -> u64 {
        let Link::There(socket) = &self.link else {
            return 0;
        };
        let Ok(missing) = unacknowledged(socket.as_fd()) else {
            return 0;
        };
        let mut acknowledged = self.sent.saturating_sub(missing);
        let mut arrived = 0;
        while let Some((length, counts)) = self.frames.front().copied() {
            let length = usize::from(length);
            if length > acknowledged {
                break;
            }
            self.frames.pop_front();
            self.queue.drain(..length);
            self.sent -= length;
            acknowledged -= length;
            arrived += u64::from(counts);
            self.pause = SHORTEST;
        }
        arrived
    }

    /// Whether the collector has closed the connection, or it has broken. What it says is not listened
    /// to: the protocol has no answers.
    fn has_ended(&self) -> bool {
        let Link::There(socket) = &self.link else {
            return false;
        };
        let mut ignored = [0_u8; 512];
        match recv(socket, &mut ignored[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => true,
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => false,
            Err(_) => true,
        }
    }

    /// No connection for a while; what was not acknowledged is sent again on the next.
    fn give_up(&mut self) {
        self.link = Link::Away(Instant::now() + self.pause);
        self.pause = LONGEST.min(self.pause * 2);
        self.sent = 0;
    }
}

/// Begins a connection.
fn dial(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    // A collector that vanishes without a word is found out.
    sockopt::set_socket_keepalive(&socket, true)?;
    let patience = u32::try_from(PATIENCE.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(&socket, patience)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}
