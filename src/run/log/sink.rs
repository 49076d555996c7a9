//! Where the messages of jails go on the host.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, write};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};

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

/// A log of the host. Sending to it never waits.
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
    File {
        path: PathBuf,
    },
    Stderr {
        socket: bool,
    },
}

impl Sink {
    /// The first of these that exists: `/dev/log`, journald, `file` (which is made, mode 0640),
    /// standard error.
    pub fn choose(file: &Path) -> Self {
        Self::choose_from(&Places {
            syslog: Path::new("/dev/log"),
            journal: Path::new("/run/systemd/journal/socket"),
            file,
        })
    }

    /// As [`Sink::choose`], elsewhere.
    pub fn choose_from(places: &Places<'_>) -> Self {
        for (path, format) in [
            (places.syslog, Format::Syslog),
            (places.journal, Format::Journal),
        ] {
            if is_socket(path) {
                return Self::socket(path, format);
            }
        }
        Self::file(places.file)
    }

    /// syslogd's socket at this path.
    pub fn syslog(path: &Path) -> Self {
        Self::socket(path, Format::Syslog)
    }

    fn socket(path: &Path, format: Format) -> Self {
        let mut sink = Self::of(Target::Socket {
            path: path.to_owned(),
            format,
            stream: false,
        });
        // A syslogd that is away is one that comes back.
        sink.open();
        sink
    }

    /// The file (which is made, mode 0640), or standard error.
    pub fn file(path: &Path) -> Self {
        let mut sink = Self::of(Target::File {
            path: path.to_owned(),
        });
        if !sink.open() {
            sink = Self::of(Target::Stderr { socket: false });
            sink.open();
        }
        sink
    }

    fn of(target: Target) -> Self {
        Self {
            target,
            descriptor: None,
        }
    }

    /// What it takes.
    pub fn format(&self) -> Format {
        match &self.target {
            Target::Socket { format, .. } => *format,
            Target::File { .. } | Target::Stderr { .. } => Format::Line,
        }
    }

    /// Closes it; the next message opens it again.
    pub(super) fn close(&mut self) {
        self.descriptor = None;
    }

    /// Sends one message; answers whether the log took it. One that has gone away is looked for
    /// once more. `message` gets what ends it on a stream.
    pub(super) fn send(&mut self, message: &mut Vec<u8>) -> bool {
        for _ in 0..2 {
            if self.descriptor.is_none() && !self.open() {
                return false;
            }
            match self.try_send(message) {
                Ok(length) if length == message.len() => return true,
                // Half a message on a stream would be taken for the next one's beginning.
                Ok(_) if matches!(self.target, Target::Socket { stream: true, .. }) => {
                    self.close();
                    return false;
                }
                Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::MSGSIZE | Errno::NOSPC) => {
                    return false;
                }
                Err(Errno::INTR) => {}
                // ECONNREFUSED, ENOTCONN, ECONNRESET, EPIPE: syslogd has gone, or has restarted.
                Err(_) => self.close(),
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
            Target::Stderr { socket: true } => send(descriptor, message, flags),
            Target::Stderr { socket: false } | Target::File { .. } => write(descriptor, message),
        }
    }

    /// Opens the log if it can be had now.
    fn open(&mut self) -> bool {
        let opened = match &mut self.target {
            Target::Socket { path, stream, .. } => open_socket(path, stream),
            Target::File { path } => open_file(path),
            Target::Stderr { socket } => open_stderr(socket),
        };
        self.descriptor = opened.ok();
        self.descriptor.is_some()
    }
}

/// What it is, for people: a path, or `standard error`.
impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Socket { path, .. } | Target::File { path } => path.display().fmt(f),
            Target::Stderr { .. } => f.write_str("standard error"),
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

/// Opens a regular file of this name alone for appending; whatever else has its name is refused.
fn open_file(path: &Path) -> rustix::io::Result<OwnedFd> {
    // Without NONBLOCK, a FIFO in its place would make the open wait.
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let descriptor = rustix::fs::open(path, flags, Mode::from_raw_mode(0o640))?;
    let status = rustix::fs::fstat(&descriptor)?;
    // One with another name may be somebody else's file, linked here (link(2)).
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile if status.st_nlink == 1 => Ok(descriptor),
        _ => Err(Errno::INVAL),
    }
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
