//! Where everything is: the one place that decides it.

use std::env;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::is_ordinary;
use crate::host::users;

/// How the directory of a trial begins, which no jail's name does.
pub(super) const TRIAL: &str = ".trial-";

/// Running jails of a user without a runtime directory: no jail's name begins so.
const RUN: &str = ".run";

/// Takes a directory for this process; `None`: another one has it.
///
/// # Errors
/// It is not there, or no directory.
pub(super) fn lock(directory: &Path) -> rustix::io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())?;
    match rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(opened)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Where everything is.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    /// The specs: `/etc/gaoler`; `$XDG_CONFIG_HOME/gaoler`.
    pub etc: PathBuf,
    /// The root trees: `/var/lib/gaoler`; `$XDG_STATE_HOME/gaoler`.
    pub state: PathBuf,
    /// Running jails: `/run/gaoler`; `$XDG_RUNTIME_DIR/gaoler`.
    pub run: PathBuf,
}

impl Default for Places {
    /// Root's places, or those of the ordinary user who runs this.
    fn default() -> Self {
        if is_ordinary() {
            let uid = rustix::process::getuid().as_raw();
            let home = || {
                users::user_by_id(uid)
                    .ok()
                    .flatten()
                    .map(|user| user.home.into())
            };
            return Self::of_user(&|name| env::var_os(name).map(PathBuf::from), home);
        }
        Self {
            etc: PathBuf::from("/etc/gaoler"),
            state: PathBuf::from("/var/lib/gaoler"),
            run: PathBuf::from("/run/gaoler"),
        }
    }
}

impl Places {
    /// An ordinary user's, as the XDG Base Directory Specification has them: what is not an
    /// absolute path is ignored. Where nobody has set up a runtime directory, as for who has not
    /// logged in, what runs is known beside the trees.
    fn of_user(
        variable: &dyn Fn(&str) -> Option<PathBuf>,
        home: impl FnOnce() -> Option<PathBuf>,
    ) -> Self {
        let absolute = |name: &str| variable(name).filter(|path| path.has_root());
        let home = absolute("HOME").or_else(home);
        let home = home.unwrap_or_else(|| PathBuf::from("/nonexistent"));
        let place = |name, otherwise| absolute(name).unwrap_or_else(|| home.join(otherwise));
        let state = place("XDG_STATE_HOME", ".local/state").join("gaoler");
        Self {
            etc: place("XDG_CONFIG_HOME", ".config").join("gaoler"),
            run: match absolute("XDG_RUNTIME_DIR") {
                Some(directory) => directory.join("gaoler"),
                None => state.join(RUN),
            },
            state,
        }
    }

    /// All three.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        vec![self.etc.clone(), self.state.clone(), self.run.clone()]
    }

    /// Where a jail's messages go if nobody else takes them; those of a trial stay with it.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        if self.trial().is_some() {
            return self.state.join("log");
        }
        if is_ordinary() {
            return self.state.join(name).join("log");
        }
        Path::new("/var/log").join(format!("gaoler-{name}.log"))
    }

    /// The spec of a jail.
    pub fn spec(&self, name: &str) -> PathBuf {
        self.etc.join(format!("{name}.toml"))
    }

    /// What the service did when it was learned.
    pub fn trace(&self, name: &str) -> PathBuf {
        self.state.join(name).join("trace.json")
    }

    /// What is kept, beside the trace of a spec, of a run that was incomplete.
    pub fn incomplete_trace(&self, name: &str) -> PathBuf {
        self.state.join(name).join("trace-incomplete.json")
    }

    /// What is kept of a run while it is learned, and left if gaoler is killed.
    pub fn unfinished_trace(&self, name: &str) -> PathBuf {
        self.state.join(name).join("trace.unfinished.json")
    }

    /// What a trial of a jail is called, if these are its places: `.trial-NAME-0`. What is named
    /// after the jail elsewhere is named so then.
    pub(crate) fn trial(&self) -> Option<&str> {
        let name = self.state.parent()?.file_name()?.to_str()?;
        name.starts_with(TRIAL).then_some(name)
    }

    /// The state in which the guards of jails are recorded: these, and outside of a trial's.
    pub(crate) fn guards(&self) -> &Path {
        match (self.trial(), self.state.ancestors().nth(2)) {
            (Some(_), Some(real)) => real,
            _ => &self.state,
        }
    }

    /// What `minimize` knows before it is done.
    pub fn minimizing(&self, name: &str) -> PathBuf {
        self.state.join(name).join("minimize.json")
    }

    /// The directory of a running jail.
    pub fn runtime(&self, name: &str) -> PathBuf {
        self.run.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(variables: &[(&str, &str)]) -> Places {
        let variable = |name: &str| {
            let mut set = variables.iter();
            set.find(|(set, _)| *set == name)
                .map(|(_, value)| value.into())
        };
        Places::of_user(&variable, || Some("/home/u".into()))
    }

    fn of(etc: &str, state: &str, run: &str) -> Places {
        Places {
            etc: etc.into(),
            state: state.into(),
            run: run.into(),
        }
    }

    #[test]
    fn an_ordinary_users_places_are_those_of_xdg() {
        let all = [
            ("HOME", "/h"),
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_RUNTIME_DIR", "/r"),
        ];
        assert_eq!(places(&all), of("/c/gaoler", "/s/gaoler", "/r/gaoler"));
    }

    #[test]
    fn without_them_they_are_in_the_home() {
        let found = of(
            "/h/.config/gaoler",
            "/h/.local/state/gaoler",
            "/h/.local/state/gaoler/.run",
        );
        assert_eq!(places(&[("HOME", "/h")]), found);
        let relative = [
            ("HOME", "/h"),
            ("XDG_CONFIG_HOME", "c"),
            ("XDG_RUNTIME_DIR", ""),
        ];
        assert_eq!(places(&relative), found);
        assert_eq!(places(&[]).etc, Path::new("/home/u/.config/gaoler"));
    }
}
