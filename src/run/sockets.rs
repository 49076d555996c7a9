//! Sockets that a service is given: bound here, taken over from a manager, or kept from the run
//! before. Whoever holds them goes on to hold them when the service ends, so that connections wait
//! meanwhile.

mod file;

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};
use serde::{Deserialize, Serialize};

use super::state::State;
use crate::plan::{FIRST_PASSED, Listen, MOST_SOCKETS, Plan, Socket};
use crate::{Doing, Error, Result};

/// More than the names of so many sockets take.
const LONGEST_NAMES: usize = 8192;

/// What the address family of a socket that is passed on can be.
const FAMILIES: [AddressFamily; 3] = [
    AddressFamily::UNIX,
    AddressFamily::INET,
    AddressFamily::INET6,
];

/// A socket and what it is called.
#[derive(Debug)]
pub struct Offered {
    /// Its name, as the spec has it.
    pub name: String,
    /// The socket.
    pub descriptor: OwnedFd,
}

/// What there is already when a jail's sockets are opened.
#[derive(Debug, Default)]
pub struct Offers {
    /// What a manager hands over: these must be what the spec says, all of them.
    pub manager: Vec<Offered>,
    /// What was kept from the run before, for what is still wanted.
    pub kept: Vec<Offered>,
}

/// Under which number a process holds a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What the socket is called.
    pub name: String,
    /// Its number.
    pub descriptor: i32,
}

/// Opens the sockets of a plan, in its order.
///
/// # Errors
/// One cannot be bound; a manager hands over something else than the spec says, or nothing.
pub fn open(plan: &Plan, mut offers: Offers) -> Result<Vec<OwnedFd>> {
    let doing = || format!("start the jail {}", plan.name);
    name_by_place(plan, &mut offers.manager);
    let mut opened = Vec::new();
    for socket in plan.sockets() {
        opened.push(match socket.listen {
            Listen::Manager => handed_over(socket, &mut offers).map_err(|why| {
                Error::setup(doing(), why).hint(
                    "start it by what makes that socket, as the manager's unit for sockets does; \
                     or let gaoler bind it: listen = \"tcp:ADDRESS:PORT\"",
                )
            })?,
            _ => kept_or_bound(socket, &mut offers.kept)?,
        });
    }
    let unexpected: Vec<&str> = offers.manager.iter().map(|it| it.name.as_str()).collect();
    if !unexpected.is_empty() {
        let names = unexpected.join(", ");
        return Err(Error::setup(
            doing(),
            format!("its manager hands over what its spec does not have: {names:?}"),
        )
        .hint(
            "declare each under [[socket]], with that name and listen = \"manager\"; nothing that \
             is not declared gets into a jail",
        ));
    }
    Ok(opened)
}

/// A manager that gives no names means the order.
fn name_by_place(plan: &Plan, offered: &mut [Offered]) {
    if offered.iter().any(|it| !it.name.is_empty()) {
        return;
    }
    let wanted = plan.sockets().filter(|it| it.listen == Listen::Manager);
    for (offered, wanted) in offered.iter_mut().zip(wanted) {
        offered.name.clone_from(&wanted.name);
    }
}

fn handed_over(socket: &Socket, offers: &mut Offers) -> Result<OwnedFd, String> {
    let name = &socket.name;
    let descriptor = take(&mut offers.manager, name)
        .or_else(|| take(&mut offers.kept, name))
        .ok_or_else(|| format!("nobody hands over the socket {name}"))?;
    // A directory would be a way out of any root (CVE-2024-21626).
    match is_socket(descriptor.as_fd()) {
        Ok(true) => Ok(descriptor),
        Ok(false) => Err(format!(
            "what is handed over as {name} is no socket of IP or a Unix socket"
        )),
        Err(errno) => Err(format!("look at the socket {name}: {errno}")),
    }
}

fn take(offered: &mut Vec<Offered>, name: &str) -> Option<OwnedFd> {
    let place = offered.iter().position(|it| it.name == name)?;
    Some(offered.remove(place).descriptor)
}

fn is_socket(descriptor: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let stat = rustix::fs::fstat(descriptor)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Ok(false);
    }
    Ok(FAMILIES.contains(&sockopt::socket_domain(descriptor)?))
}

/// Binds a socket that is no jail's, as those of a plan are bound.
///
/// # Errors
/// As [`open`].
pub fn bind(socket: &Socket) -> Result<OwnedFd> {
    kept_or_bound(socket, &mut Vec::new())
}

fn kept_or_bound(socket: &Socket, kept: &mut Vec<Offered>) -> Result<OwnedFd> {
    let doing = || format!("bind the socket {} to {}", socket.name, socket.listen);
    // One that is not what is wanted any more is closed here, before its place is taken anew.
    if let Some(kept) = take(kept, &socket.name)
        && is_still(socket, kept.as_fd()).unwrap_or(false)
    {
        if socket.listen.has_backlog() {
            rustix::net::listen(&kept, backlog(socket)).doing(doing)?;
        }
        return Ok(kept);
    }
    let bound = match &socket.listen {
        Listen::Tcp(address) => bind_ip(socket, *address, SocketType::STREAM).doing(doing),
        Listen::Udp(address) => bind_ip(socket, *address, SocketType::DGRAM).doing(doing),
        Listen::Unix(path) => file::bind(path, socket),
        Listen::Manager => Err(Error::setup(doing(), "it is its manager's")),
    };
    bound.map_err(|error| match error.why().contains("in use") {
        true => error.hint("see who has it: ss -lntup; stop that, or take another address"),
        false => error,
    })
}

fn backlog(socket: &Socket) -> i32 {
    i32::try_from(socket.backlog).unwrap_or(i32::MAX)
}

fn bind_ip(socket: &Socket, address: SocketAddr, kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let bound = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if kind == SocketType::STREAM {
        // Connections of the run before may still be on their way out (socket(7)).
        sockopt::set_socket_reuseaddr(&bound, true)?;
    }
    if socket.reuse_port {
        sockopt::set_socket_reuseport(&bound, true)?;
    }
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&bound, socket.only_ipv6)?;
    }
    rustix::net::bind(&bound, &address)?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&bound, backlog(socket))?;
    }
    Ok(bound)
}

/// Whether what was kept is what is wanted now.
fn is_still(socket: &Socket, kept: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    if !is_socket(kept)? {
        return Ok(false);
    }
    let kind = match socket.listen {
        Listen::Udp(_) => SocketType::DGRAM,
        _ => SocketType::STREAM,
    };
    if sockopt::socket_type(kept)? != kind
        || sockopt::socket_acceptconn(kept)? != socket.listen.has_backlog()
    {
        return Ok(false);
    }
    let bound = rustix::net::getsockname(kept)?;
    match &socket.listen {
        Listen::Tcp(SocketAddr::V4(address)) | Listen::Udp(SocketAddr::V4(address)) => {
            Ok(SocketAddrV4::try_from(bound)? == *address
                && sockopt::socket_reuseport(kept)? == socket.reuse_port)
        }
        Listen::Tcp(SocketAddr::V6(address)) | Listen::Udp(SocketAddr::V6(address)) => {
            Ok(SocketAddrV6::try_from(bound)? == *address
                && sockopt::ipv6_v6only(kept)? == socket.only_ipv6
                && sockopt::socket_reuseport(kept)? == socket.reuse_port)
        }
        Listen::Unix(path) => {
            let bound = SocketAddrUnix::try_from(bound)?;
            Ok(bound == SocketAddrUnix::new(path)? && file::has_owner(path, socket))
        }
        Listen::Manager => Ok(true),
    }
}

/// Where the calling process holds the sockets of a plan.
pub(super) fn held(plan: &Plan, sockets: &[OwnedFd]) -> Vec<Held> {
    let held = plan.sockets().zip(sockets).map(|(socket, own)| Held {
        name: socket.name.clone(),
        descriptor: own.as_raw_fd(),
    });
    held.collect()
}

/// Where a process has them that has just been executed with them.
pub fn passed(plan: &Plan) -> Vec<Held> {
    let passed = plan
        .sockets()
        .zip(FIRST_PASSED..)
        .map(|(socket, number)| Held {
            name: socket.name.clone(),
            descriptor: number.cast_signed(),
        });
    passed.collect()
}

/// Takes the sockets of a running jail over from whoever holds them (`pidfd_getfd(2)`), so that
/// they stay open when it ends: its supervisor, or the service itself where there is none.
///
/// # Errors
/// As `pidfd_getfd(2)`, which takes CAP_SYS_PTRACE.
pub fn keep(state: &State) -> Result<Vec<Offered>> {
    let doing = || format!("keep the sockets of {}", state.name);
    let supervisor = state.supervisor.filter(|supervisor| supervisor.is_alive());
    let holder = supervisor.unwrap_or(state.service);
    let Some(pid) = Pid::from_raw(holder.pid).filter(|_| !state.sockets.is_empty()) else {
        return Ok(Vec::new());
    };
    let process = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(Errno::SRCH) => return Ok(Vec::new()),
        Err(errno) => return Err(errno).doing(doing),
    };
    if !holder.is_alive() {
        return Ok(Vec::new());
    }
    let mut kept = Vec::new();
    for (held, number) in state.sockets.iter().zip(FIRST_PASSED..) {
        let number = match supervisor.or_else(|| state.supervisor.is_none().then_some(holder)) {
            Some(_) => held.descriptor,
            // Its supervisor has gone; the service was given them under these numbers.
            None => number.cast_signed(),
        };
        let taken = rustix::process::pidfd_getfd(&process, number, PidfdGetfdFlags::empty());
        match taken {
            Ok(descriptor) => kept.push(Offered {
                name: held.name.clone(),
                descriptor,
            }),
            // The service has closed it.
            Err(Errno::BADF) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
    }
    Ok(kept)
}

/// Hands sockets to the process at the other end of `to` (`unix(7)`, SCM_RIGHTS).
///
/// # Errors
/// As `sendmsg(2)`.
pub fn send(to: BorrowedFd<'_>, sockets: &[Offered]) -> Result<()> {
    let doing = || "hand the sockets over";
    let names: Vec<&str> = sockets.iter().map(|it| it.name.as_str()).collect();
    let names = names.join(":");
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(|it| it.descriptor.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Error::new(doing(), "there are too many of them"));
    }
    let text = [IoSlice::new(names.as_bytes())];
    rustix::net::sendmsg(to, &text, &mut control, SendFlags::NOSIGNAL)
        .doing(doing)
        .map(drop)
}

/// Takes what [`send`] has sent.
///
/// # Errors
/// As `recvmsg(2)`; it is something else.
pub fn receive(from: BorrowedFd<'_>) -> Result<Vec<Offered>> {
    let doing = || "take the sockets over";
    let mut names = vec![0; LONGEST_NAMES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [std::io::IoSliceMut::new(&mut names)];
    let received = rustix::net::recvmsg(from, &mut text, &mut control, RecvFlags::CMSG_CLOEXEC)
        .doing(doing)?;
    let descriptors: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let names = String::from_utf8_lossy(names.get(..received.bytes).unwrap_or_default());
    let names: Vec<&str> = names.split(':').collect();
    if names.len() != descriptors.len() {
        return Err(Error::setup(doing(), "their names are missing"));
    }
    let named = names.iter().zip(descriptors);
    Ok(named
        .map(|(name, descriptor)| Offered {
            name: (*name).to_owned(),
            descriptor,
        })
        .collect())
}

/// A pair of connected sockets for [`send`] and [`receive`].
///
/// # Errors
/// As `socketpair(2)`.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .doing(|| "make a pair of sockets")
}
