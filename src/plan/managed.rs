//! A plan that is carried out for a service manager: what the manager tells the service comes in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::step::{Phase, PlannedStep, Step};
use super::{NOTIFY_SOCKET, Plan, Sign, sockets};
use crate::build::LOG_DIRECTORY;
use crate::host::notifications::VARIABLE;
use crate::{Error, Result};

/// How often the service has to say that it is well, in microseconds (`sd_watchdog_enabled(3)`).
const WATCHDOG: &str = "WATCHDOG_USEC";

/// Whom that is for. In a plan it has no value, as [`sockets::PROCESS`].
const WATCHED: &str = "WATCHDOG_PID=";

/// Variables that get the number of the service's process.
const NUMBERED: [&str; 2] = [sockets::PROCESS, WATCHED];

/// The first ABI of Landlock that keeps abstract sockets of outside out of reach
/// (LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET).
const SCOPES: u32 = 6;

/// For the mount point of one socket.
const MOUNT_POINT_KIB: u32 = 4;

/// What a manager gives whoever it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Managed {
    /// What its `NOTIFY_SOCKET` says.
    pub notify: Option<String>,
    /// What its `WATCHDOG_USEC` says.
    pub watchdog_us: Option<u64>,
}

impl Plan {
    /// Whether the service says of itself how it is (`sd_notify(3)`).
    pub fn notifies(&self) -> bool {
        self.ready.contains(&Sign::Notify)
    }

    /// Whether a variable of the environment gets the number of the service's process as its value.
    pub fn is_numbered(variable: &str) -> bool {
        NUMBERED.contains(&variable)
    }

    /// The plan with what a manager gives a service that speaks its protocol. With a supervisor that
    /// one hears the service, and speaks to the manager itself; without, the service needs the
    /// manager's own socket.
    ///
    /// # Errors
    /// That socket is to be mounted, and the jail has no mounts of its own; or it has no path, and
    /// Landlock keeps the jail from it.
    pub fn managed(mut self, manager: &Managed) -> Result<Self> {
        if !self.notifies() {
            return Ok(self);
        }
        if let Some(interval) = manager.watchdog_us {
            self.tell(format!("{WATCHDOG}={interval}"));
            self.tell(WATCHED.to_owned());
        }
        let supervised = self.log_directory().is_some();
        if let Some(address) = manager.notify.as_ref().filter(|_| !supervised) {
            match address.strip_prefix('/') {
                Some(_) => self.mount_socket(address.into())?,
                None => self.name_socket(address)?,
            }
        }
        Ok(self)
    }

    /// One that is in no file system: it is where the network is (`unix(7)`), and out of the reach of
    /// who is restricted by Landlock with scopes.
    fn name_socket(&mut self, address: &str) -> Result<()> {
        let scoped = |planned: &PlannedStep| matches!(&planned.step, Step::Landlock(rules) if rules.abi >= SCOPES);
        if self.steps.iter().any(scoped) {
            return Err(Error::setup(
                format!("plan the jail {} to be run with --exec", self.name),
                format!("Landlock keeps it from the manager's socket {address}, which has no path"),
            )
            .hint("run it without --exec, or have the manager use a socket with a path"));
        }
        self.tell(format!("{VARIABLE}={address}"));
        Ok(())
    }

    /// Mounts the manager's socket where a supervisor's would be.
    fn mount_socket(&mut self, source: PathBuf) -> Result<()> {
        let mounts = |planned: &PlannedStep| matches!(planned.step, Step::NewNamespaces(kinds) if kinds.mount);
        if !self.steps.iter().any(mounts) {
            return Err(Error::setup(
                format!("plan the jail {}", self.name),
                "mount_namespace is off, and the manager's socket for its sign notify is to be mounted",
            )
            .hint("run it without --exec, or take another sign of readiness"));
        }
        // In a user namespace there is nobody else.
        let own = |planned: &PlannedStep| match planned.step {
            Step::EnterUserNamespace { uid, gid } => Some((uid, gid)),
            _ => None,
        };
        let (uid, gid) = self.steps.iter().find_map(own).unwrap_or((0, 0));
        let directory = PathBuf::from(LOG_DIRECTORY);
        let path = directory.join(NOTIFY_SOCKET);
        self.tell(format!("{VARIABLE}={}", path.display()));
        self.insert(
            Phase::Host,
            Step::MakeScratch {
                path: directory.clone(),
                size_kib: MOUNT_POINT_KIB,
                uid,
                gid,
                mode: 0o755,
            },
            "the manager's socket is mounted in it: the tree has no place of its own for that",
        );
        self.insert(
            Phase::Mounts,
            Step::MountScratch { path: directory },
            "the manager's socket is mounted in it",
        );
        self.insert(
            Phase::Mounts,
            Step::Bind {
                path,
                source,
                writable: false,
            },
            "the service tells the manager itself how it is (sd_notify(3)): nobody stays who could",
        );
        Ok(())
    }

    /// As the last of its phase.
    fn insert(&mut self, phase: Phase, step: Step, reason: &str) {
        let place = self.steps.partition_point(|planned| planned.phase <= phase);
        let reason = reason.to_owned();
        let planned = PlannedStep {
            phase,
            step,
            reason,
        };
        self.steps.insert(place, planned);
    }

    /// Adds to the service's environment.
    fn tell(&mut self, variable: String) {
        for planned in &mut self.steps {
            if let Step::Execute { environment, .. } = &mut planned.step {
                environment.push(variable.clone());
            }
        }
    }
}
