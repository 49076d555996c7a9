//! The plan by which a test of the service's configuration is run where the service sees it.

use std::path::{Path, PathBuf};

use super::step::Step;
use super::{Plan, restrict};
use crate::build::{EntryKind, Manifest};

/// What the service finds that a test has no use for.
const OF_THE_SERVICE: [&str; 4] = [
    "LISTEN_FDS=",
    "LISTEN_FDNAMES=",
    "LISTEN_PID=",
    "NOTIFY_SOCKET=",
];

impl Plan {
    /// The same jail with a test in place of the service: these words, of which the first is a
    /// program of the tree, or of one that is `handed_over`. Without the system call filter, which
    /// is cut for the service: what a test needs beside is not known, and it ends by itself.
    #[must_use]
    pub fn testing(mut self, words: &[String], handed_over: bool) -> Self {
        self.steps.retain(|planned| {
            !matches!(
                planned.step,
                Step::Seccomp { .. } | Step::EndStart { .. } | Step::Complain { .. }
            )
        });
        for planned in &mut self.steps {
            match &mut planned.step {
                Step::OpenProgram { .. } if handed_over => planned.step = Step::TakeProgram,
                Step::OpenProgram { path } => {
                    *path = words.first().map(PathBuf::from).unwrap_or_default();
                }
                Step::Execute {
                    arguments,
                    environment,
                } => {
                    *arguments = words.to_vec();
                    let is_its_own = |variable: &String| {
                        OF_THE_SERVICE.iter().any(|own| variable.starts_with(own))
                    };
                    environment.retain(|variable| !is_its_own(variable));
                }
                _ => {}
            }
        }
        self
    }
}

/// Whether a path leads to a file in the tree, through its symbolic links.
pub fn is_in_tree(manifest: &Manifest, path: &Path) -> bool {
    restrict::resolve(manifest, path).is_some_and(|entry| entry.kind == EntryKind::File)
}
