//! Going from one generation to another, and back if that one does not do
//! (docs/decisions/0023-generations.md).
//!
//! A generation is a root tree and the spec that it was built from, so both change: `current`, by one
//! rename, and then the spec. What is under way stands in `STATE/NAME/switch.json`, from before the
//! first of them until the new generation has shown that it works. Who finds that file and no process
//! that is at it puts the generation of before in its place again.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Event, Places, Report, jail, lifecycle};
use crate::build::{self, Lock};
use crate::run::state::{ProcessName, State};
use crate::spec;
use crate::{Doing, Error, Result};

/// The file that says what is under way.
const JOURNAL: &str = "switch.json";

/// A switch that is under way, or was when somebody was killed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Journal {
    /// The generation that was current, and is to be again if the other one does not do.
    from: u64,
    /// The generation that is tried.
    to: u64,
    /// Who is at it.
    process: ProcessName,
}

/// What shows that the generation works which was just started: an error if it does not.
pub(super) type Proof<'a> = dyn Fn(&State) -> Result<()> + 'a;

/// How a switch went.
#[derive(Debug)]
pub(super) enum Switched {
    /// The generation is current, and runs if the jail ran before.
    Done,
    /// It does not do, for this reason: the one from before is current again, and runs.
    Undone(Error),
}

/// Makes the generation `to` the current one. If the jail runs, it is started anew from that, and
/// must be ready and pass `proof`; else everything is as it was before.
///
/// # Errors
/// Nothing was changed; or it does not do, and the one from before cannot be started either.
pub(super) fn switch(
    places: &Places,
    name: &str,
    to: u64,
    proof: &Proof<'_>,
    report: &Report<'_>,
) -> Result<Switched> {
    let doing = || format!("go to generation {to} of {name}");
    let state = state_of(places, name, to)?;
    let from = state
        .current()?
        .ok_or_else(|| Error::new(doing(), "none is current"))?;
    // Both can be gone to: the way back, too.
    for generation in [to, from] {
        spec_of(&state, generation)?;
    }
    let directory = places.runtime(name);
    let runs = State::running(&directory)?.is_some();
    {
        let lock = lock(&state, report)?;
        if state.current()? != Some(from) {
            return Err(Error::new(doing(), "another one was built meanwhile").hint("try again"));
        }
        begin(places, name, from, to)?;
        take(places, name, &state, &lock, to)?;
    }
    if !runs {
        return end(places, name).map(|()| Switched::Done);
    }
    let started = lifecycle::restart(places, name, report)
        .and_then(|_| State::running(&directory))
        .and_then(|running| {
            running.ok_or_else(|| Error::new(format!("start {name}"), "it ended at once"))
        })
        .and_then(|running| proof(&running));
    let Err(error) = started else {
        return end(places, name).map(|()| Switched::Done);
    };
    report(Event::Warning(format!(
        "{error}: going back to generation {from}"
    )));
    {
        let lock = lock(&state, report)?;
        take(places, name, &state, &lock, from)?;
    }
    lifecycle::restart(places, name, report).map_err(|worse| {
        let hint = format!("generation {to} did not do: {error}");
        worse.hint(hint)
    })?;
    end(places, name)?;
    Ok(Switched::Undone(error))
}

/// Puts the generation in its place again that was current before somebody was killed who was
/// switching. What runs is left alone.
///
/// # Errors
/// The state cannot be read or changed.
pub(super) fn recover(places: &Places, name: &str, report: &Report<'_>) -> Result<()> {
    let Some(journal) = Journal::load(places, name)? else {
        return Ok(());
    };
    if journal.process.is_alive() {
        return Ok(());
    }
    let Some(state) = build::state_of(&places.state, name)? else {
        return Ok(());
    };
    let lock = lock(&state, report)?;
    // Somebody else may have done it, or begun another one, before the lock was to be had.
    if Journal::load(places, name)?.as_ref() != Some(&journal) {
        return Ok(());
    }
    let current = state.current()?;
    if current == Some(journal.to) || current == Some(journal.from) {
        take(places, name, &state, &lock, journal.from)?;
    }
    end(places, name)?;
    report(Event::Warning(format!(
        "a switch of {name} from generation {} to {} was killed before it was known to work: \
         generation {} is current again",
        journal.from, journal.to, journal.from
    )));
    Ok(())
}

/// Whether a switch is under way, or was when somebody was killed.
pub(super) fn is_under_way(places: &Places, name: &str) -> bool {
    journal(places, name).exists()
}

/// Refuses to begin while another process is at it.
///
/// # Errors
/// It is.
pub(super) fn must_be_alone(places: &Places, name: &str) -> Result<()> {
    match Journal::load(places, name)? {
        Some(journal) if journal.process.is_alive() => Err(Error::setup(
            format!("change the generation of {name}"),
            format!("process {} is at it", journal.process.pid),
        )
        .hint("wait for it, or end it")),
        _ => Ok(()),
    }
}

/// The state of a jail that has this generation.
fn state_of(places: &Places, name: &str, generation: u64) -> Result<build::State> {
    let doing = || format!("go to generation {generation} of {name}");
    let hint = || format!("see which there are: gaoler generations {name}");
    let Some(state) = build::state_of(&places.state, name)? else {
        return Err(Error::usage(doing(), "it has not been built")
            .hint(format!("build it: gaoler build {name}")));
    };
    if !state.generations()?.contains(&generation) {
        return Err(Error::usage(doing(), "there is no such generation").hint(hint()));
    }
    state.manifest(generation)?;
    Ok(state)
}

/// The text of the spec that a generation was built from, which must be one.
fn spec_of(state: &build::State, generation: u64) -> Result<String> {
    let (text, origin) = jail::spec_text_of_tree(&state.root(generation))?;
    spec::parse(&text, &origin).map(|_| text)
}

/// Makes a generation current, and its spec the jail's. One that a person has changed since stays
/// beside it.
fn take(
    places: &Places,
    name: &str,
    state: &build::State,
    lock: &Lock<'_>,
    generation: u64,
) -> Result<()> {
    let text = spec_of(state, generation)?;
    if state.current()? != Some(generation) {
        lock.switch(generation)?;
    }
    let path = places.spec(name);
    let there = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
    if there == text {
        return Ok(());
    }
    jail::replace(&path.with_extension("toml.old"), &there)?;
    jail::replace(&path, &text)
}

fn lock<'a>(state: &'a build::State, report: &Report<'_>) -> Result<Lock<'a>> {
    state.lock(&|progress| {
        if let build::Progress::Waiting(pid) = progress {
            report(Event::Doing(format!(
                "waiting for process {pid}, which builds"
            )));
        }
    })
}

fn begin(places: &Places, name: &str, from: u64, to: u64) -> Result<()> {
    must_be_alone(places, name)?;
    let journal = Journal {
        from,
        to,
        process: ProcessName::of(std::process::id().cast_signed())?,
    };
    let doing = || format!("note that generation {to} of {name} is tried");
    let text = serde_json::to_string(&journal).map_err(|error| Error::new(doing(), error))?;
    jail::replace(&self::journal(places, name), &text)
}

/// The switch is over, one way or the other.
fn end(places: &Places, name: &str) -> Result<()> {
    let path = journal(places, name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn journal(places: &Places, name: &str) -> PathBuf {
    places.state.join(name).join(JOURNAL)
}

impl Journal {
    fn load(places: &Places, name: &str) -> Result<Option<Self>> {
        let path = journal(places, name);
        Self::read(&path).doing(|| format!("read {}", path.display()))
    }

    fn read(path: &Path) -> std::io::Result<Option<Self>> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(std::io::Error::from),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
