//! What the exercises did not reach: computed from a trace and from plain facts of the host, so
//! that a person sees what may be missing from a spec before the service does.

mod strings;
#[cfg(test)]
mod tests;
mod wrappers;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::trace::{Trace, Use};
use crate::spec::Exercise;
pub use strings::shared_object_names;

/// How the names of configuration directories in `/etc` begin that other programs read: the init
/// system, cron, log rotation, the shell, the firewall, AppArmor's loader.
const OF_OTHERS: [&str; 13] = [
    "/etc/apparmor.d/",
    "/etc/bash_completion.d/",
    "/etc/cron",
    "/etc/default/",
    "/etc/dhcp/",
    "/etc/init.d/",
    "/etc/init/",
    "/etc/insserv",
    "/etc/logrotate.d/",
    "/etc/network/",
    "/etc/ppp/",
    "/etc/systemd/",
    "/etc/ufw/",
];

/// What is known beside the trace.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The exercises of gaoler's knowledge and of the spec.
    pub exercises: Vec<Exercise>,
    /// The packages that own the program, or why none is known.
    pub packages: Packages,
    /// What is in the programs that were executed and the libraries that were mapped.
    pub objects: Vec<Object>,
}

/// The packages that own the program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packages {
    /// Their names.
    pub names: Vec<String>,
    /// Their regular files.
    pub files: Vec<PackageFile>,
    /// Why there are none, if there are none.
    pub why_none: Option<String>,
}

/// A regular file of a package.
#[derive(Clone, Debug, PartialEq)]
pub struct PackageFile {
    /// Its path without links.
    pub path: PathBuf,
    /// Somebody may execute it.
    pub executable: bool,
}

/// A program or library, as far as its file tells.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// Its path.
    pub path: PathBuf,
    /// Strings in it that look like the names of shared objects.
    pub names: BTreeSet<String>,
    /// The symbols that it imports.
    pub imports: Vec<String>,
}

/// What a run did not reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Exercises that are known and did not run.
    pub exercises_not_run: Vec<Missed>,
    /// Exercises that ran and were not passed every time.
    pub exercises_failed: Vec<Missed>,
    /// The packages whose files were looked at.
    pub packages: Vec<String>,
    /// Why there are none, if there are none.
    pub packages_unknown: Option<String>,
    /// Files of the packages that matter at run time and that were never opened.
    pub files_not_opened: Vec<NotOpened>,
    /// Names of shared objects in the programs and libraries that were never asked for.
    pub names_not_asked: Vec<NotAsked>,
    /// Calls that an imported function makes and that were never seen: a hint, because the
    /// function may never be called, or may make another call.
    pub calls_hinted: Vec<Hinted>,
}

/// An exercise that shows nothing about the service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Missed {
    /// Its name.
    pub name: String,
    /// Its command.
    pub command: Vec<String>,
}

/// A file of a package that was never opened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NotOpened {
    /// Its path.
    pub path: PathBuf,
    /// What it is to the service.
    pub kind: FileKind,
}

/// Which files of a package matter at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// In `/etc`.
    Configuration,
    /// A shared object that others need by name: `lib*.so*`.
    Library,
    /// Another shared object: a plug-in.
    Module,
    /// What can be executed.
    Program,
}

/// The name of a shared object that was never asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NotAsked {
    /// The name, as it is in the file.
    pub name: String,
    /// The files that have it.
    pub objects: Vec<PathBuf>,
}

/// A call that was never seen, though something imports a function that makes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hinted {
    /// Its name.
    pub name: String,
    /// The functions.
    pub symbols: Vec<String>,
    /// The files that import them.
    pub objects: Vec<PathBuf>,
}

impl Coverage {
    /// Everything that can be said was reached; hints do not count.
    pub fn is_full(&self) -> bool {
        self.exercises_not_run.is_empty()
            && self.exercises_failed.is_empty()
            && self.files_not_opened.is_empty()
            && self.names_not_asked.is_empty()
    }
}

/// What the run of this trace did not reach.
pub fn coverage(trace: &Trace, facts: &Facts) -> Coverage {
    Coverage {
        exercises_not_run: not_run(trace, &facts.exercises),
        exercises_failed: failed(trace),
        packages: facts.packages.names.clone(),
        packages_unknown: facts.packages.why_none.clone(),
        files_not_opened: not_opened(trace, &facts.packages.files),
        names_not_asked: not_asked(trace, &facts.objects),
        calls_hinted: hinted(trace, &facts.objects),
    }
}

fn not_run(trace: &Trace, known: &[Exercise]) -> Vec<Missed> {
    let mut told = BTreeSet::new();
    let ran = |name: &str| {
        let mut runs = trace.certificate.exercises.iter();
        runs.any(|run| run.name == name)
    };
    known
        .iter()
        .filter(|exercise| !ran(&exercise.name) && told.insert(exercise.name.as_str()))
        .map(|exercise| Missed {
            name: exercise.name.clone(),
            command: exercise.command.clone(),
        })
        .collect()
}

fn failed(trace: &Trace) -> Vec<Missed> {
    let mut told = BTreeSet::new();
    let runs = trace.certificate.exercises.iter();
    runs.filter(|run| !run.passed && told.insert(run.name.as_str()))
        .map(|run| Missed {
            name: run.name.clone(),
            command: run.command.clone(),
        })
        .collect()
}

/// Looking at a file is not opening it.
fn not_opened(trace: &Trace, files: &[PackageFile]) -> Vec<NotOpened> {
    const OPENING: [Use; 5] = [Use::Execute, Use::Map, Use::Read, Use::Write, Use::Create];
    let opened: BTreeSet<&Path> = trace
        .paths
        .iter()
        .filter(|seen| OPENING.iter().any(|kind| seen.uses.contains(kind)))
        .flat_map(|seen| std::iter::once(&seen.host).chain(&seen.asked))
        .map(PathBuf::as_path)
        .collect();
    let missed: BTreeMap<&Path, FileKind> = files
        .iter()
        .filter(|file| !opened.contains(file.path.as_path()))
        .filter_map(|file| Some((file.path.as_path(), kind(file)?)))
        .collect();
    missed
        .into_iter()
        .map(|(path, kind)| NotOpened {
            path: path.to_owned(),
            kind,
        })
        .collect()
}

/// What a file of a package is to a service that runs; `None` for documents, translations and
/// what other programs read.
fn kind(file: &PackageFile) -> Option<FileKind> {
    let text = file.path.to_str()?;
    if text.starts_with("/etc/") {
        let of_others = OF_OTHERS.iter().any(|place| text.starts_with(place));
        return (!of_others).then_some(FileKind::Configuration);
    }
    let name = file.path.file_name()?.to_str()?;
    if strings::is_shared_object(name) {
        let is_library = name.starts_with("lib");
        return Some(if is_library {
            FileKind::Library
        } else {
            FileKind::Module
        });
    }
    let is_data = text.starts_with("/usr/share/");
    (file.executable && !is_data).then_some(FileKind::Program)
}

/// A failed lookup is asking, too: the name was tried.
fn not_asked(trace: &Trace, objects: &[Object]) -> Vec<NotAsked> {
    let asked: BTreeSet<&OsStr> = trace
        .paths
        .iter()
        .flat_map(|seen| std::iter::once(&seen.host).chain(&seen.asked))
        .filter_map(|path| path.file_name())
        .collect();
    let was_asked = |name: &str| {
        let own = Path::new(name).file_name();
        own.is_none_or(|own| asked.contains(own))
    };
    let mut missed: BTreeMap<&str, BTreeSet<&Path>> = BTreeMap::new();
    for object in objects {
        for name in object.names.iter().filter(|name| !was_asked(name)) {
            missed.entry(name).or_default().insert(&object.path);
        }
    }
    missed
        .into_iter()
        .map(|(name, objects)| NotAsked {
            name: name.to_owned(),
            objects: owned(objects),
        })
        .collect()
}

fn hinted(trace: &Trace, objects: &[Object]) -> Vec<Hinted> {
    let seen: BTreeSet<&str> = trace.calls.iter().map(|call| call.name.as_str()).collect();
    let mut missed: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&Path>)> = BTreeMap::new();
    for object in objects {
        for symbol in &object.imports {
            let Some(call) = wrappers::call_of(symbol) else {
                continue;
            };
            if wrappers::alternatives(call).any(|name| seen.contains(name)) {
                continue;
            }
            let (symbols, objects) = missed.entry(call).or_default();
            symbols.insert(symbol);
            objects.insert(&object.path);
        }
    }
    missed
        .into_iter()
        .map(|(name, (symbols, objects))| Hinted {
            name: name.to_owned(),
            symbols: symbols.into_iter().map(str::to_owned).collect(),
            objects: owned(objects),
        })
        .collect()
}

fn owned(paths: BTreeSet<&Path>) -> Vec<PathBuf> {
    paths.into_iter().map(Path::to_owned).collect()
}
