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

/// Where gaoler itself is, below the cgroup that it was started in: one that hands controllers on may
/// have no process (`cgroups(7)`, "no internal processes").
const SUPERVISOR: &str = "supervisor";

/// Moves this process out of the way, below its own cgroup.
///
/// # Errors
/// A directory cannot be made or joined there.
pub fn step_aside(own: &Path) -> Result<()> {
    let directory = own.join(SUPERVISOR);
    match fs::create_dir(&directory) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).doing(|| format!("make the cgroup {}", directory.display()));
        }
        _ => {}
    }
    fs::write(directory.join("cgroup.procs"), "0")
        .doing(|| format!("join the cgroup {}", directory.display()))
}

/// Makes those of these directories that can be made, and opens the files through which a process
/// joins.
pub(super) fn make_counting(directories: &[PathBuf]) -> Vec<OwnedFd> {
    let made = directories.iter().filter_map(|directory| {
        create(directory).ok()?;
        // What cannot be handed on is not counted; the unified hierarchy counts the time even so.
        match hand_controllers_on(directory) {
            Ok(()) | Err(_) => {}
        }
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::open(directory.join("cgroup.procs"), flags, Mode::empty()).ok()
    });
    made.collect()
}

/// What a jail uses now, all its processes together, as the kernel counts it. `None`: this host
/// does not count that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Memory, bytes: `memory.current`, `memory.usage_in_bytes`. With what of files is cached for
    /// it.
    pub memory_bytes: Option<u64>,
    /// Processor time since its start, microseconds: `cpu.stat`, `cpuacct.usage`.
    pub cpu_us: Option<u64>,
    /// Processes and threads: `pids.current`.
    pub processes: Option<u64>,
    /// How often its limits were reached.
    pub reached: Reached,
}

/// Reads what the jail with these directories uses: [`super::state::State::cgroup_directories`].
pub fn usage(directories: &[PathBuf]) -> Usage {
    let first = |file: &str, key: &str| {
        let mut files = directories.iter().map(|directory| directory.join(file));
        files.find_map(|path| counted(&fs::read_to_string(path).ok()?, key))
    };
    let memory = || first("memory.usage_in_bytes", "");
    let nanoseconds = || first("cpuacct.usage", "");
    Usage {
        memory_bytes: first("memory.current", "").or_else(memory),
        cpu_us: nanoseconds()
            .map(|time| time / 1000)
            .or_else(|| first("cpu.stat", "usage_usec")),
        processes: first("pids.current", ""),
        reached: reached(directories),
    }
}

/// Memory that a jail may use, bytes: `memory.max`, `memory.limit_in_bytes`. `None`: it has no limit of
/// its own, or this host knows none.
pub fn memory_limit(directories: &[PathBuf]) -> Option<u64> {
    /// In version 1 no limit is the largest number of whole pages that a `long` can hold.
    const NONE: u64 = (i64::MAX as u64) & !0xf_ffff;
    let read = |file: &str| {
        let mut files = directories.iter().map(|directory| directory.join(file));
        files.find_map(|path| counted(&fs::read_to_string(path).ok()?, ""))
    };
    let limit = read("memory.max").or_else(|| read("memory.limit_in_bytes"));
    limit.filter(|bytes| *bytes < NONE)
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

impl Reached {
    /// What has come since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            memory_kills: self.memory_kills.saturating_sub(before.memory_kills),
            memory: self.memory.saturating_sub(before.memory),
            processes: self.processes.saturating_sub(before.processes),
        }
    }
}

/// As the kernel has counted so far; what it does not tell is 0.
pub fn reached(directories: &[PathBuf]) -> Reached {
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
    create(directory)?;
    hand_controllers_on(directory)
}

fn parent_of(directory: &Path) -> Result<&Path> {
    directory.parent().ok_or_else(|| {
        Error::setup(
            format!("make the cgroup {}", directory.display()),
            "it has no parent",
        )
    })
}

/// How often it is tried: whoever removes the last jail removes the parent, at any moment.
const TRIES: usize = 100;

fn create(directory: &Path) -> Result<()> {
    let parent = parent_of(directory)?;
    let mut tries = 0;
    loop {
        create_one(parent).doing(|| format!("make {}", parent.display()))?;
        tries += 1;
        match create_one(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && tries < TRIES => {}
            made => return made.doing(|| format!("make {}", directory.display())),
        }
    }
}

fn create_one(path: &Path) -> std::io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn hand_controllers_on(directory: &Path) -> Result<()> {
    let parent = parent_of(directory)?;
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

/// Removes directories that only count. One in which processes of another jail are, which has the
/// same name in other places, stays for that.
pub fn forget(directories: &[PathBuf]) {
    for directory in directories {
        for path in [Some(directory.as_path()), directory.parent()] {
            match path.map(rustix::fs::rmdir) {
                Some(Ok(()) | Err(_)) | None => {}
            }
        }
    }
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
                // An ordinary user has made none: what is there is root's.
                Ok(())
                | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::BUSY | Errno::ACCESS | Errno::PERM) =>
                    {}
                Err(errno) => {
                    return Err(errno).doing(|| format!("remove the cgroup {}", parent.display()));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(files: &[(&str, &str)]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(place.path().join(name), text).unwrap();
        }
        place
    }

    #[test]
    fn usage_is_read_from_either_version() {
        let unified = hierarchy(&[
            ("memory.current", "4096\n"),
            ("memory.events", "low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\n"),
            (
                "cpu.stat",
                "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n",
            ),
            ("pids.current", "3\n"),
            ("pids.events", "max 2\n"),
        ]);
        let reached = Reached {
            memory_kills: 1,
            memory: 5,
            processes: 2,
        };
        let all = Usage {
            memory_bytes: Some(4096),
            cpu_us: Some(1500),
            processes: Some(3),
            reached,
        };
        assert_eq!(usage(&[unified.path().to_owned()]), all);
        let memory = hierarchy(&[
            ("memory.usage_in_bytes", "4096\n"),
            ("memory.failcnt", "5\n"),
            (
                "memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            ),
        ]);
        let time = hierarchy(&[("cpuacct.usage", "1500999\n")]);
        let processes = hierarchy(&[("pids.current", "3\n"), ("pids.events", "max 2\n")]);
        let directories = [&memory, &time, &processes].map(|place| place.path().to_owned());
        assert_eq!(usage(&directories), all);
        // Hybrid: the unified hierarchy has no controllers, and counts the time.
        let hybrid = hierarchy(&[("cpu.stat", "usage_usec 7\n")]);
        let found = usage(&[processes.path().to_owned(), hybrid.path().to_owned()]);
        assert_eq!(
            (found.memory_bytes, found.cpu_us, found.processes),
            (None, Some(7), Some(3))
        );
        assert_eq!(usage(&[]), Usage::default());
    }

    #[test]
    fn a_limit_is_read_from_either_version_and_none_is_no_number() {
        let limit = |file, text| memory_limit(&[hierarchy(&[(file, text)]).path().to_owned()]);
        assert_eq!(limit("memory.max", "1048576\n"), Some(1_048_576));
        assert_eq!(limit("memory.max", "max\n"), None);
        assert_eq!(limit("memory.limit_in_bytes", "1048576\n"), Some(1_048_576));
        assert_eq!(
            limit("memory.limit_in_bytes", "9223372036854771712\n"),
            None
        );
        assert_eq!(memory_limit(&[]), None);
    }
}
