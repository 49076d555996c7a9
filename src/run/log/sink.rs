//! Where the messages of jails go on the host.

mod file;
mod tcp;

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, write};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};

pub use file::RotatedFile;
use tcp::Tcp;

use super::message::{DATAGRAM_LIMIT, LIMIT};
use crate::plan::{LogSink, LogTo};

/// What a log takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `<PRI>TIMESTAMP TAG[PID]: TEXT`, as syslogd takes it (RFC 3164).
    Syslog,
    /// Fields, as journald takes them
    /// (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
    Journal,
    /// A line for people.
    Line,
    /// For a collector (RFC 5424), with at most so many bytes.
    Ietf(usize),
}

/// Where a host's logs are.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// syslogd's socket.
    pub syslog: &'a Path,
    /// journald's own socket.
    pub journal: &'a Path,
    /// A file for a host that has neither.
    pub file: &'a Path,
}

impl<'a> Places<'a> {
    /// The usual ones, and this file.
    pub fn of_host(file: &'a Path) -> Self {
        Self {
            syslog: Path::new("/dev/log"),
            journal: Path::new("/run/systemd/journal/socket"),
            file,
        }
    }

    /// Whether it is journald that listens at syslogd's socket, as systemd has it: then its own takes
    /// the same messages, with fields.
    fn journal_is_syslog(&self) -> bool {
        let behind = std::fs::canonicalize(self.syslog).ok();
        behind.is_some_and(|behind| behind == self.journal.with_file_name("dev-log"))
            && is_socket(self.journal)
    }
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The log has it.
    Taken,
    /// It waits: [`Sink::attend`] tells when it has arrived.
    Waits,
    /// The log did not take it.
    Lost,
}

/// A log of the host, or a collector. Sending to it never waits.
#[derive(Debug)]
pub struct Sink {
    target: Target,
    /// Open unless it has failed since; opened again with the next message.
    descriptor: Option<OwnedFd>,
}

#[derive(Debug)]
enum Target {
    Socket {
        path: PathBuf,
        format: Format,
        stream: bool,
    },
    File(RotatedFile),
    Stderr {
        socket: bool,
    },
    Udp(SocketAddr),
    Tcp(Tcp),
}

impl Sink {
    /// What the spec asks for. A log that is away is one that comes back: what it does not take until
    /// then is lost, and counted.
    pub fn of(log: &LogSink, places: &Places<'_>) -> Self {
        match log.to {
            LogTo::Auto if places.journal_is_syslog() => Self::journal(places.journal),
            LogTo::Auto if is_socket(places.syslog) => Self::syslog(places.syslog),
            LogTo::Auto if is_socket(places.journal) => Self::journal(places.journal),
            LogTo::Auto | LogTo::File => Self::file(places.file, log),
            LogTo::Syslog => Self::syslog(places.syslog),
            LogTo::Journal => Self::journal(places.journal),
            LogTo::Stderr => Self::opened(Target::Stderr { socket: false }),
            LogTo::Udp(address) => Self::opened(Target::Udp(address)),
            LogTo::Tcp(address) => Self::opened(Target::Tcp(Tcp::new(address))),
        }
    }

    /// syslogd's socket at this path.
    pub fn syslog(path: &Path) -> Self {
        Self::socket(path, Format::Syslog)
    }

    /// journald's own socket at this path.
    fn journal(path: &Path) -> Self {
        Self::socket(path, Format::Journal)
    }

    fn socket(path: &Path, format: Format) -> Self {
        Self::opened(Target::Socket {
            path: path.to_owned(),
            format,
            stream: false,
        })
    }

    /// The file (which is made, mode 0640), or standard error.
    pub fn file(path: &Path, log: &LogSink) -> Self {
        let largest = u64::from(log.file_size_kib) << 10;
        let mut file = RotatedFile::new(path, largest, log.old_files);
        if file.open() {
            return Self::with(Target::File(file));
        }
        Self::opened(Target::Stderr { socket: false })
    }

    fn opened(target: Target) -> Self {
        let mut sink = Self::with(target);
        sink.open();
        sink
    }

    fn with(target: Target) -> Self {
        Self {
            target,
            descriptor: None,
        }
    }

    /// What it takes.
    pub fn format(&self) -> Format {
        match &self.target {
            Target::Socket { format, .. } => *format,
            Target::File(_) | Target::Stderr { .. } => Format::Line,
            Target::Udp(_) => Format::Ietf(DATAGRAM_LIMIT),
            Target::Tcp(_) => Format::Ietf(LIMIT),
        }
    }

    /// The file that it is, if it is one.
    pub fn path_of_file(&self) -> Option<&Path> {
        match &self.target {
            Target::File(file) => Some(file.path()),
            _ => None,
        }
    }

    /// Sends one message. A log that has gone away is looked for once more. `message` gets what ends
    /// it on a stream. `counts` if it is among those that [`Sink::attend`] tells.
    pub(super) fn send(&mut self, message: &mut Vec<u8>, counts: bool) -> Fate {
        let taken = match &mut self.target {
            Target::File(file) => file.append(message),
            Target::Tcp(tcp) => {
                return if tcp.offer(message, counts) {
                    Fate::Waits
                } else {
                    Fate::Lost
                };
            }
            Target::Socket { .. } | Target::Stderr { .. } | Target::Udp(_) => {
                self.send_at_once(message)
            }
        };
        if taken { Fate::Taken } else { Fate::Lost }
    }

    /// Does what can be done now about messages that wait, and answers how many have arrived.
    pub(super) fn attend(&mut self) -> u64 {
        match &mut self.target {
            Target::File(file) => {
                file.look();
                0
            }
            Target::Tcp(tcp) => tcp.attend(),
            Target::Socket { .. } | Target::Stderr { .. } | Target::Udp(_) => 0,
        }
    }

    /// What to wait for besides, if anything.
    pub(super) fn watched(&self) -> Option<PollFd<'_>> {
        let Target::Tcp(tcp) = &self.target else {
            return None;
        };
        let (descriptor, waits) = tcp.descriptor()?;
        let flags = match waits {
            true => PollFlags::IN | PollFlags::OUT,
            false => PollFlags::IN,
        };
        Some(PollFd::from_borrowed_fd(descriptor, flags))
    }

    /// When [`Sink::attend`] has something to do in any case.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match &self.target {
            Target::Tcp(tcp) => tcp.wakes_at(),
            _ => None,
        }
    }

    /// Whether messages that wait may arrive if they are given time.
    pub(super) fn is_on_its_way(&self) -> bool {
        matches!(&self.target, Target::Tcp(tcp) if tcp.is_on_its_way())
    }

    fn send_at_once(&mut self, message: &mut Vec<u8>) -> bool {
        for _ in 0..2 {
            if self.descriptor.is_none() && !self.open() {
                return false;
            }
            match self.try_send(message) {
                Ok(length) if length == message.len() => return true,
                // Half a message on a stream would be taken for the next one's beginning.
                Ok(_) if matches!(self.target, Target::Socket { stream: true, .. }) => {
                    self.descriptor = None;
                    return false;
                }
                Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::MSGSIZE | Errno::NOSPC) => {
                    return false;
                }
                Err(Errno::INTR) => {}
                // ECONNREFUSED, ENOTCONN, ECONNRESET, EPIPE: syslogd has gone, or has restarted.
                Err(_) => self.descriptor = None,
            }
        }
        false
    }

    fn try_send(&self, message: &mut Vec<u8>) -> rustix::io::Result<usize> {
        let descriptor = self.descriptor.as_ref().ok_or(Errno::BADF)?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match &self.target {
            Target::Socket { stream, .. } => {
                if *stream && message.last() != Some(&0) {
                    message.push(0);
                }
                send(descriptor, message, flags)
            }
            Target::Stderr { socket: false } => write(descriptor, message),
            _ => send(descriptor, message, flags),
        }
    }

    /// Opens the log if it can be had now.
    fn open(&mut self) -> bool {
        let opened = match &mut self.target {
            Target::Socket { path, stream, .. } => open_socket(path, stream),
            Target::Stderr { socket } => open_stderr(socket),
            Target::Udp(address) => open_udp(*address),
            Target::File(file) => return file.open(),
            Target::Tcp(_) => return true,
        };
        self.descriptor = opened.ok();
        self.descriptor.is_some()
    }
}

/// What it is, for people: a path, `standard error`, or an address.
impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Socket { path, .. } => path.display().fmt(f),
            Target::File(file) => file.path().display().fmt(f),
            Target::Stderr { .. } => f.write_str("standard error"),
            Target::Udp(address) => LogTo::Udp(*address).fmt(f),
            Target::Tcp(tcp) => LogTo::Tcp(tcp.address()).fmt(f),
        }
    }
}

/// Whether a socket is there; `/dev/log` may well be a link to it.
fn is_socket(path: &Path) -> bool {
    rustix::fs::stat(path)
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Socket)
}

/// Connects to a datagram socket, or else to a stream socket, which some syslogds have.
fn open_socket(path: &Path, stream: &mut bool) -> rustix::io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let attempt = |kind| {
        let descriptor = socket_with(AddressFamily::UNIX, kind, flags, None)?;
        connect(&descriptor, &address)?;
        Ok(descriptor)
    };
    *stream = false;
    match attempt(SocketType::DGRAM) {
        Err(Errno::PROTOTYPE) => {
            *stream = true;
            attempt(SocketType::STREAM)
        }
        result => result,
    }
}

/// A datagram socket that only hears of this collector.
fn open_udp(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let descriptor = socket_with(family, SocketType::DGRAM, flags, None)?;
    connect(&descriptor, &address)?;
    Ok(descriptor)
}

/// Opens what standard error is a second time, because whether writing waits belongs to the open
/// file, which others share. A socket cannot be opened so, but each `send` can be told not to
/// wait.
fn open_stderr(socket: &mut bool) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK;
    let flags = flags | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::open("/proc/self/fd/2", flags, Mode::empty()) {
        Err(Errno::NXIO) => {
            *socket = true;
            rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)
        }
        result => result,
    }
}
