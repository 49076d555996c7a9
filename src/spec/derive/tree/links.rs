//! Symbolic links of the host that lead to what is mounted or in memory.
use std::path::Path;

use super::Grower;
use crate::learn::trace::{PathKind, PathSeen};
use crate::spec::derive::evidence::by_whom_and_when;
use crate::spec::derive::paths::is_usable;
use crate::spec::{Evidence, FileKind, FileRule};

impl Grower<'_> {
    /// A link on the way to what is copied is made with the copy. On the way to the rest, as
    /// `/var/run` to a pid file in `/run`, it is a rule of its own, unless the place that it is in
    /// is there as a whole.
    pub(super) fn add_links(&mut self) {
        for seen in std::mem::take(&mut self.led_to) {
            let in_own_root = self
                .own_roots
                .iter()
                .any(|root| seen.host.starts_with(root));
            for (link, _) in seen.links.iter().filter(|_| !in_own_root) {
                if is_usable(link) && leads_to_a_directory(link, seen) && !self.is_whole(link) {
                    self.add_link(link, seen);
                }
            }
        }
    }

    fn add_link(&mut self, link: &Path, seen: &PathSeen) {
        if self.files.contains_key(link) {
            return;
        }
        let observed = self.observed(seen);
        let rule = FileRule {
            path: link.to_owned(),
            kind: FileKind::Directory,
            because: format!("a link to what is used{}", by_whom_and_when(&observed)),
            evidence: Evidence::Observed(observed),
        };
        self.files.insert(link.to_owned(), rule);
    }

    /// Whether the path lies in a directory that is mounted or in memory.
    fn is_whole(&self, path: &Path) -> bool {
        let mut places = self.binds.keys().chain(self.scratch.keys());
        places.any(|place| path.starts_with(place))
    }
}

/// All on the way do; the last part of what was asked for does if that is a directory.
fn leads_to_a_directory(link: &Path, seen: &PathSeen) -> bool {
    !seen.asked.contains(link) || seen.kind == PathKind::Directory
}
