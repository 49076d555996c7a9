//! The questions that follow a message of the dynamic linker: which file a name means on this
//! host, and which libraries define a symbol or a version.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::blocks::Blocks;
use super::exports::{self, Export};
use super::search::{self, Loaded, Place};
use super::{Candidate, Library, Resolver, absolute_text};

/// The most libraries that are asked for a symbol; a desktop's cache names some 3000.
const LIBRARIES: usize = 1 << 15;
/// The most names that are read of one directory.
const NAMES: usize = 1 << 13;

/// A symbol, as a message names it.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    /// The name, mangled as in the file.
    pub symbol: &'a str,
    /// The version, for a reference that has one.
    pub version: Option<&'a str>,
}

/// How near a library is to the program in question; the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// One of the program's own.
    Own,
    /// `DT_NEEDED` by one of the program's own, which therefore asks for it.
    Needed,
    /// In the host's `ld.so.cache`: any program can ask for it by its name.
    Cached,
    /// Only in a directory of the program's own libraries: a module, most likely.
    Beside,
}

/// A library of the host that defines a symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definer {
    /// The path by which it was come upon, symbolic links and all.
    pub path: PathBuf,
    /// How near it is.
    pub standing: Standing,
    /// The version of the definition; `None` if the library has no versions, which satisfies
    /// every reference.
    pub version: Option<String>,
    /// A weak definition: ld.so takes it like any other, but it is more likely a stand-in.
    pub weak: bool,
}

impl Resolver {
    /// The path by which ld.so opens the library `name`, if this host has it. `askers` are the
    /// objects whose search paths count: the program, and after it, each asked for by the one
    /// before, those that lead to the object that asks. One that cannot be read counts for
    /// nothing. A name with a slash is a path. A program is no library.
    ///
    /// # Errors
    /// If what is found is not an ELF file, which ends ld.so's search too.
    pub fn locate(&mut self, name: &str, askers: &[&Path]) -> Result<Option<PathBuf>> {
        let found = if name.contains('/') {
            self.library(search::absolute(name))?
        } else {
            let places = self.places_of(askers);
            self.find(name, &places)?
        };
        let is_library =
            |found: &Library| found.object.position_independent && !found.object.program;
        Ok(found
            .filter(|(_, found)| is_library(found))
            .map(|(path, _)| path.into()))
    }

    /// What the ELF file at `path`, an absolute path, asks for by `DT_NEEDED` and its kin;
    /// nothing if it is none of this machine, or cannot be read.
    pub fn needed(&mut self, path: &Path) -> Vec<String> {
        let Ok(Candidate::Found(library)) = absolute_text(path).and_then(|p| self.candidate(p))
        else {
            return Vec::new();
        };
        let dependencies = library.object.dependencies.iter();
        dependencies.map(|one| one.name.clone()).collect()
    }

    /// The names of the versions that the library at `path`, an absolute path, defines.
    ///
    /// # Errors
    /// If it cannot be read, or is a damaged ELF file.
    pub fn versions(&mut self, path: &Path) -> Result<Vec<String>> {
        let what = || format!("read {}", path.display());
        let text = absolute_text(path)?;
        let Some(file) = self.regular(text) else {
            return Err(Error::new(
                what(),
                "it is not a regular file that can be read",
            ));
        };
        exports::versions(Blocks::new(&file)).map_err(|why| Error::new(what(), why))
    }

    /// The libraries of this host that define a symbol, nearest first, at most `limit`: among
    /// `own` (absolute paths: a program and its libraries), among what these ask for, in
    /// `ld.so.cache`, and beside `own`. With a version, those that define just that one, or that
    /// have no versions at all; without, those that an unversioned reference binds to. A library
    /// that cannot be read defines nothing.
    pub fn definers(&mut self, sought: Sought<'_>, own: &[PathBuf], limit: usize) -> Vec<Definer> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for (path, standing) in self.candidates_near(own) {
            if seen.len() >= LIBRARIES {
                break;
            }
            let Some(file) = self.regular(&path) else {
                continue;
            };
            if !file
                .metadata()
                .is_ok_and(|m| seen.insert((m.dev(), m.ino())))
            {
                continue;
            }
            if let Some(export) = definition(&file, sought) {
                found.push(Definer {
                    path: path.into(),
                    standing,
                    version: export.version,
                    weak: export.weak,
                });
            }
        }
        // The sort is stable: what is equal stays in the order of the search.
        found.sort_by_key(|one| (one.standing, one.version.is_none(), one.weak));
        found.truncate(limit);
        found
    }

    /// The module of iconv(3) that has the name of a character set, but for case and
    /// punctuation. An alias is not resolved.
    pub fn converter(&self, charset: &str) -> Option<PathBuf> {
        let plain = |name: &str| -> String {
            let letters = name.chars().filter(char::is_ascii_alphanumeric);
            letters.map(|c| c.to_ascii_uppercase()).collect()
        };
        let wanted = plain(charset.split('/').next().unwrap_or_default());
        self.layout.directories.iter().find_map(|directory| {
            let directory = format!("{directory}gconv");
            let named = |path: &String| {
                let name = path
                    .rsplit('/')
                    .next()
                    .and_then(|name| name.strip_suffix(".so"));
                name.is_some_and(|name| plain(name) == wanted)
            };
            self.libraries_in(&directory).find(named).map(PathBuf::from)
        })
    }

    /// Whom to ask for a symbol, nearest first. A path may come twice.
    fn candidates_near(&mut self, own: &[PathBuf]) -> Vec<(String, Standing)> {
        let text = |path: &PathBuf| absolute_text(path).ok().map(str::to_owned);
        let own: Vec<String> = own.iter().filter_map(text).collect();
        let mut all: Vec<(String, Standing)> = Vec::new();
        all.extend(own.iter().map(|path| (path.clone(), Standing::Own)));
        for path in &own {
            all.extend(
                self.needed_paths(path)
                    .into_iter()
                    .map(|p| (p, Standing::Needed)),
            );
        }
        if let Some(cache) = &self.cache {
            all.extend(
                cache
                    .paths(&self.levels)
                    .map(|p| (search::absolute(p), Standing::Cached)),
            );
        }
        let mut directories: Vec<&str> = Vec::new();
        for path in &own {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
        for directory in directories {
            all.extend(self.libraries_in(directory).map(|p| (p, Standing::Beside)));
        }
        all
    }

    fn needed_paths(&mut self, path: &str) -> Vec<String> {
        let names = self.needed(Path::new(path));
        let places = self.places_of(&[Path::new(path)]);
        let mut paths = Vec::new();
        for name in names {
            if let Ok(Some((found, _))) = self.find(&name, &places) {
                paths.push(found);
            }
        }
        paths
    }

    fn libraries_in(&self, directory: &str) -> impl Iterator<Item = String> + use<> {
        let names = self.root.names(&format!("{directory}/"), NAMES);
        let directory = directory.to_owned();
        let is_library = |name: &String| name.contains(".so");
        names
            .into_iter()
            .filter(is_library)
            .map(move |name| format!("{directory}/{name}"))
    }

    /// Where ld.so looks for what the last of `askers` asks for.
    fn places_of(&mut self, askers: &[&Path]) -> Vec<Place> {
        let mut loaded: Vec<Loaded> = Vec::new();
        for asker in askers {
            if let Some(mut object) = self.loaded(asker) {
                object.loader = loaded.len().checked_sub(1);
                loaded.push(object);
            }
        }
        if let Some(last) = loaded.len().checked_sub(1) {
            return search::places(&loaded, last, &self.layout);
        }
        let directories = self.layout.directories.iter().cloned();
        std::iter::once(Place::Cache { defaults: true })
            .chain(directories.map(Place::Directory))
            .collect()
    }

    fn loaded(&mut self, path: &Path) -> Option<Loaded> {
        let text = absolute_text(path).ok()?;
        let origin = self.root.real_path(&self.root.open(text).ok()?).ok()?;
        let Ok(Candidate::Found(Library { object, .. })) = self.candidate(text) else {
            return None;
        };
        Some(Loaded::new(text.to_owned(), &origin, object, &self.layout))
    }

    fn regular(&self, path: &str) -> Option<File> {
        let file = self.root.open(path).ok()?;
        file.metadata().ok()?.is_file().then_some(file)
    }
}

/// The best definition that satisfies a reference.
fn definition(file: &File, sought: Sought<'_>) -> Option<Export> {
    let all = exports::exports(Blocks::new(file), sought.symbol).ok()?;
    let satisfies = |export: &Export| match (sought.version, &export.version) {
        (Some(wanted), Some(version)) => wanted == version,
        (Some(_), None) => false,
        (None, _) => !export.hidden || export.baseline,
    };
    if let Some(found) = all.iter().find(|export| satisfies(export)) {
        return Some(found.clone());
    }
    // ld.so takes the symbol of a library that defines no version for any (dl-lookup.c, "No
    // version information available").
    let unversioned = exports::versions(Blocks::new(file)).is_ok_and(|known| known.is_empty());
    all.into_iter()
        .find(|export| unversioned && export.version.is_none())
}
