//! The ELF closure as ld.so computes it: which files glibc's dynamic linker opens for a program
//! that names no path in its environment. Follows ld.so(8) and glibc's `elf/dl-load.c`,
//! `elf/dl-deps.c` and `elf/dl-cache.c`.
//!
//! Not looked at: `LD_LIBRARY_PATH`, `LD_PRELOAD` and `/etc/ld.so.preload`, which are not the
//! program's; and the subdirectories named after capabilities, such as `haswell` or `tls`, which
//! glibc 2.37 dropped. A jail sets no_new_privs, so the secure mode of set-user-id programs is
//! not applied.

mod blocks;
mod cache;
mod closure;
mod exports;
mod inspect;
mod lookup;
mod machine;
mod nearest;
mod object;
mod property;
mod root;
mod search;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{Doing, Error, Result, explain};

use blocks::Blocks;
use cache::LibraryCache;
use machine::Layout;
use object::{Contents, ElfObject};
use root::HostRoot;
use search::Place;

pub use inspect::{ElfInfo, Inspected};
pub use lookup::{Definer, Sought, Standing};
pub use nearest::{Nearest, nearest};
pub use property::ControlFlow;

/// Where ldconfig(8) writes its cache.
const CACHE_PATH: &str = "/etc/ld.so.cache";
/// The largest cache that is read, bytes; a real one of 5000 libraries has half a megabyte.
const CACHE_LIMIT: u64 = 64 << 20;

/// A file that ld.so opens for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The text of the `DT_NEEDED` that asked for it first, or the path of the interpreter.
    pub name: String,
    /// The path by which ld.so opens it: absolute, symbolic links and all.
    pub path: PathBuf,
    /// The object that asked for it first.
    pub needed_by: PathBuf,
}

/// Finds libraries as ld.so of one host does. What it has read it keeps: it stands for the host
/// at one moment.
#[derive(Debug)]
pub struct Resolver {
    root: HostRoot,
    layout: Layout,
    cache: Option<LibraryCache>,
    /// Active `glibc-hwcaps` subdirectories, best first.
    levels: Vec<&'static str>,
    candidates: HashMap<String, Candidate>,
    directories: HashMap<String, bool>,
}

/// What a path has for ld.so.
#[derive(Clone, Debug)]
enum Candidate {
    /// Nothing that can be opened.
    Absent,
    /// A file for another machine or class, which ld.so passes over.
    Foreign(String),
    Found(Library),
}

/// A library that was found.
#[derive(Clone, Debug)]
struct Library {
    object: Arc<ElfObject>,
    /// Device and inode.
    identity: (u64, u64),
}

/// The interpreter and argument of the `#!` line of the file at `path` beneath `root`; `None` if
/// it is no script.
///
/// # Errors
/// If it cannot be opened.
pub fn script(root: &Path, path: &Path) -> Result<Option<(String, Option<String>)>> {
    let opened = HostRoot::new(root)?.open(absolute_text(path)?);
    let file = opened.doing(|| format!("read {}", path.display()))?;
    Ok(inspect::script(&file))
}

impl Resolver {
    /// A resolver for the host at `root`, normally `/`; every path is beneath it. Reads the
    /// host's `ld.so.cache`; one that is missing or damaged is left aside, as by ld.so.
    ///
    /// # Errors
    /// If `root` is not a directory that can be opened.
    pub fn new(root: &Path) -> Result<Self> {
        let root = HostRoot::new(root)?;
        Ok(Self {
            layout: Layout::of(&root),
            cache: read_cache(&root),
            levels: machine::levels(),
            candidates: HashMap::new(),
            directories: HashMap::new(),
            root,
        })
    }

    /// All files that ld.so loads for `program`, an absolute path: its interpreter first, then
    /// the libraries, breadth first, which is the order of their symbols. The program itself is
    /// not among them. A library given as `program` is treated as ldd(1) treats it. A statically
    /// linked program has an empty closure.
    ///
    /// # Errors
    /// If a library is missing (the error says which, who needs it and where it was looked for),
    /// or if the program or a library is damaged, or the program is not a glibc program of this
    /// machine.
    pub fn closure(&mut self, program: &Path) -> Result<Vec<Object>> {
        closure::closure(self, program)
    }

    /// What the file at `path`, an absolute path, is.
    ///
    /// # Errors
    /// If it cannot be read, is not a regular file, or is a damaged ELF file.
    pub fn inspect(&mut self, path: &Path) -> Result<Inspected> {
        inspect::inspect(&self.root, path)
    }

    /// The names of the symbols that the ELF file at `path`, an absolute path, imports from
    /// others; none if it is not an ELF file of this machine.
    ///
    /// # Errors
    /// As [`Resolver::inspect`].
    pub fn imports(&mut self, path: &Path) -> Result<Vec<String>> {
        inspect::imports(&self.root, path)
    }

    /// The first of `places` that has the library `name`, and the path it has it by.
    fn find(&mut self, name: &str, places: &[Place]) -> Result<Option<(String, Library)>> {
        for place in places {
            let found = match place {
                Place::Directory(directory) => self.find_in(directory, name)?,
                Place::Cache { defaults } => self.find_cached(name, *defaults)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn find_in(&mut self, directory: &str, name: &str) -> Result<Option<(String, Library)>> {
        for level in self.levels.clone() {
            let subdirectory = format!("{directory}glibc-hwcaps/{level}/");
            if self.is_directory(&subdirectory)
                && let Some(found) = self.library(format!("{subdirectory}{name}"))?
            {
                return Ok(Some(found));
            }
        }
        self.library(format!("{directory}{name}"))
    }

    fn find_cached(&mut self, name: &str, defaults: bool) -> Result<Option<(String, Library)>> {
        let cached = self
            .cache
            .as_ref()
            .and_then(|cache| cache.lookup(name, &self.levels));
        let Some(path) = cached.map(search::absolute) else {
            return Ok(None);
        };
        let is_default = |path: &str| self.layout.directories.iter().any(|d| path.starts_with(d));
        if !defaults && is_default(&path) {
            return Ok(None);
        }
        self.library(path)
    }

    /// The library at `path`, if ld.so would take it.
    fn library(&mut self, path: String) -> Result<Option<(String, Library)>> {
        match self.candidate(&path)? {
            Candidate::Found(library) => Ok(Some((path, library))),
            Candidate::Absent | Candidate::Foreign(_) => Ok(None),
        }
    }

    fn candidate(&mut self, path: &str) -> Result<Candidate> {
        if let Some(known) = self.candidates.get(path) {
            return Ok(known.clone());
        }
        let candidate = match self.root.open(path) {
            Ok(file) => read_candidate(path, file)?,
            Err(errno) if says_of_path(errno) => Candidate::Absent,
            Err(errno) => {
                return Err(Error::new(format!("open {path}"), explain(&errno.into())));
            }
        };
        self.candidates.insert(path.to_owned(), candidate.clone());
        Ok(candidate)
    }

    fn is_directory(&mut self, path: &str) -> bool {
        if let Some(known) = self.directories.get(path) {
            return *known;
        }
        let is_directory = self.root.is_directory(path);
        self.directories.insert(path.to_owned(), is_directory);
        is_directory
    }
}

/// Whether a failure to open is a property of the path, which sends ld.so to the next directory.
/// Any other is ours (no descriptor left, no memory), and would make us miss what ld.so finds.
fn says_of_path(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::ACCESS
            | Errno::PERM
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::NXIO
            | Errno::NODEV
            | Errno::INVAL
    )
}

/// Reads a file that ld.so would map. A file that is not an ELF object ends its search with an
/// error, and so here.
fn read_candidate(path: &str, file: File) -> Result<Candidate> {
    let what = || format!("read the library {path}");
    let metadata = file.metadata().doing(what)?;
    if !metadata.is_file() {
        return Err(Error::new(what(), "it is not a regular file"));
    }
    let identity = (metadata.dev(), metadata.ino());
    match object::read(Blocks::new(&file)).map_err(|why| Error::new(what(), why))? {
        Contents::Native(object) => Ok(Candidate::Found(Library {
            object: Arc::new(object),
            identity,
        })),
        Contents::Foreign(machine) => Ok(Candidate::Foreign(machine)),
        Contents::Unloadable => Err(Error::new(what(), "it is neither a program nor a library")),
        Contents::NotElf => Err(Error::new(what(), "it is not an ELF file")
            .hint("ld.so stops here too: a linker script or a stub stands in for the library")),
    }
}

fn read_cache(root: &HostRoot) -> Option<LibraryCache> {
    let file = root.open(CACHE_PATH).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(CACHE_LIMIT).read_to_end(&mut bytes).ok()?;
    LibraryCache::parse(&bytes)
}

/// An absolute path as text.
fn absolute_text(path: &Path) -> Result<&str> {
    let what = || format!("examine {}", path.display());
    if !path.is_absolute() {
        return Err(Error::new(what(), "the path is not absolute"));
    }
    path.to_str()
        .ok_or_else(|| Error::new(what(), "the path is not UTF-8"))
}

#[cfg(test)]
mod tests;
