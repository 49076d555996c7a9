//! Writing an [`Inventory`] into a new, empty directory.
//!
//! Copied files keep their source's time of last change: programs compare such times (Python
//! takes its compiled modules for stale otherwise). Everything else has time 0, so that equal
//! inputs give an equal tree.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Timespec, Timestamps, Uid};

use super::drift::drift_by;
use super::host_tree::HostTree;
use super::inventory::{Inventory, Wanted, What};
use super::manifest::{Entry, EntryKind, Manifest};
use super::parallel::in_parallel;
use crate::error::{Doing, Error, Result};
use crate::sys::beneath::Beneath;
use crate::sys::copy::{self, Identity};

/// Makes everything of `inventory` beneath `root`, which must be a new and empty directory that
/// nobody else can write to. `copied` is told the size of each file when it is done.
///
/// Nothing is synced yet.
///
/// # Errors
/// A file of the host changed meanwhile, or the disk is full or read-only.
pub fn write(
    root: &Beneath,
    inventory: &Inventory,
    host: &HostTree,
    copied: &(dyn Fn(u64) + Sync),
) -> Result<Manifest> {
    for (path, wanted) in &inventory.wanted {
        make(root, path, wanted).map_err(disk)?;
    }
    let digests = copy_files(root, inventory, host, copied).map_err(disk)?;
    finish_directories(root, inventory)?;
    let entries = inventory.wanted.iter().map(|(path, wanted)| {
        let digest = digests.get(path.as_path()).cloned();
        entry(path, wanted, digest)
    });
    Ok(Manifest {
        entries: entries.collect(),
    })
}

/// The manifest that [`write`] would answer with.
///
/// # Errors
/// A file of the host cannot be read.
pub fn foresee(inventory: &Inventory, host: &HostTree) -> Result<Manifest> {
    let digests = in_parallel(&files_of(inventory), |(path, source, _)| {
        let doing = || format!("read {}", source.display());
        let mut file = File::from(host.root().file(source).doing(doing)?);
        Ok((*path, copy::hash(&mut file).doing(doing)?))
    })?;
    let digests: BTreeMap<&Path, String> = digests.into_iter().collect();
    let entries = inventory
        .wanted
        .iter()
        .map(|(path, wanted)| entry(path, wanted, digests.get(path.as_path()).cloned()));
    Ok(Manifest {
        entries: entries.collect(),
    })
}

/// Whether the tree of `manifest` can be that of `inventory`: all but the content of copied files
/// is compared, which costs no reading.
pub fn may_equal(inventory: &Inventory, manifest: &Manifest) -> bool {
    inventory.wanted.len() == manifest.entries.len()
        && inventory
            .wanted
            .iter()
            .zip(&manifest.entries)
            .all(|((path, wanted), there)| {
                let digest = match wanted.what {
                    What::File(_) => there.sha256.clone(),
                    _ => None,
                };
                entry(path, wanted, digest) == *there
            })
}

/// Whether the tree at `root` is as `manifest` says, and each copied file of it equal to what it
/// was copied from, byte by byte: then [`write`] would give the same. For inventories that
/// [`may_equal`] the manifest.
///
/// # Errors
/// A source or a file of the tree cannot be read.
pub fn is_as_now(
    inventory: &Inventory,
    host: &HostTree,
    root: &Path,
    manifest: &Manifest,
) -> Result<bool> {
    let drifts = drift_by(root, manifest, &|entry, copy| {
        let source = match inventory.wanted.get(&entry.path) {
            Some(Wanted {
                what: What::File(_),
                source: Some(source),
                ..
            }) => source,
            _ => return copy::hash(copy).doing(|| format!("read {}", entry.path.display())),
        };
        let doing = || format!("read {}", source.display());
        let mut source = File::from(host.root().file(source).doing(doing)?);
        let digest = copy::hash_if_equal(copy, &mut source).doing(doing)?;
        Ok(digest.unwrap_or_else(|| "not that of its source".to_owned()))
    })?;
    Ok(drifts.is_empty())
}

/// Makes what is no copy: parents come before what is in them, since the paths are sorted.
fn make(root: &Beneath, path: &Path, wanted: &Wanted) -> Result<()> {
    let doing = || format!("make {} in the tree", path.display());
    match &wanted.what {
        What::File(_) => return Ok(()),
        What::Directory | What::Mountpoint { directory: true } => {
            if path != Path::new("/") {
                root.make_directory(path, 0o700).doing(doing)?;
            }
            // Mode and owner come last: see finish_directories.
            return Ok(());
        }
        What::Symlink(target) => root.make_symlink(path, target).doing(doing)?,
        What::Device(device) => {
            root.make_device(path, device.number(), wanted.mode)
                .map_err(|errno| {
                    let error = Error::new(doing(), crate::error::explain(&errno.into()));
                    error.hint("device nodes need root: CAP_MKNOD outside of user namespaces")
                })?;
        }
        What::Generated(content) => {
            let mut file = File::from(root.create(path, wanted.mode).doing(doing)?);
            file.write_all(content).doing(doing)?;
        }
        What::Mountpoint { directory: false } => {
            drop(root.create(path, wanted.mode).doing(doing)?);
        }
    }
    settle(root, path, wanted)
}

/// Owner and time of what [`make`] made.
fn settle(root: &Beneath, path: &Path, wanted: &Wanted) -> Result<()> {
    let doing = || format!("set owner and time of {}", path.display());
    if changes_owner(wanted) {
        root.chown(path, wanted.uid, wanted.gid).doing(doing)?;
    }
    root.touch(path, &at(0, 0)).doing(doing)
}

/// What an ordinary user makes is theirs already, and nobody else's in the inventory either.
fn changes_owner(wanted: &Wanted) -> bool {
    let own = (rustix::process::geteuid(), rustix::process::getegid());
    (wanted.uid, wanted.gid) != (own.0.as_raw(), own.1.as_raw())
        || rustix::process::geteuid().is_root()
}

/// Gives directories their owner, mode and time, deepest first: making things in them changes
/// the time, and a directory that is not root's could not be written to by a caller who is not.
fn finish_directories(root: &Beneath, inventory: &Inventory) -> Result<()> {
    for (path, wanted) in inventory.wanted.iter().rev() {
        let directory = matches!(
            wanted.what,
            What::Directory | What::Mountpoint { directory: true }
        );
        if directory {
            let mode = root.chmod(path, wanted.mode);
            mode.doing(|| format!("set the mode of {}", path.display()))?;
            settle(root, path, wanted)?;
        }
    }
    Ok(())
}

/// One file that is copied: path in the tree, source, and what it was when it was planned.
type Copy<'a> = (&'a Path, &'a Path, &'a Wanted);

/// The files to copy, largest first, so that the last one to end is a small one.
fn files_of(inventory: &Inventory) -> Vec<Copy<'_>> {
    let mut files: Vec<(u64, Copy<'_>)> = inventory
        .wanted
        .iter()
        .filter_map(|(path, wanted)| match (&wanted.what, &wanted.source) {
            (What::File(identity), Some(source)) => {
                Some((identity.size, (path.as_path(), source.as_path(), wanted)))
            }
            _ => None,
        })
        .collect();
    files.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.0.cmp(b.1.0)));
    files.into_iter().map(|(_, copy)| copy).collect()
}

fn copy_files<'a>(
    root: &Beneath,
    inventory: &'a Inventory,
    host: &HostTree,
    copied: &(dyn Fn(u64) + Sync),
) -> Result<BTreeMap<&'a Path, String>> {
    let files = files_of(inventory);
    let digests = in_parallel(&files, |(path, source, wanted)| {
        let What::File(identity) = &wanted.what else {
            return Err(Error::new(
                format!("copy {}", path.display()),
                "it is no file",
            ));
        };
        let digest = copy_file(root, path, source, wanted, identity, host)?;
        copied(identity.size);
        Ok((*path, digest))
    })?;
    Ok(digests.into_iter().collect())
}

fn copy_file(
    root: &Beneath,
    path: &Path,
    source: &Path,
    wanted: &Wanted,
    identity: &Identity,
    host: &HostTree,
) -> Result<String> {
    let name = source.display().to_string();
    let opened = host.root().file(source).doing(|| format!("open {name}"))?;
    let doing = || format!("make {} in the tree", path.display());
    let mut target = File::from(root.create(path, wanted.mode).doing(doing)?);
    let digest = copy::copy(&mut File::from(opened), &mut target, identity, &name)?;
    if changes_owner(wanted) {
        let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
        rustix::fs::fchown(&target, Some(uid), Some(gid)).doing(doing)?;
    }
    // After the owner: chown(2) clears bits of the mode.
    rustix::fs::fchmod(&target, rustix::fs::Mode::from_raw_mode(wanted.mode)).doing(doing)?;
    let (seconds, nanoseconds) = identity.modified;
    rustix::fs::futimens(&target, &at(seconds, nanoseconds)).doing(doing)?;
    Ok(digest)
}

/// The manifest's line for one entry.
fn entry(path: &Path, wanted: &Wanted, digest: Option<String>) -> Entry {
    let (kind, size, sha256) = match &wanted.what {
        What::Device(_) => (EntryKind::Device, None, None),
        What::Directory => (EntryKind::Directory, None, None),
        What::File(identity) => (EntryKind::File, Some(identity.size), digest),
        What::Generated(content) => (
            EntryKind::File,
            Some(content.len() as u64),
            Some(copy::hash_bytes(content)),
        ),
        What::Mountpoint { directory } => (EntryKind::Mountpoint, (!directory).then_some(0), None),
        What::Symlink(_) => (EntryKind::Symlink, None, None),
    };
    Entry {
        path: path.to_owned(),
        kind,
        source: wanted.source.clone(),
        sha256,
        uid: wanted.uid,
        gid: wanted.gid,
        mode: format!("{:04o}", wanted.mode),
        target: match &wanted.what {
            What::Symlink(target) => Some(PathBuf::clone(target)),
            _ => None,
        },
        device: match &wanted.what {
            What::Device(device) => {
                let (major, minor) = device.number();
                Some(format!("{major}:{minor}"))
            }
            _ => None,
        },
        size,
        reason: wanted.reason.clone(),
    }
}

/// A time of last change; the access time is the same, so that nothing depends on when it was
/// built.
fn at(seconds: i64, nanoseconds: u64) -> Timestamps {
    let nanoseconds = i64::try_from(nanoseconds).unwrap_or(0);
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Says what to do about a full disk.
fn disk(error: Error) -> Error {
    if error.why().contains("No space left") || error.why().contains("quota") {
        return error.hint("free some space there, or keep the state elsewhere (--state)");
    }
    error
}
