//! What was done in a directory that is granted whole: in words, with patterns for names that
//! vary, and as evidence.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::learn::trace::{PathSeen, Use};
use crate::spec::derive::evidence::{add, or_rule};
use crate::spec::derive::paths::{is_written, verbs};
use crate::spec::derive::patterns::patterns;
use crate::spec::{Evidence, Observed};

/// Observations named in one reason.
const NAMED: usize = 3;

/// What was done with paths at or below one place.
#[derive(Default)]
pub(super) struct Used {
    /// Those that were changed: first in the reason.
    changed: BTreeMap<PathBuf, BTreeSet<Use>>,
    /// The others.
    others: BTreeMap<PathBuf, BTreeSet<Use>>,
    seen: Option<Observed>,
}

impl Used {
    /// Adds an observation.
    pub(super) fn see(&mut self, seen: &PathSeen, observed: Observed) {
        let list = if is_written(seen) {
            &mut self.changed
        } else {
            &mut self.others
        };
        let uses = list.entry(seen.host.clone()).or_default();
        uses.extend(&seen.uses);
        add(&mut self.seen, observed);
    }

    /// What was seen, or else the rule.
    pub(super) fn evidence(self, file: &str) -> Evidence {
        or_rule(self.seen, file)
    }

    /// What was done in `place`, all of which is granted: `tmp-* (17 names) made, db written`;
    /// empty if nothing was.
    pub(super) fn in_words(&self, place: &Path) -> String {
        let mut all = in_words(&self.changed, place);
        all.extend(in_words(&self.others, place));
        let more = match all.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        all.truncate(NAMED);
        format!("{}{more}", all.join(", "))
    }
}

fn in_words(used: &BTreeMap<PathBuf, BTreeSet<Use>>, place: &Path) -> Vec<String> {
    patterns(used.keys().map(PathBuf::as_path))
        .iter()
        .map(|pattern| {
            let uses = pattern.observed.iter().filter_map(|path| used.get(*path));
            let uses: BTreeSet<Use> = uses.flatten().copied().collect();
            let name = pattern.below(place);
            let blank = if name.is_empty() { "" } else { " " };
            format!("{name}{blank}{}", verbs(&uses))
        })
        .collect()
}
