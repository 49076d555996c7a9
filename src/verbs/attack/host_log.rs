//! The host's log, as an attack has it: a socket such as syslogd's, which is read when somebody
//! wants to know what came.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with,
};

use crate::run::log::LogSocket;
use crate::run::supervise::LOG_SOCKET;
use crate::sys::datagram;
use crate::{Doing, Result};

/// Longer than any message of a probe.
const LONGEST: usize = 65536;

/// It.
#[derive(Debug)]
pub(super) struct HostLog {
    directory: PathBuf,
    socket: LogSocket,
}

impl HostLog {
    /// Makes it in this directory, under the name that the jail's own has in its.
    ///
    /// # Errors
    /// As [`LogSocket::bind`].
    pub(super) fn open(directory: PathBuf) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&directory, flags, Mode::empty())
            .doing(|| format!("open {}", directory.display()))?;
        Ok(Self {
            socket: LogSocket::bind(&opened, LOG_SOCKET)?,
            directory,
        })
    }

    /// Its directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its socket.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(LOG_SOCKET)
    }

    /// What has come since it was read last.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(&self) -> Result<Vec<Vec<u8>>> {
        let mut messages = Vec::new();
        let mut buffer = vec![0; LONGEST];
        loop {
            match datagram::receive(self.socket.as_fd(), &mut buffer) {
                Ok(received) => {
                    let message = buffer.get(..received.length).unwrap_or_default();
                    messages.push(message.to_vec());
                }
                Err(Errno::AGAIN) => return Ok(messages),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| "read the log of an attack"),
            }
        }
    }

    /// Whether it takes a message now; it has that one then.
    ///
    /// # Errors
    /// It cannot be tried.
    pub(super) fn has_room(&self) -> Result<bool> {
        let doing = || "log something during an attack";
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).doing(doing)?;
        let address = SocketAddrUnix::new(self.path()).doing(doing)?;
        match sendto(
            &socket,
            b"<30>another: a message",
            SendFlags::NOSIGNAL,
            &address,
        ) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN | Errno::NOBUFS) => Ok(false),
            Err(errno) => Err(errno).doing(doing),
        }
    }
}
