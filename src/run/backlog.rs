//! What comes for a service while it is started again, and is kept for the next one
//! (docs/decisions/0026-backlog.md).
//!
//! Only for sockets whose service lets others share their port (SO_REUSEPORT): the next one could
//! not bind it otherwise.

mod packet;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{Gid, Uid, fstat};
use rustix::io::Result;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};

use crate::host::process;
use crate::sys::reuseport;

/// Descriptors of one process that are looked at.
const MOST_DESCRIPTORS: usize = 4096;

/// What waits at one socket may take so many bytes.
const ROOM: usize = 32 << 20;

/// No more than so many datagrams of one socket are handed on.
const MOST_DATAGRAMS: usize = 1 << 20;

/// How long a service has to read what came before.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a service may not answer well yet after it has shown that it is ready: a name server
/// waits at its ports before it has loaded its zones.
const YOUNG: Duration = Duration::from_millis(300);

/// How often that is looked at.
const POLL: Duration = Duration::from_millis(2);

/// Has connections that a socket has not accepted when it is closed go to another one of its port
/// (Linux 5.14, `Documentation/networking/ip-sysctl.rst`), in this network namespace.
const MIGRATE: &str = "/proc/sys/net/ipv4/tcp_migrate_req";

/// Sockets of a service, held while it is replaced. Dropped, they are closed, and what waits at them
/// is lost.
#[derive(Debug, Default)]
pub struct Backlog {
    datagrams: Vec<Datagrams>,
    listeners: Vec<Socket>,
}

/// A socket that a process has.
#[derive(Debug)]
struct Socket {
    descriptor: OwnedFd,
    inode: u64,
    owner: (Uid, Gid),
    address: SocketAddr,
    listens: bool,
}

/// Where datagrams come.
#[derive(Debug)]
struct Datagrams {
    address: SocketAddr,
    /// Those of the service, by which their numbers stay as they are.
    old: Vec<Socket>,
    /// Gets all that comes meanwhile.
    own: OwnedFd,
}

impl Backlog {
    /// Holds the sockets of these processes at which they wait, and has datagrams come here. What
    /// cannot be held is not: it is as with any service then that is started again.
    pub fn hold(pids: &[i32]) -> Self {
        let (listeners, others): (Vec<Socket>, Vec<Socket>) =
            shared(pids).into_iter().partition(|socket| socket.listens);
        let mut by_address: BTreeMap<SocketAddr, Vec<Socket>> = BTreeMap::new();
        for socket in others {
            by_address.entry(socket.address).or_default().push(socket);
        }
        let held = by_address
            .into_iter()
            .filter_map(|(address, old)| Datagrams::take(address, old).ok());
        let backlog = Self {
            datagrams: held.collect(),
            listeners,
        };
        // It answers what had come before.
        let old: Vec<&Socket> = backlog.datagrams.iter().flat_map(|it| &it.old).collect();
        if !old.is_empty() {
            wait_until_read(&old);
            wait_until_idle(pids);
        }
        backlog
    }

    /// Has these processes get what has waited, and all that comes from now on.
    pub fn hand_on(self, pids: &[i32]) {
        if self.datagrams.is_empty() && self.listeners.is_empty() {
            return;
        }
        std::thread::sleep(YOUNG);
        let new = shared(pids);
        self.datagrams.into_iter().for_each(|it| it.hand_on(&new));
        let waits = |it: &Socket| {
            new.iter()
                .any(|new| new.listens && new.address == it.address)
        };
        if self.listeners.iter().any(waits) {
            let before = fs::read(MIGRATE).ok();
            // Where the kernel has no such thing, those that wait are refused.
            let migrates = before.is_some() && fs::write(MIGRATE, "1").is_ok();
            drop(self.listeners);
            if let Some(before) = before.filter(|_| migrates) {
                match fs::write(MIGRATE, before) {
                    Ok(()) | Err(_) => {}
                }
            }
        }
    }
}

impl Datagrams {
    /// The kernel lets only sockets of one user share a port.
    fn take(address: SocketAddr, old: Vec<Socket>) -> Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let own = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
        if let Some((uid, gid)) = old.first().map(|socket| socket.owner) {
            rustix::fs::fchown(&own, Some(uid), Some(gid))?;
        }
        sockopt::set_socket_reuseport(&own, true)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&own, true)?;
        }
        sockopt::set_socket_recv_buffer_size_force(&own, ROOM)?;
        rustix::net::bind(&own, &address)?;
        reuseport::steer(own.as_fd(), number(old.len()), 1)?;
        Ok(Self { address, old, own })
    }

    fn hand_on(self, new: &[Socket]) {
        let Self { address, old, own } = self;
        let new = new.iter().filter(|it| !it.listens && it.address == address);
        let new: Vec<&Socket> = new.collect();
        // It waits elsewhere now: nobody is there who could be given anything.
        let Some(first) = new.first() else { return };
        let turned = reuseport::steer(own.as_fd(), number(old.len() + 1), number(new.len()));
        if turned.is_ok()
            && let Ok(raw) = packet::sender(&address)
        {
            let rooms: Vec<Room<'_>> = new.iter().map(|it| Room::of(it)).collect();
            for socket in &old {
                send_on(socket.descriptor.as_fd(), &raw, &address);
            }
            send_on(own.as_fd(), &raw, &address);
            wait_until_read(&new);
            drop(rooms);
        }
        drop((own, old));
        match reuseport::leave_to_the_kernel(first.descriptor.as_fd()) {
            // It leaves to the kernel what is not the number of a socket.
            Ok(()) | Err(_) => {}
        }
    }
}

/// More room at a socket, for as long as much comes at once.
struct Room<'a> {
    socket: BorrowedFd<'a>,
    before: usize,
}

impl<'a> Room<'a> {
    fn of(socket: &'a Socket) -> Self {
        let socket = socket.descriptor.as_fd();
        let room = Self {
            socket,
            // The kernel answers twice of what was asked for (socket(7)).
            before: sockopt::socket_recv_buffer_size(socket).unwrap_or(0) / 2,
        };
        room.set(ROOM);
        room
    }

    /// Without it some are lost, as when much comes at once.
    fn set(&self, bytes: usize) {
        match sockopt::set_socket_recv_buffer_size_force(self.socket, bytes) {
            Ok(()) | Err(_) => {}
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.before > 0 {
            self.set(self.before);
        }
    }
}

/// Waits until a service has read what waits at its sockets.
fn wait_until_read(sockets: &[&Socket]) {
    let waits = |it: &&Socket| rustix::io::ioctl_fionread(&it.descriptor).is_ok_and(|n| n > 0);
    let deadline = Instant::now() + PATIENCE;
    while sockets.iter().any(waits) && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
}

/// Waits until none of a service's threads has anything left to do, twice in a row: what it has read
/// it has answered then. On a busy host one may wait for a processor between the two.
fn wait_until_idle(pids: &[i32]) {
    let deadline = Instant::now() + PATIENCE;
    let mut idle = 0;
    while idle < 2 && Instant::now() < deadline {
        std::thread::sleep(POLL);
        let works = pids.iter().any(|pid| process::has_work(*pid));
        idle = if works { 0 } else { idle + 1 };
    }
}

/// Sends what waits at a socket once more, as it came.
fn send_on(socket: BorrowedFd<'_>, raw: &OwnedFd, to: &SocketAddr) {
    let mut address = *to;
    // Of a raw socket it would be the kind of packet.
    address.set_port(0);
    let mut buffer = vec![0; packet::LONGEST];
    for _ in 0..MOST_DATAGRAMS {
        let received = rustix::net::recvfrom(socket, &mut buffer[..], RecvFlags::DONTWAIT);
        let Ok((_, length, Some(from))) = received else {
            return;
        };
        let Ok(from) = SocketAddr::try_from(from) else {
            continue;
        };
        let data = buffer.get(..length).unwrap_or_default();
        if let Some(packet) = packet::of(&from, to, data) {
            // Like any datagram it can be lost.
            match rustix::net::sendto(raw, &packet, SendFlags::DONTWAIT, &address) {
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// The sockets of IP at which these processes wait at one address and which let others share their
/// port, each once.
fn shared(pids: &[i32]) -> Vec<Socket> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for pid in pids {
        let Some(pid) = Pid::from_raw(*pid) else {
            continue;
        };
        let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
            continue;
        };
        let directory = format!("/proc/{}/fd", pid.as_raw_pid());
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        for entry in entries.take(MOST_DESCRIPTORS) {
            let is_socket = fs::read_link(entry.path())
                .is_ok_and(|link| link.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
            let number = entry.file_name().to_str().and_then(|it| it.parse().ok());
            let Some(number) = number.filter(|_| is_socket) else {
                continue;
            };
            let flags = PidfdGetfdFlags::empty();
            let taken = rustix::process::pidfd_getfd(&process, number, flags);
            let socket = taken.and_then(Socket::of).ok().flatten();
            found.extend(socket.filter(|socket| seen.insert(socket.inode)));
        }
    }
    found
}

impl Socket {
    /// `None`: it is none of those.
    fn of(descriptor: OwnedFd) -> Result<Option<Self>> {
        let family = sockopt::socket_domain(&descriptor)?;
        if ![AddressFamily::INET, AddressFamily::INET6].contains(&family)
            || !sockopt::socket_reuseport(&descriptor)?
        {
            return Ok(None);
        }
        let listens = match sockopt::socket_type(&descriptor)? {
            SocketType::STREAM if sockopt::socket_acceptconn(&descriptor)? => true,
            // One that is connected is for one peer.
            SocketType::DGRAM if rustix::net::getpeername(&descriptor).is_err() => false,
            _ => return Ok(None),
        };
        let Ok(address) = SocketAddr::try_from(rustix::net::getsockname(&descriptor)?) else {
            return Ok(None);
        };
        // At every address, a datagram does not say at which it came.
        if address.port() == 0 || (!listens && address.ip().is_unspecified()) {
            return Ok(None);
        }
        let stat = fstat(&descriptor)?;
        Ok(Some(Self {
            inode: stat.st_ino,
            owner: (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid)),
            descriptor,
            address,
            listens,
        }))
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
