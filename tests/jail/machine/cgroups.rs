//! The cgroups of a test's machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The cgroup hierarchies in which a machine gets a directory of its own.
pub const HIERARCHIES: [&str; 5] = [
    "/sys/fs/cgroup/cpuacct",
    "/sys/fs/cgroup/pids",
    "/sys/fs/cgroup/memory",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup",
];

/// A machine's directories in the cgroup hierarchies, removed at its end.
pub struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    pub fn make(name: &str) -> Self {
        let is_hierarchy = |mount: &&&str| Path::new(mount).join("cgroup.procs").exists();
        let made = HIERARCHIES
            .iter()
            .filter(is_hierarchy)
            .map(|mount| Path::new(mount).join(name))
            .filter(|directory| fs::create_dir(directory).is_ok())
            .collect();
        Self(made)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for directory in &self.0 {
            // The kernel counts a killed process out a little later.
            let deadline = Instant::now() + Duration::from_secs(30);
            while remove_cgroup(directory).is_err() && Instant::now() < deadline {
                sleep(Duration::from_millis(20));
            }
        }
    }
}

fn remove_cgroup(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}
