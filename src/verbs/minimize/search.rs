//! What can be taken away together, found by halves and by several workers at once. Pure.
//!
//! A group that fails with all that is there fails with less too, so a failure holds whatever was
//! taken away meanwhile. A success does not: what two workers took away at the same time may be
//! two ways to the same end. Then it is asked again.
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How often something must have failed without an item before it counts as needed.
const FAILURES: u8 = 2;

/// The state of a search over items that are numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    waiting: VecDeque<Group>,
    asked: BTreeMap<usize, Asked>,
    /// What was taken away and is not missed.
    pub removed: BTreeSet<usize>,
    /// What is needed, and what fails without it.
    pub needed: BTreeMap<usize, String>,
    jobs: usize,
}

/// Items that are taken away together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    items: Vec<usize>,
    failures: u8,
}

#[derive(Clone, Debug)]
struct Asked {
    group: Group,
    /// How much had been taken away before.
    removed: usize,
}

impl Search {
    /// Over groups of items, in this order.
    pub(super) fn over(groups: Vec<Vec<usize>>) -> Self {
        let full = groups.into_iter().filter(|items| !items.is_empty());
        Self {
            waiting: full.map(|items| Group { items, failures: 0 }).collect(),
            ..Self::default()
        }
    }

    /// The next question, with its number: does it work without these?
    pub(super) fn next(&mut self) -> Option<(usize, BTreeSet<usize>)> {
        let group = self.waiting.pop_front()?;
        let without = self.removed.iter().chain(&group.items).copied().collect();
        let removed = self.removed.len();
        self.jobs += 1;
        self.asked.insert(self.jobs, Asked { group, removed });
        Some((self.jobs, without))
    }

    /// The answer to a question: `None` if it works, else what fails.
    pub(super) fn answer(&mut self, job: usize, fails: Option<&str>) {
        let Some(Asked { mut group, removed }) = self.asked.remove(&job) else {
            return;
        };
        match (fails, group.items.as_slice()) {
            (None, _) if removed == self.removed.len() => self.removed.extend(group.items),
            (None, _) => self.waiting.push_front(group),
            (Some(what), [one]) => {
                group.failures += 1;
                if group.failures < FAILURES {
                    self.waiting.push_front(group);
                } else {
                    self.needed.insert(*one, what.to_owned());
                }
            }
            (Some(_), items) => {
                let (first, second) = items.split_at(items.len() / 2);
                for half in [second, first] {
                    self.waiting.push_front(Group {
                        items: half.to_vec(),
                        failures: 0,
                    });
                }
            }
        }
    }

    /// How many questions there will be at most, those that were asked not counted.
    pub(super) fn at_most(&self) -> usize {
        let asked = self.asked.values().map(|asked| asked.group.most() - 1);
        self.waiting.iter().map(Group::most).chain(asked).sum()
    }
}

impl Group {
    /// A binary tree, in which each leaf is asked twice.
    fn most(&self) -> usize {
        let leaves = usize::from(FAILURES) * self.items.len() - usize::from(self.failures);
        leaves + self.items.len() - 1
    }
}
