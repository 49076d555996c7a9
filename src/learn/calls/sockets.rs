//! Calls on sockets.

use super::super::address::{self, Address};
use super::super::capabilities;
use super::super::paths::{Last, resolve};
use super::super::process;
use super::super::record::Event;
use super::super::trace::{Phase, SocketSeen, SocketUse, Use, Witness};
use super::{After, Done};
use crate::sys::peek_socket::{self, Socket};
use crate::sys::{abi, process_memory};

/// The most messages that one `sendmmsg(2)` handles: `UIO_MAXIOV`.
const MOST_MESSAGES: u64 = 1024;
/// The size of `struct mmsghdr` where a word has 8 bytes.
const MESSAGE: u64 = 64;
/// The most peers that are remembered; an answer to one more looks like a connection.
const MOST_PEERS: usize = 65_536;

/// What these calls show.
pub const AFTER: After = &[
    ("bind", bound),
    ("connect", |done| {
        connected(done, done.long(1), done.long(2))
    }),
    ("listen", listening),
    ("recvfrom", |done| received(done, &[done.long(4)])),
    ("recvmmsg", |done| {
        let headers = headers(done);
        received_messages(done, &headers);
    }),
    ("recvmsg", |done| received_messages(done, &[done.long(1)])),
    ("sendmmsg", |done| {
        for header in headers(done) {
            sent(done, header);
        }
    }),
    ("sendmsg", |done| sent(done, done.long(1))),
    ("sendto", |done| sent_to(done, done.long(4), done.long(5))),
    ("setsockopt", option_set),
    ("socket", made),
    ("socketpair", made),
];

fn made(done: &mut Done<'_>) {
    if done.result.is_err() {
        return;
    }
    let (family, kind) = (done.int(0), done.int(1) & 0xf);
    done.capability(
        capabilities::socket(family, kind),
        &format!("{family}, {kind}"),
    );
    done.events.push(Event::Socket(SocketSeen {
        action: SocketUse::Create,
        family: short(family),
        kind: short(kind),
        protocol: done.int(2),
        address: String::new(),
        port: 0,
        phase: Phase::Start,
        witness: Witness::default(),
    }));
}

fn bound(done: &mut Done<'_>) {
    let Some(address) = read_address(done, done.long(1), done.long(2)) else {
        return;
    };
    let socket = peek(done);
    let action = match done.result {
        Ok(_) => SocketUse::Bind,
        Err(errno) => SocketUse::BindFailed(errno),
    };
    path_used(done, &address, Use::Create, done.result.err());
    if matches!(i32::from(address.family), abi::AF_INET | abi::AF_INET6) {
        let needed = capabilities::bind(address.port, done.memory.first_free_port);
        done.capability(needed, &format!("{}:{}", address.text, address.port));
        if done.result.is_ok() && socket.kind == short(abi::SOCK_DGRAM) {
            done.memory.has_new_port |= done.memory.bound.insert(address.port);
        }
    }
    seen(done, action, &socket, address);
}

fn listening(done: &mut Done<'_>) {
    if done.result.is_err() {
        return;
    }
    let socket = peek(done);
    let address = address::parse(&socket.address).unwrap_or_default();
    if address.port != 0 {
        done.memory.has_new_port |= done.memory.listening.insert(address.port);
    }
    seen(done, SocketUse::Listen, &socket, address);
}

fn connected(done: &mut Done<'_>, at: u64, length: u64) {
    let Some(address) = read_address(done, at, length) else {
        return;
    };
    // AF_UNSPEC takes a datagram socket's peer away: connect(2).
    if i32::from(address.family) == abi::AF_UNSPEC {
        return;
    }
    let failure = done.result.err().filter(|errno| *errno != abi::EINPROGRESS);
    path_used(done, &address, Use::Connect, failure);
    let socket = peek(done);
    seen(done, SocketUse::Connect, &socket, address);
}

fn sent_to(done: &mut Done<'_>, at: u64, length: u64) {
    if at == 0 || length == 0 {
        return;
    }
    let Some(address) = read_address(done, at, length) else {
        return;
    };
    if done
        .memory
        .peers
        .contains(&(address.text.clone(), address.port))
    {
        return;
    }
    connected(done, at, length);
}

/// `struct msghdr` begins with the address and its length.
fn sent(done: &mut Done<'_>, header: u64) {
    let length = header.checked_add(8).and_then(|at| done.caller.half(at));
    if let (Some(at), Some(length)) = (done.caller.word(header), length) {
        sent_to(done, at, length.into());
    }
}

/// The message headers of `sendmmsg(2)` and `recvmmsg(2)` that were handled; all of them if the
/// call failed.
fn headers(done: &Done<'_>) -> Vec<u64> {
    let handled = done.result.ok().and_then(|count| u64::try_from(count).ok());
    let count = handled
        .unwrap_or_else(|| done.uint(2).into())
        .min(MOST_MESSAGES);
    (0..count)
        .filter_map(|index| done.long(1).checked_add(index * MESSAGE))
        .collect()
}

fn received_messages(done: &mut Done<'_>, headers: &[u64]) {
    let addresses: Vec<u64> = headers
        .iter()
        .filter_map(|header| done.caller.word(*header))
        .collect();
    received(done, &addresses);
}

/// Whoever sends something may be answered: that is not a connection of the service's own.
fn received(done: &mut Done<'_>, addresses: &[u64]) {
    if done.result.is_err() {
        return;
    }
    for at in addresses.iter().filter(|at| **at != 0) {
        if let Some(peer) = read_address(done, *at, 28)
            && peer.port != 0
            && done.memory.peers.len() < MOST_PEERS
        {
            done.memory.peers.insert((peer.text, peer.port));
        }
    }
}

fn option_set(done: &mut Done<'_>) {
    let (level, option) = (done.int(1), done.int(2));
    let value = done.caller.half(done.long(3)).unwrap_or_default();
    let needed = capabilities::socket_option(level, option, value);
    done.capability(needed, &format!("level {level}, option {option}"));
}

fn read_address(done: &Done<'_>, at: u64, length: u64) -> Option<Address> {
    let mut bytes = [0u8; address::LONGEST];
    let length = usize::try_from(length).ok()?.min(address::LONGEST);
    let read = process_memory::read(done.caller.tid, at, bytes.get_mut(..length)?).ok()?;
    address::parse(bytes.get(..read)?)
}

/// The socket that the call is about; all zeroes if it is gone or none.
fn peek(done: &Done<'_>) -> Socket {
    peek_socket::peek(done.caller.process, done.int(0)).unwrap_or(Socket {
        family: 0,
        kind: 0,
        protocol: 0,
        address: Vec::new(),
    })
}

fn seen(done: &mut Done<'_>, action: SocketUse, socket: &Socket, address: Address) {
    done.events.push(Event::Socket(SocketSeen {
        action,
        family: if socket.family == 0 {
            address.family
        } else {
            socket.family
        },
        kind: socket.kind,
        protocol: socket.protocol,
        address: address.text,
        port: address.port,
        phase: Phase::Start,
        witness: Witness::default(),
    }));
}

/// The path of a UNIX socket is a path like any other (`unix(7)`).
fn path_used(done: &mut Done<'_>, address: &Address, used: Use, failure: Option<i32>) {
    if let Some(path) = &address.path {
        let base = process::working_directory(done.caller.tid);
        let found = resolve(&done.caller.view(), &base, path, Last::Follow);
        done.events.push(Event::Path {
            found,
            uses: vec![used],
            failure,
        });
    }
}

fn short(number: i32) -> u16 {
    u16::try_from(number).unwrap_or_default()
}
