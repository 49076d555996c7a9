//! A whole directory in the place of one path of it, and what that would give beyond.

use std::fs;
use std::path::Path;

use super::denial::Remedy;
use crate::spec::{self, Allowance, BindRule, Evidence};

/// The most entries of directories that are looked at.
const MOST: usize = 10_000;

/// Something wider that would do, too.
#[derive(Clone, Debug, PartialEq)]
pub struct Wider {
    /// The change.
    pub remedy: Remedy,
    /// What it would give beyond, in words.
    pub beyond: String,
}

/// The directories of the host that a jail could have instead of the path that a remedy gives, the
/// smallest first. A directory that all services share is none.
pub fn wider(remedy: &Remedy) -> Vec<Wider> {
    let [allowance] = remedy.allowances() else {
        return Vec::new();
    };
    let (path, writable) = match allowance {
        Allowance::File(rule) => (&rule.path, false),
        Allowance::Bind(rule) => (&rule.path, rule.writable),
        _ => return Vec::new(),
    };
    let ancestors = path.ancestors().skip(1);
    let fits = |directory: &&Path| !spec::is_shared_place(directory) && directory.is_dir();
    ancestors
        .take_while(fits)
        .filter_map(|directory| {
            let real = directory.canonicalize().ok()?;
            let found = Below::of(&real, path);
            Some(Wider {
                beyond: found.in_words(writable),
                remedy: Remedy::Allow(vec![Allowance::Bind(BindRule {
                    path: real,
                    writable,
                    because: "a person allowed the whole directory".to_owned(),
                    evidence: Evidence::default(),
                })]),
            })
        })
        .collect()
}

/// What is below a directory beside the path that is asked for.
#[derive(Default)]
struct Below {
    entries: usize,
    private: usize,
    more: bool,
}

impl Below {
    fn of(directory: &Path, path: &Path) -> Self {
        let mut found = Self::default();
        let mut queue = vec![directory.to_owned()];
        while let Some(next) = queue.pop() {
            // What cannot be listed is not counted.
            for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
                if found.entries >= MOST {
                    found.more = true;
                    return found;
                }
                let Ok(data) = entry.metadata() else {
                    continue;
                };
                if entry.path() != path {
                    found.entries += 1;
                    found.private += usize::from(is_private(&data));
                }
                if data.is_dir() {
                    queue.push(entry.path());
                }
            }
        }
        found
    }

    fn in_words(&self, writable: bool) -> String {
        let Self {
            entries,
            private,
            more,
        } = self;
        let more = if *more { "more than " } else { "" };
        let also = if writable { ", to write" } else { "" };
        format!(
            "{more}{entries} other files and directories{also}, {private} of which not everybody may read"
        )
    }
}

fn is_private(data: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    !data.is_symlink() && data.permissions().mode() & 0o004 == 0
}
