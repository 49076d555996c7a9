//! What is mounted in a jail, in which order, and how its root becomes the root.

use std::path::PathBuf;

use super::assemble::{Assembly, Inputs};
use super::step::{Content, Phase, Step};
use crate::build::EntryKind;
use crate::spec::BindRule;

impl Assembly<'_> {
    /// Puts into the places in memory what the tree has where they hide it.
    pub(super) fn fill_scratch(&mut self) {
        let Inputs {
            spec,
            manifest,
            tree,
            ..
        } = self.inputs;
        for entry in &manifest.entries {
            let mut rules = spec.files_in_scratch();
            let Some(rule) = rules.find(|rule| entry.path.starts_with(&rule.path)) else {
                continue;
            };
            let content = match (entry.kind, &entry.target) {
                (EntryKind::Directory, _) => Content::Directory,
                (EntryKind::File, _) => Content::File,
                (EntryKind::Symlink, Some(target)) => Content::Link(target.clone()),
                (EntryKind::Symlink | EntryKind::Device | EntryKind::Mountpoint, _) => continue,
            };
            let above = spec.scratch.iter().map(|scratch| &scratch.path);
            let above = above.filter(|scratch| entry.path.starts_with(scratch));
            // The deepest is what hides it.
            let Some(scratch) = above.max_by_key(|path| path.components().count()) else {
                continue;
            };
            let step = Step::FillScratch {
                scratch: scratch.clone(),
                path: entry.path.clone(),
                tree: tree.to_owned(),
                content,
            };
            self.add(Phase::Host, step, rule.because.clone());
        }
    }

    pub(super) fn mounts(&mut self) {
        if !self.kinds().mount {
            return;
        }
        let Inputs {
            spec,
            tree,
            runtime,
            mode,
            ..
        } = self.inputs;
        self.add(
            Phase::Mounts,
            Step::StopPropagation,
            "before any mount, or the jail's mounts and unmounts would reach the host",
        );
        self.add(
            Phase::Mounts,
            Step::MountRoot {
                tree: tree.to_owned(),
            },
            "a mount of its own can be read-only and be the root",
        );
        self.devices();
        // In a place in memory, after it: it would hide them.
        let in_scratch = |bind: &BindRule| {
            let mut scratch = spec.scratch.iter();
            scratch.any(|scratch| bind.path.starts_with(&scratch.path))
        };
        for bind in spec.binds.iter().filter(|bind| !in_scratch(bind)) {
            self.bind(bind);
        }
        for scratch in &spec.scratch {
            self.add(
                Phase::Mounts,
                Step::MountScratch {
                    path: scratch.path.clone(),
                },
                scratch.because.clone(),
            );
        }
        for bind in spec.binds.iter().filter(|bind| in_scratch(bind)) {
            self.bind(bind);
        }
        if mode.is_supervised() {
            self.add(
                Phase::Mounts,
                Step::Bind {
                    path: PathBuf::from(crate::build::LOG_DIRECTORY),
                    source: runtime.join("log"),
                    writable: false,
                },
                "/dev/log leads here; a directory, so that a new supervisor's socket appears too",
            );
        }
        if self.has_journal() {
            self.add(
                Phase::Mounts,
                Step::Bind {
                    path: PathBuf::from(crate::build::JOURNAL_DIRECTORY),
                    source: runtime.join("log"),
                    writable: false,
                },
                "sd_journal_send(3) looks for its socket here; it is the same directory",
            );
        }
    }

    pub(super) fn has_journal(&self) -> bool {
        self.inputs.mode.is_supervised() && self.inputs.spec.log.journal
    }

    fn bind(&mut self, bind: &BindRule) {
        self.add(
            Phase::Mounts,
            Step::Bind {
                path: bind.path.clone(),
                source: bind.path.clone(),
                writable: bind.writable,
            },
            bind.because.clone(),
        );
    }

    pub(super) fn root(&mut self) {
        if self.kinds().mount {
            self.add(
                Phase::Root,
                Step::PivotRoot,
                "unlike chroot, it leaves nothing of the host to climb back to",
            );
            self.add(
                Phase::Root,
                Step::DetachOldRoot,
                "a detached mount cannot be reached by any path",
            );
        } else {
            let tree = self.inputs.tree.to_owned();
            self.add(
                Phase::Root,
                Step::Chroot { tree },
                "the working directory goes in first: chroot does not move it (\"Best practices \
                 for UNIX chroot() operations\")",
            );
            self.lacking.push(
                "mount_namespace: off, so plain chroot, and its root is not read-only".to_owned(),
            );
        }
        self.add(
            Phase::Root,
            Step::EnterRoot,
            "a working directory outside the root is the oldest way out",
        );
    }
}
