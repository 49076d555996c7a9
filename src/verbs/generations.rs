//! `generations`: what was built for a jail, what differs, and what of it is kept. `rollback`: the one
//! from before.

use serde::Serialize;

use super::switch::{self, Switched};
use super::upgrade::{PackageChange, package_changes};
use super::{Event, Places, Report, attest, jail, may_jail, sbom, valid_name};
use crate::build::{self, Altered, Manifest, altered};
use crate::run::state::State;
use crate::{Error, Result, spec};

/// The generations of a jail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generations {
    /// The jail's name.
    pub name: String,
    /// The one that the next start is from.
    pub current: Option<u64>,
    /// The one that runs.
    pub running: Option<u64>,
    /// All, newest first.
    pub generations: Vec<Generation>,
    /// Those that were removed just now.
    pub removed: Vec<u64>,
}

/// One generation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// When it was built, as `2026-11-22T11:40:20Z`.
    pub built: String,
    /// When a service that was started from it was ready for the first time; `None` if none was.
    pub ready: Option<String>,
    /// The next start is from it.
    pub current: bool,
    /// It runs.
    pub running: bool,
    /// Regular files in it.
    pub files: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// The generation before it that it is compared with, if there is one still.
    pub before: Option<u64>,
    /// What differs from that in the tree.
    pub altered: Vec<Altered>,
    /// The packages whose versions differ from that.
    pub packages: Vec<PackageChange>,
    /// What differs from that in the spec.
    pub spec: Vec<spec::Change>,
}

/// Lists the generations of a jail; with `prune`, first removes all but so many of the newest, the
/// current one, the one that runs, and the last that a service was ready from.
///
/// # Errors
/// It was never built; a manifest is damaged; something cannot be removed.
pub fn generations(
    places: &Places,
    name: &str,
    prune: Option<usize>,
    report: &Report<'_>,
) -> Result<Generations> {
    valid_name(name)?;
    may_jail(&format!("list the generations of {name}"))?;
    let state = built(places, name)?;
    let running = State::running(&places.runtime(name))?.map(|state| state.generation);
    let mut removed = Vec::new();
    if let Some(keep) = prune {
        switch::must_be_alone(places, name)?;
        switch::recover(places, name, report)?;
        report(Event::Doing(format!("removing old generations of {name}")));
        let in_use: Vec<u64> = running.into_iter().collect();
        let lock = state.lock(&|_| ())?;
        lock.remove_leftovers()?;
        removed = lock.prune(keep, &in_use)?;
    }
    let current = state.current()?;
    let mut listed = Vec::new();
    let mut before: Option<(u64, Manifest)> = None;
    for number in state.generations()? {
        let manifest = state.manifest(number)?;
        listed.push(Generation {
            number,
            built: attest::time(state.written(number)?.0.try_into().unwrap_or(0)),
            ready: state.ready_since(number)?,
            current: current == Some(number),
            running: running == Some(number),
            files: manifest.files(),
            bytes: manifest.bytes(),
            before: before.as_ref().map(|(number, _)| *number),
            altered: before
                .as_ref()
                .map(|(_, earlier)| altered(earlier, &manifest))
                .unwrap_or_default(),
            packages: before
                .as_ref()
                .map(|(earlier, _)| packages(&state, *earlier, number))
                .unwrap_or_default(),
            spec: before
                .as_ref()
                .map(|(earlier, _)| spec_changes(&state, *earlier, number))
                .unwrap_or_default(),
        });
        before = Some((number, manifest));
    }
    listed.reverse();
    Ok(Generations {
        name: name.to_owned(),
        current,
        running,
        generations: listed,
        removed,
    })
}

/// What a rollback did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolledBack {
    /// The jail's name.
    pub name: String,
    /// The generation that was current.
    pub from: u64,
    /// The one that is current now.
    pub to: u64,
    /// The service, started anew from that; `None` if it did not run.
    pub pid: Option<i32>,
    /// What differs now in the spec.
    pub spec: Vec<spec::Change>,
}

/// Makes an earlier generation the current one, with the spec that it was built from, and starts the
/// jail anew from it if it runs. Without a number: the newest that a service was ready from before
/// the current one, else the one before that.
///
/// # Errors
/// There is none; it does not get ready: then what was current before is so again, and runs.
pub fn rollback(
    places: &Places,
    name: &str,
    to: Option<u64>,
    report: &Report<'_>,
) -> Result<RolledBack> {
    valid_name(name)?;
    let doing = || format!("roll {name} back");
    may_jail(&doing())?;
    switch::must_be_alone(places, name)?;
    switch::recover(places, name, report)?;
    let state = built(places, name)?;
    let from = state
        .current()?
        .ok_or_else(|| Error::new(doing(), "no generation is current"))?;
    let to = match to {
        Some(to) if to == from => {
            return Err(Error::usage(doing(), format!("generation {to} is current"))
                .hint(format!("see which there are: gaoler generations {name}")));
        }
        Some(to) => to,
        None => previous(&state, from)?.ok_or_else(|| {
            let why = format!("there is no generation before {from}");
            Error::new(doing(), why).hint(format!("see which there are: gaoler generations {name}"))
        })?,
    };
    let spec = spec_changes(&state, from, to);
    report(Event::Doing(format!("going to generation {to} of {name}")));
    match switch::switch(places, name, to, &|_| Ok(()), report)? {
        Switched::Done => Ok(RolledBack {
            name: name.to_owned(),
            from,
            to,
            pid: State::running(&places.runtime(name))?.map(|state| state.service.pid),
            spec,
        }),
        Switched::Undone(error) => {
            let (_, why, hint) = error.parts();
            let why = format!("generation {to} does not work, {from} runs again: {why}");
            let error = Error::new(doing(), why);
            Err(hint.map(str::to_owned).into_iter().fold(error, Error::hint))
        }
    }
}

fn built(places: &Places, name: &str) -> Result<build::State> {
    build::state_of(&places.state, name)?.ok_or_else(|| {
        Error::usage(
            format!("find the generations of {name}"),
            "it has not been built",
        )
        .hint(format!("build it: gaoler build {name}"))
    })
}

/// The generation to go back to from `current`.
fn previous(state: &build::State, current: u64) -> Result<Option<u64>> {
    let mut earlier = state.generations()?;
    earlier.retain(|generation| *generation < current);
    for generation in earlier.iter().rev() {
        if state.ready_since(*generation)?.is_some() {
            return Ok(Some(*generation));
        }
    }
    Ok(earlier.last().copied())
}

/// The packages that differ between two generations; none if it was not noted which there were.
fn packages(state: &build::State, from: u64, to: u64) -> Vec<PackageChange> {
    let of = |generation| sbom::kept(&state.root(generation)).ok().flatten();
    match (of(from), of(to)) {
        (Some(from), Some(to)) => package_changes(&from, &to),
        _ => Vec::new(),
    }
}

/// What differs between the specs of two generations; nothing if one of them is gone.
fn spec_changes(state: &build::State, from: u64, to: u64) -> Vec<spec::Change> {
    let of = |generation| jail::spec_of_tree(&state.root(generation)).ok();
    match (of(from), of(to)) {
        (Some(from), Some(to)) => spec::diff(&from, &to),
        _ => Vec::new(),
    }
}
