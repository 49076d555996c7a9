//! Making, joining and removing the jail's cgroups (`cgroups(7)`).

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::{Doing, Error, Result};

/// Makes each directory, writes the limits, and opens the files through which a process joins.
pub(super) fn make(directories: &[PathBuf], limits: &[(PathBuf, String)]) -> Result<Vec<OwnedFd>> {
    let mut joins = Vec::new();
    for directory in directories {
        make_beneath_parent(directory)?;
        for (file, value) in limits
            .iter()
            .filter(|(file, _)| file.starts_with(directory))
        {
            fs::write(file, value)
                .doing(|| format!("write the limit {value} to {}", file.display()))?;
        }
        let procs = directory.join("cgroup.procs");
        let join = rustix::fs::open(&procs, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .doing(|| format!("open {}", procs.display()))?;
        joins.push(join);
    }
    Ok(joins)
}

/// How often the limits of a jail's cgroups were reached
/// (`Documentation/admin-guide/cgroup-v2.rst`, `cgroup-v1/memory.rst`, `cgroup-v1/pids.rst`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Processes that were killed because there was no memory left.
    pub memory_kills: u64,
    /// Times that memory was short.
    pub memory: u64,
    /// Times that a process or thread was refused.
    pub processes: u64,
}

/// As the kernel has counted so far; what it does not tell is 0.
pub(super) fn reached(directories: &[PathBuf]) -> Reached {
    let sum = |file: &str, key: &str| -> u64 {
        let files = directories.iter().map(|directory| directory.join(file));
        let texts = files.filter_map(|path| fs::read_to_string(path).ok());
        texts.filter_map(|text| counted(&text, key)).sum()
    };
    Reached {
        memory_kills: sum("memory.events", "oom_kill") + sum("memory.oom_control", "oom_kill"),
        memory: sum("memory.events", "max") + sum("memory.failcnt", ""),
        processes: sum("pids.events", "max"),
    }
}

/// The number behind `key`, or of a file that has only one.
fn counted(text: &str, key: &str) -> Option<u64> {
    if key.is_empty() {
        return text.trim().parse().ok();
    }
    let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(name, _)| *name == key)?.1.parse().ok()
}

/// The parent is gaoler's own and shared by all jails. In the unified hierarchy it hands its
/// controllers on.
fn make_beneath_parent(directory: &Path) -> Result<()> {
    let Some(parent) = directory.parent() else {
        return Err(Error::setup(
            format!("make the cgroup {}", directory.display()),
            "it has no parent",
        ));
    };
    for path in [parent, directory] {
        match fs::create_dir(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).doing(|| format!("make {}", path.display())),
        }
    }
    for above in [parent.parent(), Some(parent)].into_iter().flatten() {
        let file = above.join("cgroup.subtree_control");
        if file.exists() {
            let available =
                fs::read_to_string(above.join("cgroup.controllers")).unwrap_or_default();
            for controller in available
                .split_whitespace()
                .filter(|name| ["memory", "pids"].contains(name))
            {
                fs::write(&file, format!("+{controller}")).doing(|| {
                    format!("hand the controller {controller} on in {}", file.display())
                })?;
            }
        }
    }
    Ok(())
}

/// Removes the jail's directories; gaoler's own goes too when it was the last.
///
/// # Errors
/// Processes are still in it.
pub fn remove(directories: &[PathBuf]) -> Result<()> {
    for directory in directories {
        match rustix::fs::rmdir(directory) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::BUSY) => {
                let doing = format!("remove the cgroup {}", directory.display());
                return Err(
                    Error::new(doing, "processes of the jail are still in it").hint(format!(
                        "end them: they are in {}/cgroup.procs",
                        directory.display()
                    )),
                );
            }
            Err(errno) => {
                return Err(errno).doing(|| format!("remove the cgroup {}", directory.display()));
            }
        }
        if let Some(parent) = directory.parent() {
            match rustix::fs::rmdir(parent) {
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::BUSY) => {}
                Err(errno) => {
                    return Err(errno).doing(|| format!("remove the cgroup {}", parent.display()));
                }
            }
        }
    }
    Ok(())
}
