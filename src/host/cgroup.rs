//! cgroup hierarchies: version 1, version 2, or both at once (`cgroups(7)`).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::{Doing, Result};

/// Which cgroups this process is in (`cgroups(7)`).
const OWN: &str = "/proc/self/cgroup";

/// How systemd marks a cgroup that it leaves to a service.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// Which interface a hierarchy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller.
    One,
    /// The unified hierarchy.
    Two,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its interface.
    pub version: Version,
    /// The controllers in it.
    pub controllers: Vec<String>,
}

/// All mounted hierarchies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cgroups {
    /// In the order of the mount table.
    pub hierarchies: Vec<Hierarchy>,
}

impl Cgroups {
    /// Reads the mount table.
    ///
    /// # Errors
    /// `/proc/self/mounts` not readable.
    pub fn probe() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").doing(|| "read /proc/self/mounts")?;
        Ok(Self::parse(&mounts, &|mount| {
            fs::read_to_string(format!("{mount}/cgroup.controllers")).unwrap_or_default()
        }))
    }

    /// Reads a mount table; `controllers` answers with a version 2 hierarchy's list.
    fn parse(mounts: &str, controllers: &dyn Fn(&str) -> String) -> Self {
        let mut hierarchies = Vec::new();
        for line in mounts.lines() {
            let mut fields = line.split(' ');
            let (Some(_), Some(mount), Some(kind), Some(options)) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let (version, list) = match kind {
                "cgroup" => (
                    Version::One,
                    options.split(',').map(str::to_owned).collect(),
                ),
                "cgroup2" => (
                    Version::Two,
                    controllers(mount)
                        .split_whitespace()
                        .map(str::to_owned)
                        .collect(),
                ),
                _ => continue,
            };
            hierarchies.push(Hierarchy {
                mount: mount.into(),
                version,
                controllers: list,
            });
        }
        Self { hierarchies }
    }

    /// The mount point of the unified hierarchy, and the cgroup of this process in it, if a service
    /// manager has left that to it: `Delegate=yes` of systemd (`systemd.resource-control(5)`), which
    /// marks the directory with an attribute. `None` anywhere else, and where it belongs to another user,
    /// who could stop what is in it.
    ///
    /// # Errors
    /// `/proc/self/cgroup` not readable; the cgroup is gone.
    pub fn delegated(&self) -> Result<Option<(PathBuf, PathBuf)>> {
        let mut all = self.hierarchies.iter();
        let Some(unified) = all.find(|hierarchy| hierarchy.version == Version::Two) else {
            return Ok(None);
        };
        let own = fs::read_to_string(OWN).doing(|| format!("read {OWN}"))?;
        let path = own.lines().find_map(|line| line.strip_prefix("0::/"));
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let directory = unified.mount.join(path);
        let owner =
            fs::metadata(&directory).doing(|| format!("look at {}", directory.display()))?;
        if owner.uid() != rustix::process::geteuid().as_raw() {
            return Ok(None);
        }
        let mut value = [0; 2];
        let is_marked = DELEGATED.iter().any(|name| {
            let length = rustix::fs::getxattr(&directory, *name, &mut value[..]);
            length == Ok(1) && value.first() == Some(&b'1')
        });
        Ok(is_marked.then(|| (unified.mount.clone(), directory)))
    }

    /// The hierarchy that has `controller`.
    pub fn hierarchy_of(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies
            .iter()
            .find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_machine_has_each_controller_where_it_is() {
        let mounts = "cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n\
                      proc /proc proc rw 0 0\n";
        let found = Cgroups::parse(mounts, &|_| "memory hugetlb\n".to_owned());
        let pids = found.hierarchy_of("pids").expect("pids is mounted");
        assert_eq!(pids.version, Version::One);
        let memory = found
            .hierarchy_of("memory")
            .expect("memory is in the unified one");
        assert_eq!(
            (memory.version, memory.mount.as_os_str()),
            (Version::Two, "/sys/fs/cgroup/unified".as_ref())
        );
        assert_eq!(found.hierarchy_of("cpu"), None);
    }
}
