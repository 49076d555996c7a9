//! The kernel's audit records: this host's beside a run, or those of files without one.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use super::super::{Event, Jail, Places, Report, jail};
use super::{Weighed, Why, WhyOptions, conclude, weighed};
use crate::build::{self, Manifest};
use crate::host::process;
use crate::plan::Plan;
use crate::why::audit::{self, Log, Origin};
use crate::why::{self, Records, Scope};
use crate::{Doing, Result};

/// Standard input.
const STANDARD_INPUT: &str = "-";

/// Where auditd writes, and nobody else.
const AUDITD: &str = "/var/log/audit";

/// Explains the records of files against a spec. Nothing is run, and nothing is built.
pub(super) fn why(places: &Places, options: &WhyOptions, report: &Report<'_>) -> Result<Why> {
    let spec = jail::load_spec(places, &options.name)?;
    let logs: Vec<(String, Log)> = options
        .logs
        .iter()
        .map(|path| Ok((path.display().to_string(), read(path)?)))
        .collect::<Result<_>>()?;
    let manifest = built(places, &options.name)?;
    let records = why::explained(
        &logs,
        &Scope {
            spec: &spec,
            manifest: manifest.as_ref(),
            since: None,
            only_missing: false,
        },
    );
    let plan = Plan {
        name: spec.name.clone(),
        generation: 0,
        forks: false,
        steps: Vec::new(),
        ready: Vec::new(),
        lacking: Vec::new(),
        check_every_s: 0,
        living: crate::plan::Living::default(),
        log: Default::default(),
    };
    let subject = Weighed {
        spec: &spec,
        manifest: &manifest.unwrap_or_default(),
        plan: &plan,
    };
    let why = weighed(&subject, Vec::new(), records);
    conclude(places, &spec, why, options, report)
}

fn read(path: &Path) -> Result<Log> {
    if path == Path::new(STANDARD_INPUT) {
        return audit::read(io::stdin().lock(), Origin::Text);
    }
    let doing = || format!("read {}", path.display());
    let real = path.canonicalize().doing(doing)?;
    let origin = if real.starts_with(AUDITD) {
        Origin::AuditFile
    } else {
        Origin::Text
    };
    audit::read(BufReader::new(File::open(&real).doing(doing)?), origin)
}

/// What the current generation has, if there is one.
fn built(places: &Places, name: &str) -> Result<Option<Manifest>> {
    let Some(state) = build::state_of(&places.state, name)? else {
        return Ok(None);
    };
    let current = state.current()?;
    current
        .map(|generation| state.manifest(generation))
        .transpose()
}

/// This host's own records of a jail's programs, since the machine was started. A log that cannot
/// be read is told and is no error.
pub(super) fn of_host(jail: &Jail, report: &Report<'_>) -> Records {
    let sources = audit::sources();
    for error in &sources.refused {
        report(Event::Note(error.to_string()));
    }
    let mut logs = Vec::new();
    for source in sources.found {
        let name = source.path.display().to_string();
        match source.read() {
            Ok(log) => logs.push((name, log)),
            Err(error) => report(Event::Note(error.to_string())),
        }
    }
    let scope = Scope {
        spec: &jail.spec,
        manifest: Some(&jail.manifest),
        since: process::boot_time(),
        only_missing: true,
    };
    why::explained(&logs, &scope)
}
