//! What rpm knows (rpm(8), QUERY OPTIONS).

use std::path::Path;
use std::time::Duration;

use super::{Manager, Package};
use crate::Result;
use crate::host::command;

/// By its path, so that nobody's `PATH` decides what is run.
const PROGRAM: &str = "/usr/bin/rpm";
/// What is asked for, a line each.
const FORMAT: &str =
    "%{NAME}\\n%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\\n%{ARCH}\\n%{SOURCERPM}\\n%{LICENSE}\\n";
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The package of one file; `None` if it has none or there is no rpm. Only of the system that runs:
/// rpm is a program of it.
pub(super) fn owner(root: &Path, file: &Path) -> Result<Option<Package>> {
    let Some(file) = file.to_str() else {
        return Ok(None);
    };
    if root != Path::new("/") || !Path::new(PROGRAM).exists() {
        return Ok(None);
    }
    let words = [PROGRAM, "-qf", "--qf", FORMAT, "--", file];
    let words: Vec<String> = words.map(str::to_owned).to_vec();
    let answer = command::run(&words, PATIENCE)?;
    Ok(answer.succeeded().then(|| parse(&answer.output)).flatten())
}

/// The first package that is answered: a directory may have many, a file has one.
pub(super) fn parse(answer: &str) -> Option<Package> {
    let mut lines = answer.lines();
    let mut next = || lines.next().map(str::to_owned);
    let known = |value: &String| !value.is_empty() && value != "(none)";
    let (name, version, architecture) = (next()?, next()?, next()?);
    let (source, licence) = (next()?, next()?);
    // "bind-9.18.1-1.fc40.src.rpm": name, version and release.
    let source = source
        .strip_suffix(".src.rpm")
        .and_then(|source| source.rsplitn(3, '-').nth(2).map(str::to_owned));
    Some(Package {
        source: source.filter(|source| *source != name),
        name,
        version,
        architecture,
        manager: Manager::Rpm,
        licence: Some(licence).filter(known),
    })
}
