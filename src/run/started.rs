//! What a jail was started with, for whoever compares it later: its plan and its mounts, in its
//! directory below `/run/gaoler` for as long as it runs.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::plan::{Plan, Step};
use crate::{Doing, Result};

const PLAN: &str = "started-plan.json";

const MOUNTS: &str = "started-mounts";

const MAPS: &str = "maps";

/// As much is kept of what is mapped, bytes.
const MOST_MAPS: u64 = 512 << 10;

/// Writes it down once the service has been executed, when nothing of the jail is mounted any more.
/// `first` is its first process. One that has ended already has nothing to compare.
///
/// # Errors
/// The directory is not writable.
pub(super) fn save(directory: &Path, plan: &Plan, first: i32) -> Result<()> {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).doing(|| format!("write {}", path.display()))
    };
    let own_mounts = plan
        .steps
        .iter()
        .any(|planned| matches!(&planned.step, Step::NewNamespaces(kinds) if kinds.mount));
    // Of a process that has ended there is nothing to read.
    if let Ok(mounts) = fs::read_to_string(format!("/proc/{first}/mountinfo"))
        && own_mounts
        && !mounts.is_empty()
    {
        write(MOUNTS, &mounts)?;
    }
    write(PLAN, &plan.to_json()?)
}

/// The plan by which it was started: for who compares it with that, or takes it over.
///
/// # Errors
/// It is damaged.
pub fn plan(directory: &Path) -> Result<Option<Plan>> {
    let path = directory.join(PLAN);
    match fs::read_to_string(&path) {
        Ok(text) => Plan::from_json(&text, &path).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(|| format!("read {}", path.display())),
    }
}

/// Its mount table when it was started (`proc_pid_mountinfo(5)`), if that is known.
pub fn mounts(directory: &Path) -> Option<String> {
    fs::read_to_string(directory.join(MOUNTS)).ok()
}

/// Keeps what a process of it has mapped now (`proc_pid_maps(5)`): when it has ended, the address that
/// the kernel names means nothing without that.
///
/// # Errors
/// It has ended; the directory is not writable.
pub fn keep_maps(directory: &Path, pid: i32) -> Result<()> {
    let from = format!("/proc/{pid}/maps");
    let mut maps = Vec::new();
    let file = fs::File::open(&from).doing(|| format!("open {from}"))?;
    file.take(MOST_MAPS)
        .read_to_end(&mut maps)
        .doing(|| format!("read {from}"))?;
    let path = directory.join(MAPS);
    fs::write(&path, maps).doing(|| format!("write {}", path.display()))
}

/// What was mapped when that was kept last.
pub fn maps(directory: &Path) -> Option<Vec<u8>> {
    fs::read(directory.join(MAPS)).ok()
}

/// Forgets it.
pub(super) fn remove(directory: &Path) -> Result<()> {
    for name in [PLAN, MOUNTS, MAPS] {
        let path = directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).doing(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
