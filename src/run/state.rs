//! What is known about a running jail, in its directory below `/run/gaoler`: who wrote it is
//! root, and a process is always named by its pid and its start time.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use super::Ended;
use super::cgroup::Reached;
use super::sockets::Held;
use crate::host::process;
use crate::plan::Managed;
use crate::{Doing, Error, Result};

/// The file's name.
const FILE: &str = "state.json";
/// The name that it is written under.
const HALF: &str = ".state.json.new";

/// One process for good: a pid alone may be somebody else by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessName {
    /// Its pid on the host.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// See [`process::handle_number`]: one that follows within the same clock tick has another.
    #[serde(default)]
    pub handle_number: Option<u64>,
}

impl ProcessName {
    /// The process that has this pid now.
    ///
    /// # Errors
    /// There is none.
    pub fn of(pid: i32) -> Result<Self> {
        Ok(Self {
            pid,
            start_time: process::start_time(pid)?,
            handle_number: Some(process::handle_number(pid)?),
        })
    }

    /// One that has this pid no more, or never had: it is not alive.
    pub fn ended(pid: i32) -> Self {
        Self {
            pid,
            start_time: 0,
            handle_number: None,
        }
    }

    /// A handle on whoever has its pid now: to be believed if it [is alive](Self::is_alive) then.
    ///
    /// # Errors
    /// Nobody has it.
    pub fn open(self) -> rustix::io::Result<OwnedFd> {
        let pid = Pid::from_raw(self.pid).ok_or(Errno::SRCH)?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty())
    }

    /// Whether it still runs.
    pub fn is_alive(self) -> bool {
        let is_same = |number| process::handle_number(self.pid).is_ok_and(|now| now == number);
        process::figures(self.pid)
            .is_ok_and(|now| now.start_time == self.start_time && !['Z', 'X'].contains(&now.state))
            && self.handle_number.is_none_or(is_same)
    }
}

/// A started jail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The jail's name.
    pub name: String,
    /// The generation that was started.
    pub generation: u64,
    /// The service.
    pub service: ProcessName,
    /// The first process of its pid namespace, where it has one.
    pub init: Option<ProcessName>,
    /// The supervisor; `None` after `run --exec`.
    pub supervisor: Option<ProcessName>,
    /// Its cgroup directories.
    pub cgroups: Vec<PathBuf>,
    /// The sockets that its supervisor keeps, or that the service was given where there is none.
    #[serde(default)]
    pub sockets: Vec<Held>,
    /// What a manager gives the service, where nobody stays between them.
    #[serde(default)]
    pub managed: Managed,
    /// Those that only count what it uses; one that could not be made is not there.
    #[serde(default)]
    pub counting: Vec<PathBuf>,
    /// The system calls that only starting needs have come to their end, if there are any.
    pub serving: bool,
    /// What the filter would refuse runs.
    #[serde(default)]
    pub complaining: bool,
    /// It has said by itself that it is ready (`sd_notify(3)`).
    #[serde(default)]
    pub notified: bool,
    /// Why its start is not over yet, if an exercise of it was tried and has failed.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// It has shown every sign that it is ready.
    #[serde(default)]
    pub ready: bool,
    /// Its service has ended, and its supervisor waits to start it again.
    #[serde(default)]
    pub restarting: bool,
    /// How often it was started again, for whatever reason, since it was built first.
    #[serde(default)]
    pub restarts: u64,
}

impl State {
    /// Its directories in all cgroup hierarchies: where [`super::cgroup::usage`] looks.
    pub fn cgroup_directories(&self) -> Vec<PathBuf> {
        self.cgroups.iter().chain(&self.counting).cloned().collect()
    }

    /// Whether its supervisor waits to start it again.
    pub fn is_restarting(&self) -> bool {
        self.restarting && self.supervisor.is_some_and(ProcessName::is_alive)
    }

    /// Whether its service runs and the supervisor that it had has been killed.
    pub fn is_unwatched(&self) -> bool {
        self.service.is_alive() && self.supervisor.is_some_and(|process| !process.is_alive())
    }

    /// Writes the state in one rename.
    ///
    /// # Errors
    /// The directory is not there or not writable.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let beside = directory.join(HALF);
        let doing = || format!("write {}", path.display());
        let text = serde_json::to_string(self).map_err(|error| Error::new(doing(), error))?;
        fs::write(&beside, text).doing(doing)?;
        fs::rename(&beside, &path).doing(doing)
    }

    /// Reads the state, if there is one.
    ///
    /// # Errors
    /// A file that somebody else owns or that is no state.
    pub fn load(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let doing = || format!("read {}", path.display());
        let forged = || {
            Error::new(doing(), "somebody else could have written it")
                .hint("remove it, and look who can write in that directory")
        };
        // Opened once: its supervisor may remove it at any moment.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => fs::File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(forged()),
            Err(errno) => return Err(errno).doing(doing),
        };
        let metadata = file.metadata().doing(doing)?;
        let own = rustix::process::geteuid().as_raw();
        if !metadata.is_file() || metadata.uid() != own || metadata.mode() & 0o022 != 0 {
            return Err(forged());
        }
        let mut text = String::new();
        file.read_to_string(&mut text).doing(doing)?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| Error::new(doing(), error))
    }

    /// Forgets the state, and one that could not be written to its end.
    ///
    /// # Errors
    /// The directory is not writable.
    pub fn remove(directory: &Path) -> Result<()> {
        remove_file(&directory.join(HALF))?;
        remove_file(&directory.join(FILE))
    }

    /// The state of a jail that runs; one whose service has ended is as good as none.
    ///
    /// # Errors
    /// As [`State::load`].
    pub fn running(directory: &Path) -> Result<Option<Self>> {
        Ok(Self::load(directory)?.filter(|state| state.service.is_alive()))
    }
}

/// A jail's directory, held open from before its root is changed.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Handle {
    /// Opens it, out of the way of the descriptors that a launch numbers itself.
    ///
    /// # Errors
    /// It is not there.
    pub fn open(directory: &Path) -> Result<Self> {
        let doing = || format!("open {}", directory.display());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty()).doing(doing)?;
        super::prepare::high(opened).map(Self)
    }

    /// Removes the state if that is still possible. A launch that failed late has given up the
    /// right to, or closed the descriptor; what stays names a process that has ended.
    pub fn forget(&self) {
        match rustix::fs::unlinkat(&self.0, FILE, AtFlags::empty()) {
            Ok(()) | Err(_) => {}
        }
    }
}

/// How a jail ended last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// How the service ended.
    pub ended: Ended,
    /// The last lines that it printed or logged.
    pub words: String,
    /// How often limits of its cgroups were reached.
    #[serde(default)]
    pub reached: Reached,
    /// Somebody had asked for it.
    #[serde(default)]
    pub stopped: bool,
    /// Why it was ended because it did not show that it lives.
    #[serde(default)]
    pub dead: Option<String>,
    /// Why it was not started again although the spec has that.
    #[serde(default)]
    pub stays_down: Option<String>,
}

impl Last {
    /// The file's name.
    const FILE: &str = "last.json";

    /// Writes it.
    ///
    /// # Errors
    /// The directory is not writable.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(Self::FILE);
        let doing = || format!("write {}", path.display());
        let text = serde_json::to_string(self).map_err(|error| Error::new(doing(), error))?;
        fs::write(&path, text).doing(doing)
    }

    /// Forgets it, so that the words of one run are not taken for those of the next.
    ///
    /// # Errors
    /// The directory is not writable.
    pub fn remove(directory: &Path) -> Result<()> {
        remove_file(&directory.join(Self::FILE))
    }

    /// Reads it, if it is there and whole.
    pub fn load(directory: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(directory.join(Self::FILE)).ok()?).ok()
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).doing(|| format!("remove {}", path.display())),
    }
}

/// Takes the jail for one supervisor, until the descriptor is closed: whoever dies gives it up.
///
/// # Errors
/// Another one has it.
pub fn lock(directory: &Path) -> Result<OwnedFd> {
    let taken = || {
        let doing = format!("lock {}", directory.join("lock").display());
        Error::setup(doing, "another supervisor has this jail")
            .hint("see what runs: gaoler status NAME; if it hangs in its start, stop that process")
    };
    try_lock(directory)?.ok_or_else(taken)
}

/// The same; `None` if another one has it.
///
/// # Errors
/// The file cannot be opened.
pub fn try_lock(directory: &Path) -> Result<Option<OwnedFd>> {
    let path = directory.join("lock");
    let doing = || format!("lock {}", path.display());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).doing(doing)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        // Above the numbers that a launch gives, so that it lasts until execve.
        Ok(()) => super::prepare::high(file).map(Some),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno).doing(doing),
    }
}

/// Makes the jail's directory, root's own and closed to writing by others.
///
/// # Errors
/// It exists and is not like that.
pub fn make_directory(directory: &Path) -> Result<()> {
    let doing = || format!("make {}", directory.display());
    fs::create_dir_all(directory).doing(doing)?;
    let own = rustix::process::geteuid().as_raw();
    if let Some(above) = directory.parent() {
        let metadata = fs::metadata(above).doing(doing)?;
        if metadata.uid() != own || metadata.mode() & 0o022 != 0 {
            let why = format!("others can rename what is in {}", above.display());
            return Err(Error::setup(doing(), why)
                .hint(format!("chown root {0}; chmod go-w {0}", above.display())));
        }
    }
    let metadata = fs::symlink_metadata(directory).doing(doing)?;
    if !metadata.is_dir() || metadata.uid() != own {
        return Err(Error::setup(
            doing(),
            "it is there and belongs to somebody else, or is no directory",
        )
        .hint("remove it, and look who can write in that directory"));
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).doing(doing)
}
