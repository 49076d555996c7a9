//! What must hold before a service is learned or started: its host copy does not run, its
//! configuration is good.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use crate::host::{command, process};
use crate::{Doing, Error, Result};

/// How long a configuration test may take.
pub(super) const CONFIG_TEST_LIMIT: Duration = Duration::from_secs(60);

/// Where a service's own directories are made, with their mode.
const PARENTS: [(&str, u32); 2] = [("/run", 0o755), ("/var/log", 0o750)];

/// Which processes of the host count as another copy of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copies {
    /// Whatever runs the same program: it is that service and nothing else.
    SameProgram,
    /// Only the same program with the same arguments: an interpreter runs many things.
    SameCommand,
}

/// Refuses if the host runs a copy of the service outside any jail.
pub(super) fn host_copy_is_stopped(name: &str, command: &[String], copies: Copies) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    let program = std::fs::canonicalize(program).unwrap_or_else(|_| program.into());
    let host = process::root(std::process::id().cast_signed())?;
    for pid in process::all()? {
        let same = process::executable(pid).is_some_and(|found| found == program)
            && process::root(pid).is_ok_and(|root| root == host);
        if !same {
            continue;
        }
        let running = process::command_line(pid);
        if copies == Copies::SameProgram || running.get(1..) == Some(arguments) {
            return Err(Error::setup(
                format!("jail {name}"),
                format!(
                    "the host's own copy runs: process {pid} ({})",
                    running.join(" ")
                ),
            )
            .hint("stop it first, as in: systemctl disable --now UNIT"));
        }
    }
    Ok(())
}

/// Runs the service's own test of its configuration.
pub(super) fn configuration_is_good(name: &str, test: &[String]) -> Result<()> {
    if test.is_empty() {
        return Ok(());
    }
    let outcome = command::run(test, CONFIG_TEST_LIMIT)?;
    if outcome.succeeded() {
        return Ok(());
    }
    let how = match outcome.exit {
        Some(code) => format!("{} answered with exit code {code}", test.join(" ")),
        None => format!("{} did not end within 60 s", test.join(" ")),
    };
    Err(Error::setup(
        format!("use the configuration of {name}"),
        format!("{how}:\n{}", outcome.last_lines(10)),
    )
    .hint("mend the configuration; nothing was changed"))
}

/// Makes directories of the service's own that are missing, for its user: in `/run`, where they are
/// gone since the last boot, and in `/var/log`: what a unit's RuntimeDirectory and LogsDirectory do.
pub(super) fn make_own_directories<'a>(
    paths: impl Iterator<Item = &'a Path>,
    uid: u32,
    gid: u32,
) -> Result<()> {
    for path in paths.filter(|path| !path.exists()) {
        let Some((_, mode)) = PARENTS
            .iter()
            .find(|(parent, _)| path.parent() == Some(Path::new(parent)))
        else {
            continue;
        };
        let doing = || format!("make {}", path.display());
        DirBuilder::new().mode(*mode).create(path).doing(doing)?;
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).doing(doing)?;
    }
    Ok(())
}
