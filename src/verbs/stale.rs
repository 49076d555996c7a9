//! Whether a jail is behind its host: what it was built from has changed there, or what runs is not
//! what would be started.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Places;
use crate::build::{self, Entry, EntryKind};
use crate::host::{memory, process};
use crate::run::state::State;
use crate::sys::beneath::Beneath;
use crate::sys::copy;
use crate::{Doing, Result};

/// Why the jail is behind, a line for each reason. Cheap: a file of the host is only read if its size
/// or one of its times is not as it was.
///
/// # Errors
/// The generation cannot be read.
pub(super) fn of(places: &Places, name: &str, running: Option<&State>) -> Result<Vec<String>> {
    let Some(state) = build::state_of(&places.state, name)? else {
        return Ok(Vec::new());
    };
    let Some(current) = state.current()? else {
        return Ok(Vec::new());
    };
    let mut reasons = Vec::new();
    if let Some(running) = running {
        if running.generation != current {
            let runs = running.generation;
            reasons.push(format!("generation {runs} runs, and {current} is current"));
        }
        reasons.extend(removed(running));
    }
    let manifest = state.manifest(current)?;
    let tree = state.root(current);
    let root = Beneath::open(&tree).doing(|| format!("open {}", tree.display()))?;
    let written = state.written(current)?;
    let files = manifest.entries.iter();
    for entry in files.filter(|entry| entry.kind == EntryKind::File) {
        if let Some(source) = &entry.source {
            let what = match fs::metadata(source) {
                Err(_) => "is gone from the host",
                Ok(_) if has_changed(entry, source, &root, written) => "is another one on the host",
                Ok(_) => continue,
            };
            reasons.push(format!("{} {what}", source.display()));
        }
    }
    Ok(reasons)
}

/// Files that were removed and that processes of the jail still run.
fn removed(running: &State) -> Vec<String> {
    let first = running.init.unwrap_or(running.service).pid;
    let jailed = process::companions(first).unwrap_or_default();
    let of_one = |pid: i32| {
        let files = memory::code(pid).removed.into_iter();
        files.map(move |file| format!("process {pid} runs {file}, which was removed"))
    };
    jailed.into_iter().flat_map(of_one).collect()
}

/// Whether the host's file is not what was copied. A copy has the size and the time of change of
/// what it was copied from, and whoever sets that time cannot set when that was (ctime, inode(7)).
fn has_changed(entry: &Entry, source: &Path, tree: &Beneath, written: (i64, i64)) -> bool {
    let (Ok(now), Ok(copied)) = (fs::metadata(source), tree.stat(&entry.path)) else {
        return true;
    };
    #[allow(
        clippy::unnecessary_cast,
        reason = "the fields' types differ between architectures"
    )]
    let same = now.len() == u64::try_from(copied.st_size).unwrap_or(0)
        && now.mtime() == copied.st_mtime as i64
        && now.mtime_nsec() == copied.st_mtime_nsec as i64;
    if same && (now.ctime(), now.ctime_nsec()) <= written {
        return false;
    }
    let digest = File::open(source).and_then(|mut file| copy::hash(&mut file));
    digest.ok() != entry.sha256
}
