//! What a message means on this host.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::build::elf::{Inspected, Resolver, Sought, Standing};

use super::{Linker, Message, Problem};

/// The most candidates that are given for one message.
const CANDIDATES: usize = 16;

/// A file of this host that would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its path, symbolic links and all: where a program outside finds it.
    pub path: PathBuf,
    /// Why it is one.
    pub reason: Reason,
}

/// Why a file would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// ld.so finds it on this host by the name that was asked for.
    Searched,
    /// It is at the path that was asked for.
    SamePath,
    /// It has the name that was asked for and lies beside the jail's own libraries, where ld.so
    /// does not look by itself.
    Beside,
    /// It defines the symbol.
    Defines {
        /// How near it is to what the jail has.
        standing: Standing,
        /// The version of the definition; `None` if the library has none.
        version: Option<String>,
    },
    /// It defines the version.
    HasVersion,
    /// The program names it as what runs it.
    Interpreter,
    /// It converts the character set.
    Converter,
}

/// The files of this host that would answer a message, best first. `own` are the programs and
/// libraries that the jail was made from, by their paths on this host, the service's program
/// first. Empty where no file helps: this host has none, or something forbids what was tried
/// ([`Problem::Unmapped`]). Only libraries of this machine are given, and what the host's own
/// programs name as interpreters, whatever the message says.
/// A library of the host that ld.so could not load either is none.
pub fn candidates(resolver: &mut Resolver, message: &Message, own: &[PathBuf]) -> Vec<Candidate> {
    let mut host = Host {
        resolver,
        own,
        linker: message.linker,
    };
    let mut found = match &message.problem {
        Problem::Unopened { library, .. } | Problem::Unusable { library, .. } => {
            host.library(library, message.loading.as_deref())
        }
        Problem::Unmapped { .. } => Vec::new(),
        Problem::UndefinedSymbol {
            symbol,
            version,
            expected_in,
            ..
        } => {
            let version = version.as_deref();
            host.symbol(Sought { symbol, version }, expected_in.as_deref())
        }
        Problem::MissingVersion {
            version,
            library,
            wanted_by,
        } => host.version(version, library, wanted_by),
        Problem::MissingInterpreter { program, .. } => host.interpreter(program),
        Problem::Charset { charset } => given(host.resolver.converter(charset), Reason::Converter),
    };
    let mut seen = HashSet::new();
    found.retain(|candidate| seen.insert(candidate.path.clone()));
    found.truncate(CANDIDATES);
    found
}

fn given(paths: impl IntoIterator<Item = PathBuf>, reason: Reason) -> Vec<Candidate> {
    let candidate = |path| Candidate {
        path,
        reason: reason.clone(),
    };
    paths.into_iter().map(candidate).collect()
}

struct Host<'a> {
    resolver: &'a mut Resolver,
    own: &'a [PathBuf],
    linker: Linker,
}

impl Host<'_> {
    fn library(&mut self, library: &str, loading: Option<&str>) -> Vec<Candidate> {
        let found = if library.contains('/') {
            given(self.at_path(library), Reason::SamePath)
        } else {
            given(self.search(library, loading), Reason::Searched)
        };
        if found.is_empty() {
            return given(self.beside(library), Reason::Beside);
        }
        found
    }

    /// A path in a message is only as good as what it leads to: what is not a library of this
    /// machine is not proposed.
    fn at_path(&mut self, path: &str) -> Option<PathBuf> {
        let absolute = path.starts_with('/');
        absolute.then(|| self.locate(path, &[]))?
    }

    /// As ld.so searches for each that asks for it. Its message does not say who does.
    fn search(&mut self, library: &str, loading: Option<&str>) -> Vec<PathBuf> {
        // musl searches elsewhere, and glibc's libraries are not for its programs.
        if self.linker == Linker::Musl {
            return Vec::new();
        }
        let Some(program) = self.own.first().cloned() else {
            return self.locate(library, &[]).into_iter().collect();
        };
        let mut askers: Vec<PathBuf> = Vec::new();
        for object in self.own {
            if self
                .resolver
                .needed(object)
                .iter()
                .any(|name| name == library)
            {
                askers.push(object.clone());
            }
        }
        let module = loading.map(Path::new).filter(|path| path.is_absolute());
        askers.extend(module.map(Path::to_owned));
        let mut found = Vec::new();
        for asker in &askers {
            let way: &[&Path] = if *asker == program {
                &[asker]
            } else {
                &[&program, asker]
            };
            found.extend(self.locate(library, way));
        }
        if found.is_empty() {
            found.extend(self.locate(library, &[&program]));
        }
        found
    }

    /// A service can name what stops the search, such as the linker scripts of a compiler
    /// (`libm.so`): then there is no such library.
    fn locate(&mut self, library: &str, askers: &[&Path]) -> Option<PathBuf> {
        self.resolver.locate(library, askers).ok().flatten()
    }

    /// A file of that name in the directories of the jail's own libraries: modules are loaded from
    /// where only the service knows.
    fn beside(&mut self, library: &str) -> Vec<PathBuf> {
        let Some(name) = Path::new(library).file_name() else {
            return Vec::new();
        };
        let mut found: Vec<PathBuf> = Vec::new();
        let mut tried = HashSet::new();
        for directory in self.own.iter().filter_map(|path| path.parent()) {
            let path = directory.join(name);
            if !tried.insert(path.clone()) {
                continue;
            }
            let path = path.to_str().and_then(|path| self.at_path(path));
            found.extend(path);
        }
        found
    }

    fn symbol(&mut self, sought: Sought<'_>, expected_in: Option<&str>) -> Vec<Candidate> {
        if self.linker == Linker::Musl {
            return Vec::new();
        }
        let mut definers = self.resolver.definers(sought, self.own, CANDIDATES * 4);
        let name = |path: &Path| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        if let Some(expected) = expected_in.and_then(|library| name(Path::new(library))) {
            definers.sort_by_key(|one| name(&one.path).as_ref() != Some(&expected));
        }
        let candidate = |one: crate::build::elf::Definer| Candidate {
            path: one.path,
            reason: Reason::Defines {
                standing: one.standing,
                version: one.version,
            },
        };
        definers.into_iter().map(candidate).collect()
    }

    /// The host's copies of the library, if they have the version.
    fn version(&mut self, version: &str, library: &str, wanted_by: &str) -> Vec<Candidate> {
        let mut paths: Vec<PathBuf> = self.at_path(library).into_iter().collect();
        if let Some(name) = library.rsplit('/').next() {
            paths.extend(self.search(name, Some(wanted_by)));
        }
        paths.retain(|path| {
            let known = self.resolver.versions(path).unwrap_or_default();
            known.iter().any(|one| one == version)
        });
        given(paths, Reason::HasVersion)
    }

    /// What the host's program names, not what the message does: the jail's may be another.
    fn interpreter(&mut self, program: &str) -> Vec<Candidate> {
        let name = Path::new(program).file_name();
        let same = |path: &&PathBuf| path.as_path() == Path::new(program);
        let alike = |path: &&PathBuf| path.file_name() == name;
        let own = self
            .own
            .iter()
            .find(same)
            .or_else(|| self.own.iter().find(alike));
        let interpreter = own.and_then(|path| match self.resolver.inspect(path) {
            Ok(Inspected::Elf(program)) => program.interpreter,
            Ok(Inspected::Script { interpreter, .. }) => Some(interpreter),
            Ok(Inspected::Data | Inspected::ForeignElf { .. }) | Err(_) => None,
        });
        let there = interpreter.filter(|path| self.resolver.inspect(path).is_ok());
        given(there, Reason::Interpreter)
    }
}
