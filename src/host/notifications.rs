//! What a service says of itself: `sd_notify(3)`, a datagram of lines, of which one may be `READY=1`,
//! to the socket that `NOTIFY_SOCKET` names.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::spec::turns_writing;
use crate::sys::datagram;
use crate::{Doing, Result};

/// The variable that names the socket.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// The variable that says how often a service is to say that it lives, in microseconds
/// (`sd_watchdog_enabled(3)`).
pub const WATCHDOG: &str = "WATCHDOG_USEC";

/// What is looked at of a datagram. Status lines are short, and this one comes alone or first.
const LONGEST: usize = 4096;

/// As many lines of one are looked at.
const MOST_LINES: usize = 64;

/// The digits of the largest number of 64 bits.
const LONGEST_NUMBER: usize = 20;

/// As much of a status is passed on, characters.
const LONGEST_STATUS: usize = 256;

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
        let mut ready = false;
        take(self.socket.as_fd(), &mut |said| ready |= said.ready);
        ready
    }
}

/// Takes what has come to such a socket, up to a bound. Descriptors that come with it are closed,
/// which is the answer that `sd_notify_barrier(3)` waits for: what was sent before is taken then.
pub fn take(socket: BorrowedFd<'_>, each: &mut dyn FnMut(Said)) {
    let mut datagram = [0; LONGEST];
    for _ in 0..IN_A_ROW {
        match datagram::receive(socket, &mut datagram) {
            Ok(received) => {
                let text = datagram.get(..received.length).unwrap_or_default();
                each(Said::read(if received.truncated {
                    whole_lines(text)
                } else {
                    text
                }));
            }
            Err(Errno::INTR) => {}
            // Nothing more, now or ever.
            Err(_) => break,
        }
    }
}

/// What one datagram says, as far as a manager may be told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The service is ready.
    pub ready: bool,
    /// It lives (`WATCHDOG=1`).
    pub lives: bool,
    /// It does not, in its own view (`WATCHDOG=trigger`).
    pub failed: bool,
    /// Its main process is another one now: the number that it has where the service runs.
    pub main: Option<i32>,
    /// Everything else that can be passed on as it is.
    pub lines: Vec<String>,
    /// It wants to leave descriptors with the manager, for its next start.
    pub leaves_descriptors: bool,
}

impl Said {
    /// Reads a datagram. What a manager does not know, or would take for something that is not the
    /// service's to say, is left out: who else may speak (`NOTIFYACCESS`), descriptors.
    pub fn read(datagram: &[u8]) -> Self {
        let mut said = Self::default();
        for line in datagram.split(|byte| *byte == b'\n').take(MOST_LINES) {
            let Some(equals) = line.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let (name, value) = line.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            said.take(&String::from_utf8_lossy(name), value);
        }
        said
    }

    fn take(&mut self, name: &str, value: &[u8]) {
        let plain = str::from_utf8(value).unwrap_or_default();
        let is_number = (1..=LONGEST_NUMBER).contains(&plain.len())
            && plain.bytes().all(|byte| byte.is_ascii_digit());
        self.lives |= (name, plain) == ("WATCHDOG", "1");
        self.failed |= (name, plain) == ("WATCHDOG", "trigger");
        match (name, plain) {
            ("READY", "1") => self.ready = true,
            ("MAINPID", number) if is_number => self.main = number.parse().ok(),
            ("RELOADING" | "STOPPING", "1") | ("WATCHDOG", "1" | "trigger") => {
                self.lines.push(format!("{name}={plain}"));
            }
            ("MONOTONIC_USEC" | "EXTEND_TIMEOUT_USEC" | "WATCHDOG_USEC" | "ERRNO", number)
                if is_number =>
            {
                self.lines.push(format!("{name}={number}"));
            }
            ("STATUS", _) => self.lines.push(format!("STATUS={}", shown(value))),
            ("FDSTORE", "1") => self.leaves_descriptors = true,
            _ => {}
        }
    }
}

/// A status as it can be shown: on one line, without control characters, not longer than a line.
fn shown(status: &[u8]) -> String {
    let text = String::from_utf8_lossy(status);
    let plain = text
        .chars()
        .filter(|character| !character.is_control() && !turns_writing(*character));
    plain.take(LONGEST_STATUS).collect()
}

/// Without the last line: its end may be missing.
fn whole_lines(datagram: &[u8]) -> &[u8] {
    let end = datagram.iter().rposition(|byte| *byte == b'\n');
    end.and_then(|end| datagram.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    #[test]
    fn only_a_whole_line_says_it() {
        for text in ["READY=1", "MAINPID=7\nREADY=1\nSTATUS=up", "READY=1\n"] {
            assert!(Said::read(text.as_bytes()).ready, "{text}");
        }
        for text in ["", "READY=0", "XREADY=1", "READY=12", "STATUS=READY=1"] {
            assert!(!Said::read(text.as_bytes()).ready, "{text}");
        }
    }

    #[test]
    fn only_what_is_the_service_s_to_say_is_passed_on() {
        let passed = "RELOADING=1\nMONOTONIC_USEC=123\nSTATUS=all is well\nWATCHDOG=1\n\
                      WATCHDOG=trigger\nWATCHDOG_USEC=5\nEXTEND_TIMEOUT_USEC=7\nSTOPPING=1\nERRNO=2";
        let said = Said::read(passed.as_bytes());
        assert_eq!(said.lines, passed.split('\n').collect::<Vec<_>>());
        for text in [
            "NOTIFYACCESS=all",
            "BARRIER=1",
            "FDSTORE=1\nFDNAME=x\nFDPOLL=0",
            "FDSTOREREMOVE=1",
            "MAINPIDFD=1",
            "BUSERROR=x.y",
            "X_OWN=1",
            "RELOADING=2",
            "WATCHDOG=x",
            "WATCHDOG_USEC=-5",
            "MONOTONIC_USEC=123456789012345678901",
            "ERRNO=",
            "=1",
            "STATUS",
        ] {
            assert!(Said::read(text.as_bytes()).lines.is_empty(), "{text}");
        }
        assert!(Said::read(b"FDSTORE=1").leaves_descriptors);
        for (text, main) in [
            ("MAINPID=12", Some(12)),
            ("MAINPID=-1", None),
            ("MAINPID=99999999999", None),
            ("MAINPID= 1", None),
        ] {
            assert_eq!(Said::read(text.as_bytes()).main, main, "{text}");
        }
    }

    #[test]
    fn a_status_cannot_do_anything_to_a_terminal() {
        let said = Said::read("STATUS=a\x1b[2J\u{202e}b\rREADY=1\u{85}".as_bytes());
        assert_eq!(said.lines, ["STATUS=a[2JbREADY=1"]);
        assert!(!said.ready);
        let long = format!("STATUS={}", "\u{e9}".repeat(1000));
        let said = Said::read(long.as_bytes());
        assert_eq!(
            said.lines,
            [format!("STATUS={}", "\u{e9}".repeat(LONGEST_STATUS))]
        );
        assert_eq!(Said::read(b"STATUS=\xff").lines, ["STATUS=\u{fffd}"]);
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
        let (mut ready, mut lives, mut failed) = (false, false, false);
        take(notifications.socket.as_fd(), &mut |said| {
            ready |= said.ready;
            lives |= said.lives;
            failed |= said.failed;
        });
        assert_eq!((ready, lives, failed), (false, true, true));
        sender.send(b"READY=1").unwrap();
        assert!(notifications.hear());
        assert!(!notifications.hear());
    }
}
