//! What stays on the host and is mounted into the jail.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Grower;
use super::used::Used;
use crate::learn::trace::PathSeen;
use crate::spec::derive::paths::{is_utf8, is_written};
use crate::spec::derive::shared::user_may_write;
use crate::spec::{BindRule, Knowledge, Observed};

/// Paths of the configuration named in one reason.
const NAMED: usize = 3;

/// A mount to be, and why.
#[derive(Default)]
pub(super) struct Bind {
    writable: bool,
    used: Used,
    /// Reasons that no run showed.
    known: Vec<String>,
}

impl Bind {
    /// Adds an observation of something at or below its place.
    pub(super) fn see(&mut self, seen: &PathSeen, observed: Observed) {
        self.writable |= is_written(seen);
        self.used.see(seen, observed);
    }

    fn because(&self, path: &Path) -> String {
        let mut parts = vec![self.used.in_words(path)];
        parts.extend(self.known.iter().cloned());
        parts.retain(|part| !part.is_empty());
        parts.join("; ")
    }
}

impl Grower<'_> {
    /// What the service's knowledge and its configuration say, whether or not it was used.
    pub(super) fn add_known(&mut self, knowledge: &Knowledge) {
        for place in &knowledge.places {
            if !self.exists(&place.path) {
                let path = place.path.display();
                self.notes.push(format!(
                    "{path}, not given: it does not exist ({})",
                    place.because
                ));
            } else if self.is_shared(&place.path) {
                self.notes
                    .push(format!("{}, not given: it is shared", place.path.display()));
            } else {
                let bind = self.bind(&place.path);
                bind.writable |= place.writable;
                bind.known.push(place.because.clone());
            }
        }
        if let Some(paths) = &knowledge.config_paths {
            for (path, is_directory) in &self.facts.config_paths {
                self.add_configured(path, *is_directory, &paths.because);
            }
            self.open_to_user(knowledge);
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.facts.directories.contains_key(path) || self.existing.contains(path)
    }

    /// A path from the configuration: its directory, if that is the service's own.
    fn add_configured(&mut self, path: &Path, is_directory: bool, because: &str) {
        let directory = if is_directory {
            path
        } else {
            path.parent().unwrap_or(path)
        };
        let seen = self.existing.contains(path);
        if !is_utf8(path) || !self.facts.directories.contains_key(directory) {
            self.notes.push(format!(
                "{} ({because}), not given: not there",
                path.display()
            ));
        } else if !self.is_shared(directory) {
            let what = path
                .strip_prefix(directory)
                .unwrap_or(path)
                .display()
                .to_string();
            let text = if what.is_empty() {
                because.to_owned()
            } else {
                format!("{what} {because}")
            };
            let bind = self.bind(directory);
            if bind.known.len() < NAMED && !bind.known.contains(&text) {
                bind.known.push(text);
            }
        } else if !seen {
            let path = path.display();
            self.notes.push(format!(
                "{path} ({because}), not given: the directory is shared"
            ));
        }
    }

    /// A configured service writes where the host lets it, in time. A place that is known to
    /// be read-only stays so unless the configuration names it.
    fn open_to_user(&mut self, knowledge: &Knowledge) {
        let facts = self.facts;
        let configured = |path: &Path| {
            facts.config_paths.iter().any(|(named, is_directory)| {
                path == if *is_directory {
                    named
                } else {
                    named.parent().unwrap_or(named)
                }
            })
        };
        for (path, bind) in self.binds.iter_mut().filter(|(_, bind)| !bind.writable) {
            let read_only = knowledge.places.iter().any(|place| place.path == *path);
            if read_only && !configured(path) {
                continue;
            }
            if let Some(mode) = user_may_write(path, facts) {
                bind.writable = true;
                bind.known
                    .push(format!("{} may write there (mode {mode:04o})", facts.user));
            }
        }
    }
}

/// The rules, without those that a mount above them covers. What no run showed is known from
/// `file`.
pub(super) fn collapsed(binds: BTreeMap<PathBuf, Bind>, file: &str) -> Vec<BindRule> {
    let mut rules: Vec<BindRule> = Vec::new();
    for (path, bind) in binds {
        let covered = rules
            .iter()
            .any(|above| path.starts_with(&above.path) && (above.writable || !bind.writable));
        if !covered {
            let because = bind.because(&path);
            rules.push(BindRule {
                path,
                writable: bind.writable,
                because,
                evidence: bind.used.evidence(file),
            });
        }
    }
    rules
}
