//! What the kernel would do with a file: the few bytes that it looks at, and `env(1)`'s part in
//! `#!/usr/bin/env NAME`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::host_tree::HostTree;
use super::inventory::Planner;
use crate::error::{Doing, Result};

/// Where `env(1)` looks when the service's environment has no PATH (glibc's `_CS_PATH`).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// What a file is to `execve(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It begins as ELF files do.
    Elf,
    /// It begins with `#!`.
    Script,
    /// It cannot be executed.
    Other,
}

/// What the file at `real`, a path without links, is.
pub(super) fn of(host: &HostTree, real: &Path) -> Result<Kind> {
    let doing = || format!("read {}", real.display());
    let mut first = Vec::new();
    let file = File::from(host.root().file(real).doing(doing)?);
    file.take(4).read_to_end(&mut first).doing(doing)?;
    Ok(match first.as_slice() {
        [0x7f, b'E', b'L', b'F'] => Kind::Elf,
        [b'#', b'!', ..] => Kind::Script,
        _ => Kind::Other,
    })
}

/// The program that a script with this `#!` line is run by, if the line goes through `env(1)`.
/// `argument` is one word to the kernel, blanks and all (`execve(2)`); with `-S`, env splits it.
pub(super) fn run_by_env(
    planner: &Planner<'_>,
    interpreter: &Path,
    argument: Option<&str>,
) -> Option<PathBuf> {
    if interpreter.file_name()? != "env" {
        return None;
    }
    let mut words = argument?
        .split_whitespace()
        .skip_while(|word| word.starts_with('-'));
    let name = words.find(|word| !word.contains('='))?;
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    let path = planner
        .spec
        .service
        .environment
        .get("PATH")
        .map_or(DEFAULT_PATH, String::as_str);
    path.split(':')
        .filter(|directory| directory.starts_with('/'))
        .find_map(|directory| {
            let candidate = Path::new(directory).join(name);
            let found = planner.host.find(&candidate, planner.account).ok()?;
            found.stat.is_some().then_some(candidate)
        })
}
