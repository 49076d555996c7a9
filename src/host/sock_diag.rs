//! All sockets of a network namespace, with what went through them, as the kernel tells it
//! (`sock_diag(7)`): docs/decisions/0022-watching.md says why not from `/proc/net`.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use rustix::io::Errno;
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{SendFlags, send};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::netlink::{self, attributes, messages, u32_at, u64_at};
use super::process;
use crate::spec::Protocol;
use crate::{Doing, Error, Result};

/// `SOCK_DIAG_BY_FAMILY` of `linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;

/// `AF_UNIX`, `AF_INET`, `AF_INET6`.
const UNIX: u8 = 1;
const INET: u8 = 2;
const INET6: u8 = 10;

/// `TCP_ESTABLISHED`, `TCP_LISTEN` of `net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

/// `INET_DIAG_INFO`, of which the request has the bit below.
const INFO: u16 = 2;

/// `UNIX_DIAG_NAME` and `UNIX_DIAG_PEER`, and the bits of the request that ask for them.
const NAME: u16 = 0;
const PEER: u16 = 2;
const SHOW_NAME_AND_PEER: u32 = 1 | 4;

/// Larger than what the kernel sends at once.
const BUFFER: usize = 64 * 1024;

/// What a socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doings {
    /// It waits for others: a TCP or Unix socket that listens, a UDP socket without a peer.
    Listening,
    /// It has a peer.
    Connected,
    /// It is on the way to or from that.
    Other,
}

/// A socket of TCP or UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inet {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// What it does.
    pub doing: Doings,
    /// Its address; a mapped IPv4 address of an IPv6 socket as an IPv4 one.
    pub local: SocketAddr,
    /// Its peer's.
    pub peer: SocketAddr,
    /// Its inode; 0 if no process has it open any more.
    pub inode: u64,
    /// Bytes that came, and bytes that went and were acknowledged (`tcp_info` of `tcp(7)`).
    pub traffic: Option<Traffic>,
}

/// Bytes of a TCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// That came.
    pub received: u64,
    /// That went, each counted once.
    pub sent: u64,
}

/// A Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unix {
    /// What it does.
    pub doing: Doings,
    /// Its inode.
    pub inode: u64,
    /// Its path, with `@` for the first byte of an abstract one: whatever somebody chose.
    pub path: Option<String>,
    /// The inode of the socket that it is connected to.
    pub peer: Option<u64>,
}

/// A question for the kernel, open in one network namespace.
#[derive(Debug)]
pub struct SockDiag(OwnedFd);

impl SockDiag {
    /// For the network namespace of the process.
    ///
    /// # Errors
    /// The kernel has no such sockets; the process has ended; it is in another namespace, which
    /// only root can enter.
    pub fn of(pid: i32) -> Result<Self> {
        let own = std::process::id().cast_signed();
        if process::namespace(pid, "net")? == process::namespace(own, "net")? {
            return Self::here();
        }
        let path = format!("/proc/{pid}/ns/net");
        let doing = || format!("look into the network namespace of process {pid}");
        let namespace = File::open(path).doing(doing)?;
        // A thread's namespace is its own, and the socket stays in it.
        let enter = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).doing(doing)?;
            Self::here()
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, enter);
            match thread.doing(doing)?.join() {
                Ok(opened) => opened,
                Err(_) => Err(Error::new(doing(), "a thread ended early")),
            }
        })
    }

    fn here() -> Result<Self> {
        netlink::socket(SOCK_DIAG, 0, true, "its sockets").map(Self)
    }

    /// The sockets of TCP and UDP.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn inet(&self) -> Result<Vec<Inet>> {
        let mut found = Vec::new();
        for (protocol, number) in [(Protocol::Tcp, 6), (Protocol::Udp, 17)] {
            for family in [INET, INET6] {
                let mut request = vec![family, number, 1 << (INFO - 1), 0];
                // All states, and no socket in particular.
                request.extend(u32::MAX.to_ne_bytes());
                request.extend([0; 48]);
                let read = |payload: &[u8]| found.extend(parse_inet(payload, protocol));
                match self.dump(&request, read) {
                    // A kernel without IPv6.
                    Err(Errno::NOENT) if family == INET6 => {}
                    result => result.doing(|| "list the sockets")?,
                }
            }
        }
        Ok(found)
    }

    /// The Unix sockets.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn unix(&self) -> Result<Vec<Unix>> {
        let mut request = vec![UNIX, 0, 0, 0];
        request.extend(u32::MAX.to_ne_bytes());
        request.extend([0; 4]);
        request.extend(SHOW_NAME_AND_PEER.to_ne_bytes());
        request.extend([0; 8]);
        let mut found = Vec::new();
        self.dump(&request, |payload| found.extend(parse_unix(payload)))
            .doing(|| "list the Unix sockets")?;
        Ok(found)
    }

    fn dump(&self, request: &[u8], mut read: impl FnMut(&[u8])) -> rustix::io::Result<()> {
        let question = netlink::frame(BY_FAMILY, netlink::DUMP, request);
        send(&self.0, &question, SendFlags::empty())?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = match rustix::io::read(&self.0, &mut buffer) {
                Err(Errno::INTR) => continue,
                result => result?,
            };
            for message in messages(buffer.get(..length).unwrap_or_default()) {
                match message.kind {
                    netlink::DONE => return Ok(()),
                    netlink::ERROR => {
                        let code = u32_at(message.payload, 0).unwrap_or_default();
                        return Err(Errno::from_raw_os_error(-code.cast_signed()));
                    }
                    _ => read(message.payload),
                }
            }
        }
    }
}

/// `struct inet_diag_msg` of `linux/inet_diag.h`, which has its `struct inet_diag_sockid` at 4.
fn parse_inet(payload: &[u8], protocol: Protocol) -> Option<Inet> {
    const LENGTH: usize = 72;
    let (family, state) = (*payload.first()?, *payload.get(1)?);
    let port = |at: usize| {
        let bytes = payload.get(at..at + 2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    let address = |at: usize| -> Option<IpAddr> {
        if family == INET {
            let bytes: [u8; 4] = payload.get(at..at + 4)?.try_into().ok()?;
            return Some(Ipv4Addr::from(bytes).into());
        }
        let bytes: [u8; 16] = payload.get(at..at + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(bytes).to_canonical())
    };
    let local = SocketAddr::new(address(8)?, port(4)?);
    let peer = SocketAddr::new(address(24)?, port(6)?);
    let doing = match (protocol, state) {
        (Protocol::Tcp, LISTEN) => Doings::Listening,
        (Protocol::Udp, _) if peer.port() == 0 => Doings::Listening,
        (_, ESTABLISHED) => Doings::Connected,
        _ => Doings::Other,
    };
    let mut attributes = attributes(payload.get(LENGTH..)?);
    let info = attributes.find(|(kind, _)| *kind == INFO);
    Some(Inet {
        protocol,
        doing,
        local,
        peer,
        inode: u32_at(payload, LENGTH - 4)?.into(),
        traffic: info
            .filter(|_| protocol == Protocol::Tcp && doing != Doings::Listening)
            .and_then(|(_, info)| parse_traffic(info)),
    })
}

/// `struct tcp_info` of `linux/tcp.h`, which grows at its end: `tcpi_bytes_acked` and
/// `tcpi_bytes_received` are from Linux 4.1, `tcpi_bytes_sent` and `tcpi_bytes_retrans` from 4.19.
fn parse_traffic(info: &[u8]) -> Option<Traffic> {
    let acknowledged = u64_at(info, 120)?;
    let sent = match (u64_at(info, 200), u64_at(info, 208)) {
        (Some(sent), Some(again)) => sent.saturating_sub(again),
        // What opens a connection is acknowledged like a byte.
        _ => acknowledged.saturating_sub(1),
    };
    Some(Traffic {
        received: u64_at(info, 128)?,
        sent,
    })
}

/// `struct unix_diag_msg` of `linux/unix_diag.h`.
fn parse_unix(payload: &[u8]) -> Option<Unix> {
    const LENGTH: usize = 16;
    let state = *payload.get(2)?;
    let rest = payload.get(LENGTH..)?;
    let attribute = |wanted| attributes(rest).find(|(kind, _)| *kind == wanted);
    let path = attribute(NAME).map(|(_, name)| match name.split_first() {
        Some((0, abstract_name)) => format!("@{}", String::from_utf8_lossy(abstract_name)),
        _ => {
            let path = name.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(path).into_owned()
        }
    });
    Some(Unix {
        doing: match state {
            LISTEN => Doings::Listening,
            ESTABLISHED => Doings::Connected,
            _ => Doings::Other,
        },
        inode: u32_at(payload, 4)?.into(),
        path,
        peer: attribute(PEER)
            .and_then(|(_, inode)| u32_at(inode, 0))
            .filter(|inode| *inode != 0)
            .map(u64::from),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn own() -> SockDiag {
        SockDiag::of(std::process::id().cast_signed()).unwrap()
    }

    #[test]
    fn what_went_through_a_connection_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[7; 5000]).unwrap();
        server.read_exact(&mut [0; 5000]).unwrap();
        server.write_all(b"done").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
        let all = own().inet().unwrap();
        let of = |local: SocketAddr, doing| {
            let mut found = all.iter();
            found
                .find(|it| it.local == local && it.doing == doing)
                .unwrap()
        };
        let there = of(client.local_addr().unwrap(), Doings::Connected);
        assert_eq!(there.peer, address);
        assert_eq!(
            there.traffic.unwrap(),
            Traffic {
                received: 4,
                sent: 5000
            }
        );
        assert_eq!(
            of(address, Doings::Connected).traffic.unwrap().received,
            5000
        );
        let listening = of(address, Doings::Listening);
        assert!(listening.inode != 0 && listening.traffic.is_none());
    }

    #[test]
    fn datagram_and_unix_sockets_are_there() {
        let datagrams = UdpSocket::bind("[::1]:0").or_else(|_| UdpSocket::bind("127.0.0.1:0"));
        let address = datagrams.as_ref().unwrap().local_addr().unwrap();
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a b\n");
        let listener = UnixListener::bind(&path).unwrap();
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let own = own();
        let inet = own.inet().unwrap();
        let it = inet.iter().find(|it| it.local == address).unwrap();
        assert_eq!((it.protocol, it.doing), (Protocol::Udp, Doings::Listening));
        let unix = own.unix().unwrap();
        let named = |it: &&Unix| it.path.as_deref() == path.to_str();
        let listening = unix
            .iter()
            .filter(named)
            .find(|it| it.doing == Doings::Listening);
        assert!(listening.is_some());
        let inode = rustix::fs::fstat(&client).unwrap().st_ino;
        let there = unix.iter().find(|it| it.inode == inode).unwrap();
        assert_eq!(there.doing, Doings::Connected);
        drop(listener);
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_read(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            drop((parse_inet(&bytes, Protocol::Tcp), parse_unix(&bytes), parse_traffic(&bytes)));
        }
    }
}
