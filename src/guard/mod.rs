//! Keeps a service from being started outside of its jail by accident: its program on the host
//! loses every permission bit, dpkg is told to leave it so, and the units that start it are masked.
//!
//! How it was is on the disk before anything is changed ([`Record`]), and undoing goes by that
//! alone: at whatever instant gaoler is killed, it can be undone, or done again.
#![forbid(unsafe_code)]

mod overrides;
mod past;
mod program;
mod record;
mod units;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use past::past;
pub use program::Program;
pub use record::{Override, Record, all, load, remove, save};
pub use units::{Unit, init_scripts, units};

use crate::host::command;
use crate::{Error, Result};

/// What it lost: all of it.
const NOTHING: u32 = 0;

/// Where an administrator's own units and masks are (`systemd.unit(5)`).
const MASKS: &str = "/etc/systemd/system";

/// There while systemd is the first process (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// How long a tool of the host may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was done, in lines for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What was changed.
    pub changed: Vec<String>,
    /// What was not, and why.
    pub left: Vec<String>,
}

/// What is to be recorded of the way it is now: nothing is changed. `names` are those that the
/// lists of packages have for the program; dpkg is told of these.
///
/// # Errors
/// dpkg's overrides cannot be read.
pub fn record(name: &str, program: &Program, names: &[PathBuf], units: &[Unit]) -> Result<Record> {
    let known = overrides::load()?;
    let overrides = if overrides::is_there() { names } else { &[] };
    Ok(Record {
        name: name.to_owned(),
        program: program.path().to_owned(),
        mode: format!("{:04o}", program.mode()),
        uid: program.owner().0,
        gid: program.owner().1,
        overrides: overrides
            .iter()
            .map(|path| Override {
                path: path.clone(),
                before: overrides::of(&known, path),
            })
            .collect(),
        masks: units
            .iter()
            .filter(|unit| unit.can_be_masked())
            .map(|unit| Path::new(MASKS).join(&unit.name))
            .collect(),
    })
}

/// Carries out what a record says, which must be on the disk. What is done already stays.
///
/// # Errors
/// What could not be done; what was done before stays, and can be undone.
pub fn set(record: &Record) -> Result<Done> {
    let mut done = Done::default();
    for path in &record.overrides {
        if overrides::add(&path.path, record.uid, record.gid)? {
            let what = format!("dpkg keeps {} at mode 0000", path.path.display());
            done.changed.push(what);
        }
    }
    let mut masked = false;
    for mask in &record.masks {
        if units::mask(mask)? {
            masked = true;
            done.changed.push(format!("masked {}", base(mask)));
        }
    }
    let program = Program::open(&record.program)?;
    if program.mode() != NOTHING {
        program.set_mode(NOTHING)?;
        let what = format!(
            "{}: mode {:04o} -> 0000",
            record.program.display(),
            program.mode()
        );
        done.changed.push(what);
    }
    if masked {
        done.left.extend(reload_units());
    }
    Ok(done)
}

/// Gives back what a record says. What somebody has changed since is left as it is.
///
/// # Errors
/// What could not be given back; the rest was, and it can be tried again.
pub fn undo(record: &Record) -> Result<Done> {
    let mut done = Done::default();
    let mut failed = Vec::new();
    let mut keep = |outcome: Result<()>| failed.extend(outcome.err());
    keep(give_mode_back(record, &mut done));
    keep(give_overrides_back(record, &mut done));
    keep(unmask(record, &mut done));
    match failed.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

/// What does not hold of it any more.
///
/// # Errors
/// dpkg's overrides cannot be read.
pub fn problems(record: &Record) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    if let Ok(program) = Program::open(&record.program)
        && program.mode() != NOTHING
    {
        problems.push(format!(
            "{} has mode {:04o} again: an upgrade gave it back, or a person",
            record.program.display(),
            program.mode()
        ));
    }
    let known = overrides::load()?;
    let is_gone =
        |one: &&Override| !overrides::of(&known, &one.path).is_some_and(|it| it.is_ours());
    problems.extend(record.overrides.iter().filter(is_gone).map(|one| {
        format!(
            "dpkg has no override of {} any more: the next upgrade gives it its mode back",
            one.path.display()
        )
    }));
    let masks = record.masks.iter().filter(|mask| !units::is_masked(mask));
    problems.extend(masks.map(|mask| format!("{} is not masked any more", base(mask))));
    Ok(problems)
}

fn give_mode_back(record: &Record, done: &mut Done) -> Result<()> {
    let path = record.program.display();
    let program = match Program::open(&record.program) {
        Ok(program) => program,
        // Without its package there is nothing to give back.
        Err(_) if !record.program.exists() => {
            done.left.push(format!("{path} is gone"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let mode = record.mode_bits()?;
    if program.mode() == NOTHING {
        program.set_mode(mode)?;
        done.changed
            .push(format!("{path}: mode 0000 -> {mode:04o}"));
    } else if program.mode() != mode {
        done.left.push(format!(
            "{path} has mode {:04o}, not {mode:04o}: it was changed since",
            program.mode()
        ));
    }
    Ok(())
}

fn give_overrides_back(record: &Record, done: &mut Done) -> Result<()> {
    let known = overrides::load()?;
    for one in &record.overrides {
        let path = one.path.display();
        match overrides::of(&known, &one.path) {
            Some(now) if now.is_ours() && one.before.as_ref() != Some(&now) => {
                overrides::give_back(one)?;
                done.changed.push(match &one.before {
                    Some(before) => format!("dpkg's override of {path} is {before} again"),
                    None => format!("dpkg has no override of {path} any more"),
                });
            }
            now if now != one.before => {
                let what = format!("dpkg's override of {path} was changed since: it is left");
                done.left.push(what);
            }
            _ => {}
        }
    }
    Ok(())
}

fn unmask(record: &Record, done: &mut Done) -> Result<()> {
    let mut unmasked = false;
    for mask in &record.masks {
        if units::unmask(mask)? {
            unmasked = true;
            done.changed.push(format!("unmasked {}", base(mask)));
        }
    }
    if unmasked {
        done.left.extend(reload_units());
    }
    Ok(())
}

/// Has systemd read its units again, if it runs. That it could not is worth a line and no more:
/// the program itself cannot be executed.
fn reload_units() -> Option<String> {
    if !Path::new(BOOTED).exists() || !Path::new(SYSTEMCTL).exists() {
        return None;
    }
    let command = [SYSTEMCTL, "daemon-reload"].map(str::to_owned);
    let why = match command::run(&command, PATIENCE) {
        Ok(outcome) if outcome.succeeded() => return None,
        Ok(outcome) => outcome.last_lines(1),
        Err(error) => error.to_string(),
    };
    Some(format!("systemd did not read its units again: {why}"))
}

fn base(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// An error about guarding.
fn refused(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(format!("guard {}", path.display()), why)
}
