//! How a program, its overrides and its units were before they were guarded: `STATE/NAME/guard.json`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::overrides::Line;
use crate::sys::beneath::Beneath;
use crate::{Doing, Error, Result};

/// The record's name in the state directory of its jail.
const FILE: &str = "guard.json";

/// It is made under this name.
const NEW: &str = ".guard.json.new";

/// The largest record that is read, bytes.
const LARGEST: u64 = 1 << 20;

/// What a guard has changed, or is about to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The jail's name.
    pub name: String,
    /// The program on the host, without links.
    pub program: PathBuf,
    /// Its permission bits, octal, four digits.
    pub mode: String,
    /// Its owner, which stays.
    pub uid: u32,
    /// Its group, which stays.
    pub gid: u32,
    /// The names by which dpkg is told to leave it so.
    pub overrides: Vec<Override>,
    /// The links that mask its units.
    pub masks: Vec<PathBuf>,
}

/// One of dpkg's overrides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The name that a package has for the program.
    pub path: PathBuf,
    /// What an administrator had overridden before.
    pub before: Option<Line>,
}

impl Record {
    /// The permission bits.
    ///
    /// # Errors
    /// They are no octal number of at most four digits.
    pub fn mode_bits(&self) -> Result<u32> {
        let bits = u32::from_str_radix(&self.mode, 8).ok();
        bits.filter(|bits| *bits <= 0o7777 && *bits != 0)
            .ok_or_else(|| {
                let why = format!("{:?} is no mode", self.mode);
                Error::new(format!("read the guard of {}", self.name), why)
            })
    }
}

/// Writes the record of a jail whose state directory is `directory`, and waits until it is on the
/// disk.
///
/// # Errors
/// The directory is not writable; the disk is full.
pub fn save(directory: &Path, record: &Record) -> Result<()> {
    let doing = || format!("write {}", directory.join(FILE).display());
    let text = serde_json::to_string(record).map_err(|error| Error::new(doing(), error))?;
    let opened = Beneath::open(directory).doing(doing)?;
    match opened.unlink(Path::new(NEW)) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno).doing(doing),
    }
    let mut file = fs::File::from(opened.create(Path::new(NEW), 0o600).doing(doing)?);
    file.write_all(text.as_bytes()).doing(doing)?;
    file.sync_all().doing(doing)?;
    opened
        .rename(Path::new(NEW), Path::new(FILE))
        .doing(doing)?;
    rustix::fs::fsync(opened.fd()).doing(doing)
}

/// The record of a jail, if it is guarded.
///
/// # Errors
/// Somebody else could have written it, or it is damaged.
pub fn load(directory: &Path) -> Result<Option<Record>> {
    let path = directory.join(FILE);
    let doing = || format!("read {}", path.display());
    let opened = match Beneath::open(directory) {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(errno) => return Err(errno).doing(doing),
    };
    let file = match opened.file(Path::new(FILE)) {
        Ok(file) => fs::File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno).doing(doing),
    };
    let metadata = file.metadata().doing(doing)?;
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_file() || metadata.uid() != own || metadata.mode() & 0o022 != 0 {
        return Err(Error::new(doing(), "somebody else could have written it"));
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).doing(doing)?;
    let record: Record = serde_json::from_str(&text).map_err(|error| Error::new(doing(), error))?;
    record.mode_bits()?;
    Ok(Some(record))
}

/// Forgets the record.
///
/// # Errors
/// The directory is not writable.
pub fn remove(directory: &Path) -> Result<()> {
    let doing = || format!("remove {}", directory.join(FILE).display());
    let opened = Beneath::open(directory).doing(doing)?;
    opened.unlink(Path::new(FILE)).doing(doing)?;
    rustix::fs::fsync(opened.fd()).doing(doing)
}

/// The records of every jail below `state`.
///
/// # Errors
/// As [`load`]; `state` cannot be listed.
pub fn all(state: &Path) -> Result<Vec<Record>> {
    let entries = match fs::read_dir(state) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing(|| format!("list {}", state.display())),
    };
    let mut records = Vec::new();
    for entry in entries {
        let entry = entry.doing(|| format!("list {}", state.display()))?;
        records.extend(load(&entry.path())?);
    }
    Ok(records)
}
