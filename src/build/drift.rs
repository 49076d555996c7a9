//! Comparing a tree with its manifest.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat, major, minor};
use rustix::io::Errno;

use super::host_tree::file_type;
use super::manifest::{Entry, EntryKind, Manifest};
use super::parallel::in_parallel;
use crate::error::{Doing, Error, Result};
use crate::sys::beneath::Beneath;
use crate::sys::copy;

/// The most entries of one directory that are looked at.
const MOST_NAMES: usize = 100_000;

/// One difference between a tree and its manifest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    /// Absolute path in the jail.
    pub path: PathBuf,
    /// What is different there.
    pub what: Difference,
}

/// How something differs from its manifest. The texts are: wanted, found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Other content, or another target of a link, or another device number.
    Content(String, String),
    /// It is in the tree and not in the manifest.
    Extra,
    /// Another kind of thing.
    Kind(String, String),
    /// It has this many names (hard links): who changes it by another one changes it here.
    Linked(u64),
    /// It is in the manifest and not in the tree.
    Missing,
    /// Other permission bits.
    Mode(String, String),
    /// Another owner or group.
    Owner(String, String),
}

/// Every difference between the tree at `root` and `manifest`, sorted by path. No link is
/// followed and nothing is changed. What is mounted on the tree is seen as part of it: compare
/// where nothing is.
///
/// # Errors
/// `root` cannot be opened, or a file in it not read.
pub fn drift(root: &Path, manifest: &Manifest) -> Result<Vec<Drift>> {
    drift_by(root, manifest, &|entry, file| {
        copy::hash(file).doing(|| format!("read {}", entry.path.display()))
    })
}

/// As [`drift`], but the content of a file is read only if its inode has changed after `time`, in
/// seconds and nanoseconds since 1970: whoever writes to a file, or sets its times, cannot keep the
/// kernel from noting when that was (ctime, inode(7)).
///
/// # Errors
/// As [`drift`].
pub fn drift_since(root: &Path, manifest: &Manifest, time: (i64, i64)) -> Result<Vec<Drift>> {
    drift_by(root, manifest, &|entry, file| {
        let looking = || format!("look at {}", entry.path.display());
        let metadata = file.metadata().doing(looking)?;
        if (metadata.ctime(), metadata.ctime_nsec()) <= time
            && let Some(known) = &entry.sha256
        {
            return Ok(known.clone());
        }
        copy::hash(file).doing(|| format!("read {}", entry.path.display()))
    })
}

/// What tells the content of a file in the tree: its SHA-256, or anything else if it is wrong.
pub(super) type Digest<'a> = dyn Fn(&Entry, &mut File) -> Result<String> + Sync + 'a;

/// As [`drift`], with another way to read the files.
pub(super) fn drift_by(
    root: &Path,
    manifest: &Manifest,
    digest: &Digest<'_>,
) -> Result<Vec<Drift>> {
    let root = Beneath::open(root).doing(|| format!("open {}", root.display()))?;
    let mut entries: Vec<&Entry> = manifest.entries.iter().collect();
    // Largest first, since these take longest to read.
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.size));
    let compared = in_parallel(&entries, |entry| {
        let differences = compare(&root, entry, digest)?;
        let drift = |what| Drift {
            path: entry.path.clone(),
            what,
        };
        Ok(differences.into_iter().map(drift).collect::<Vec<_>>())
    })?;
    let mut drifts: Vec<Drift> = compared.into_iter().flatten().collect();
    drifts.extend(extra(&root, manifest)?);
    drifts.sort();
    Ok(drifts)
}

/// What is different about one entry.
fn compare(root: &Beneath, entry: &Entry, digest: &Digest<'_>) -> Result<Vec<Difference>> {
    let looking = || format!("look at {}", entry.path.display());
    let stat = match root.stat(&entry.path) {
        Ok(stat) => stat,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(vec![Difference::Missing]),
        Err(errno) => return Err(errno).doing(looking),
    };
    let mut differences = Vec::new();
    let (wanted, found) = (kind_of(entry), file_type(&stat));
    if wanted != found {
        return Ok(vec![Difference::Kind(
            word(wanted).into(),
            word(found).into(),
        )]);
    }
    let owner = |uid: u32, gid: u32| format!("{uid}:{gid}");
    let (wanted, found) = (owner(entry.uid, entry.gid), owner(stat.st_uid, stat.st_gid));
    if wanted != found {
        differences.push(Difference::Owner(wanted, found));
    }
    let mode = format!("{:04o}", stat.st_mode & 0o7777);
    if mode != entry.mode && entry.kind != EntryKind::Symlink {
        differences.push(Difference::Mode(entry.mode.clone(), mode));
    }
    // link(2) gives no second name to a directory.
    if kind_of(entry) != FileType::Directory && stat.st_nlink != 1 {
        differences.push(Difference::Linked(stat.st_nlink));
    }
    let wanted = wanted_content(entry);
    let found = content(root, entry, &stat, digest)?;
    if wanted != found {
        differences.push(Difference::Content(wanted, found));
    }
    Ok(differences)
}

/// What identifies the content of `entry`: digest, target or device number.
fn wanted_content(entry: &Entry) -> String {
    match entry.kind {
        EntryKind::Device => entry.device.clone().unwrap_or_default(),
        EntryKind::File => entry.sha256.clone().unwrap_or_default(),
        EntryKind::Symlink => entry
            .target
            .as_ref()
            .map(|target| target.display().to_string())
            .unwrap_or_default(),
        EntryKind::Directory | EntryKind::Mountpoint => String::new(),
    }
}

/// The same of what is in the tree.
fn content(root: &Beneath, entry: &Entry, stat: &Stat, digest: &Digest<'_>) -> Result<String> {
    let reading = || format!("read {}", entry.path.display());
    match entry.kind {
        EntryKind::Device => Ok(format!("{}:{}", major(stat.st_rdev), minor(stat.st_rdev))),
        EntryKind::File if entry.size != u64::try_from(stat.st_size).ok() => {
            Ok(format!("{} bytes", stat.st_size))
        }
        EntryKind::File => {
            let mut file = File::from(root.file(&entry.path).doing(reading)?);
            digest(entry, &mut file)
        }
        EntryKind::Symlink => Ok(root
            .read_link(&entry.path)
            .doing(reading)?
            .display()
            .to_string()),
        EntryKind::Directory | EntryKind::Mountpoint => Ok(String::new()),
    }
}

/// What is in the tree and not in the manifest. A directory that should not be there is
/// reported and not entered.
fn extra(root: &Beneath, manifest: &Manifest) -> Result<Vec<Drift>> {
    let known: BTreeSet<&Path> = manifest
        .entries
        .iter()
        .map(|entry| entry.path.as_path())
        .collect();
    let mut extra = Vec::new();
    for entry in manifest
        .entries
        .iter()
        .filter(|entry| kind_of(entry) == FileType::Directory)
    {
        let names = match root.names(&entry.path, MOST_NAMES) {
            Ok(names) => names,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(Errno::OVERFLOW) => {
                let why = format!("there are more than {MOST_NAMES} names in it");
                return Err(Error::new(format!("read {}", entry.path.display()), why));
            }
            Err(errno) => return Err(errno).doing(|| format!("read {}", entry.path.display())),
        };
        let paths = names.into_iter().map(|name| entry.path.join(name));
        let unknown = paths.filter(|path| !known.contains(path.as_path()));
        extra.extend(unknown.map(|path| Drift {
            path,
            what: Difference::Extra,
        }));
    }
    Ok(extra)
}

/// What kind of thing `entry` is in the tree.
pub(super) fn kind_of(entry: &Entry) -> FileType {
    match entry.kind {
        EntryKind::Device => FileType::CharacterDevice,
        EntryKind::Directory => FileType::Directory,
        EntryKind::File => FileType::RegularFile,
        EntryKind::Mountpoint if entry.size.is_some() => FileType::RegularFile,
        EntryKind::Mountpoint => FileType::Directory,
        EntryKind::Symlink => FileType::Symlink,
    }
}

/// What people call it.
pub(super) fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::Fifo => "pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "device",
        FileType::BlockDevice => "block device",
        FileType::Unknown => "unknown",
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Difference::Content(wanted, found) => write!(f, "content is {found}, not {wanted}"),
            Difference::Extra => write!(f, "is not in the manifest"),
            Difference::Kind(wanted, found) => write!(f, "is a {found}, not a {wanted}"),
            Difference::Linked(names) => write!(f, "has {names} names (hard links), not 1"),
            Difference::Missing => write!(f, "is missing"),
            Difference::Mode(wanted, found) => write!(f, "mode is {found}, not {wanted}"),
            Difference::Owner(wanted, found) => write!(f, "owner is {found}, not {wanted}"),
        }
    }
}
