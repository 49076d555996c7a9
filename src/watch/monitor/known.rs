//! Which processes are known to be in which jail, as they come and go.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::host::process_events::Happened;

/// How long, and how much of it at most, what happened to processes that are in no jail is kept:
/// which jail one belongs to may become known a little later.
const KEPT: Duration = Duration::from_secs(30);
const MOST_KEPT: usize = 50_000;

/// How many that have ended are remembered for what is told of them late.
const ENDED_KEPT: usize = 4096;

/// Who is in which jail.
#[derive(Debug, Default)]
pub(super) struct Known {
    members: BTreeMap<i32, String>,
    ended: VecDeque<(i32, String)>,
    others: VecDeque<(Instant, Happened)>,
    /// Begin a jail, and their fork has not been told of yet.
    unborn: BTreeMap<i32, String>,
}

/// Something that happened to a process of a jail.
pub(super) type Told = (String, Happened);

impl Known {
    /// The jail of a process, or of one that has just ended.
    pub(super) fn jail_of(&self, pid: i32) -> Option<&str> {
        let ended = || self.ended.iter().rev().find(|(ended, _)| *ended == pid);
        let jail = self.members.get(&pid).or_else(|| Some(&ended()?.1));
        jail.map(String::as_str)
    }

    /// The processes of a jail.
    pub(super) fn of(&self, jail: &str) -> Vec<i32> {
        let members = self.members.iter();
        let inside = members.filter(|(_, of)| *of == jail);
        inside.map(|(pid, _)| *pid).collect()
    }

    /// A process that is found to be in a jail; whether that is new.
    pub(super) fn found(&mut self, pid: i32, jail: &str) -> bool {
        self.members.insert(pid, jail.to_owned()).is_none()
    }

    /// One that is found to have ended.
    pub(super) fn is_gone(&mut self, pid: i32) {
        self.unborn.remove(&pid);
        if let Some(jail) = self.members.remove(&pid) {
            self.ended.push_back((pid, jail));
            if self.ended.len() > ENDED_KEPT {
                self.ended.pop_front();
            }
        }
    }

    /// Something happened: to a process of which jail?
    pub(super) fn happened(&mut self, event: Happened) -> Option<Told> {
        if let Happened::Fork { child, .. } = event
            && let Some(jail) = self.unborn.remove(&child)
        {
            return Some((jail, event));
        }
        if let Some(told) = self.judge(event) {
            return Some(told);
        }
        if let Happened::Fork { child, .. } = event {
            // The number is another one's now.
            self.ended.retain(|(ended, _)| *ended != child);
        }
        let now = Instant::now();
        self.others.push_back((now, event));
        let is_old = |(time, _): &(Instant, Happened)| now.duration_since(*time) > KEPT;
        while self.others.len() > MOST_KEPT || self.others.front().is_some_and(is_old) {
            self.others.pop_front();
        }
        None
    }

    /// These begin a jail: what happened meanwhile to them, and to those that descend from them,
    /// happened in it. What happened before to others that had their numbers did not.
    pub(super) fn adopt(&mut self, jail: &str, roots: &[i32]) -> Vec<Told> {
        let mut born = BTreeMap::new();
        for (at, (_, event)) in self.others.iter().enumerate() {
            if let Happened::Fork { child, .. } = event
                && roots.contains(child)
            {
                born.insert(*child, at);
            }
        }
        let mut told = Vec::new();
        for (at, (time, event)) in std::mem::take(&mut self.others).into_iter().enumerate() {
            let is_birth =
                matches!(event, Happened::Fork { child, .. } if born.get(&child) == Some(&at));
            if let Happened::Fork { child, .. } = event
                && is_birth
            {
                self.found(child, jail);
                told.push((jail.to_owned(), event));
            } else if let Some(it) = self.judge(event) {
                told.push(it);
            } else {
                self.others.push_back((time, event));
            }
        }
        for root in roots.iter().filter(|root| !born.contains_key(root)) {
            if self.found(*root, jail) {
                self.unborn.insert(*root, jail.to_owned());
            }
        }
        told
    }

    fn judge(&mut self, event: Happened) -> Option<Told> {
        let pid = match event {
            Happened::Fork { parent, child } => {
                let jail = self.members.get(&parent)?.clone();
                self.found(child, &jail);
                return Some((jail, event));
            }
            Happened::Exec(pid)
            | Happened::Uid { pid, .. }
            | Happened::Gid { pid, .. }
            | Happened::Exit { pid, .. } => pid,
        };
        let jail = self.members.get(&pid)?.clone();
        if matches!(event, Happened::Exit { .. }) {
            self.is_gone(pid);
        }
        Some((jail, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fork(parent: i32, child: i32) -> Happened {
        Happened::Fork { parent, child }
    }

    fn exit(pid: i32) -> Happened {
        Happened::Exit { pid, status: 0 }
    }

    #[test]
    fn children_are_in_the_jail_of_their_parents_until_they_end() {
        let mut known = Known::default();
        known.found(10, "web");
        let web = |event| Some(("web".to_owned(), event));
        assert_eq!(known.happened(fork(10, 11)), web(fork(10, 11)));
        assert_eq!(known.happened(fork(11, 12)), web(fork(11, 12)));
        assert_eq!(known.happened(exit(11)), web(exit(11)));
        assert_eq!(known.jail_of(11), Some("web"), "it is told of late");
        assert_eq!(known.of("web"), [10, 12]);
        // The number is somebody else's now.
        assert_eq!(known.happened(fork(1, 11)), None);
        assert_eq!(known.jail_of(11), None);
        assert_eq!(known.happened(exit(11)), None);
    }

    #[test]
    fn what_happened_before_a_jail_was_known_is_told_in_its_order() {
        let mut known = Known::default();
        let all = [
            fork(1, 5),
            fork(5, 10),
            fork(10, 11),
            fork(1, 77),
            Happened::Exec(11),
            exit(11),
            fork(10, 12),
        ];
        for event in all {
            assert_eq!(known.happened(event), None);
        }
        let told = known.adopt("web", &[10, 12]);
        assert!(told.iter().all(|(jail, _)| jail == "web"));
        let told: Vec<Happened> = told.into_iter().map(|(_, event)| event).collect();
        assert_eq!(told, [all[1], all[2], all[4], all[5], all[6]]);
        assert_eq!(known.of("web"), [10, 12]);
        assert_eq!(known.adopt("web", &[10, 12]), []);
        assert_eq!(known.jail_of(77), None);
    }

    #[test]
    fn who_had_the_number_before_is_somebody_else() {
        let mut known = Known::default();
        for event in [
            fork(1, 10),
            fork(10, 70),
            exit(10),
            fork(5, 10),
            fork(10, 11),
        ] {
            assert_eq!(known.happened(event), None);
        }
        let told = known.adopt("web", &[10]);
        let told: Vec<Happened> = told.into_iter().map(|(_, event)| event).collect();
        assert_eq!(told, [fork(5, 10), fork(10, 11)]);
        assert_eq!(known.of("web"), [10, 11]);
    }

    #[test]
    fn a_fork_that_is_told_late_is_told() {
        let mut known = Known::default();
        assert_eq!(known.adopt("web", &[10]), []);
        let web = |event| Some(("web".to_owned(), event));
        assert_eq!(known.happened(fork(5, 10)), web(fork(5, 10)));
        assert_eq!(known.happened(fork(10, 11)), web(fork(10, 11)));
        assert_eq!(known.happened(fork(5, 12)), None);
    }
}
