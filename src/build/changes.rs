//! What differs between the trees of two manifests.

use std::cmp::Ordering;
use std::path::PathBuf;

use serde::Serialize;

use super::manifest::{Entry, Manifest};

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Alteration {
    /// It is only in the later tree.
    Added,
    /// It is in both, and holds, or is, something else.
    Changed,
    /// It is only in the earlier tree.
    Removed,
}

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Altered {
    /// Absolute path in the jail.
    pub path: PathBuf,
    /// What happened to it.
    pub change: Alteration,
}

/// Every path that differs between two manifests, sorted. Reasons do not count, nor does where
/// something was copied from.
pub fn altered(earlier: &Manifest, later: &Manifest) -> Vec<Altered> {
    let (mut old, mut new) = (
        earlier.entries.iter().peekable(),
        later.entries.iter().peekable(),
    );
    let mut found = Vec::new();
    let mut add = |entry: &Entry, change| {
        found.push(Altered {
            path: entry.path.clone(),
            change,
        });
    };
    loop {
        // Both are sorted by path.
        let order = match (old.peek(), new.peek()) {
            (Some(one), Some(other)) => one.path.cmp(&other.path),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return found,
        };
        let one = (order != Ordering::Greater).then(|| old.next()).flatten();
        let other = (order != Ordering::Less).then(|| new.next()).flatten();
        match (one, other) {
            (Some(one), Some(other)) if !is_same(one, other) => add(other, Alteration::Changed),
            (Some(one), None) => add(one, Alteration::Removed),
            (None, Some(other)) => add(other, Alteration::Added),
            _ => {}
        }
    }
}

fn is_same(one: &Entry, other: &Entry) -> bool {
    let plain = |entry: &Entry| Entry {
        reason: String::new(),
        source: None,
        ..entry.clone()
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::build::EntryKind;

    fn manifest(entries: &[(&str, &str)]) -> Manifest {
        let entry = |(path, content): &(&str, &str)| Entry {
            path: path.into(),
            kind: EntryKind::File,
            source: Some("/from".into()),
            sha256: Some((*content).to_owned()),
            uid: 0,
            gid: 0,
            mode: "0444".into(),
            target: None,
            device: None,
            size: Some(1),
            reason: format!("{content} is why"),
        };
        Manifest {
            entries: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn what_was_added_changed_and_removed() {
        let old = manifest(&[("/a", "1"), ("/b", "1"), ("/d", "1")]);
        let mut new = manifest(&[("/a", "1"), ("/b", "2"), ("/c", "1"), ("/e", "1")]);
        new.entries[0].reason = "another".into();
        new.entries[0].source = None;
        let found: Vec<(String, Alteration)> = altered(&old, &new)
            .into_iter()
            .map(|it| (it.path.display().to_string(), it.change))
            .collect();
        let expected = [
            ("/b", Alteration::Changed),
            ("/c", Alteration::Added),
            ("/d", Alteration::Removed),
            ("/e", Alteration::Added),
        ];
        assert_eq!(found, expected.map(|(path, what)| (path.to_owned(), what)));
    }

    proptest! {
        #[test]
        fn there_and_back_are_each_others_opposite(
            one in proptest::collection::btree_map("[a-e]", "[xy]", 0..5),
            other in proptest::collection::btree_map("[a-e]", "[xy]", 0..5),
        ) {
            let of = |map: &std::collections::BTreeMap<String, String>| {
                let paths: Vec<(String, String)> =
                    map.iter().map(|(name, text)| (format!("/{name}"), text.clone())).collect();
                let paths: Vec<(&str, &str)> =
                    paths.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
                manifest(&paths)
            };
            let (one, other) = (of(&one), of(&other));
            let there = altered(&one, &other);
            let back = altered(&other, &one);
            prop_assert_eq!(there.len(), back.len());
            for (there, back) in there.iter().zip(&back) {
                prop_assert_eq!(&there.path, &back.path);
                let opposite = match there.change {
                    Alteration::Added => Alteration::Removed,
                    Alteration::Removed => Alteration::Added,
                    Alteration::Changed => Alteration::Changed,
                };
                prop_assert_eq!(opposite, back.change);
            }
            prop_assert!(altered(&one, &one).is_empty());
        }
    }
}
