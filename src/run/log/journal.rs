//! The socket that a jail has in the place of journald's own.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::SealFlags;
use rustix::io::Errno;

use super::LogSocket;
use super::message::NATIVE_LIMIT;
use crate::sys::datagram::{self, Received};

/// The socket, and room for one entry.
#[derive(Debug)]
pub(super) struct Journal {
    socket: LogSocket,
    input: Box<[u8]>,
}

/// One entry as it came.
pub(super) struct Entry<'a> {
    /// Its fields; `None` if they are in a file that can change while it is read, or in none.
    pub fields: Option<&'a [u8]>,
    /// There is more of it.
    pub truncated: bool,
    /// Its sender.
    pub pid: i32,
}

impl Journal {
    pub fn new(socket: LogSocket) -> Self {
        Self {
            socket,
            input: vec![0; NATIVE_LIMIT].into_boxed_slice(),
        }
    }

    /// The next entry, which stays where it is. Does not wait.
    pub fn look(&mut self) -> Result<Entry<'_>, Errno> {
        let socket = self.socket.descriptor();
        let (received, file) = datagram::look_with_descriptor(socket, &mut self.input)?;
        let Received {
            length,
            truncated,
            pid,
        } = received;
        let (read, truncated) = match file.filter(|_| length == 0) {
            None => (Some(length), truncated),
            // A large entry is an empty datagram with a file (`memfd_create(2)`).
            Some(file) => match read_sealed(&file, &mut self.input) {
                Ok((length, truncated)) => (Some(length), truncated),
                Err(_) => (None, false),
            },
        };
        Ok(Entry {
            fields: read.and_then(|length| self.input.get(..length)),
            truncated,
            pid,
        })
    }
}

impl Journal {
    /// Takes the entry that was looked at away.
    pub fn discard(&self) -> Result<(), Errno> {
        datagram::discard(self.socket.descriptor())
    }
}

impl AsFd for Journal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads the beginning of a file in memory that nobody can change any more: any other file could be
/// one whose reading waits for ever. Answers how much that is, and whether there is more.
fn read_sealed(file: &OwnedFd, input: &mut [u8]) -> Result<(usize, bool), Errno> {
    let needed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    if !rustix::fs::fcntl_get_seals(file)?.contains(needed) {
        return Err(Errno::PERM);
    }
    let mut length = 0;
    while let Some(rest) = input.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(file, rest, u64::try_from(length).unwrap_or(u64::MAX)) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let size = rustix::fs::fstat(file)?.st_size;
    let whole = usize::try_from(size).is_ok_and(|size| size <= length);
    Ok((length, !whole))
}
