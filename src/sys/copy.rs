//! Copying one open file into another by the cheapest way that the file system has, and the
//! SHA-256 of what arrived.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::Stat;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::error::{Doing, Error, Result};

/// Bytes read at once: large enough that system calls do not count, small enough for the cache.
const CHUNK: usize = 256 * 1024;
/// Bytes copied before the disk is set to work on them.
const STEP: u64 = 4 * 1024 * 1024;

/// What says that a file is still the one it was: looked up before and after the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Time of last change, in seconds and nanoseconds.
    pub modified: (i64, u64),
}

impl From<&Stat> for Identity {
    #[allow(
        clippy::unnecessary_cast,
        reason = "the fields' types differ between architectures"
    )]
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u64),
        }
    }
}

/// Copies `source`, which must be what `identity` says, into the new and empty `target`: by
/// reference (`ioctl_ficlone(2)`), else within the kernel (`copy_file_range(2)`), else by hand.
/// Gives the SHA-256 of what is in `target` now, in hexadecimal: of what was written, not of what
/// was meant. `name` is for errors.
///
/// # Errors
/// "Changed while it was being copied" when size, time or inode are others than before, or when
/// the name has gone; and `read(2)`'s and `write(2)`'s, above all a full disk.
pub fn copy(
    source: &mut File,
    target: &mut File,
    identity: &Identity,
    name: &str,
) -> Result<String> {
    check_unchanged(source, identity, name)?;
    transfer(source, target, identity.size).doing(|| format!("copy {name}"))?;
    check_unchanged(source, identity, name)?;
    hash(target).doing(|| format!("read back the copy of {name}"))
}

/// The SHA-256 of a whole file, in hexadecimal.
///
/// # Errors
/// `read(2)`'s.
pub fn hash(file: &mut File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hexadecimal(&digest.finalize())),
            Ok(count) => digest.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn hash_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses a file that is not the one of `identity`. A package manager replaces files by rename:
/// then the open one has no name any more, and the tree would mix two versions.
fn check_unchanged(file: &File, identity: &Identity, name: &str) -> Result<()> {
    let now = rustix::fs::fstat(file).doing(|| format!("look at {name}"))?;
    if Identity::from(&now) == *identity && now.st_nlink > 0 {
        return Ok(());
    }
    Err(Error::new(
        format!("copy {name}"),
        "it was changed while it was being copied",
    )
    .hint("wait until the package manager or editor is done, then build again"))
}

/// Moves `size` bytes and fails if there were fewer.
fn transfer(source: &mut File, target: &mut File, size: u64) -> io::Result<()> {
    if size > 0 && rustix::fs::ioctl_ficlone(target.as_fd(), source.as_fd()).is_ok() {
        return Ok(());
    }
    let copied = transfer_in_kernel(source, target, size)?;
    source.seek(SeekFrom::Start(copied))?;
    target.seek(SeekFrom::Start(copied))?;
    let rest = size.saturating_sub(copied);
    if rest > 0 && transfer_by_hand(source, target, rest)? != rest {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it became shorter",
        ));
    }
    Ok(())
}

/// As much as `copy_file_range(2)` does. Some file systems refuse it (EXDEV, EINVAL,
/// EOPNOTSUPP), and files without a size of their own, as in /proc, give nothing: the rest is
/// for [`transfer_by_hand`].
fn transfer_in_kernel(source: &File, target: &File, size: u64) -> io::Result<u64> {
    let (mut from, mut to) = (0, 0);
    while to < size {
        let step = usize::try_from(STEP.min(size - to)).unwrap_or(CHUNK);
        match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), step) {
            Ok(0) => break,
            Ok(_) => start_writing(target)?,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(to)
}

/// `read(2)` and `write(2)`, at most `limit` bytes.
fn transfer_by_hand(source: &mut File, target: &mut File, limit: u64) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut copied = 0;
    let mut source = source.take(limit);
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                target.write_all(buffer.get(..count).unwrap_or_default())?;
                copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Starts writing `file` to the disk without waiting for it (`sync_file_range(2)`), so that the
/// disk works while the next file is being copied. It promises nothing: the caller still syncs.
/// A file system that cannot is none the worse for it.
fn start_writing(file: &File) -> io::Result<()> {
    // SAFETY: the call takes three integers and a descriptor that `file` keeps open for its
    // duration; it touches no memory of ours.
    let done =
        unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    if done == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        error if error.raw_os_error() == Some(libc::ESPIPE) => Ok(()),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(content: &[u8]) -> (tempfile::TempDir, File, File, Identity) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a"), content).unwrap();
        let source = File::open(directory.path().join("a")).unwrap();
        let target = File::create_new(directory.path().join("b")).unwrap();
        let identity = Identity::from(&rustix::fs::fstat(&source).unwrap());
        (directory, source, target, identity)
    }

    #[test]
    fn the_copy_is_equal_and_hashed() {
        let content: Vec<u8> = (0..CHUNK * 3 + 17).map(|i| (i % 251) as u8).collect();
        let (directory, mut source, mut target, identity) = pair(&content);
        let digest = copy(&mut source, &mut target, &identity, "a").unwrap();
        assert_eq!(std::fs::read(directory.path().join("b")).unwrap(), content);
        assert_eq!(digest, hash_bytes(&content));
    }

    #[test]
    fn an_empty_file_has_the_known_digest() {
        let (_directory, mut source, mut target, identity) = pair(b"");
        assert_eq!(
            copy(&mut source, &mut target, &identity, "a").unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn copying_by_hand_gives_the_same() {
        let (directory, mut source, mut target, _) = pair(b"by hand");
        assert_eq!(transfer_by_hand(&mut source, &mut target, 100).unwrap(), 7);
        assert_eq!(
            std::fs::read(directory.path().join("b")).unwrap(),
            b"by hand"
        );
    }

    #[test]
    fn a_file_that_changed_is_refused() {
        let (directory, mut source, mut target, identity) = pair(b"before");
        std::fs::write(directory.path().join("a"), "afterwards").unwrap();
        let error = copy(&mut source, &mut target, &identity, "/a").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot copy /a: it was changed while it was being copied"
        );
    }

    #[test]
    fn a_file_that_was_replaced_is_refused() {
        let (directory, mut source, mut target, identity) = pair(b"before");
        std::fs::write(directory.path().join("new"), "before").unwrap();
        std::fs::rename(directory.path().join("new"), directory.path().join("a")).unwrap();
        assert!(copy(&mut source, &mut target, &identity, "/a").is_err());
    }
}
