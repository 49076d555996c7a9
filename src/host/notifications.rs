//! How a service says by itself that it is ready: `sd_notify(3)`, a datagram of lines, of which one
//! is `READY=1`, to the socket that `NOTIFY_SOCKET` names.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::sys::datagram;
use crate::{Doing, Result};

/// The variable that names the socket.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// The variable that says how often a service is to say that it lives, in microseconds
/// (`sd_watchdog_enabled(3)`).
pub const WATCHDOG: &str = "WATCHDOG_USEC";

/// What is looked at of a datagram. Status lines are short, and this one comes alone or first.
const LONGEST: usize = 4096;

/// As many are taken in a row: a service that sends without end must not hold anything up.
const IN_A_ROW: usize = 64;

/// A socket for what services say of themselves.
#[derive(Debug)]
pub struct Notifications {
    socket: OwnedFd,
    address: String,
}

impl Notifications {
    /// A new one, for services in the host's own root: without a file, it ends with its
    /// descriptor.
    ///
    /// # Errors
    /// As `socket(2)` and `bind(2)`.
    pub fn open() -> Result<Self> {
        let doing = || "make a socket for the service to say that it is ready";
        let name = format!("gaoler-notify-{}", std::process::id());
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
            .doing(doing)?;
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).doing(doing)?;
        rustix::net::bind(&socket, &address).doing(doing)?;
        Ok(Self {
            socket,
            address: format!("@{name}"),
        })
    }

    /// What the service finds in [`VARIABLE`].
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Takes what has come; whether it says that the service is ready.
    pub fn hear(&self) -> bool {
        said_ready(self.socket.as_fd())
    }
}

/// What a service has said of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `READY=1`
    pub ready: bool,
    /// `WATCHDOG=1`: it lives.
    pub lives: bool,
    /// `WATCHDOG=trigger`: it does not, in its own view.
    pub failed: bool,
}

/// Takes what has come to such a socket, up to a bound; whether it says that the service is ready.
pub fn said_ready(socket: BorrowedFd<'_>) -> bool {
    said(socket).ready
}

/// The same with all that is understood of it.
pub fn said(socket: BorrowedFd<'_>) -> Said {
    let mut said = Said::default();
    let mut datagram = [0; LONGEST];
    for _ in 0..IN_A_ROW {
        match datagram::receive(socket, &mut datagram) {
            Ok(received) => {
                let text = datagram.get(..received.length).unwrap_or_default();
                let text = match received.truncated {
                    true => whole_lines(text),
                    false => text,
                };
                said.ready |= says(text, b"READY=1");
                said.lives |= says(text, b"WATCHDOG=1");
                said.failed |= says(text, b"WATCHDOG=trigger");
            }
            Err(Errno::INTR) => {}
            // Nothing more, now or ever.
            Err(_) => break,
        }
    }
    said
}

/// Without the last line: its end may be missing.
fn whole_lines(datagram: &[u8]) -> &[u8] {
    let end = datagram.iter().rposition(|byte| *byte == b'\n');
    end.and_then(|end| datagram.get(..end)).unwrap_or_default()
}

fn says(datagram: &[u8], word: &[u8]) -> bool {
    datagram
        .split(|byte| *byte == b'\n')
        .any(|line| line == word)
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    #[test]
    fn only_a_whole_line_says_it() {
        for text in ["READY=1", "MAINPID=7\nREADY=1\nSTATUS=up", "READY=1\n"] {
            assert!(says(text.as_bytes(), b"READY=1"), "{text}");
        }
        for text in ["", "READY=0", "XREADY=1", "READY=12", "STATUS=READY=1"] {
            assert!(!says(text.as_bytes(), b"READY=1"), "{text}");
        }
    }

    #[test]
    fn what_comes_is_taken_once_and_nothing_is_waited_for() {
        let notifications = Notifications::open().unwrap();
        assert!(!notifications.hear());
        let name = notifications.address().strip_prefix('@').unwrap();
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect_addr(&address).unwrap();
        sender.send(b"STATUS=soon").unwrap();
        assert!(!notifications.hear());
        sender.send(&[b'x'; 3 * LONGEST]).unwrap();
        let cut = format!("{}\nREADY=12", "x".repeat(LONGEST - 8));
        assert_eq!(&cut.as_bytes()[LONGEST - 7..LONGEST], b"READY=1");
        sender.send(cut.as_bytes()).unwrap();
        assert!(!notifications.hear());
        sender.send(b"WATCHDOG=1").unwrap();
        sender.send(b"STATUS=x\nWATCHDOG=trigger").unwrap();
        let said = said(notifications.socket.as_fd());
        assert_eq!((said.ready, said.lives, said.failed), (false, true, true));
        sender.send(b"READY=1").unwrap();
        assert!(notifications.hear());
        assert!(!notifications.hear());
    }
}
