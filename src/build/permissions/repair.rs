//! Giving a tree its owners and modes back. Nothing else of it is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat, major, minor};
use serde::Serialize;

use super::as_text;
use crate::build::drift::{Difference, Drift, kind_of};
use crate::build::host_tree::file_type;
use crate::build::manifest::{Entry, EntryKind, Manifest};
use crate::error::{Doing, Error, Result};
use crate::sys::beneath::Beneath;

/// Something whose owner or mode was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Absolute path in the jail.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// What it had: `UID:GID MODE`.
    pub from: String,
    /// What it has now.
    pub to: String,
}

/// Sets owner and mode of everything in the tree at `root` that differs from `manifest` in these
/// alone, as `drifts` has it. What differs otherwise is left as it is: whoever made another file of
/// it, or gave it a second name, chose what a new mode would apply to.
///
/// No link is followed; each thing is looked at again and changed by one descriptor. Answers with
/// what was changed, and what could not be, with its reason.
///
/// # Errors
/// `root` cannot be opened.
pub fn repair(
    root: &Path,
    manifest: &Manifest,
    drifts: &[Drift],
) -> Result<(Vec<Change>, Vec<Error>)> {
    let root = Beneath::open(root).doing(|| format!("open {}", root.display()))?;
    let (mut changes, mut failures) = (Vec::new(), Vec::new());
    // From the root down: once a directory is root's again, nobody else can exchange what is in it.
    for path in only_permissions(drifts) {
        let Some(entry) = manifest.entry(path) else {
            continue;
        };
        match settle(&root, entry) {
            Ok(Some(change)) => changes.push(change),
            Ok(None) => {}
            Err(error) => failures.push(error),
        }
    }
    Ok((changes, failures))
}

/// The paths that differ in owner and mode and in nothing else, sorted.
fn only_permissions(drifts: &[Drift]) -> impl Iterator<Item = &Path> {
    let mut paths: BTreeMap<&Path, bool> = BTreeMap::new();
    for drift in drifts {
        let mendable = matches!(drift.what, Difference::Mode(..) | Difference::Owner(..));
        *paths.entry(&drift.path).or_insert(true) &= mendable;
    }
    paths
        .into_iter()
        .filter_map(|(path, mendable)| mendable.then_some(path))
}

/// Sets owner and mode of one thing, if it is what the manifest says.
fn settle(root: &Beneath, entry: &Entry) -> Result<Option<Change>> {
    let doing = || format!("set owner and mode of {}", entry.path.display());
    let mode = entry
        .mode_bits()
        .ok_or_else(|| Error::new(doing(), "its mode is not four octal digits"))?;
    let node = root.node(&entry.path).doing(doing)?;
    let before = node.stat().doing(doing)?;
    if !is_it(entry, &before) {
        return Err(Error::new(doing(), "it was exchanged meanwhile"));
    }
    if (before.st_uid, before.st_gid) != (entry.uid, entry.gid) {
        node.chown(entry.uid, entry.gid).doing(doing)?;
    }
    // After the owner: chown(2) clears bits of the mode.
    if entry.kind != EntryKind::Symlink && node.stat().doing(doing)?.st_mode & 0o7777 != mode {
        node.chmod(mode).doing(doing)?;
    }
    let after = node.stat().doing(doing)?;
    let (from, to) = (words(&before), words(&after));
    let path = entry.path.clone();
    Ok((from != to).then_some(Change { path, from, to }))
}

/// Whether it is the kind of thing that the manifest says, by one name only, and that device.
fn is_it(entry: &Entry, stat: &Stat) -> bool {
    let kind = file_type(stat);
    let device = || format!("{}:{}", major(stat.st_rdev), minor(stat.st_rdev));
    kind == kind_of(entry)
        && (kind == FileType::Directory || stat.st_nlink == 1)
        && (entry.kind != EntryKind::Device || entry.device == Some(device()))
}

fn words(stat: &Stat) -> String {
    let mode = stat.st_mode & 0o7777;
    format!("{}:{} {mode:04o}", stat.st_uid, stat.st_gid)
}
