//! What is known beside a trace, for saying what its run did not reach.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::packages;
use crate::Result;
use crate::build::elf::Resolver;
use crate::learn::Trace;
use crate::learn::coverage::{self, Coverage, Facts, Object};
use crate::learn::trace::{PathKind, Use};
use crate::spec::{self, Exercise};

/// How much of a program is searched for names, bytes.
const MOST_SEARCHED: u64 = 128 << 20;

/// What the run of a trace did not reach. `exercises` are those of the spec.
///
/// # Errors
/// A mistake in what gaoler knows; the root directory cannot be opened.
pub(in crate::verbs) fn reached(trace: &Trace, exercises: &[Exercise]) -> Result<Coverage> {
    let program = trace
        .command
        .first()
        .map(Path::new)
        .unwrap_or(Path::new(""));
    let program = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    let known = spec::shipped_program(&program)?;
    let known = known.map(|known| known.exercises).unwrap_or_default();
    let facts = Facts {
        exercises: exercises.iter().chain(&known).cloned().collect(),
        packages: packages::owning(Path::new("/"), &program),
        objects: objects(trace)?,
    };
    Ok(coverage::coverage(trace, &facts))
}

/// The programs that were executed and the shared objects that were mapped. What cannot be read
/// any more has nothing to say.
fn objects(trace: &Trace) -> Result<Vec<Object>> {
    let mut resolver = Resolver::new(Path::new("/"))?;
    let is_loaded = |uses: &BTreeSet<Use>| uses.contains(&Use::Execute) || uses.contains(&Use::Map);
    let loaded = trace.paths.iter();
    let loaded = loaded.filter(|seen| seen.kind == PathKind::File && is_loaded(&seen.uses));
    Ok(loaded
        .map(|seen| object(&mut resolver, &seen.host))
        .collect())
}

fn object(resolver: &mut Resolver, path: &Path) -> Object {
    let imports = resolver.imports(path).unwrap_or_default();
    let bytes = read(path).unwrap_or_default();
    Object {
        path: PathBuf::from(path),
        names: coverage::shared_object_names(&bytes),
        imports,
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    // A pipe that has taken its place must not be waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MOST_SEARCHED).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
