//! A Unix socket at a path of the host. Its directory is nobody else's, so that nobody can put
//! something else in its place while it is made.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::plan::Socket;
use crate::{Doing, Error, Result};

/// Binds it, in place of one that nobody listens at any more.
pub(super) fn bind(path: &Path, socket: &Socket) -> Result<OwnedFd> {
    let doing = || format!("bind the socket {} to {}", socket.name, path.display());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::setup(doing(), "it is no path of a file"));
    };
    let directory = directory(parent, &doing)?;
    let name = Path::new(name);
    // The service reads this address (getsockname(2)), so it is the path that the spec has.
    let address = SocketAddrUnix::new(path).doing(doing)?;
    remove_stale(directory.as_fd(), name, &address, &doing)?;
    let bound = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .doing(doing)?;
    // What bind(2) gives the file, less the umask: never more than is wanted, not for a moment.
    rustix::fs::fchmod(&bound, Mode::empty()).doing(doing)?;
    rustix::net::bind(&bound, &address).doing(doing)?;
    give(directory.as_fd(), name, socket).doing(doing)?;
    rustix::net::listen(&bound, super::backlog(socket)).doing(doing)?;
    Ok(bound)
}

/// Opens the directory, which must be safe from others.
fn directory(path: &Path, doing: &dyn Fn() -> String) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let directory = match rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOENT) => {
            return Err(Error::setup(doing(), "its directory is not there")
                .hint(format!("make it: mkdir {}", path.display())));
        }
        Err(Errno::LOOP) => {
            return Err(
                Error::setup(doing(), "there is a symbolic link in its path")
                    .hint("name the place that it leads to"),
            );
        }
        opened => opened.doing(doing)?,
    };
    let stat = rustix::fs::fstat(&directory).doing(doing)?;
    let own = rustix::process::geteuid().as_raw();
    if stat.st_uid != own || stat.st_mode & 0o022 != 0 {
        let why = format!(
            "others can write in {}, and could put something in its place",
            path.display()
        );
        return Err(Error::setup(doing(), why).hint(
            "take a directory of root's own, such as /run/NAME, which the service need not see",
        ));
    }
    Ok(directory)
}

/// Removes a socket that nobody listens at, which would keep `bind` from its place.
fn remove_stale(
    directory: BorrowedFd<'_>,
    name: &Path,
    address: &SocketAddrUnix,
    doing: &dyn Fn() -> String,
) -> Result<()> {
    let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => stat.doing(doing)?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(
            Error::setup(doing(), "something else is there").hint("remove it if nothing needs it")
        );
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let asking = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .doing(doing)?;
    match rustix::net::connect(&asking, address) {
        Err(Errno::CONNREFUSED) => {}
        // Its queue is full, or it is no stream: it is somebody's.
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => {
            return Err(Error::setup(
                doing(),
                "the address is in use: somebody listens there",
            ));
        }
        Err(errno) => return Err(errno).doing(doing),
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).doing(doing),
    }
}

/// Owner first: with the mode comes who can connect. In the directory that was looked at: what was
/// bound elsewhere, because somebody has renamed one above, is not found.
fn give(directory: BorrowedFd<'_>, name: &Path, socket: &Socket) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let bound = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&bound)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(Errno::NOTSOCK);
    }
    let path = format!("/proc/self/fd/{}", bound.as_raw_fd());
    if rustix::process::geteuid().is_root() {
        let owner = (Uid::from_raw(socket.uid), Gid::from_raw(socket.gid));
        rustix::fs::chown(path.as_str(), Some(owner.0), Some(owner.1))?;
    }
    rustix::fs::chmod(path.as_str(), Mode::from_raw_mode(socket.mode))
}

/// Whether the socket is still there, with the owner and mode that are wanted.
pub(super) fn has_owner(path: &Path, socket: &Socket) -> bool {
    let ordinary = !rustix::process::geteuid().is_root();
    std::fs::symlink_metadata(path).is_ok_and(|found| {
        found.file_type().is_socket()
            && found.mode() & 0o777 == socket.mode
            && (ordinary || (found.uid(), found.gid()) == (socket.uid, socket.gid))
    })
}
