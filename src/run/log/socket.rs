//! The socket that the jail sees as `/dev/log`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::Uid;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::error::{Doing, Error, Result};

/// A bound datagram socket that tells who sent what.
#[derive(Debug)]
pub struct LogSocket {
    descriptor: OwnedFd,
}

impl LogSocket {
    /// Binds `name` in `directory`, open to all (mode 0666), in place of a socket that an earlier
    /// run left there. Whoever can reach it in the jail can log, as with the host's `/dev/log`.
    ///
    /// # Errors
    /// `name` is not one path component; the directory belongs to somebody else, or others may
    /// write to it, who could put another's socket in place of this one before it is opened to
    /// all; something other than a socket has the name; `/proc` is not mounted.
    pub fn bind(directory: impl AsFd, name: &str) -> Result<Self> {
        Self::bind_open_to(directory.as_fd(), name, None)
    }

    /// As [`LogSocket::bind`], but only root and this user can send to it (mode 0600).
    ///
    /// # Errors
    /// As [`LogSocket::bind`], and `chown(2)`.
    pub fn bind_for(directory: impl AsFd, name: &str, uid: u32) -> Result<Self> {
        Self::bind_open_to(directory.as_fd(), name, Some(uid))
    }

    fn bind_open_to(directory: BorrowedFd<'_>, name: &str, uid: Option<u32>) -> Result<Self> {
        let doing = || format!("make the jail's log socket {name}");
        if name.is_empty() || name.contains(['/', '\0']) || matches!(name, "." | "..") {
            return Err(Error::new(doing(), "its name is not one path component"));
        }
        check_directory(directory).map_err(|error| Error::new(doing(), error.why()))?;
        remove_stale(directory, name)?;
        // A path to bind has 108 bytes at most; the descriptor keeps it short, and safe from
        // whoever renames a directory above.
        let path = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let descriptor =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
                .doing(doing)?;
        // Before it has a name, so that no message comes without its sender.
        sockopt::set_socket_passcred(&descriptor, true).doing(doing)?;
        let address = SocketAddrUnix::new(path.as_str()).doing(doing)?;
        rustix::net::bind(&descriptor, &address).doing(doing)?;
        open_to(directory, name, uid)?;
        Ok(Self { descriptor })
    }

    /// One that is bound already and was opened by another supervisor.
    ///
    /// # Errors
    /// It is no such socket.
    pub fn take_over(descriptor: OwnedFd) -> Result<Self> {
        let doing = || "take over the jail's log socket";
        let (domain, kind) = (
            sockopt::socket_domain(&descriptor).doing(doing)?,
            sockopt::socket_type(&descriptor).doing(doing)?,
        );
        if (domain, kind) != (AddressFamily::UNIX, SocketType::DGRAM) {
            return Err(Error::new(doing(), "it is another kind of socket"));
        }
        Ok(Self { descriptor })
    }

    /// The descriptor, to wait for and to receive from.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsFd for LogSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn check_directory(directory: BorrowedFd<'_>) -> Result<()> {
    let doing = || "check the directory";
    let status = rustix::fs::fstat(directory).doing(doing)?;
    if status.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Error::new(doing(), "its directory belongs to another user"));
    }
    if status.st_mode & 0o022 != 0 {
        return Err(Error::new(doing(), "others may write to its directory"));
    }
    Ok(())
}

/// Removes a socket without a listener, which would make `bind` fail with EADDRINUSE.
fn remove_stale(directory: BorrowedFd<'_>, name: &str) -> Result<()> {
    let doing = || format!("remove the old log socket {name}");
    let status = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        status => status.doing(doing)?,
    };
    if FileType::from_raw_mode(status.st_mode) != FileType::Socket {
        return Err(
            Error::new(doing(), "it is something else").hint("remove it if nothing needs it")
        );
    }
    rustix::fs::unlinkat(directory, name, AtFlags::empty()).doing(doing)
}

/// Gives the socket mode 0666, or 0600 and this owner: `bind` has left out the bits of the umask,
/// which belongs to the whole process. The descriptor makes sure that it is the socket and no link.
fn open_to(directory: BorrowedFd<'_>, name: &str, uid: Option<u32>) -> Result<()> {
    let doing = || format!("open the jail's log socket {name}");
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let bound = rustix::fs::openat(directory, name, flags, Mode::empty()).doing(doing)?;
    let status = rustix::fs::fstat(&bound).doing(doing)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Socket {
        return Err(Error::new(doing(), "somebody has replaced it"));
    }
    let path = format!("/proc/self/fd/{}", bound.as_raw_fd());
    let mode = if uid.is_some() { 0o600 } else { 0o666 };
    rustix::fs::chmod(path.as_str(), Mode::from_raw_mode(mode)).doing(doing)?;
    match uid {
        Some(uid) => rustix::fs::chown(path.as_str(), Some(Uid::from_raw(uid)), None).doing(doing),
        None => Ok(()),
    }
}
