//! The files of this host that have audit records.

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, fstat, major, minor};
use rustix::io::Errno;

use super::{Log, Origin, Reader, read};
use crate::sys::beneath::Beneath;
use crate::{Doing, Error, Result};

/// The most that is read of one file: its end.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// The longest message that `/dev/kmsg` gives out (`PRINTK_MESSAGE_MAX`, 2048) and then some:
/// kernels before 6.3 had 8192.
const KMSG_MESSAGE: usize = 16 * 1024;

/// How many messages are read from `/dev/kmsg`, which has no end while the kernel is writing. Its
/// largest buffer (`log_buf_len`, 2 GB) holds more; the usual one, of 128 KiB to 16 MiB, does not.
const MAX_MESSAGES: u32 = 1 << 18;

/// The number of the device `/dev/kmsg` (`Documentation/admin-guide/devices.txt`).
const KMSG_DEVICE: (u32, u32) = (1, 11);

/// Where records may be, the older first.
const PLACES: [(&str, Origin); 6] = [
    ("var/log/audit/audit.log.1", Origin::AuditFile),
    ("var/log/audit/audit.log", Origin::AuditFile),
    ("var/log/kern.log", Origin::Text),
    ("var/log/messages", Origin::Text),
    ("var/log/syslog", Origin::Text),
    ("dev/kmsg", Origin::Kmsg),
];

/// A file that can be read for audit records. The same record may be in several of them.
#[derive(Debug)]
pub struct Source {
    /// Its path.
    pub path: PathBuf,
    /// What wrote it.
    pub origin: Origin,
    file: File,
}

/// What there is on a host.
#[derive(Debug, Default)]
pub struct Sources {
    /// What can be read.
    pub found: Vec<Source>,
    /// What is there and was not opened: not readable for this user, reached through a symbolic
    /// link, or no file.
    pub refused: Vec<Error>,
}

/// The files of this host that may have audit records, opened. The binary files of journald are
/// not among them; where only it keeps a log, `/dev/kmsg` has the records since the start of the
/// machine, as far as they have not been overwritten.
pub fn sources() -> Sources {
    sources_under(Path::new("/"))
}

/// As [`sources`], under the root directory `root`. No symbolic link is followed on the way.
pub fn sources_under(root: &Path) -> Sources {
    let mut sources = Sources::default();
    let directory = match Beneath::open(root).doing(|| format!("open {}", root.display())) {
        Ok(directory) => directory,
        Err(error) => {
            sources.refused.push(error);
            return sources;
        }
    };
    for (place, origin) in PLACES {
        let path = root.join(place);
        match open(&directory, Path::new(place), &path, origin) {
            Ok(Some(file)) => sources.found.push(Source { path, origin, file }),
            Ok(None) => {}
            Err(error) => sources.refused.push(error),
        }
    }
    sources
}

/// Opens a file, if it is there and what it should be.
fn open(directory: &Beneath, place: &Path, path: &Path, origin: Origin) -> Result<Option<File>> {
    let doing = || format!("open {}", path.display());
    let file = match directory.file(place) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => {
            return Err(Error::new(doing(), "there is a symbolic link on the way")
                .hint("name the file that it leads to"));
        }
        Err(error @ (Errno::PERM | Errno::ACCESS)) => {
            return Err::<_, Errno>(error)
                .doing(doing)
                .map_err(|error| error.hint("run this as root"));
        }
        Err(error) => return Err(error).doing(doing),
    };
    if is_what_it_should_be(&file, origin).doing(doing)? {
        Ok(Some(File::from(file)))
    } else {
        Err(Error::new(
            doing(),
            "it is not the kind of file that belongs there",
        ))
    }
}

fn is_what_it_should_be(file: &OwnedFd, origin: Origin) -> rustix::io::Result<bool> {
    let stat = fstat(file)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    Ok(match origin {
        Origin::Kmsg => {
            let device = (major(stat.st_rdev), minor(stat.st_rdev));
            kind == FileType::CharacterDevice && device == KMSG_DEVICE
        }
        Origin::AuditFile | Origin::Text => kind == FileType::RegularFile,
    })
}

impl Source {
    /// Reads it to its end, or of a very large file its last part; `/dev/kmsg` without waiting
    /// for more.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn read(mut self) -> Result<Log> {
        let doing = || format!("read {}", self.path.display());
        if self.origin == Origin::Kmsg {
            return kmsg(&self.file).doing(doing);
        }
        let length = self.file.metadata().doing(doing)?.len();
        let skipped = length.saturating_sub(MAX_FILE);
        self.file.seek(SeekFrom::Start(skipped)).doing(doing)?;
        let mut log = read(BufReader::new(&self.file), self.origin)?;
        log.skipped_bytes = skipped;
        Ok(log)
    }
}

/// One `read(2)` gives one message; behind its first line may be lines that begin with a space and
/// belong to a device.
fn kmsg(file: &File) -> rustix::io::Result<Log> {
    let mut reader = Reader::new(Origin::Kmsg);
    let mut gaps = 0;
    let mut message = vec![0; KMSG_MESSAGE];
    for _ in 0..MAX_MESSAGES {
        match rustix::io::read(file, &mut message[..]) {
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(length) => {
                let text = message.get(..length).unwrap_or_default();
                let first = text.split(|byte| *byte == b'\n').next();
                reader.push(first.unwrap_or_default());
            }
            Err(Errno::PIPE) => gaps += 1,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    let mut log = reader.finish();
    log.gaps = gaps;
    Ok(log)
}
