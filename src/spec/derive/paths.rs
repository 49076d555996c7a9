//! Questions about one observed path.
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::learn::trace::{PathSeen, Use};

/// Uses that change a directory or what is in it.
const WRITES: [Use; 4] = [Use::Write, Use::Create, Use::Delete, Use::Change];
/// Uses that add a name to a directory or take one away.
const NAMES: [Use; 2] = [Use::Create, Use::Delete];

/// Something was changed.
pub(super) fn is_written(seen: &PathSeen) -> bool {
    WRITES.iter().any(|kind| seen.uses.contains(kind))
}

/// A name came or went.
pub(super) fn is_made_or_removed(seen: &PathSeen) -> bool {
    NAMES.iter().any(|kind| seen.uses.contains(kind))
}

/// It was asked about, as every part of a path is, and not used.
pub(super) fn is_only_looked_at(seen: &PathSeen) -> bool {
    seen.uses.iter().all(|kind| *kind == Use::Look)
}

/// It was made the root directory of a process that need not find anything in it, and nothing else.
pub(super) fn is_only_entered(seen: &PathSeen) -> bool {
    let known = [Use::Enter, Use::Look, Use::Root];
    seen.uses.contains(&Use::Root) && seen.uses.iter().all(|kind| known.contains(kind))
}

/// It was executed or loaded.
pub(super) fn is_code(seen: &PathSeen) -> bool {
    seen.uses.contains(&Use::Execute) || seen.uses.contains(&Use::Map)
}

/// Under which names the jail needs it: as asked, so that symlinks are made too, which lead to
/// what the host has; only that if `asked` cannot be used.
pub(super) fn names(seen: &PathSeen, own_roots: &[&Path]) -> BTreeSet<PathBuf> {
    let in_own_root = own_roots.iter().any(|root| seen.host.starts_with(root));
    let usable: BTreeSet<PathBuf> = seen
        .asked
        .iter()
        .filter(|path| is_usable(path) && !in_own_root && **path != seen.host)
        .cloned()
        .collect();
    if usable.is_empty() {
        BTreeSet::from([seen.host.clone()])
    } else {
        usable
    }
}

/// Absolute, UTF-8, without `..`, and no way round by /proc or /dev/fd.
pub(super) fn is_usable(path: &Path) -> bool {
    path.is_absolute()
        && is_utf8(path)
        && path != Path::new("/")
        && !path
            .components()
            .any(|component| component == Component::ParentDir)
        && !["/proc", "/sys", "/dev/fd"]
            .iter()
            .any(|tree| path.starts_with(tree))
}

/// Whether a TOML file can hold it.
pub(super) fn is_utf8(path: &Path) -> bool {
    path.to_str().is_some_and(|text| !text.contains('\0'))
}

/// What was done, most telling first.
pub(super) fn verbs(uses: &BTreeSet<Use>) -> String {
    let known = [
        (Use::Execute, "executed"),
        (Use::Map, "loaded"),
        (Use::Create, "made"),
        (Use::Write, "written"),
        (Use::Delete, "removed"),
        (Use::Change, "changed"),
        (Use::Connect, "connected to"),
        (Use::Read, "read"),
        (Use::List, "listed"),
        (Use::Enter, "entered"),
        (Use::Root, "made root"),
        (Use::Look, "looked at"),
    ];
    let done = known.iter().filter(|(kind, _)| uses.contains(kind));
    done.take(2)
        .map(|(_, verb)| *verb)
        .collect::<Vec<_>>()
        .join(" and ")
}
