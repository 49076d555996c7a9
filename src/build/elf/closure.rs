//! The walk over the dependencies, in the order of glibc's `_dl_map_object_deps`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Doing, Error, Result, explain};

use super::machine::NATIVE;
use super::object::{Dependency, DependencyKind, ElfObject};
use super::search::{self, Loaded, Place};
use super::{Candidate, Library, Object, Resolver, absolute_text, inspect, read_candidate};

/// The program's place in [`Walk::loaded`].
const PROGRAM: usize = 0;

/// See [`Resolver::closure`].
pub(super) fn closure(resolver: &mut Resolver, program: &Path) -> Result<Vec<Object>> {
    let (object, origin) = open_program(resolver, program)?;
    if object.interpreter.is_none() && object.dependencies.is_empty() {
        return Ok(Vec::new());
    }
    let path = absolute_text(program)?.to_owned();
    let program = Loaded::new(path, &origin, object, &resolver.layout);
    let mut walk = Walk::new(resolver, program, &origin);
    walk.load_interpreter()?;
    walk.load_dependencies()?;
    Ok(walk.objects())
}

/// The program, and the path that the kernel gives it, which `$ORIGIN` follows: the one without
/// symbolic links (ld.so reads `/proc/self/exe`).
fn open_program(resolver: &Resolver, program: &Path) -> Result<(Arc<ElfObject>, PathBuf)> {
    let path = absolute_text(program)?;
    let what = || format!("read the program {path}");
    let file = resolver.root.open(path).doing(what)?;
    let origin = resolver.root.real_path(&file)?;
    if let Some(interpreter) = inspect::script_interpreter(&file) {
        return Err(
            Error::new(what(), format!("it is a script, which {interpreter} runs"))
                .hint("ask for the closure of that program instead"),
        );
    }
    match read_candidate(path, file).map_err(|error| Error::new(what(), error.why()))? {
        Candidate::Found(Library { object, .. }) => Ok((object, origin)),
        Candidate::Foreign(machine) => {
            let why = format!("it is for another machine ({machine}), not {}", NATIVE.name);
            Err(Error::new(what(), why))
        }
        Candidate::Absent => Err(Error::new(what(), "it is not there")),
    }
}

/// The state of one closure.
struct Walk<'a> {
    resolver: &'a mut Resolver,
    /// In the order of loading.
    loaded: Vec<Loaded>,
    /// By which name each was asked for first; in step with `loaded`.
    asked_as: Vec<String>,
    /// In the order of symbol lookup: places in `loaded`, and whether the dependencies of each
    /// have been followed.
    order: Vec<(usize, bool)>,
    interpreter: Option<usize>,
    /// The directory of each object, for `$ORIGIN`; in step with `loaded`.
    origins: Vec<String>,
}

impl<'a> Walk<'a> {
    fn new(resolver: &'a mut Resolver, program: Loaded, origin: &Path) -> Self {
        let origins = vec![Loaded::directory(&origin.to_string_lossy())];
        let (asked_as, order) = (vec![program.path.clone()], vec![(PROGRAM, false)]);
        Self {
            resolver,
            loaded: vec![program],
            asked_as,
            order,
            interpreter: None,
            origins,
        }
    }

    /// Loads what `PT_INTERP` names. For a library, which names none, the usual one is there,
    /// as it is in every process that could load the library.
    fn load_interpreter(&mut self) -> Result<()> {
        let Some(program) = self.loaded.first() else {
            return Ok(());
        };
        let named = program.object.interpreter.clone();
        let what = || format!("load the interpreter of {}", program.path);
        let name = named
            .clone()
            .unwrap_or_else(|| NATIVE.interpreter.to_owned());
        let path = search::absolute(&name);
        let found = match self.resolver.candidate(&path)? {
            Candidate::Found(library) => library,
            _ if named.is_none() => return Ok(()),
            Candidate::Absent => {
                let missing = explain(&std::io::Error::from(std::io::ErrorKind::NotFound));
                return Err(Error::new(what(), format!("{path}: {missing}")));
            }
            Candidate::Foreign(machine) => {
                return Err(Error::new(what(), format!("{path} is for {machine}")));
            }
        };
        if found.object.soname.as_deref() != Some(NATIVE.interpreter_soname) {
            return Err(
                Error::new(what(), format!("{path} is not the dynamic linker of glibc"))
                    .hint("only programs of glibc can be closed over; link this one statically"),
            );
        }
        self.interpreter = Some(self.push(path, name, found.object, None));
        Ok(())
    }

    /// Follows the dependencies of every object once. What `DT_FILTER` asks for stands before
    /// the object that asks, and is followed next.
    fn load_dependencies(&mut self) -> Result<()> {
        while let Some(at) = self.order.iter().position(|(_, followed)| !followed) {
            let Some((asking, followed)) = self.order.get_mut(at) else {
                break;
            };
            *followed = true;
            let asking = *asking;
            let Some(object) = self.loaded.get(asking) else {
                break;
            };
            for dependency in object.object.clone().dependencies.iter() {
                if let Some(found) = self.load(asking, dependency)? {
                    self.arrange(asking, found, dependency.kind);
                }
            }
        }
        Ok(())
    }

    fn arrange(&mut self, asking: usize, found: usize, kind: DependencyKind) {
        let place = |order: &[(usize, bool)], wanted: usize| {
            order.iter().position(|(object, _)| *object == wanted)
        };
        let known = place(&self.order, found);
        if kind == DependencyKind::Needed {
            if known.is_none() {
                self.order.push((found, false));
            }
            return;
        }
        let Some(here) = place(&self.order, asking) else {
            return;
        };
        match known {
            Some(known) if known > here => {
                let entry = self.order.remove(known);
                self.order.insert(here, entry);
            }
            Some(_) => {}
            None => self.order.insert(here, (found, false)),
        }
    }

    /// The object that satisfies a dependency, loaded now or before. `None` for one that may be
    /// missing and is.
    fn load(&mut self, asking: usize, dependency: &Dependency) -> Result<Option<usize>> {
        let origin = self.origins.get(asking).map_or("/", String::as_str);
        let name = search::expand(&dependency.name, origin, &self.resolver.layout);
        if let Some(known) = self.loaded.iter().position(|object| object.answers(&name)) {
            return Ok(Some(known));
        }
        let optional = dependency.kind == DependencyKind::Auxiliary;
        let places = search::places(&self.loaded, asking, &self.resolver.layout);
        let found = if name.contains('/') {
            self.resolver.library(search::absolute(&name))
        } else {
            self.resolver.find(&name, &places)
        };
        match found {
            Ok(Some((path, library))) => {
                self.add(asking, name, path, library, dependency).map(Some)
            }
            Ok(None) | Err(_) if optional => Ok(None),
            Ok(None) => Err(self.missing(asking, &name, &places)),
            Err(error) => Err(error),
        }
    }

    /// Takes a file in, unless it is loaded already under another path.
    fn add(
        &mut self,
        asking: usize,
        name: String,
        path: String,
        library: Library,
        dependency: &Dependency,
    ) -> Result<usize> {
        let same = |object: &Loaded| object.identity == Some(library.identity);
        if let Some(known) = self.loaded.iter().position(same) {
            if let Some(object) = self.loaded.get_mut(known) {
                object.names.push(name);
            }
            return Ok(known);
        }
        if !library.object.position_independent || library.object.program {
            let why = "it is a program, which ld.so does not load as a library";
            return Err(Error::new(format!("load {path}"), why));
        }
        let at = self.push(path, dependency.name.clone(), library.object, Some(asking));
        if let Some(object) = self.loaded.get_mut(at) {
            object.identity = Some(library.identity);
            object.names.push(name);
        }
        Ok(at)
    }

    fn push(
        &mut self,
        path: String,
        asked_as: String,
        object: Arc<ElfObject>,
        loader: Option<usize>,
    ) -> usize {
        let mut loaded = Loaded::new(
            path.clone(),
            Path::new(&path),
            object,
            &self.resolver.layout,
        );
        loaded.loader = loader;
        loaded.names.push(asked_as.clone());
        self.origins.push(Loaded::directory(&path));
        self.asked_as.push(asked_as);
        self.loaded.push(loaded);
        self.loaded.len() - 1
    }

    fn missing(&self, asking: usize, name: &str, places: &[Place]) -> Error {
        let who = self
            .loaded
            .get(asking)
            .map_or("the program", |object| object.path.as_str());
        let what = format!("find the library {name}, which {who} needs");
        if name.contains('/') {
            return Error::new(what, "no library for this machine is at that path");
        }
        let words = |place: &Place| match place {
            Place::Directory(directory) => directory.clone(),
            Place::Cache { .. } => super::CACHE_PATH.to_owned(),
        };
        let places: Vec<String> = places.iter().map(words).collect();
        Error::new(what, format!("it is not in {}", places.join(", ")))
            .hint("install the package that has it; after a new directory, run ldconfig")
    }

    /// The interpreter, where the program names one, and then the rest in order.
    fn objects(&self) -> Vec<Object> {
        let names_one = self
            .loaded
            .first()
            .is_some_and(|p| p.object.interpreter.is_some());
        let first = self.interpreter.filter(|_| names_one);
        let rest = self.order.iter().map(|(at, _)| *at);
        let rest = rest.filter(|at| *at != PROGRAM && Some(*at) != first);
        first
            .into_iter()
            .chain(rest)
            .filter_map(|at| self.object(at))
            .collect()
    }

    fn object(&self, at: usize) -> Option<Object> {
        let (loaded, name) = (self.loaded.get(at)?, self.asked_as.get(at)?);
        let needed_by = self.loaded.get(loaded.loader.unwrap_or(PROGRAM))?;
        Some(Object {
            name: name.clone(),
            path: PathBuf::from(&loaded.path),
            needed_by: PathBuf::from(&needed_by.path),
        })
    }
}
