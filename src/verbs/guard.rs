//! `guard`: keeps the host's own copy of a service from being started by accident, and undoes it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::trace::packages;
use super::{Event, Places, Report, jail, must_be_root, valid_name};
use crate::build::{self, State};
use crate::guard::{self, Done, Program, Record, Unit};
use crate::{Error, Result};

/// How the host's copy of a service is guarded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guarded {
    /// The jail's name.
    pub name: String,
    /// Its program on the host, without links.
    pub program: Option<PathBuf>,
    /// It is guarded.
    pub guarded: bool,
    /// Nothing of that was taken away since.
    pub holds: bool,
    /// The mode that the program had, octal, four digits.
    pub mode: Option<String>,
    /// The names that dpkg keeps without a permission bit.
    pub overrides: Vec<PathBuf>,
    /// The links that mask its units.
    pub masks: Vec<PathBuf>,
    /// What does not hold any more.
    pub problems: Vec<String>,
    /// What was changed just now.
    pub changed: Vec<String>,
    /// What was not, and why.
    pub left: Vec<String>,
}

impl Guarded {
    fn of(name: &str, record: Option<&Record>, done: Done) -> Result<Self> {
        let problems = record.map_or(Ok(Vec::new()), guard::problems)?;
        let paths = |list: fn(&Record) -> Vec<PathBuf>| record.map(list).unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            program: record.map(|record| record.program.clone()),
            guarded: record.is_some(),
            holds: record.is_some() && problems.is_empty(),
            mode: record.map(|record| record.mode.clone()),
            overrides: paths(|it| it.overrides.iter().map(|one| one.path.clone()).collect()),
            masks: paths(|it| it.masks.clone()),
            problems,
            changed: done.changed,
            left: done.left,
        })
    }
}

/// Guards the host's copy of a jailed service. Done twice it changes nothing; where something was
/// taken away since, that is put back.
///
/// # Errors
/// The jail has not been built; the program is one that others use; something cannot be changed:
/// then everything is as before.
pub fn guard(places: &Places, name: &str, report: &Report<'_>) -> Result<Guarded> {
    must_be_root(&format!("guard {name}"))?;
    let spec = jail::load_spec(places, name)?;
    let place = Place::of(places, name)?;
    if place.state.current()?.is_none() {
        return Err(not_built(name));
    }
    let command = spec.service.command.first();
    let command = command.map(Path::new).unwrap_or(Path::new(""));
    let _lock = place.state.lock(&|_| ())?;
    let before = guard::load(&place.directory)?;
    let is_first = before.is_none();
    let (record, mut notes) = match before {
        Some(record) => (place.again(record, command)?, Vec::new()),
        None => place.first(places, command)?,
    };
    // On the disk before anything is changed.
    guard::save(&place.directory, &record)?;
    report(Event::Doing(format!(
        "guarding {}",
        record.program.display()
    )));
    match guard::set(&record) {
        Ok(mut done) => {
            notes.append(&mut done.left);
            done.left = notes;
            Guarded::of(name, Some(&record), done)
        }
        // What has held so far goes on to hold as far as it does.
        Err(error) if !is_first => Err(error),
        Err(error) => Err(match place.forget(&record) {
            Ok(_) => error,
            Err(undo) => error.hint(format!("{undo}; then: gaoler guard {name} --undo")),
        }),
    }
}

/// Gives back what the guard has changed.
///
/// # Errors
/// Something cannot be given back; the record stays, so that it can be tried again.
pub fn guard_undo(places: &Places, name: &str) -> Result<Guarded> {
    let place = Place::of(places, name)?;
    let _lock = place.state.lock(&|_| ())?;
    let done = match guard::load(&place.directory)? {
        Some(record) => place.forget(&record)?,
        None => Done::default(),
    };
    Guarded::of(name, None, done)
}

/// Whether the host's copy is guarded, and whether that holds.
///
/// # Errors
/// There is no such jail; its record is damaged.
pub fn guard_status(places: &Places, name: &str) -> Result<Guarded> {
    let record = match Place::find(places, name)? {
        Some(place) => guard::load(&place.directory)?,
        // There may be no such jail at all.
        None => jail::load_spec(places, name).map(|_| None)?,
    };
    Guarded::of(name, record.as_ref(), Done::default())
}

/// What does not hold any more of a jail's guard; nothing if it has none.
pub(super) fn problems(places: &Places, name: &str) -> Result<Vec<String>> {
    match guard::load(&places.guards().join(name))? {
        Some(record) => guard::problems(&record),
        None => Ok(Vec::new()),
    }
}

/// The guarded programs of this machine and the modes that they had, for whoever copies them.
pub(super) fn modes(places: &Places) -> Result<Vec<(PathBuf, u32)>> {
    let records = guard::all(places.guards())?;
    let mode = |record: Record| Ok((record.program.clone(), record.mode_bits()?));
    records.into_iter().map(mode).collect()
}

/// Does `work` where guarded programs can be executed: see [`guard::past`].
pub(super) fn past<T>(places: &Places, work: impl FnOnce() -> Result<T>) -> Result<T> {
    guard::past(places.guards(), work)
}

fn not_built(name: &str) -> Error {
    Error::new(format!("guard {name}"), "its jail has not been built").hint(format!(
        "without a jail nothing could be started any more; build it: gaoler up {name}"
    ))
}

/// A jail, its state, and the directory of that.
struct Place {
    name: String,
    state: State,
    directory: PathBuf,
}

impl Place {
    fn of(places: &Places, name: &str) -> Result<Self> {
        Self::find(places, name)?.ok_or_else(|| not_built(name))
    }

    /// `None` if there is no state, and so no guard. Undoing needs no spec.
    fn find(places: &Places, name: &str) -> Result<Option<Self>> {
        valid_name(name)?;
        must_be_root(&format!("guard {name}"))?;
        let state = build::state_of(&places.state, name)?;
        Ok(state.map(|state| Self {
            name: name.to_owned(),
            state,
            directory: places.state.join(name),
        }))
    }

    /// What is to be recorded, of a program that is not guarded yet.
    fn first(&self, places: &Places, command: &Path) -> Result<(Record, Vec<String>)> {
        let program = Program::find(command)?;
        self.is_guarded_by_nobody(places, &program)?;
        let units = guard::units(program.path());
        self.is_of_one_service(&program, &units)?;
        let names = packages::names_in_lists(Path::new("/"), program.path());
        let record = guard::record(&self.name, &program, &names, &units)?;
        let notes = notes(&record, &names, &units);
        Ok((record, notes))
    }

    /// The record of one that is guarded; an upgrade may have given the program another mode.
    fn again(&self, record: Record, command: &Path) -> Result<Record> {
        let program = Program::find(command)?;
        if program.path() != record.program {
            let why = format!(
                "{} is guarded for it, which is not its program any more",
                record.program.display()
            );
            return Err(Error::new(format!("guard {}", self.name), why)
                .hint(format!("gaoler guard {} --undo, and again", self.name)));
        }
        Ok(match program.mode() {
            0 => record,
            mode => Record {
                mode: format!("{mode:04o}"),
                ..record
            },
        })
    }

    fn is_guarded_by_nobody(&self, places: &Places, program: &Program) -> Result<()> {
        let doing = || format!("guard {}", program.path().display());
        let records = guard::all(&places.state)?;
        if let Some(other) = records.iter().find(|other| other.program == program.path()) {
            let why = format!("it is guarded already, for the jail {}", other.name);
            return Err(Error::new(doing(), why));
        }
        if program.mode() == 0 {
            let why = "it has mode 0000 already, and no record says what it was";
            return Err(Error::new(doing(), why)
                .hint("somebody else has done that; give it its mode back first"));
        }
        Ok(())
    }

    fn is_of_one_service(&self, program: &Program, units: &[Unit]) -> Result<()> {
        let mut services: Vec<&str> = units.iter().map(Unit::service).collect();
        services.dedup();
        if services.len() < 2 {
            return Ok(());
        }
        let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
        let doing = format!("guard {}", program.path().display());
        let why = format!("several services execute it: {}", names.join(", "));
        Err(Error::new(doing, why)
            .hint("they would stop working; mask those that are not used (systemctl mask UNIT), and again"))
    }

    /// Undoes a guard, and forgets it when all of it is undone.
    fn forget(&self, record: &Record) -> Result<Done> {
        let done = guard::undo(record)?;
        guard::remove(&self.directory)?;
        Ok(done)
    }
}

/// What a person should know of what is not guarded.
fn notes(record: &Record, names: &[PathBuf], units: &[Unit]) -> Vec<String> {
    let mut notes = Vec::new();
    if names.is_empty() {
        notes.push("no Debian package owns it: what installs it anew gives it its mode back, and check says so".to_owned());
    } else if record.overrides.is_empty() {
        notes.push(
            "there is no dpkg-statoverride: an upgrade gives it its mode back, and check says so"
                .to_owned(),
        );
    }
    let overridden = units.iter().filter(|unit| unit.overridden);
    notes.extend(overridden.map(|unit| {
        format!(
            "{} is your own and is left; it cannot execute the program",
            unit.name
        )
    }));
    let scripts = guard::init_scripts(&record.program);
    notes.extend(scripts.iter().map(|script| {
        format!(
            "{} is left; it cannot execute the program",
            script.display()
        )
    }));
    notes
}
