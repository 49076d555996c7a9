//! What comes into a jail with its programs and libraries, so that a spec need not list it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::build::elf::Resolver;
use crate::learn::Trace;
use crate::learn::trace::{PathKind, Use};

/// How the name of a module of the name service begins (`nss(5)`).
const NAME_SERVICE: &str = "libnss_";

/// The real paths of everything that the build brings with the programs that were executed and
/// with the libraries that were loaded by them, and of what modules of the name service needed.
/// A library that was loaded by `dlopen(3)` and that no other one needs is not among them.
///
/// # Errors
/// If the host's files cannot be looked at.
pub(super) fn of(trace: &Trace) -> Result<BTreeSet<PathBuf>> {
    let mut resolver = Resolver::new(Path::new("/"))?;
    let used = |kind: Use| {
        let paths = trace.paths.iter();
        paths.filter(move |seen| seen.kind == PathKind::File && seen.uses.contains(&kind))
    };
    let mut brought: BTreeSet<PathBuf> = used(Use::Execute)
        .flat_map(|seen| needed(&mut resolver, &seen.host))
        .collect();
    let loaded: BTreeMap<&Path, BTreeSet<PathBuf>> = used(Use::Map)
        .filter(|seen| !brought.contains(&seen.host))
        .map(|seen| (seen.host.as_path(), needed(&mut resolver, &seen.host)))
        .collect();
    for (library, needs) in &loaded {
        let is_module = library
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(NAME_SERVICE));
        // Of two that need each other, the first stays in the spec.
        let stays = |need: &Path| {
            need < *library
                && loaded
                    .get(need)
                    .is_some_and(|needs| needs.contains(*library))
        };
        let others = needs.iter().filter(|need| is_module || !stays(need));
        brought.extend(others.cloned());
    }
    Ok(brought)
}

/// The closure of one file without itself, links resolved. What is not an ELF file, or cannot be
/// closed over, brings nothing: the build says what is wrong with it.
fn needed(resolver: &mut Resolver, path: &Path) -> BTreeSet<PathBuf> {
    let objects = resolver.closure(path).unwrap_or_default();
    objects
        .into_iter()
        .filter_map(|object| fs::canonicalize(object.path).ok())
        .filter(|found| found != path)
        .collect()
}
