//! The place of a trial on the host: `STATE/.trial-NAME-N`. Empty but for a mark, since the
//! worker mounts memory over it, in its own namespace: what is in there goes with the worker.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::super::places::lock;
use super::super::{Places, TRIAL, must_be_ours, valid_name};
use crate::build;
use crate::host::cgroup::Cgroups;
use crate::run::cgroup;
use crate::{Doing, Error, Result, plan};

/// The mark that the real jail was stopped, to be started again.
const STOPPED: &str = "jail-was-stopped";

/// How long the kernel may take to end what was in a worker's namespaces.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked at meanwhile.
const POLL: Duration = Duration::from_millis(5);

/// A place, taken by this process.
#[derive(Debug)]
pub(in crate::verbs) struct Place {
    directory: PathBuf,
    label: String,
    /// Given up by whoever ends.
    _lock: OwnedFd,
}

impl Place {
    /// Makes and takes it; removes what is left of a trial there that was killed.
    ///
    /// # Errors
    /// Another command has it.
    pub(super) fn make(places: &Places, name: &str, number: usize) -> Result<Self> {
        valid_name(name)?;
        build::State::create(&places.state, name)?;
        let (label, directory) = at(places, name, number);
        let doing = || format!("make {}", directory.display());
        match rustix::fs::mkdir(&directory, Mode::from_raw_mode(0o711)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
        must_be_ours(&directory, &doing())?;
        let Some(lock) = lock(&directory).doing(doing)? else {
            return Err(
                Error::setup(format!("try {name} out"), "another command does that now")
                    .hint("wait for it, or end it"),
            );
        };
        let place = Self {
            directory,
            label,
            _lock: lock,
        };
        place.remove_cgroups()?;
        Ok(place)
    }

    /// Its places, as those of a jail.
    pub(super) fn places(&self) -> Places {
        Places {
            etc: self.directory.join("etc"),
            state: self.directory.join("state"),
            run: self.directory.join("run"),
        }
    }

    /// Marks that the real jail is stopped for it, until it is not.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn mark_stopped(&self, stopped: bool) -> Result<()> {
        let mark = self.directory.join(STOPPED);
        let doing = || format!("write {}", mark.display());
        match stopped {
            true => fs::write(&mark, "").doing(doing),
            false => forget(&mark).doing(doing),
        }
    }

    /// Whether one that was killed left the real jail stopped.
    pub(super) fn left_stopped(&self) -> bool {
        self.directory.join(STOPPED).exists()
    }

    /// What its jails were called where limits are.
    fn remove_cgroups(&self) -> Result<()> {
        let directories = plan::cgroup_directories(&self.label, &Cgroups::probe()?);
        let until = Instant::now() + PATIENCE;
        loop {
            match cgroup::remove(&directories) {
                Err(_) if Instant::now() < until => std::thread::sleep(POLL),
                result => return result,
            }
        }
    }
}

impl Drop for Place {
    /// What cannot be removed now is by the next trial.
    fn drop(&mut self) {
        let removed = self.remove_cgroups();
        if removed.is_ok() && !self.left_stopped() {
            match fs::remove_dir(&self.directory) {
                Ok(()) | Err(_) => {}
            }
        }
    }
}

fn at(places: &Places, name: &str, number: usize) -> (String, PathBuf) {
    let label = format!("{TRIAL}{name}-{number}");
    let directory = places.state.join(&label);
    (label, directory)
}

fn forget(mark: &Path) -> std::io::Result<()> {
    match fs::remove_file(mark) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a trial of the jail was killed after it had stopped the jail, and nobody has started it
/// since: in words. `is_running` says that somebody has, and then it is forgotten.
pub fn killed_trial(places: &Places, name: &str, is_running: bool) -> Option<String> {
    valid_name(name).ok()?;
    let (_, directory) = at(places, name, 0);
    let mark = directory.join(STOPPED);
    if !mark.exists() || !rustix::process::geteuid().is_root() {
        return None;
    }
    let lock = lock(&directory).ok()??;
    if is_running {
        let forgotten = forget(&mark).and_then(|()| fs::remove_dir(&directory));
        drop(lock);
        return match forgotten {
            Ok(()) | Err(_) => None,
        };
    }
    Some(format!(
        "{name} was stopped to try it out, and the command that did was killed before it could \
         start it again: gaoler start {name}"
    ))
}
