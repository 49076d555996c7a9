//! From a spec, a manifest and the host to a [`Plan`]: every ordering decision, no I/O.
#![forbid(unsafe_code)]

mod assemble;
mod confine;
mod describe;
mod managed;
mod mounts;
mod others;
mod packed;
mod policy;
mod restrict;
mod rootless;
mod sockets;
pub mod step;
mod testing;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use crate::spec::{
    Exercise, Listen, Liveness, LogSigns, LogSink, LogTo, MOST_RESTARTS, MOST_SOCKETS,
    Ready as Sign, Restart, When, duration_text,
};
pub use assemble::{Inputs, Mode, assemble};
pub use managed::Managed;
pub use others::{Besides, filter_for_others, rules_for_others};
pub use policy::{
    Descriptors, FIRST_PASSED, argument_that_decides, cgroup_directories, native_architecture,
    unheard,
};
pub use restrict::resolve;
pub use rootless::{GROUPS, NEIGHBOURS, OWNER};
pub use step::{Content, Phase, PlannedStep, Socket, Step};
pub use testing::is_in_tree;

use crate::{Error, Result};

/// The name of the socket for `sd_notify(3)` in the directory of the jail's log socket.
pub const NOTIFY_SOCKET: &str = "notify";

/// The name of the socket for `sd_journal_send(3)` there: that directory is mounted where journald
/// has its own.
pub const JOURNAL_SOCKET: &str = "socket";

/// Everything that starting and living with one jail needs, in numbers and absolute paths:
/// whoever executes it knows neither names nor policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The jail's name.
    pub name: String,
    /// The generation that it starts.
    pub generation: u64,
    /// The service goes to the background by itself.
    pub forks: bool,
    /// What to do, in order.
    pub steps: Vec<PlannedStep>,
    /// Protections that were wanted but that this host lacks, with the reason.
    pub lacking: Vec<String>,
    /// All of these show when the service is ready.
    #[serde(default)]
    pub ready: Vec<Sign>,
    /// Seconds from one comparison of the running jail with this to the next; 0 for never.
    pub check_every_s: u32,
    /// What its supervisor does while it lives.
    #[serde(default)]
    pub living: Living,
    /// Where what the jail logs goes.
    #[serde(default)]
    pub log: LogSink,
}

/// What a supervisor attends to while the service lives, and when that has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Living {
    /// How it is known that it still does its work.
    pub liveness: Option<Liveness>,
    /// Seconds from SIGTERM to SIGKILL for one that does not.
    pub stop_timeout_s: u32,
    /// When it is started again.
    pub restart: Restart,
    /// Where its pid is written for the host's own tools.
    #[serde(default)]
    pub host_pid_file: Option<PathBuf>,
}

impl Plan {
    /// The uid that the service runs as, if it is read back.
    pub fn uid(&self) -> Option<u32> {
        self.steps.iter().find_map(|planned| match planned.step {
            Step::VerifyIds { uid, .. } | Step::VerifyOwnIds { uid, .. } => Some(uid),
            _ => None,
        })
    }

    /// What must show before the start is over; `None` if nothing ends with it.
    pub fn start_ends_with(&self) -> Option<&[Sign]> {
        self.steps.iter().find_map(|planned| match &planned.step {
            Step::EndStart { signs, .. } | Step::Complain { signs, .. } => Some(signs.as_slice()),
            _ => None,
        })
    }

    /// The signs that the service itself shows: not the file of a socket that is made for it, which
    /// may be kept from the run before.
    pub fn signs_of_its_own(&self) -> Vec<Sign> {
        let is_given = |sign: &Sign| {
            let Sign::File(path) = sign else {
                return false;
            };
            let mut steps = self.steps.iter();
            steps.any(|planned| match &planned.step {
                Step::OpenSocket { socket } => socket.listen == Listen::Unix(path.clone()),
                _ => false,
            })
        };
        let own = self.ready.iter().filter(|sign| !is_given(sign));
        own.cloned().collect()
    }

    /// What must pass then, before the start is over.
    pub fn start_exercises(&self) -> &[Exercise] {
        let exercises = self.steps.iter().find_map(|planned| match &planned.step {
            Step::EndStart { exercises, .. } | Step::Complain { exercises, .. } => Some(exercises),
            _ => None,
        });
        exercises.map(Vec::as_slice).unwrap_or_default()
    }

    /// In complain mode: the directory where complaints are written down, and the calls that are none while the
    /// service starts.
    pub fn complaints(&self) -> Option<(&Path, &[u32])> {
        self.steps.iter().find_map(|planned| match &planned.step {
            Step::Complain {
                directory,
                only_at_start,
                ..
            } => Some((directory.as_path(), only_at_start.as_slice())),
            _ => None,
        })
    }

    /// Writes the plan as JSON: the compiled form that lies beside the manifest.
    ///
    /// # Errors
    /// Only if a path in it is not UTF-8.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::new(format!("write the plan of {}", self.name), error))
    }

    /// Reads what [`Plan::to_json`] wrote.
    ///
    /// # Errors
    /// Text that is not a plan of this version.
    pub fn from_json(text: &str, origin: &Path) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            Error::setup(
                format!("read the compiled plan {}", origin.display()),
                error,
            )
            .hint("build the jail again: gaoler build NAME")
        })
    }

    /// The sockets that the service is given, in their order.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.steps.iter().filter_map(|planned| match &planned.step {
            Step::OpenSocket { socket } => Some(socket),
            _ => None,
        })
    }

    /// The numbers of the descriptors that the launch itself needs to its end.
    pub fn descriptors(&self) -> Descriptors {
        Descriptors::after(self.sockets().count())
    }

    /// The number of the ordinary user whose jail it is; `None` for root's.
    pub fn ordinary_user(&self) -> Option<u32> {
        self.steps.iter().find_map(|planned| match planned.step {
            Step::EnterUserNamespace { uid, .. } => Some(uid),
            _ => None,
        })
    }

    /// Whether the jail has a pid namespace, with a first process that reaps.
    pub fn has_init(&self) -> bool {
        self.steps
            .iter()
            .any(|planned| matches!(planned.step, Step::ForkService { .. }))
    }

    /// The jail's directories in the cgroup hierarchies.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        self.steps
            .iter()
            .find_map(|planned| match &planned.step {
                Step::JoinCgroup { directories, .. } => Some(directories.clone()),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// The same plan with its directories in the hierarchy at `mount` below `own` there: those of gaoler
    /// below the cgroup that it was started in, which a manager has left to it.
    pub fn within(mut self, mount: &Path, own: &Path) -> Self {
        let moved = |path: &mut PathBuf| {
            if let Ok(rest) = path.strip_prefix(mount) {
                *path = own.join(rest);
            }
        };
        for planned in &mut self.steps {
            match &mut planned.step {
                Step::JoinCgroup {
                    directories,
                    limits,
                } => {
                    directories.iter_mut().for_each(moved);
                    limits.iter_mut().for_each(|(file, _)| moved(file));
                }
                Step::CountUsage { directories } => directories.iter_mut().for_each(moved),
                _ => {}
            }
        }
        self
    }

    /// Whether the jail has a socket in the place of journald's.
    pub fn has_journal_socket(&self) -> bool {
        self.steps
            .iter()
            .any(|planned| matches!(planned.step, Step::OpenJournalSocket { .. }))
    }

    /// Its directories in those that only count what it uses.
    pub fn counting(&self) -> Vec<PathBuf> {
        self.steps
            .iter()
            .find_map(|planned| match &planned.step {
                Step::CountUsage { directories } => Some(directories.clone()),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// The directory of the jail's log socket, if it has one.
    pub fn log_directory(&self) -> Option<PathBuf> {
        self.steps.iter().find_map(|planned| match &planned.step {
            Step::OpenLogSocket { directory } => Some(directory.clone()),
            _ => None,
        })
    }
}
