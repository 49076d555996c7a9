//! The service manager that has started gaoler: what it hands over, and what it is told
//! (`sd_notify(3)`, `sd_listen_fds(3)`, `sd_watchdog_enabled(3)`).

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::sockets::Offered;
use crate::host::notifications::VARIABLE;
use crate::plan::{FIRST_PASSED, MOST_SOCKETS, Managed};
use crate::{Doing, Error, Result, sys};

/// As many messages are passed on at once: whoever has taken the service over must not keep the
/// manager busy.
const BURST: u32 = 100;

/// How long it takes until one more is passed on.
const EACH: Duration = Duration::from_millis(50);

/// What a manager gives whoever it starts.
#[derive(Debug, Default)]
pub struct Manager {
    /// Where it is told how the service is, and what it wants to hear.
    pub managed: Managed,
    /// The sockets that it hands over.
    pub sockets: Vec<Offered>,
}

impl Manager {
    /// What the environment says, if it is said to this process. Takes the descriptors that are
    /// handed over, so it comes before anything is opened.
    ///
    /// # Errors
    /// They are not what the environment says.
    pub fn of_environment() -> Result<Self> {
        let watched = is_for_this_process("WATCHDOG_PID").unwrap_or(true);
        Ok(Self {
            managed: Managed {
                notify: text(VARIABLE).filter(|address| !address.is_empty()),
                watchdog_us: number("WATCHDOG_USEC").filter(|us| watched && *us > 0),
            },
            sockets: handed_over()?,
        })
    }
}

fn text(variable: &str) -> Option<String> {
    // One that is no text is no address that a service could be told.
    std::env::var_os(variable)?.into_string().ok()
}

fn number(variable: &str) -> Option<u64> {
    text(variable)?.parse().ok()
}

fn is_for_this_process(variable: &str) -> Option<bool> {
    let process = text(variable)?;
    Some(process.parse() == Ok(std::process::id()))
}

/// Nothing, if they are somebody else's: the variables may be inherited from further above.
fn handed_over() -> Result<Vec<Offered>> {
    let count = number("LISTEN_FDS").unwrap_or(0);
    if is_for_this_process("LISTEN_PID") != Some(true) || count == 0 {
        return Ok(Vec::new());
    }
    let doing = || "take the sockets that the manager hands over";
    let count = u16::try_from(count)
        .ok()
        .filter(|count| usize::from(*count) <= MOST_SOCKETS)
        .ok_or_else(|| {
            Error::setup(
                doing(),
                format!("LISTEN_FDS is {count}, and no more than {MOST_SOCKETS} can be passed on"),
            )
        })?;
    let descriptors = sys::passed::take(FIRST_PASSED.cast_signed(), count)
        .doing(|| format!("{}: LISTEN_FDS is {count}", doing()))?;
    let names = text("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let named = |(index, descriptor): (usize, OwnedFd)| Offered {
        name: names.get(index).copied().unwrap_or_default().to_owned(),
        descriptor,
    };
    Ok(descriptors.into_iter().enumerate().map(named).collect())
}

/// Says to the manager how the service is.
#[derive(Debug)]
pub struct Speaker {
    socket: OwnedFd,
    address: SocketAddrUnix,
    /// It was told that the service is ready.
    announced: bool,
    left: u32,
    counted_at: Instant,
    failed: bool,
    refused: bool,
}

impl Speaker {
    /// `None` if the manager does not want to hear anything.
    ///
    /// # Errors
    /// Its address is none.
    pub fn to(managed: &Managed) -> Result<Option<Self>> {
        let Some(text) = &managed.notify else {
            return Ok(None);
        };
        let doing = || format!("speak to the manager at {text:?}, as {VARIABLE} has it");
        let address = match text.split_at_checked(1) {
            Some(("/", _)) => SocketAddrUnix::new(text.as_str()),
            Some(("@", name)) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            _ => {
                return Err(Error::setup(
                    doing(),
                    "it is neither an absolute path nor an abstract name (@...)",
                ));
            }
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
            .doing(doing)?;
        let address = address.doing(doing)?;
        // Now, while every capability is in effect: its socket may be anybody's. What that answers,
        // the first message tells.
        rustix::net::connect(&socket, &address).unwrap_or_default();
        Ok(Some(Self {
            socket,
            address,
            announced: false,
            left: BURST,
            counted_at: Instant::now(),
            failed: false,
            refused: false,
        }))
    }

    /// Whether the manager waits to hear that the service is ready.
    pub fn is_waited_for(&self) -> bool {
        !self.announced
    }

    /// Says that it is ready; another time, if the manager's queue is full.
    pub fn announce(&mut self) -> Option<Errno> {
        let sent = self.send("READY=1");
        self.announced = sent != Err(Errno::AGAIN);
        self.news_of(sent)
    }

    /// Passes on what the service has said, unless that is too much. What fails for the first time
    /// is answered, for the log.
    pub fn pass_on(&mut self, lines: &[String]) -> Option<Errno> {
        if lines.is_empty() || !self.may_speak() {
            return None;
        }
        let sent = self.send(&lines.join("\n"));
        self.news_of(sent)
    }

    /// Whether the service wants to leave descriptors with the manager, which is not done, for the
    /// first time.
    pub fn refuses_first_descriptor(&mut self) -> bool {
        !std::mem::replace(&mut self.refused, true)
    }

    fn send(&self, text: &str) -> rustix::io::Result<()> {
        let flags = SendFlags::NOSIGNAL;
        match rustix::net::send(&self.socket, text.as_bytes(), flags) {
            // Another manager may have its place.
            Err(Errno::NOTCONN | Errno::CONNREFUSED | Errno::DESTADDRREQ | Errno::PIPE) => {
                rustix::net::sendto(&self.socket, text.as_bytes(), flags, &self.address).map(drop)
            }
            sent => sent.map(drop),
        }
    }

    fn news_of(&mut self, sent: rustix::io::Result<()>) -> Option<Errno> {
        let failed_before = std::mem::replace(&mut self.failed, sent.is_err());
        sent.err().filter(|_| !failed_before)
    }

    fn may_speak(&mut self) -> bool {
        let gained = self.counted_at.elapsed().as_millis() / EACH.as_millis();
        if gained > 0 {
            self.counted_at = Instant::now();
            let gained = u32::try_from(gained).unwrap_or(BURST);
            self.left = self.left.saturating_add(gained).min(BURST);
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn speaker() -> (Speaker, UnixDatagram, tempfile::TempDir) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let managed = Managed {
            notify: Some(path.to_str().unwrap().to_owned()),
            watchdog_us: None,
        };
        (Speaker::to(&managed).unwrap().unwrap(), manager, place)
    }

    #[test]
    fn a_service_that_says_too_much_is_not_heard_by_the_manager() {
        let (mut speaker, manager, _place) = speaker();
        let mut heard = 0;
        for number in 0..3 * BURST {
            speaker.pass_on(&[format!("STATUS={number}")]);
            while manager.recv(&mut [0; 64]).is_ok() {
                heard += 1;
            }
        }
        assert!((BURST..2 * BURST).contains(&heard), "{heard}");
        assert_eq!(speaker.announce(), None);
        assert!(
            !speaker.is_waited_for(),
            "what gaoler says itself is always said"
        );
    }

    #[test]
    fn a_manager_that_is_gone_is_told_once() {
        let (mut speaker, manager, place) = speaker();
        drop(manager);
        drop(place);
        let lines = ["STATUS=x".to_owned()];
        assert!(speaker.pass_on(&lines).is_some());
        assert_eq!(speaker.pass_on(&lines), None);
    }

    #[test]
    fn an_address_of_another_kind_is_refused() {
        for address in ["vsock:2:9", "notify", "@"] {
            let managed = Managed {
                notify: Some(address.to_owned()),
                watchdog_us: None,
            };
            let is_refused = Speaker::to(&managed).is_err();
            assert_eq!(is_refused, address != "@", "{address}");
        }
    }
}
