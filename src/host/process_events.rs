//! What happens to every process of this host, told by the kernel as it happens: the process
//! connector (`Documentation/driver-api/connector.rst`, `linux/cn_proc.h`).
//!
//! It tells who has `CAP_NET_ADMIN` in the host's own user and pid namespaces, and drops what is not
//! read in time; then the next read says so.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::CONNECTOR;
use rustix::net::{SendFlags, send};

use super::netlink::{self, u32_at};
use super::process;
use crate::{Doing, Error, Result};

/// `CN_IDX_PROC` and `CN_VAL_PROC`; the first is also the multicast group.
const PROC: u32 = 1;

/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;

/// The length of `struct cn_msg`.
const CN_MSG: usize = 20;

/// What comes before the fields of an event in `struct proc_event`: kind, processor, time.
const EVENT: usize = CN_MSG + 16;

/// `PROC_PID_INIT_INO` and `PROC_USER_INIT_INO` of `linux/proc_ns.h`: the host's own namespaces.
const HOST_NAMESPACES: [(&str, u64); 2] = [("pid", 0xEFFF_FFFC), ("user", 0xEFFF_FFFD)];

/// Room for some ten thousand events that are not yet read, bytes.
const ROOM: usize = 32 << 20;

/// What happened to a process. Threads are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A process was made by another one.
    Fork {
        /// Who made it.
        parent: i32,
        /// The new one.
        child: i32,
    },
    /// It executes another program.
    Exec(i32),
    /// It has another user.
    Uid {
        /// Which.
        pid: i32,
        /// Its real user now.
        real: u32,
        /// Its effective user now.
        effective: u32,
    },
    /// It has another group.
    Gid {
        /// Which.
        pid: i32,
        /// Its real group now.
        real: u32,
        /// Its effective group now.
        effective: u32,
    },
    /// It has ended, with this wait status (`wait(2)`).
    Exit {
        /// Which.
        pid: i32,
        /// How.
        status: u32,
    },
}

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// All that there was.
    All,
    /// Some of it was dropped before it was read.
    Lost,
}

/// The connection.
#[derive(Debug)]
pub struct ProcessEvents(OwnedFd);

impl ProcessEvents {
    /// From now on.
    ///
    /// # Errors
    /// The kernel does not tell this process: it is not root, or not in the host's own namespaces.
    pub fn open() -> Result<Self> {
        let doing = || "hear of the host's processes";
        let own = std::process::id().cast_signed();
        for (kind, number) in HOST_NAMESPACES {
            if process::namespace(own, kind)? != number {
                // The kernel would answer nothing.
                let why = format!("this is another {kind} namespace than the host's own");
                return Err(Error::new(doing(), why));
            }
        }
        let socket = netlink::socket(CONNECTOR, PROC, false, "events of processes")?;
        netlink::make_room(&socket, ROOM)?;
        let mut request = Vec::new();
        for number in [PROC, PROC, 0, 0] {
            request.extend(number.to_ne_bytes());
        }
        request.extend(4_u16.to_ne_bytes());
        request.extend(0_u16.to_ne_bytes());
        request.extend(LISTEN.to_ne_bytes());
        let question = netlink::frame(netlink::DONE, 0, &request);
        send(&socket, &question, SendFlags::empty()).doing(doing)?;
        Ok(Self(socket))
    }

    /// Takes what has happened. Does not wait.
    ///
    /// # Errors
    /// The socket cannot be read.
    pub fn take(&self, buffer: &mut [u8], events: &mut Vec<Happened>) -> Result<Heard> {
        let mut heard = Heard::All;
        loop {
            let length = match rustix::io::read(&self.0, &mut *buffer) {
                Err(Errno::AGAIN) => return Ok(heard),
                Err(Errno::INTR) => continue,
                Err(Errno::NOBUFS) => {
                    heard = Heard::Lost;
                    continue;
                }
                result => result.doing(|| "hear of the host's processes")?,
            };
            let read = buffer.get(..length).unwrap_or_default();
            events.extend(netlink::messages(read).filter_map(|message| parse(message.payload)));
        }
    }
}

impl AsFd for ProcessEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `struct proc_event` behind its `struct cn_msg`.
fn parse(payload: &[u8]) -> Option<Happened> {
    if (u32_at(payload, 0)?, u32_at(payload, 4)?) != (PROC, PROC) {
        return None;
    }
    let field = |number: usize| u32_at(payload, EVENT + 4 * number);
    let id = |number| Some(field(number)?.cast_signed());
    // Thread and process: what happens to a thread that is not the first one is not told of.
    let process = || id(1).filter(|process| id(0) == Some(*process));
    match u32_at(payload, CN_MSG)? {
        1 => {
            let child = id(3).filter(|child| id(2) == Some(*child))?;
            let parent = id(1)?;
            Some(Happened::Fork { parent, child })
        }
        // Executed by another thread than the first one, that becomes the first.
        2 => Some(Happened::Exec(id(1)?)),
        4 => Some(Happened::Uid {
            pid: process()?,
            real: field(2)?,
            effective: field(3)?,
        }),
        0x40 => Some(Happened::Gid {
            pid: process()?,
            real: field(2)?,
            effective: field(3)?,
        }),
        0x8000_0000 => Some(Happened::Exit {
            pid: process()?,
            status: field(2)?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(what: u32, fields: [u32; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [PROC, PROC, 0, 0, 0, what, 0, 0, 0]
            .into_iter()
            .chain(fields)
        {
            bytes.extend(number.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn threads_are_left_out() {
        let read = |what, fields| parse(&message(what, fields));
        let fork = Happened::Fork {
            parent: 7,
            child: 9,
        };
        assert_eq!(read(1, [8, 7, 9, 9]), Some(fork));
        assert_eq!(read(1, [7, 7, 9, 7]), None);
        assert_eq!(read(2, [9, 9, 0, 0]), Some(Happened::Exec(9)));
        let uid = Happened::Uid {
            pid: 9,
            real: 5,
            effective: 6,
        };
        assert_eq!(read(4, [9, 9, 5, 6]), Some(uid));
        let exit = Happened::Exit {
            pid: 9,
            status: 256,
        };
        assert_eq!(read(0x8000_0000, [9, 9, 256, 17]), Some(exit));
        assert_eq!(read(0x8000_0000, [10, 9, 256, 17]), None);
        assert_eq!(read(0x200, [9, 9, 0, 0]), None);
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read(bytes in proptest::collection::vec(0u8..4, 0..80)) {
            assert!(parse(&bytes).is_none() || bytes.len() >= EVENT);
        }
    }
}
