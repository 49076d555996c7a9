//! The processes of jails as trees.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::UserNames;
use super::processes::{Process, Role, of_jails};
use crate::Result;
use crate::host::process;
use crate::run::state::State;

/// The processes of a jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// The jail's name.
    pub name: String,
    /// The generation that runs.
    pub generation: u64,
    /// Its processes, each before its children.
    pub processes: Vec<Node>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its pid on the host.
    pub pid: i32,
    /// Its pid in the jail.
    pub inner_pid: i32,
    /// Its parent's pid on the host.
    pub parent: i32,
    /// How many of those shown are above it.
    pub depth: usize,
    /// What it is to its jail.
    pub role: Role,
    /// Its effective user.
    pub uid: u32,
    /// That user's name, or the number.
    pub user: String,
    /// `R`, `S`, `Z`…
    pub state: char,
    /// Threads.
    pub threads: u32,
    /// Whole seconds since it started.
    pub uptime_s: u64,
    /// Its command line: what it says about itself.
    pub command: String,
}

/// The trees of running jails.
///
/// # Errors
/// `/proc` not readable.
pub fn trees(jails: &[State]) -> Result<Vec<Tree>> {
    let mut names = UserNames::default();
    let now = process::uptime_s(0)?;
    let found = of_jails(jails)?;
    let tree = |(state, processes): (&State, Vec<Process>)| Tree {
        name: state.name.clone(),
        generation: state.generation,
        processes: in_order(&processes)
            .into_iter()
            .filter_map(|(process, depth)| node(process, depth, now, &mut names))
            .collect(),
    };
    Ok(jails.iter().zip(found).map(tree).collect())
}

/// Nothing if it has ended meanwhile.
fn node(process: Process, depth: usize, now: u64, names: &mut UserNames) -> Option<Node> {
    let Process { pid, role, figures } = process;
    let status = process::status(pid).ok()?;
    let uid = status.uids[1];
    Some(Node {
        pid,
        inner_pid: status.pids.last().copied().unwrap_or(pid),
        parent: figures.parent,
        depth,
        role,
        uid,
        user: names.of(uid),
        state: figures.state,
        threads: figures.threads,
        uptime_s: now.saturating_sub(figures.start_time / process::TICKS_PER_SECOND),
        command: process::command_text(pid)?,
    })
}

/// Each process before its children, with its depth. What belongs to nobody shown comes first of
/// all.
fn in_order(processes: &[Process]) -> Vec<(Process, usize)> {
    let shown: BTreeSet<i32> = processes.iter().map(|process| process.pid).collect();
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    let mut next = Vec::new();
    for &process in processes {
        let parent = process.figures.parent;
        if shown.contains(&parent) && parent != process.pid {
            children.entry(parent).or_default().push(process);
        } else {
            next.push((process, 0));
        }
    }
    let mut ordered = Vec::new();
    next.reverse();
    while let Some((process, depth)) = next.pop() {
        ordered.push((process, depth));
        let below = children.remove(&process.pid).unwrap_or_default();
        next.extend(below.into_iter().rev().map(|child| (child, depth + 1)));
    }
    // Parents that were read at different times can make a circle.
    let rest = children.into_values().flatten();
    ordered.extend(rest.map(|process| (process, 0)));
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::process::Figures;

    #[test]
    fn each_process_is_shown_once_and_before_its_children() {
        let process = |(pid, parent)| Process {
            pid,
            role: Role::Process,
            figures: Figures {
                parent,
                ..Figures::default()
            },
        };
        let processes = [(4, 1), (5, 4), (6, 4), (7, 5), (8, 9), (9, 8), (3, 4)].map(process);
        let ordered = in_order(&processes);
        let seen: Vec<(i32, usize)> = ordered.iter().map(|(it, depth)| (it.pid, *depth)).collect();
        assert_eq!(
            seen,
            [(4, 0), (5, 1), (7, 2), (6, 1), (3, 1), (9, 0), (8, 0)]
        );
    }
}
