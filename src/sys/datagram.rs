//! Receiving a datagram together with its sender's process id and, where that is wanted, a descriptor
//! (`unix(7)`, SCM_CREDENTIALS, SCM_RIGHTS).
//!
//! rustix cannot do this one: its process id is never zero, and the kernel says zero for a sender
//! that is not in the receiver's process id namespace.

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::{Errno, Result};

/// One datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How much of it is in the buffer, bytes.
    pub length: usize,
    /// It was longer than the buffer.
    pub truncated: bool,
    /// Its sender, in the receiver's process id namespace; 0 if it is not there, or if the socket
    /// lacks SO_PASSCRED.
    pub pid: i32,
}

/// Room for one set of credentials and nothing else: descriptors that a sender attaches do not
/// fit, so the kernel never installs them here.
#[repr(C, align(8))]
struct Control([MaybeUninit<u8>; CONTROL_LENGTH]);

// SAFETY: CMSG_SPACE and CMSG_LEN are arithmetic on their argument alone.
const CONTROL_LENGTH: usize = unsafe { libc::CMSG_SPACE(CREDENTIALS_LENGTH) } as usize;
// SAFETY: as above.
const CREDENTIALS_END: usize = unsafe { libc::CMSG_LEN(CREDENTIALS_LENGTH) } as usize;
const CREDENTIALS_LENGTH: u32 = size_of::<libc::ucred>() as u32;
const _: () = assert!(align_of::<Control>() >= align_of::<libc::cmsghdr>());

/// The same, and room for one descriptor: the kernel closes what more a sender attaches.
#[repr(C, align(8))]
struct ControlWithDescriptor([MaybeUninit<u8>; CONTROL_LENGTH + DESCRIPTOR_LENGTH]);

// SAFETY: as above.
const DESCRIPTOR_LENGTH: usize = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as usize;
// SAFETY: as above.
const DESCRIPTOR_END: usize = unsafe { libc::CMSG_LEN(size_of::<RawFd>() as u32) } as usize;
const _: () = assert!(align_of::<ControlWithDescriptor>() >= align_of::<libc::cmsghdr>());

/// Takes the next datagram from a socket that has SO_PASSCRED. Does not wait.
///
/// # Errors
/// `EAGAIN` if there is none.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received> {
    receive_by(socket, buffer, 0)
}

/// As [`receive`], but the datagram stays where it is until [`discard`] takes it away.
///
/// # Errors
/// As [`receive`].
pub fn look(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received> {
    receive_by(socket, buffer, libc::MSG_PEEK)
}

/// Takes the next datagram away, which was looked at. That it is gone is no error.
///
/// # Errors
/// As `recvmsg(2)`.
pub fn discard(socket: BorrowedFd<'_>) -> Result<()> {
    loop {
        match receive_by(socket, &mut [], 0) {
            Ok(_) | Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn receive_by(socket: BorrowedFd<'_>, buffer: &mut [u8], more: libc::c_int) -> Result<Received> {
    let mut control = Control([MaybeUninit::uninit(); CONTROL_LENGTH]);
    receive_into(socket, buffer, &mut control.0, more).map(|(received, _)| received)
}

/// As [`look`], with the descriptor that the sender may have attached, or the first of them.
///
/// # Errors
/// As [`receive`].
pub fn look_with_descriptor(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<(Received, Option<OwnedFd>)> {
    let mut control =
        ControlWithDescriptor([MaybeUninit::uninit(); CONTROL_LENGTH + DESCRIPTOR_LENGTH]);
    receive_into(socket, buffer, &mut control.0, libc::MSG_PEEK)
}

/// `control` is aligned for a `cmsghdr`.
fn receive_into(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &mut [MaybeUninit<u8>],
    more: libc::c_int,
) -> Result<(Received, Option<OwnedFd>)> {
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: `msghdr` is integers and pointers, for all of which zero is a value.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len();
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC | more;
    // SAFETY: `header` points to one iovec, which is exactly `buffer`, and to `control` with its
    // length; all three live until the call returns and nothing else refers to them.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let Ok(length) = usize::try_from(length) else {
        let code = std::io::Error::last_os_error().raw_os_error();
        return Err(code.map_or(Errno::INVAL, Errno::from_raw_os_error));
    };
    let truncated = header.msg_flags & libc::MSG_TRUNC != 0;
    let received = Received {
        length: length.min(buffer.len()),
        truncated,
        pid: sender(&header),
    };
    Ok((received, descriptor(&header)))
}

/// The descriptor in the control messages: there is room for one at most.
fn descriptor(header: &libc::msghdr) -> Option<OwnedFd> {
    // SAFETY: as in `sender`.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR answer null unless a whole header is within the
        // buffer's length, and the kernel wrote it.
        let kind = unsafe { *message };
        let descriptors = kind.cmsg_level == libc::SOL_SOCKET
            && kind.cmsg_type == libc::SCM_RIGHTS
            && kind.cmsg_len >= DESCRIPTOR_END;
        if descriptors {
            // SAFETY: the kernel has put a descriptor there that it has just made for this
            // process, and nobody else knows its number: it is owned here and nowhere else.
            return Some(unsafe {
                OwnedFd::from_raw_fd(libc::CMSG_DATA(message).cast::<RawFd>().read_unaligned())
            });
        }
        // SAFETY: `message` is a control message of `header`, whose buffer is still alive.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// The process id in the first control message, which is where the kernel puts credentials.
fn sender(header: &libc::msghdr) -> i32 {
    // SAFETY: `header` was filled in by a successful recvmsg, and its control buffer, which is
    // aligned for a cmsghdr, is still alive in the caller.
    let message = unsafe { libc::CMSG_FIRSTHDR(header) };
    if message.is_null() {
        return 0;
    }
    // SAFETY: CMSG_FIRSTHDR answers null unless a whole header is within the buffer's length,
    // and the kernel wrote it.
    let kind = unsafe { *message };
    let credentials = kind.cmsg_level == libc::SOL_SOCKET
        && kind.cmsg_type == libc::SCM_CREDENTIALS
        && kind.cmsg_len >= CREDENTIALS_END
        && header.msg_controllen >= CREDENTIALS_END;
    if !credentials {
        return 0;
    }
    // SAFETY: the message is credentials and a whole `ucred` of it is in the buffer (checked just
    // above); `ucred` is three integers, so whatever the kernel wrote is a value.
    let credentials: libc::ucred = unsafe {
        libc::CMSG_DATA(message)
            .cast::<libc::ucred>()
            .read_unaligned()
    };
    credentials.pid
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn pair() -> (UnixDatagram, UnixDatagram) {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        rustix::net::sockopt::set_socket_passcred(&receiver, true).unwrap();
        (sender, receiver)
    }

    #[test]
    fn the_sender_is_known() {
        let (sender, receiver) = pair();
        let mut buffer = [0; 8];
        assert_eq!(receive(receiver.as_fd(), &mut buffer), Err(Errno::AGAIN));
        sender.send(b"12345678").unwrap();
        sender.send(b"123456789").unwrap();
        sender.send(b"").unwrap();
        let pid = std::process::id().cast_signed();
        let whole = Received {
            length: 8,
            truncated: false,
            pid,
        };
        assert_eq!(receive(receiver.as_fd(), &mut buffer), Ok(whole));
        let cut = Received {
            truncated: true,
            ..whole
        };
        assert_eq!(receive(receiver.as_fd(), &mut buffer), Ok(cut));
        let empty = Received { length: 0, ..whole };
        assert_eq!(receive(receiver.as_fd(), &mut buffer), Ok(empty));
    }

    #[test]
    fn without_credentials_the_sender_is_zero() {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        sender.send(b"x").unwrap();
        assert_eq!(
            receive(receiver.as_fd(), &mut [0; 8]).map(|one| one.pid),
            Ok(0)
        );
    }

    #[test]
    fn descriptors_do_not_come_in() {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        let (sender, receiver) = pair();
        // A pipe shows whether somebody still holds its writing end.
        let (reading, writing) = rustix::pipe::pipe().unwrap();
        let descriptors = [writing.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let text = [std::io::IoSlice::new(b"x")];
        sendmsg(&sender, &text, &mut control, SendFlags::empty()).unwrap();
        drop(writing);
        let pid = std::process::id().cast_signed();
        let received = receive(receiver.as_fd(), &mut [0; 8]).unwrap();
        assert_eq!((received.length, received.pid), (1, pid));
        assert_eq!(
            rustix::io::read(&reading, &mut [0; 1]),
            Ok(0),
            "it is closed everywhere"
        );
    }
}
