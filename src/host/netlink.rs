//! Sockets of the kernel's own (`netlink(7)`): frames and attributes. What comes is the kernel's;
//! it is read with its bounds all the same.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, bind, socket_with, sockopt};

use crate::{Doing, Result};

/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
pub const DUMP: u16 = 0x301;

/// `NLMSG_ERROR`.
pub const ERROR: u16 = 2;

/// `NLMSG_DONE`.
pub const DONE: u16 = 3;

/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// What frames and attributes are padded to.
const ALIGNMENT: usize = 4;

/// A socket for `protocol` that hears the multicast groups of the mask, and does not block reading
/// if `waits` is false.
///
/// # Errors
/// The kernel lacks the protocol, or the caller the right to these groups.
pub fn socket(protocol: Protocol, groups: u32, waits: bool, what: &str) -> Result<OwnedFd> {
    let doing = || format!("ask the kernel for {what}");
    let mut flags = SocketFlags::CLOEXEC;
    flags.set(SocketFlags::NONBLOCK, !waits);
    let kind = SocketType::DGRAM;
    let socket = socket_with(AddressFamily::NETLINK, kind, flags, Some(protocol)).doing(doing)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups)).doing(doing)?;
    Ok(socket)
}

/// Makes room for `bytes` of what is not yet read: more than `net.core.rmem_max` with
/// `CAP_NET_ADMIN`, else up to that.
///
/// # Errors
/// The socket has none.
pub fn make_room(socket: &OwnedFd, bytes: usize) -> Result<()> {
    match sockopt::set_socket_recv_buffer_size_force(socket, bytes) {
        Err(Errno::PERM) => sockopt::set_socket_recv_buffer_size(socket, bytes),
        result => result,
    }
    .doing(|| "enlarge the buffer of a netlink socket")
}

/// One message: the kind, and what follows its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// What it holds.
    pub payload: &'a [u8],
}

/// A message as it is sent.
pub fn frame(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + payload.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence and port: one question at a time is asked here.
    bytes.extend([0; 8]);
    bytes.extend(payload);
    bytes
}

/// The messages of one read.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(rest, 0)?).ok()?;
        let payload = rest.get(HEADER..length)?;
        let kind = u16_at(rest, 4)?;
        rest = rest.get(padded(length)..).unwrap_or_default();
        Some(Message { kind, payload })
    })
}

/// The attributes (`struct nlattr`): kind and value.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)?;
        let value = rest.get(4..length)?;
        rest = rest.get(padded(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

/// A number in the machine's byte order.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

/// A number in the machine's byte order.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// A number in the machine's byte order.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_framed_is_read_again() {
        let mut bytes = frame(20, DUMP, b"12345");
        bytes.extend([0; 3]);
        bytes.extend(frame(DONE, 0, b""));
        let found: Vec<_> = messages(&bytes).map(|it| (it.kind, it.payload)).collect();
        assert_eq!(found, [(20, &b"12345"[..]), (DONE, b"")]);
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read_to_an_end(bytes in proptest::collection::vec(0u8..40, 0..300)) {
            let read = messages(&bytes).take(1000).map(|it| attributes(it.payload).take(1000).count());
            assert!(read.count() < 300);
            assert!(attributes(&bytes).take(1000).count() < 300);
        }
    }
}
