//! Directories: mounted, made empty, or there because of what is in them.
use std::path::Path;

use super::Grower;
use crate::learn::trace::{PathSeen, Use};
use crate::spec::FileKind;
use crate::spec::derive::paths::{
    is_made_or_removed, is_only_entered, is_only_looked_at, is_written,
};

impl<'a> Grower<'a> {
    pub(super) fn add_directory(&mut self, seen: &'a PathSeen) {
        let host = seen.host.as_path();
        if is_made_or_removed(seen) {
            self.add_to_parent(seen);
        }
        if is_only_looked_at(seen) || is_only_entered(seen) {
            // What it makes its root looks from there like everybody's.
            if !self.is_shared(host) || self.own_roots.contains(&host) {
                self.looked_at.push(seen);
            }
        } else if !self.is_shared(host) {
            self.see_in(host.to_owned(), seen);
        } else if is_written(seen) {
            self.note(seen, "the directory is shared");
        } else if !host.starts_with("/dev") {
            if seen.uses.contains(&Use::List) {
                self.listed.push(seen);
            }
            self.copy(seen, FileKind::Directory);
        }
    }

    /// A directory that comes or goes changes the one above it, if that is the service's own.
    fn add_to_parent(&mut self, seen: &'a PathSeen) {
        let parent = self.holder(&seen.host);
        if !self.is_shared(parent) {
            self.see_in(parent.to_owned(), seen);
        }
    }

    /// Says how much of a shared directory is in the jail, once for all in it.
    pub(super) fn note_listed(&mut self) {
        let mut noted: Option<&Path> = None;
        for seen in std::mem::take(&mut self.listed) {
            let host = seen.host.as_path();
            if noted.is_some_and(|above| host.starts_with(above)) {
                continue;
            }
            noted = Some(host);
            let copied = self
                .files
                .values()
                .filter(|rule| rule.kind != FileKind::Directory && rule.path.starts_with(host));
            let what = match copied.count() {
                0 => "and the jail has an empty one".to_owned(),
                count => format!("and the jail has what was used of it: {count} files"),
            };
            self.notes.push(format!(
                "{}: the directory is shared, {what}",
                host.display()
            ));
        }
    }

    /// A directory that was only asked about is there, as an empty one, unless it is there
    /// already because of something in it.
    pub(super) fn add_looked_at(&mut self) {
        for seen in std::mem::take(&mut self.looked_at) {
            let host = seen.host.as_path();
            let is_below = |path: &Path| path.starts_with(host);
            let is_there = self.files.keys().any(|path| is_below(path))
                || self
                    .binds
                    .keys()
                    .any(|path| is_below(path) || host.starts_with(path))
                || self.scratch.keys().any(|path| is_below(path));
            if !is_there {
                self.copy(seen, FileKind::Directory);
            }
        }
    }
}
