//! What a spec can say, after it has been read and every name in it has been looked up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::learn::trace::Phase;

pub use super::accepted::{Accepted, Date};
pub use super::evidence::{Evidence, Names, Observed};
use super::incidents::Incidents;
use super::living::{Liveness, Restart};
pub use super::log::{Log, LogSink, LogTo};
pub use super::schedule::Schedule;
use super::socket::SocketRule;

/// The policy of one jail. Written by `learn`, owned by a person, read by everything else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// The jail's name: letters, digits, `-`, `_`, `.`, at most 64 bytes.
    pub name: String,
    /// Why the trace that it was made from is incomplete, if it is: something may be missing.
    pub incomplete: Option<String>,
    /// The program and how to live with it.
    pub service: Service,
    /// Sockets that it is given when it is started, in this order.
    pub sockets: Vec<SocketRule>,
    /// What to run to show that it works.
    pub exercises: Vec<Exercise>,
    /// Copied from the host into the root tree, read-only there.
    pub files: Vec<FileRule>,
    /// Left on the host and mounted into the jail, because it changes or belongs to a person.
    pub binds: Vec<BindRule>,
    /// Empty, private, writable places in memory.
    pub scratch: Vec<ScratchRule>,
    /// Device nodes in the jail's `/dev` (or elsewhere, for a service that chroots itself).
    pub devices: Vec<DeviceRule>,
    /// Capabilities that the service keeps. Everything else leaves every set.
    pub capabilities: Vec<CapabilityRule>,
    /// System calls that the filter allows.
    pub calls: Vec<CallRule>,
    /// Address families that `socket(2)` may ask for.
    pub families: Vec<FamilyRule>,
    /// Ports that it may bind and connect to.
    pub ports: Vec<PortRule>,
    /// Resource limits. Only lowered, never raised above the host's.
    pub limits: Limits,
    /// Which layers must hold.
    pub protections: Protections,
    /// When it is started again after its end.
    pub restart: Restart,
    /// How it is known that it lives, if that is looked at.
    pub liveness: Option<Liveness>,
    /// How often the running jail is compared with what was started.
    pub check: Schedule,
    /// What is done when it may be under attack.
    pub incidents: Incidents,
    /// Where what it logs goes.
    pub log: Log,
    /// Findings of `check` that a person takes the risk of.
    pub accepted: Vec<Accepted>,
}

impl Spec {
    /// Data and directories that lie in a place in memory, which hides the tree's: they are put into it.
    /// What is below a bind is the host's.
    pub fn files_in_scratch(&self) -> impl Iterator<Item = &FileRule> {
        self.files.iter().filter(|rule| {
            let below = |place: &Path| rule.path != place && rule.path.starts_with(place);
            matches!(rule.kind, FileKind::Data | FileKind::Directory)
                && self.scratch.iter().any(|scratch| below(&scratch.path))
                && !self
                    .binds
                    .iter()
                    .any(|bind| rule.path.starts_with(&bind.path))
        })
    }
}

/// The program of a jail: `[service]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// Absolute path of the program and its arguments.
    pub command: Vec<String>,
    /// The user it runs as, by name. Never root unless `start_as_root`, never a generic user.
    pub user: String,
    /// Its primary group, by name.
    pub group: String,
    /// Supplementary groups, exactly: an empty list means none.
    pub groups: Vec<String>,
    /// Start with uid 0 and let the service drop to `user` itself (weaker: `check` says so).
    pub start_as_root: bool,
    /// It refuses to be started by root: `learn` runs it as its user from the start. In a jail
    /// every service is that, unless `start_as_root`.
    pub refuses_root: bool,
    /// Learned from its command alone, without what gaoler knows about it.
    pub unaided: bool,
    /// Other users of the host that it changes to or looks up: the jail's passwd has their lines.
    pub accounts: Vec<String>,
    /// Working directory in the jail.
    pub workdir: PathBuf,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// File mode creation mask, octal in the file.
    pub umask: u32,
    /// Tests the configuration, on the host, before anything starts.
    pub config_test: Vec<String>,
    /// All of these hold when the service is ready.
    pub ready: Vec<Ready>,
    /// How it re-reads its configuration.
    pub reload: Option<Reload>,
    /// Its own way to stop; TERM and KILL follow.
    pub stop: Vec<String>,
    /// Seconds between the service's own way, TERM and KILL.
    pub stop_timeout_s: u32,
    /// Where the service writes its pid, if it does.
    pub pid_file: Option<PathBuf>,
    /// Where the host's own tools look for its pid and the service cannot write: gaoler does.
    pub host_pid_file: Option<PathBuf>,
    /// The service goes to the background by itself: its first process exits at once.
    pub forks: bool,
    /// It makes memory executable that it writes, or has written (a just-in-time compiler).
    pub writable_executable: bool,
}

/// The first port that the kernel gives out by itself (`ip_local_port_range`, ip(7)): above it,
/// a datagram port is one that somebody picked at random.
pub const FIRST_EPHEMERAL: u16 = 32768;

/// A sign that the service is ready.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ready {
    /// Something in the jail listens on this TCP port: `tcp:80`.
    Tcp(u16),
    /// Something in the jail has bound this UDP port: `udp:53`.
    Udp(u16),
    /// This file or socket exists on the host: `file:/run/x/y.sock`.
    File(PathBuf),
    /// A line that it prints or logs matches this regular expression: `log:ready$`. See
    /// [`super::LogSigns`].
    Log(String),
    /// It says so by itself (`sd_notify(3)`): `notify`.
    Notify,
    /// It has run for this many milliseconds: `quiet:500`.
    Quiet(u32),
}

impl Ready {
    /// Whether the service says it, so that somebody has to hear it.
    pub fn is_said(&self) -> bool {
        matches!(self, Ready::Log(_) | Ready::Notify)
    }

    /// The port that it is about, if it is about one.
    pub fn port(&self) -> Option<(Protocol, u16)> {
        match self {
            Ready::Tcp(port) => Some((Protocol::Tcp, *port)),
            Ready::Udp(port) => Some((Protocol::Udp, *port)),
            Ready::File(_) | Ready::Log(_) | Ready::Notify | Ready::Quiet(_) => None,
        }
    }
}

/// How a service re-reads its configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Reload {
    /// This command, on the host.
    Command(Vec<String>),
    /// This signal, by number.
    Signal(i32),
}

/// A command that shows that the service works: `[[exercise]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exercise {
    /// A short name.
    pub name: String,
    /// Run on the host, found in PATH. The word `$PID` stands for the service's process.
    pub command: Vec<String>,
    /// The exit code that means success.
    pub expect: i32,
    /// Text that its output must contain; empty for none.
    pub output: String,
    /// Whether it belongs to the start, which is not over before it has passed, or to what the
    /// service does from then on.
    pub phase: Phase,
    /// Why it is here.
    pub because: String,
}

impl Exercise {
    /// It is part of every start.
    pub fn is_of_start(&self) -> bool {
        self.phase == Phase::Start
    }

    /// The command for a service whose process is `pid`.
    pub fn command_for(&self, pid: i32) -> Vec<String> {
        Self::words_for(&self.command, pid)
    }

    /// The words of a command for a service whose process is `pid`.
    pub fn words_for(command: &[String], pid: i32) -> Vec<String> {
        command
            .iter()
            .map(|word| match word.as_str() {
                "$PID" => pid.to_string(),
                _ => word.clone(),
            })
            .collect()
    }
}

/// One path copied into the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct FileRule {
    /// Absolute path, on the host and in the jail. Symlinks on the way are recreated as such.
    pub path: PathBuf,
    /// What kind of thing is expected there.
    pub kind: FileKind,
    /// What needs it.
    pub because: String,
    /// How that is known.
    pub evidence: Evidence,
}

/// What a [`FileRule`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Data: copied as it is.
    Data,
    /// A directory, made empty.
    Directory,
    /// A shared object that is loaded at run time: copied with its ELF closure.
    Library,
    /// A program or script: copied with its interpreter and ELF closure, executable.
    Program,
}

/// One directory or file of the host mounted into the jail at the same path.
#[derive(Clone, Debug, PartialEq)]
pub struct BindRule {
    /// Absolute path without symlinks, on the host and in the jail.
    pub path: PathBuf,
    /// Writable, always nosuid, nodev and noexec; otherwise read-only too.
    pub writable: bool,
    /// What needs it.
    pub because: String,
    /// How that is known.
    pub evidence: Evidence,
}

/// An empty tmpfs.
#[derive(Clone, Debug, PartialEq)]
pub struct ScratchRule {
    /// Absolute path in the jail.
    pub path: PathBuf,
    /// Size limit in KiB.
    pub size_kib: u32,
    /// What needs it.
    pub because: String,
    /// How that is known.
    pub evidence: Evidence,
}

/// One device node.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceRule {
    /// Absolute path in the jail.
    pub path: PathBuf,
    /// Which device: `null`, `zero`, `full`, `random`, `urandom`.
    pub device: Device,
    /// What needs it.
    pub because: String,
    /// How that is known.
    pub evidence: Evidence,
}

/// The devices that a jail can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// 1:7
    Full,
    /// 1:3
    Null,
    /// 1:8
    Random,
    /// 1:9
    Urandom,
    /// 1:5
    Zero,
}

impl Device {
    /// Major and minor number (Linux `Documentation/admin-guide/devices.txt`).
    pub fn number(self) -> (u32, u32) {
        match self {
            Device::Full => (1, 7),
            Device::Null => (1, 3),
            Device::Random => (1, 8),
            Device::Urandom => (1, 9),
            Device::Zero => (1, 5),
        }
    }

    /// Where the host has it.
    pub fn path(self) -> &'static Path {
        Path::new(match self {
            Device::Full => "/dev/full",
            Device::Null => "/dev/null",
            Device::Random => "/dev/random",
            Device::Urandom => "/dev/urandom",
            Device::Zero => "/dev/zero",
        })
    }

    /// The device with this number, if a jail can have it.
    pub fn from_number(major: u32, minor: u32) -> Option<Self> {
        [
            Device::Full,
            Device::Null,
            Device::Random,
            Device::Urandom,
            Device::Zero,
        ]
        .into_iter()
        .find(|device| device.number() == (major, minor))
    }
}

/// One capability that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CapabilityRule {
    /// Its number; see [`crate::sys::caps`] for names.
    pub capability: u8,
    /// What needs it.
    pub because: String,
    /// How that is known.
    pub evidence: Evidence,
}

/// One system call that is allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRule {
    /// Its number on this machine's architecture.
    pub number: u32,
    /// Only until the service is ready; from then on the kernel answers ENOSYS.
    pub start_only: bool,
    /// What needs it.
    pub because: String,
    /// How that is known.
    pub evidence: Evidence,
}

/// One socket family that is allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyRule {
    /// Its `AF_` number.
    pub family: u16,
    /// What needs it.
    pub because: String,
    /// How that is known.
    pub evidence: Evidence,
}

/// What is done with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// `bind(2)`.
    Bind,
    /// `connect(2)`.
    Connect,
}

/// Which transport a port belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP. Landlock can enforce it (ABI 4).
    Tcp,
    /// UDP. No layer here can enforce the port; it is recorded for readiness and exports.
    Udp,
}

/// One port that may be used.
#[derive(Clone, Debug, PartialEq)]
pub struct PortRule {
    /// Bind or connect.
    pub direction: Direction,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port; 0 is any ephemeral port (bind) or any port at all (connect).
    pub port: u16,
    /// What needs it.
    pub because: String,
    /// How that is known.
    pub evidence: Evidence,
}

/// Resource limits: `[limits]`. `None` leaves the host's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Size of a core file, bytes (RLIMIT_CORE).
    pub core: Option<u64>,
    /// Open descriptors (RLIMIT_NOFILE).
    pub descriptors: Option<u64>,
    /// Largest file written, bytes (RLIMIT_FSIZE).
    pub file_size: Option<u64>,
    /// Memory of the jail, bytes (cgroup).
    pub memory: Option<u64>,
    /// Processes and threads of the jail (cgroup pids).
    pub processes: Option<u64>,
}

/// Whether a layer that the host lacks stops the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Demand {
    /// The user does not want it.
    Off,
    /// Start without it and report it.
    Prefer,
    /// Refuse to start without it.
    #[default]
    Require,
}

/// Which layers must hold: `[protections]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Protections {
    /// cgroup membership and the limits that live there.
    pub cgroup: Demand,
    /// Private System V IPC and POSIX queues.
    pub ipc_namespace: Demand,
    /// Landlock rules, as far as this kernel goes.
    pub landlock: Demand,
    /// Private mounts and `pivot_root`; `off` means plain `chroot`.
    pub mount_namespace: Demand,
    /// Private process ids.
    pub pid_namespace: Demand,
    /// The system call filter.
    pub seccomp: Demand,
    /// Private host name.
    pub uts_namespace: Demand,
}
