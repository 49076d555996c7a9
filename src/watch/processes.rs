//! Which processes belong to which jail, by what the kernel says: the pid namespace, the cgroup, the
//! parent. Never by a name, which each process chooses itself.

use std::collections::BTreeMap;
use std::fs;

use crate::Result;
use crate::host::process::{self, Figures};
use crate::run::state::State;

/// What a process is to its jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// gaoler's own process beside the jail. It is not in it.
    Supervisor,
    /// The first process of the pid namespace, which gaoler left there.
    Init,
    /// The service, as it was started or as its supervisor has found it.
    Service,
    /// Another one.
    Process,
}

/// A process of a jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its pid on the host.
    pub pid: i32,
    /// What it is.
    pub role: Role,
    /// What it has taken.
    pub figures: Figures,
}

/// The processes of each jail, in the order of `jails`, by pid, from one look at `/proc`. The
/// supervisor of a jail is the first of its own.
///
/// # Errors
/// `/proc` not readable.
pub fn of_jails(jails: &[State]) -> Result<Vec<Vec<Process>>> {
    let sought = Sought::of(jails)?;
    let mut seen = BTreeMap::new();
    let mut direct = BTreeMap::new();
    for pid in process::all()? {
        // One that has ended meanwhile is none.
        let Ok(figures) = process::figures(pid) else {
            continue;
        };
        seen.insert(pid, figures);
        if let Some(jail) = sought.jail_of(pid) {
            direct.insert(pid, jail);
        }
    }
    let mut found = vec![Vec::new(); jails.len()];
    for (&pid, &figures) in &seen {
        let Some(jail) = belongs(pid, &seen, &direct) else {
            continue;
        };
        if let (Some(list), Some(state)) = (found.get_mut(jail), jails.get(jail)) {
            let role = role_of(pid, figures.start_time, state);
            list.push(Process { pid, role, figures });
        }
    }
    for (list, state) in found.iter_mut().zip(jails) {
        let supervisor = state.supervisor.and_then(|name| {
            let figures = *seen.get(&name.pid)?;
            let is_same = figures.start_time == name.start_time;
            let role = Role::Supervisor;
            is_same.then_some(Process {
                pid: name.pid,
                role,
                figures,
            })
        });
        if let Some(supervisor) = supervisor {
            list.insert(0, supervisor);
        }
    }
    Ok(found)
}

/// What tells the processes of jails apart from all others.
struct Sought {
    /// The pid namespaces of jails, by their numbers.
    namespaces: BTreeMap<u64, usize>,
    /// Processes of jails that have no pid namespace of their own.
    pids: BTreeMap<i32, usize>,
}

impl Sought {
    fn of(jails: &[State]) -> Result<Self> {
        let own = process::namespace(std::process::id().cast_signed(), "pid")?;
        let mut sought = Self {
            namespaces: BTreeMap::new(),
            pids: BTreeMap::new(),
        };
        for (number, state) in jails.iter().enumerate() {
            let first = state.init.unwrap_or(state.service);
            match process::namespace(first.pid, "pid") {
                Ok(namespace) if namespace != own && first.is_alive() => {
                    sought.namespaces.insert(namespace, number);
                }
                _ => {
                    let in_cgroups = state.cgroup_directories().into_iter().flat_map(|cgroup| {
                        let file = cgroup.join("cgroup.procs");
                        fs::read_to_string(file).unwrap_or_default().into_bytes()
                    });
                    let text =
                        String::from_utf8_lossy(&in_cgroups.collect::<Vec<_>>()).into_owned();
                    let pids = text.lines().filter_map(|line| line.parse().ok());
                    let known = pids.chain([state.service.pid]);
                    sought.pids.extend(known.map(|pid: i32| (pid, number)));
                }
            }
        }
        Ok(sought)
    }

    fn jail_of(&self, pid: i32) -> Option<usize> {
        if let Some(jail) = self.pids.get(&pid) {
            return Some(*jail);
        }
        if self.namespaces.is_empty() {
            return None;
        }
        let namespace = process::namespace(pid, "pid").ok()?;
        self.namespaces.get(&namespace).copied()
    }
}

/// The jail of a process, or else that of the nearest process above it which is in one: it may have
/// made a namespace of its own.
fn belongs(
    pid: i32,
    seen: &BTreeMap<i32, Figures>,
    direct: &BTreeMap<i32, usize>,
) -> Option<usize> {
    let mut at = pid;
    // What was read one after another need not be a tree.
    for _ in 0..seen.len() {
        if let Some(jail) = direct.get(&at) {
            return Some(*jail);
        }
        at = seen.get(&at)?.parent;
    }
    None
}

fn role_of(pid: i32, start_time: u64, state: &State) -> Role {
    let is =
        |name: crate::run::state::ProcessName| (name.pid, name.start_time) == (pid, start_time);
    if is(state.service) {
        Role::Service
    } else if state.init.is_some_and(is) {
        Role::Init
    } else {
        Role::Process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child_of(parent: i32) -> Figures {
        Figures {
            parent,
            ..Figures::default()
        }
    }

    #[test]
    fn a_descendant_belongs_to_the_nearest_jail_above_it() {
        let seen = [(1, 0), (5, 1), (6, 5), (7, 6), (8, 1)];
        let seen = seen.map(|(pid, parent)| (pid, child_of(parent))).into();
        let direct = [(5, 0), (6, 1)].into();
        let of = |pid| belongs(pid, &seen, &direct);
        assert_eq!([5, 6, 7].map(of), [Some(0), Some(1), Some(1)]);
        assert_eq!([1, 8, 9].map(of), [None; 3]);
        // Two that were each other's parent when they were read.
        let circle = [(2, child_of(3)), (3, child_of(2))].into();
        assert_eq!(belongs(2, &circle, &direct), None);
    }
}
