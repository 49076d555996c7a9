//! What a TCP socket has been given and its peer has not acknowledged (`tcp(7)`, SIOCOUTQ).

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Result;

/// How many bytes those are. Also of a connection that has broken.
///
/// # Errors
/// As `ioctl(2)`.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int to the argument (SIOCOUTQ is TIOCOUTQ on every architecture),
    // which is `bytes`, and keeps no pointer to it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    super::check(result.into())?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}
