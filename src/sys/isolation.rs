//! Namespaces for a process that is about to start others, and the loopback interface of a new
//! network namespace (`unshare(2)`, `network_namespaces(7)`, `netdevice(7)`).

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Result;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

/// Which namespaces a process leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// CLONE_NEWNS
    pub mount: bool,
    /// CLONE_NEWNET
    pub network: bool,
    /// CLONE_NEWIPC
    pub ipc: bool,
    /// CLONE_NEWPID: the next child is the first process of a new one.
    pub child_pid: bool,
}

/// Moves the calling thread, and what it starts from now on, into new namespaces.
///
/// # Errors
/// As `unshare(2)`: `EPERM` without CAP_SYS_ADMIN.
pub fn leave(isolation: Isolation) -> Result<()> {
    let flag = |set: bool, flag| {
        if set { flag } else { UnshareFlags::empty() }
    };
    let flags = flag(isolation.mount, UnshareFlags::NEWNS)
        | flag(isolation.network, UnshareFlags::NEWNET)
        | flag(isolation.ipc, UnshareFlags::NEWIPC)
        | flag(isolation.child_pid, UnshareFlags::NEWPID);
    // SAFETY: what makes unshare(2) unsafe is CLONE_FILES, which would take this thread's
    // descriptors away from owners in other threads; none of the four flags is that one.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Gives the calling thread a root, a working directory and a umask of its own, which it may have
/// shared with others: `setns(2)` demands it of who enters a mount namespace.
///
/// # Errors
/// As `unshare(2)`.
pub fn own_directory() -> Result<()> {
    // SAFETY: what makes unshare(2) unsafe is CLONE_FILES, which would take this thread's
    // descriptors away from owners in other threads; CLONE_FS is not that one.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }
}

/// Switches the loopback interface on, which a new network namespace has switched off. The kernel
/// gives it its addresses then.
///
/// # Errors
/// As `netdevice(7)`'s ioctls.
pub fn loopback_up() -> Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: an ifreq is a C struct of integers, a byte array and a union of such: all zeroes is
    // a valid value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    interface(&socket, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS has just succeeded, and so has written the union's flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up = libc::c_short::try_from(libc::IFF_UP).unwrap_or_default();
    request.ifr_ifru.ifru_flags = flags | up;
    interface(&socket, libc::SIOCSIFFLAGS, &mut request)
}

fn interface(socket: impl AsFd, call: libc::Ioctl, request: &mut libc::ifreq) -> Result<()> {
    // SAFETY: both calls of this file take a pointer to an ifreq, whose name ends in a NUL; it is
    // borrowed for the duration of the call.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), call, &raw mut *request) };
    super::check(result.into()).map(drop)
}
