//! Symbolic links of the host that lead to what is mounted or in memory.
use std::path::{Component, Path, PathBuf};

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

    /// A link that lies in what is mounted, as `/etc/nginx/modules-enabled/x.conf` to a file in
    /// `/usr/share`, is there with the mount, and what it leads to is not: that is what is copied,
    /// under its own name.
    pub(super) fn follow_out_of_binds(&mut self) {
        let is_bound = |path: &Path| {
            let mut places = self.binds.keys();
            places.any(|place| path != place && path.starts_with(place))
        };
        let mut followed = Vec::new();
        for seen in &self.trace.paths {
            for asked in seen.asked.iter().filter(|asked| is_bound(asked)) {
                let Some(rule) = self.files.get(asked) else {
                    continue;
                };
                let targets = seen.links.iter().filter(|(link, _)| is_bound(link));
                let mut targets = targets.filter_map(|(link, text)| target(link, text));
                if let Some(out) = targets.find(|target| !is_bound(target)) {
                    let path = out.clone();
                    followed.push((
                        asked.clone(),
                        FileRule {
                            path,
                            ..rule.clone()
                        },
                    ));
                }
            }
        }
        for (asked, rule) in followed {
            self.files.remove(&asked);
            self.files.entry(rule.path.clone()).or_insert(rule);
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

/// Where a link leads, if a rule can say so.
fn target(link: &Path, text: &Path) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in link.parent()?.join(text).components() {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            other => path.push(other),
        }
    }
    is_usable(&path).then_some(path)
}

/// All on the way do; the last part of what was asked for does if that is a directory.
fn leads_to_a_directory(link: &Path, seen: &PathSeen) -> bool {
    !seen.asked.contains(link) || seen.kind == PathKind::Directory
}
