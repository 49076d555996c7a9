//! Copying one open file into another by the cheapest way that the file system has, and the
//! SHA-256 of what arrived.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

use rustix::fs::Stat;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::error::{Doing, Error, Result};

/// Bytes moved and hashed at once: large enough that system calls do not count, small enough that
/// what was just copied is still in the processor's cache when it is read back.
const CHUNK: usize = 256 * 1024;
/// The smallest buffer: files without a size of their own, as in /proc, are read too.
const LEAST: usize = 4096;
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
    let digest = transfer(source, target, identity.size).doing(|| format!("copy {name}"))?;
    check_unchanged(source, identity, name)?;
    Ok(digest)
}

/// The SHA-256 of a whole file, in hexadecimal.
///
/// # Errors
/// `read(2)`'s.
pub fn hash(file: &mut File) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = buffer_for(file)?;
    file.seek(SeekFrom::Start(0))?;
    loop {
        let read = read_full(file, &mut buffer)?;
        if read.is_empty() {
            return Ok(hexadecimal(&digest.finalize()));
        }
        digest.update(read);
    }
}

/// The SHA-256 of two files, in hexadecimal, if they hold the same; `None` if they do not.
///
/// # Errors
/// `read(2)`'s.
pub fn hash_if_equal(one: &mut File, other: &mut File) -> io::Result<Option<String>> {
    let mut digest = Sha256::new();
    let (mut buffer, mut compared) = (buffer_for(one)?, buffer_for(one)?);
    one.seek(SeekFrom::Start(0))?;
    other.seek(SeekFrom::Start(0))?;
    loop {
        let read = read_full(one, &mut buffer)?;
        if read != read_full(other, &mut compared)? {
            return Ok(None);
        }
        if read.is_empty() {
            return Ok(Some(hexadecimal(&digest.finalize())));
        }
        digest.update(read);
    }
}

/// Room for a piece of `file`, and no more than it needs.
fn buffer_for(file: &File) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(CHUNK);
    Ok(vec![0; size.clamp(LEAST, CHUNK)])
}

/// The next bytes of `file`: as many as `buffer` has room for, fewer only at the end.
fn read_full<'a>(file: &mut File, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.get(..length).unwrap_or_default())
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn hash_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
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

/// Moves `size` bytes and fails if there were fewer; gives the SHA-256 of the copy.
fn transfer(source: &File, target: &mut File, size: u64) -> io::Result<String> {
    if size > 0 && rustix::fs::ioctl_ficlone(target.as_fd(), source.as_fd()).is_ok() {
        return hash(target);
    }
    let mut digest = Sha256::new();
    let mut buffer = buffer_for(source)?;
    let copied = transfer_in_kernel(source, target, size, &mut buffer, &mut digest)?;
    transfer_by_hand(source, target, copied..size, &mut buffer, &mut digest)?;
    if size > 0 {
        start_writing(target)?;
    }
    Ok(hexadecimal(&digest.finalize()))
}

/// As much as `copy_file_range(2)` does. Some file systems refuse it (EXDEV, EINVAL,
/// EOPNOTSUPP), and files without a size of their own, as in /proc, give nothing: the rest is
/// for [`transfer_by_hand`]. What has arrived is read back at once, for the digest.
fn transfer_in_kernel(
    source: &File,
    target: &File,
    size: u64,
    buffer: &mut [u8],
    digest: &mut Sha256,
) -> io::Result<u64> {
    let (mut from, mut to) = (0, 0);
    while to < size {
        let begun = to;
        let step = usize::try_from(size - to).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), step) {
            Ok(0) => break,
            Ok(count) => {
                let arrived = buffer.get_mut(..count).unwrap_or_default();
                target.read_exact_at(arrived, begun)?;
                digest.update(arrived);
                start_writing_steps(target, begun, to)?;
            }
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(to)
}

/// `pread(2)` and `pwrite(2)`, all of `range`.
fn transfer_by_hand(
    source: &File,
    target: &File,
    range: Range<u64>,
    buffer: &mut [u8],
    digest: &mut Sha256,
) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let rest = usize::try_from(range.end - at).unwrap_or(usize::MAX);
        let most = rest.min(buffer.len());
        match source.read_at(buffer.get_mut(..most).unwrap_or_default(), at) {
            Ok(0) => {
                let why = "it became shorter";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
            Ok(count) => {
                let read = buffer.get(..count).unwrap_or_default();
                target.write_all_at(read, at)?;
                digest.update(read);
                start_writing_steps(target, at, at + count as u64)?;
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sets the disk to work each time that another [`STEP`] has been written.
fn start_writing_steps(file: &File, before: u64, now: u64) -> io::Result<()> {
    if before / STEP == now / STEP {
        return Ok(());
    }
    start_writing(file)
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
        let content: Vec<u8> = (0..CHUNK * 2 + 5).map(|i| (i % 251) as u8).collect();
        let (directory, source, target, identity) = pair(&content);
        let (mut buffer, mut digest) = (vec![0; 1000], Sha256::new());
        let all = 0..identity.size;
        transfer_by_hand(&source, &target, all, &mut buffer, &mut digest).unwrap();
        assert_eq!(std::fs::read(directory.path().join("b")).unwrap(), content);
        assert_eq!(hexadecimal(&digest.finalize()), hash_bytes(&content));
        let more = 0..identity.size + 1;
        let error = transfer_by_hand(&source, &target, more, &mut buffer, &mut Sha256::new());
        assert_eq!(error.unwrap_err().to_string(), "it became shorter");
    }

    #[test]
    fn only_equal_files_have_a_common_digest() {
        let content: Vec<u8> = (0..CHUNK * 2 + 5).map(|i| (i % 251) as u8).collect();
        let (_directory, mut source, mut target, _) = pair(&content);
        target.write_all_at(&content, 0).unwrap();
        let digest = hash_if_equal(&mut target, &mut source).unwrap();
        assert_eq!(digest, Some(hash_bytes(&content)));
        target.set_len(content.len() as u64 - 1).unwrap();
        assert_eq!(hash_if_equal(&mut target, &mut source).unwrap(), None);
        assert_eq!(hash_if_equal(&mut source, &mut target).unwrap(), None);
        target.write_all_at(b"!", content.len() as u64 - 1).unwrap();
        assert_eq!(hash_if_equal(&mut target, &mut source).unwrap(), None);
        target.write_all_at(&content, 0).unwrap();
        target.write_all_at(b"!", content.len() as u64).unwrap();
        assert_eq!(hash_if_equal(&mut target, &mut source).unwrap(), None);
        assert_eq!(hash_if_equal(&mut source, &mut target).unwrap(), None);
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
