//! The generations of a jail's tree: `STATE/NAME/generations/N/{root,manifest.json}` and
//! `STATE/NAME/current`, a link to one of them.
//!
//! A generation is made under another name, written out, renamed, and then `current` is replaced
//! by one `rename(2)`: at whatever instant the machine stops, `current` leads to a whole tree.

mod keeping;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use super::manifest::Manifest;
use super::{Progress, trusted};
use crate::error::{Doing, Error, Result};
use crate::sys::beneath::Beneath;
pub use keeping::KEPT;

/// How long a build waits for another one of the same jail.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks whether that one is done.
const INTERVAL: Duration = Duration::from_millis(50);
/// Names of generations that are being made or removed begin with these.
const BUILDING: &str = ".building-";
const REMOVING: &str = ".removing-";
/// The directory of the generations in that of a jail.
pub const GENERATIONS: &str = "generations";
const MANIFEST: &str = "manifest.json";
const CURRENT: &str = "current";
const NEW_CURRENT: &str = ".current-new";
/// More generations than anybody keeps.
const MOST_GENERATIONS: usize = 100_000;

/// The state directory of one jail.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    directory: Beneath,
}

/// The state of the jail `name` under `state`, if it has any. Changes nothing.
///
/// # Errors
/// As [`State::create`].
pub fn state_of(state: &Path, name: &str) -> Result<Option<State>> {
    let path = state.join(jail_name(name)?);
    match path.symlink_metadata() {
        Ok(_) => State::open(&trusted::open(state)?, Path::new(name), path).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(|| format!("look at {}", path.display())),
    }
}

impl State {
    /// The state of the jail `name` under `state`; both are made if they are not there.
    ///
    /// # Errors
    /// Somebody other than root and the caller could change it, or a directory above it.
    pub fn create(state: &Path, name: &str) -> Result<Self> {
        let name = Path::new(jail_name(name)?);
        trusted::make_directory(state, 0o711)?;
        let parent = trusted::open(state)?;
        make_once(&parent, name, 0o711, state)?;
        let path = state.join(name);
        let directory = trusted::open_in(&parent, name, &path)?;
        make_once(&directory, Path::new(GENERATIONS), 0o700, &path)?;
        Self::open(&parent, name, path)
    }

    fn open(parent: &Beneath, name: &Path, path: PathBuf) -> Result<Self> {
        let directory = trusted::open_in(parent, name, &path)?;
        trusted::open_in(&directory, Path::new(GENERATIONS), &path.join(GENERATIONS))?;
        Ok(Self { path, directory })
    }

    /// The root directory of a generation.
    pub fn root(&self, generation: u64) -> PathBuf {
        self.path
            .join(GENERATIONS)
            .join(generation.to_string())
            .join("root")
    }

    /// The manifest of a generation.
    ///
    /// # Errors
    /// There is no such generation, or its manifest is damaged.
    pub fn manifest(&self, generation: u64) -> Result<Manifest> {
        let relative = Path::new(GENERATIONS)
            .join(generation.to_string())
            .join(MANIFEST);
        let path = self.path.join(&relative);
        let file = self
            .directory
            .file(&relative)
            .doing(|| format!("open {}", path.display()))?;
        Manifest::read(file.into(), &path)
    }

    /// When the manifest of a generation was written, which is after everything in its tree: in
    /// seconds and nanoseconds since 1970.
    ///
    /// # Errors
    /// There is no such generation.
    pub fn written(&self, generation: u64) -> Result<(i64, i64)> {
        let relative = Path::new(GENERATIONS)
            .join(generation.to_string())
            .join(MANIFEST);
        let doing = || format!("look at {}", self.path.join(&relative).display());
        let file = File::from(self.directory.file(&relative).doing(doing)?);
        let metadata = file.metadata().doing(doing)?;
        Ok((metadata.mtime(), metadata.mtime_nsec()))
    }

    /// The current generation; `None` before the first build.
    ///
    /// # Errors
    /// `current` is not a link that gaoler made.
    pub fn current(&self) -> Result<Option<u64>> {
        let path = self.path.join(CURRENT);
        let target = match self.directory.read_link(Path::new(CURRENT)) {
            Ok(target) => target,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno).doing(|| format!("read the link {}", path.display())),
        };
        let number = target.strip_prefix(GENERATIONS).ok().and_then(number);
        number.map(Some).ok_or_else(|| {
            let why = format!("it leads to {}, which is no generation", target.display());
            Error::new(format!("read the link {}", path.display()), why)
                .hint("remove it, then build again")
        })
    }

    /// All whole generations, oldest first.
    ///
    /// # Errors
    /// `readdir(3)`'s.
    pub fn generations(&self) -> Result<Vec<u64>> {
        let names = self.names()?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| number(Path::new(name)))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Waits for other builds of this jail and keeps them out until the lock is dropped.
    ///
    /// # Errors
    /// The other one is still not done after ten seconds: it says which process that is.
    pub fn lock(&self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Lock<'_>> {
        let path = self.path.join("lock");
        let doing = || format!("lock {}", path.display());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(self.directory.fd(), "lock", flags, mode).doing(doing)?;
        let mut file = File::from(file);
        let started = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if started.elapsed() < PATIENCE => {
                    progress(Progress::Waiting(holder(&mut file)));
                    thread::sleep(INTERVAL);
                }
                Err(Errno::WOULDBLOCK) => {
                    let why = format!("process {} is building this jail", holder(&mut file));
                    return Err(Error::new(doing(), why).hint("wait for it, or end it"));
                }
                Err(errno) => return Err(errno).doing(doing),
            }
        }
        write_holder(&mut file).doing(doing)?;
        Ok(Lock {
            state: self,
            _file: file,
        })
    }

    /// Makes `generation` the current one.
    fn switch(&self, generation: u64) -> Result<()> {
        let doing = || format!("make generation {generation} current");
        let target = Path::new(GENERATIONS).join(generation.to_string());
        self.directory
            .remove_tree(Path::new(NEW_CURRENT))
            .doing(doing)?;
        self.directory
            .make_symlink(Path::new(NEW_CURRENT), &target)
            .doing(doing)?;
        self.directory
            .rename(Path::new(NEW_CURRENT), Path::new(CURRENT))
            .doing(doing)?;
        rustix::fs::fsync(self.directory.fd()).doing(doing)
    }

    /// Removes half a generation, because of `error`, which says so if that fails too.
    fn remove_partial(&self, name: &Path, error: Error) -> Error {
        match self.directory.remove_tree(name) {
            Ok(()) => error,
            Err(errno) => {
                let left = self.path.join(name);
                let why = crate::error::explain(&errno.into());
                error.hint(format!("{} could not be removed: {why}", left.display()))
            }
        }
    }

    fn names(&self) -> Result<Vec<std::ffi::OsString>> {
        let names = self
            .directory
            .names(Path::new(GENERATIONS), MOST_GENERATIONS);
        names.doing(|| format!("read {}", self.path.join(GENERATIONS).display()))
    }
}

/// The right to change a jail's generations.
#[derive(Debug)]
pub struct Lock<'a> {
    state: &'a State,
    /// The lock is on the open file, and goes with it.
    _file: File,
}

impl Lock<'_> {
    /// Removes what builds that were killed have left behind.
    ///
    /// # Errors
    /// `unlink(2)`'s: something is mounted in it, say.
    pub fn remove_leftovers(&self) -> Result<()> {
        for name in self.state.names()? {
            let text = name.to_string_lossy();
            if text.starts_with(BUILDING) || text.starts_with(REMOVING) {
                let path = Path::new(GENERATIONS).join(&name);
                let removed = self.state.directory.remove_tree(&path);
                removed.doing(|| {
                    format!(
                        "remove the leftover {}",
                        self.state.path.join(&path).display()
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Makes the directory of a new generation, under a name that says that it is not done.
    ///
    /// # Errors
    /// The disk is full or read-only.
    pub fn begin(&self) -> Result<New<'_>> {
        let name = Path::new(GENERATIONS).join(format!("{BUILDING}{}", std::process::id()));
        let doing = || format!("make {}", self.state.path.join(&name).display());
        let directory = &self.state.directory;
        directory.make_directory(&name, 0o700).doing(doing)?;
        let root = name.join("root");
        let opened = directory
            .make_directory(&root, 0o700)
            .and_then(|()| directory.beneath(&root));
        let numbered = opened
            .doing(doing)
            .and_then(|root| Ok((root, self.state.generations()?)));
        match numbered {
            Ok((root, generations)) => Ok(New {
                state: self.state,
                name,
                root,
                // The lock keeps others from taking it.
                generation: generations.last().map_or(1, |last| last.saturating_add(1)),
            }),
            Err(error) => Err(self.state.remove_partial(&name, error)),
        }
    }

    /// Makes `generation`, which must be there, the current one: for going back.
    ///
    /// # Errors
    /// There is no such generation.
    pub fn switch(&self, generation: u64) -> Result<()> {
        self.state.manifest(generation)?;
        self.state.switch(generation)
    }
}

/// A generation that is being made.
#[derive(Debug)]
pub struct New<'a> {
    state: &'a State,
    name: PathBuf,
    root: Beneath,
    generation: u64,
}

impl New<'_> {
    /// Its root directory.
    pub fn root(&self) -> &Beneath {
        &self.root
    }

    /// The number that it will have.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Writes its manifest.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let path = self.name.join(MANIFEST);
        let file = self.state.directory.create(&path, 0o444);
        manifest.write(file.doing(|| format!("make {}", path.display()))?.into())
    }

    /// Writes the file `name` beside its manifest.
    ///
    /// # Errors
    /// The disk is full, or there is such a file.
    pub fn write_beside(&self, name: &str, text: &str) -> Result<()> {
        let path = self.name.join(name);
        let doing = || format!("write {}", self.state.path.join(&path).display());
        let file = self.state.directory.create(&path, 0o644).doing(doing)?;
        File::from(file).write_all(text.as_bytes()).doing(doing)
    }

    /// Waits until all of it is on the disk.
    ///
    /// # Errors
    /// The disk failed to write something.
    pub fn sync(&self) -> Result<()> {
        sync(self.root.fd())
    }

    /// Gives it its number, beside the current one.
    ///
    /// # Errors
    /// `rename(2)`'s.
    pub fn finish(self) -> Result<u64> {
        let generation = self.generation;
        let doing = || format!("finish generation {generation}");
        let path = Path::new(GENERATIONS).join(generation.to_string());
        self.state
            .directory
            .rename(&self.name, &path)
            .doing(doing)?;
        let generations = self
            .state
            .directory
            .directory(Path::new(GENERATIONS))
            .doing(doing)?;
        rustix::fs::fsync(generations).doing(doing)?;
        Ok(generation)
    }

    /// Removes what there is of it, because of `error`.
    pub fn abandon(self, error: Error) -> Error {
        self.state.remove_partial(&self.name, error)
    }
}

/// Writes out everything of the file system that `directory` is on.
///
/// One `syncfs(2)`, not an `fsync(2)` per file: a file, its directory and its name must all be
/// there, which would be some hundred calls, each of which may wait for the journal. Since Linux
/// 5.8 it also reports write errors. The price is that others' data on that file system is
/// written too.
pub(super) fn sync(directory: BorrowedFd<'_>) -> Result<()> {
    rustix::fs::syncfs(directory.as_fd()).doing(|| "write the tree out to the disk")
}

/// Makes the directory `name` in `parent`, whose path is `path`, if it is not there.
fn make_once(parent: &Beneath, name: &Path, mode: u32, path: &Path) -> Result<()> {
    match parent.make_directory(name, mode) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("make {}", path.join(name).display())),
    }
}

/// The number that a file name is; only as gaoler writes it, so no `+1` and no `01`.
fn number(name: &Path) -> Option<u64> {
    let text = name.to_str()?;
    let number: u64 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

/// A name that is one component and no option.
fn jail_name(name: &str) -> Result<&str> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(good) || name.starts_with(['.', '-'])
    {
        return Err(Error::usage(
            format!("build {name:?}"),
            "a jail's name is letters, digits, '-', '_' and '.', at most 64, and begins with no '-' or '.'",
        ));
    }
    Ok(name)
}

/// The process that wrote itself into the lock file; 0 if that is not to be read.
fn holder(file: &mut File) -> u32 {
    use std::io::Seek;
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(16).read_to_string(&mut text));
    read.ok()
        .and_then(|_| text.trim().parse().ok())
        .unwrap_or(0)
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    use std::io::Seek;
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
