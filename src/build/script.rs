//! `#!/usr/bin/env NAME`: the program that `env(1)` will find.

use std::path::{Path, PathBuf};

use super::inventory::Planner;

/// Where `env(1)` looks when the service's environment has no PATH (glibc's `_CS_PATH`).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

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
