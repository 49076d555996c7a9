//! `check` without a name: every process of the machine that listens, and what confines it. And
//! what the other jails of the machine have to do with one that is checked.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use super::{Places, jail, must_be_root, valid_name};
use crate::audit::facts::{Around, Neighbour, running_sockets};
use crate::audit::scan::{self, Jailed, Listening};
use crate::audit::{Finding, Severity};
use crate::build::Account;
use crate::host::process;
use crate::plan::{Mode, Step};
use crate::run::state::State;
use crate::spec::Spec;
use crate::{Doing, Result};

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Null: it is about no jail.
    pub name: Option<String>,
    /// The exposure of the worst: 0 is best, 10 is worst.
    pub score: f64,
    /// How many processes listen.
    pub processes: usize,
    /// How many of them are in a jail of gaoler's.
    pub jailed: usize,
    /// How many of them have no profile of AppArmor: the measure of aa-unconfined(8).
    pub apparmor_unconfined: usize,
    /// The processes, worst first.
    pub listening: Vec<Listening>,
    /// The same as findings, above `info`.
    pub findings: Vec<Finding>,
}

/// Looks at every process that listens on TCP or UDP; on Unix sockets too if asked for.
///
/// # Errors
/// It needs root, to see what others have open; `/proc` or the directory of running jails cannot
/// be read.
pub fn scan(places: &Places, unix: bool) -> Result<Report> {
    must_be_root("look at what listens")?;
    let listening = scan::look(&jailed(places)?, unix)?;
    let worst = listening.iter().map(|one| one.exposure);
    let findings = listening.iter().map(Listening::finding);
    Ok(Report {
        name: None,
        score: worst.fold(0.0, f64::max),
        processes: listening.len(),
        jailed: listening.iter().filter(|one| one.jail.is_some()).count(),
        apparmor_unconfined: listening
            .iter()
            .filter(|one| !one.apparmor_confined)
            .count(),
        findings: findings
            .filter(|finding| finding.severity > Severity::Info)
            .collect(),
        listening,
    })
}

/// The processes of running jails.
fn jailed(places: &Places) -> Result<BTreeMap<i32, Jailed>> {
    let mut jailed = BTreeMap::new();
    for (name, pids) in running(places)? {
        let plan = jail::compiled(places, &name, Mode::Supervised)
            .ok()
            .flatten();
        let landlock = plan.is_some_and(|plan| {
            let mut steps = plan.steps.iter();
            steps.any(|planned| matches!(planned.step, Step::Landlock(_)))
        });
        let of_jail = pids.into_iter().map(|pid| {
            let name = name.clone();
            (pid, Jailed { name, landlock })
        });
        jailed.extend(of_jail);
    }
    Ok(jailed)
}

/// The running jails and their processes.
fn running(places: &Places) -> Result<Vec<(String, Vec<i32>)>> {
    let mut found = Vec::new();
    for name in names(&places.run, "")? {
        let Ok(Some(state)) = State::running(&places.runtime(&name)) else {
            continue;
        };
        let first = state.init.unwrap_or(state.service).pid;
        // One that ends meanwhile has no processes.
        found.push((name, process::companions(first).unwrap_or_default()));
    }
    Ok(found)
}

/// The names of jails in a directory, sorted.
pub(super) fn names(directory: &std::path::Path, ending: &str) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing(|| format!("list {}", directory.display())),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .filter(|name| valid_name(name).is_ok())
        .collect();
    names.sort();
    Ok(names)
}

/// What is around the jail `name`: the other jails, and whose processes are in one.
pub(super) fn around(places: &Places, name: &str) -> Result<Around> {
    let mut around = Around::default();
    for other in names(&places.etc, ".toml")?
        .into_iter()
        .filter(|other| other != name)
    {
        // A spec that cannot be read is nobody's jail.
        if let Ok(spec) = jail::load_spec(places, &other) {
            around.jails.push(neighbour(&spec));
        }
    }
    for (jail, pids) in running(places)? {
        if jail != name {
            around.foreign_sockets.extend(running_sockets(&jail, &pids));
        }
        around.jailed.extend(pids);
    }
    Ok(around)
}

fn neighbour(spec: &Spec) -> Neighbour {
    let service = &spec.service;
    let paths = |writable_only: bool| {
        let binds = spec.binds.iter();
        binds
            .filter(move |bind| bind.writable || !writable_only)
            .map(|bind| bind.path.clone())
            .collect()
    };
    Neighbour {
        name: spec.name.clone(),
        users: std::iter::once(&service.user)
            .chain(&service.accounts)
            .cloned()
            .collect(),
        uid: Account::of(spec).ok().map(|account| account.user.uid),
        places: paths(false),
        writable: paths(true),
    }
}
