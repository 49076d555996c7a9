//! What a traced run showed. JSON on disk; the input of [`crate::spec`].

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// When something was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before the service was ready.
    #[default]
    Start,
    /// Afterwards.
    Serve,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Start => "start",
            Phase::Serve => "serve",
        })
    }
}

/// In which programs something was seen, during which exercises, and how often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Witness {
    /// The file names of the programs.
    pub programs: BTreeSet<String>,
    /// The names of the exercises; without any it was seen between them, or at start.
    pub exercises: BTreeSet<String>,
    /// How often before the service was ready.
    #[serde(default)]
    pub start: u64,
    /// How often afterwards.
    #[serde(default)]
    pub serve: u64,
    /// In how many runs: more than one in a trace that was merged of several.
    #[serde(default = "one")]
    pub runs: u32,
}

/// What is not merged comes from one run.
fn one() -> u32 {
    1
}

impl Default for Witness {
    fn default() -> Self {
        Self {
            programs: BTreeSet::new(),
            exercises: BTreeSet::new(),
            start: 0,
            serve: 0,
            runs: one(),
        }
    }
}

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The command that was run.
    pub command: Vec<String>,
    /// Why the trace can be trusted, or not.
    pub certificate: Certificate,
    /// System calls by number, native architecture.
    pub calls: Vec<CallSeen>,
    /// The arguments of those calls that can be many different things: `ioctl`, `prctl`,
    /// `socket` and their like.
    pub arguments: Vec<ArgumentsSeen>,
    /// Calls that failed in a jail as denied calls do; empty for a service that was not in one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<CallFailed>,
    /// Calls made through another architecture's entry (x32, int 0x80): `(architecture, number)`.
    pub foreign_calls: Vec<(String, u32)>,
    /// Paths, sorted by `host`.
    pub paths: Vec<PathSeen>,
    /// Sockets bound, connected and created.
    pub sockets: Vec<SocketSeen>,
    /// Ids that the processes took.
    pub ids: Vec<IdsSeen>,
    /// Capabilities that a successful call needed, with the call.
    pub capabilities: Vec<CapabilitySeen>,
    /// Memory was made executable that is writable, or may have been written before.
    pub writable_executable: bool,
    /// Signals that the main process installed a handler for, or took with `sigwait(3)` or
    /// `signalfd(2)`.
    pub handled_signals: Vec<i32>,
    /// io_uring was set up: what runs inside a ring is not seen.
    pub blind: bool,
}

/// Stops against records, and what was run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// System call stops that the tracer got.
    pub stops: u64,
    /// Stops that became a record.
    pub records: u64,
    /// All stops were recorded, nothing was lost, and the run ended in an orderly way.
    pub complete: bool,
    /// Why not, if not.
    pub gaps: Vec<String>,
    /// How capabilities are known.
    #[serde(default)]
    pub capabilities: CapabilitySource,
    /// Why only by rule, if so.
    #[serde(default)]
    pub by_rule: String,
    /// Processes seen.
    pub processes: u64,
    /// Threads seen, the processes' first ones included.
    pub threads: u64,
    /// How many runs were merged into this trace; 1 for one that is just what was seen.
    #[serde(default = "one")]
    pub runs: u32,
    /// How many passes over the service: in the first every call stopped, in the second those
    /// that the first had not shown.
    pub passes: u32,
    /// Why there was no second pass, if there was none.
    pub one_pass: String,
    /// The calls that did not stop in the second pass, as far as their arguments had been seen.
    pub free: Vec<String>,
    /// Those of them that name paths: with a path, or flags, that the first pass had not shown,
    /// they did stop.
    #[serde(default)]
    pub watched: Vec<String>,
    /// Why a pass was run again, in a slower way, if one was: something may have been missed the
    /// first time. What that run showed does not count.
    #[serde(default)]
    pub repeated: Vec<String>,
    /// The exercises that ran.
    pub exercises: Vec<ExerciseRun>,
    /// The phases that were seen.
    pub phases: Vec<Phase>,
    /// Kernel release.
    pub kernel: String,
    /// The C library that the service loaded, with its version as far as its file tells; empty
    /// for a static program.
    pub libc: String,
    /// The service went to the background by itself: its first process ended, or did nothing
    /// while others served.
    pub forked: bool,
    /// How many seconds it took to end after it was asked to, rounded up; in several passes the
    /// most.
    #[serde(default)]
    pub ended_after_s: u32,
}

/// One exercise and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExerciseRun {
    /// Its name.
    pub name: String,
    /// Its command.
    pub command: Vec<String>,
    /// Its exit code; `None` if it could not be run or was killed.
    pub exit: Option<i32>,
    /// It did what the spec or knowledge expects.
    pub passed: bool,
    /// The pass that it ran in.
    pub pass: u32,
    /// Whether it was part of the start.
    #[serde(default = "serve")]
    pub phase: Phase,
}

/// Before they had a phase, all exercises ran when the service was ready.
fn serve() -> Phase {
    Phase::Serve
}

/// One system call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallSeen {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// When.
    pub phase: Phase,
    /// How often it stopped.
    pub count: u64,
    /// Where it was seen.
    #[serde(flatten)]
    pub witness: Witness,
}

/// A call that failed in a jail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallFailed {
    /// Its number.
    pub number: u32,
    /// Its name; empty if it is of another architecture.
    pub name: String,
    /// The architecture whose entry it came through; empty for this machine's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// Why (`errno(3)`); 0 if the thread ended in it.
    pub errno: i32,
    /// When.
    pub phase: Phase,
    /// How often.
    pub count: u64,
    /// What the first one was made with.
    pub arguments: [u64; 6],
    /// Where in the program the first one was made.
    pub at: Option<Place>,
    /// The file that the first one was made on, by the path that the jail has for it, where no room
    /// was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The thread that made the first one, as it calls itself (`comm` of proc(5)).
    #[serde(default)]
    pub thread: String,
    /// Where it was seen.
    #[serde(flatten)]
    pub witness: Witness,
}

/// A place in a program that is being run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The address in its memory.
    pub address: u64,
    /// The file that is mapped there, as the process's own mounts have it; empty for memory
    /// without a file.
    pub file: PathBuf,
    /// Where in that file.
    pub offset: u64,
}

/// What a call was made with, where that decides what it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArgumentsSeen {
    /// The call's number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// When.
    pub phase: Phase,
    /// The arguments that decide, in their order.
    pub values: Vec<u64>,
    /// How often it stopped.
    pub count: u64,
}

/// How a path was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// Executed.
    Execute,
    /// Mapped executable: a shared object.
    Map,
    /// Opened for reading.
    Read,
    /// Opened for writing, truncated or locked.
    Write,
    /// Made: file, directory, link, node, socket; or renamed to.
    Create,
    /// Unlinked, or renamed from.
    Delete,
    /// Mode, owner or times changed.
    Change,
    /// A directory that was listed.
    List,
    /// Only looked at: stat, access, readlink.
    Look,
    /// Made the working directory.
    Enter,
    /// Made the root directory.
    Root,
    /// A socket that was connected to or sent to.
    Connect,
}

/// What a path is on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// Block device.
    Block,
    /// Character device.
    Character,
    /// Directory.
    Directory,
    /// FIFO.
    Fifo,
    /// Regular file.
    File,
    /// Socket.
    Socket,
    /// It does not exist (any more).
    Missing,
}

/// One path of the host and everything that was done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathSeen {
    /// The host's path, absolute, with every symlink resolved. For a service that chrooted
    /// itself this begins with its root. For a missing path: the resolved parent and the name.
    /// In `/proc`, a process's own directory is `self` and any of its threads' `thread-self`:
    /// their numbers mean nothing later.
    pub host: PathBuf,
    /// As asked by the service, made absolute in the service's own root. More than one when
    /// symlinks lead to the same thing.
    pub asked: BTreeSet<PathBuf>,
    /// Symlinks on the way, `(host path of the link, its text)`.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// What it is on the host, after the run.
    pub kind: PathKind,
    /// Of a device: major and minor.
    pub device: Option<(u32, u32)>,
    /// Successful uses.
    pub uses: BTreeSet<Use>,
    /// Uses that failed, with the errno: a failed lookup is `ENOENT` (2).
    pub failures: BTreeSet<(Use, i32)>,
    /// First seen when.
    pub phase: Phase,
    /// How often.
    pub count: u64,
    /// Where it was seen.
    #[serde(flatten)]
    pub witness: Witness,
}

/// What was done with a socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketUse {
    /// `socket(2)` or `socketpair(2)` succeeded.
    Create,
    /// `bind(2)` succeeded.
    Bind,
    /// `listen(2)` succeeded.
    Listen,
    /// `connect(2)`, `sendto(2)` or `sendmsg(2)` with an address was tried.
    Connect,
    /// `bind(2)` failed with this errno.
    BindFailed(i32),
}

/// One socket address or family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SocketSeen {
    /// What was done.
    pub action: SocketUse,
    /// `AF_` number.
    pub family: u16,
    /// `SOCK_` number without its flags (1 stream, 2 datagram, 3 raw).
    pub kind: u16,
    /// Protocol argument of `socket(2)`.
    pub protocol: i32,
    /// `ADDRESS` without port, or the path, or `@NAME` of an abstract socket; empty for `Create`.
    pub address: String,
    /// The port; for bind of port 0 it stays 0.
    pub port: u16,
    /// First seen when.
    pub phase: Phase,
    /// Where it was seen.
    #[serde(flatten)]
    pub witness: Witness,
}

/// The ids of a process after a call that changed them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdsSeen {
    /// Real, effective, saved and file system uid.
    pub uids: [u32; 4],
    /// Real, effective, saved and file system gid.
    pub gids: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// When.
    pub phase: Phase,
}

/// Where the knowledge of capabilities comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CapabilitySource {
    /// The kernel tells what it asks for.
    #[serde(rename = "kernel event")]
    KernelEvent,
    /// From calls, their arguments and results.
    #[default]
    #[serde(rename = "rule")]
    Rule,
}

/// How one capability is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// The kernel asked for it.
    Asked,
    /// By rule, from the call and its result.
    #[default]
    Rule,
}

/// A capability that a call needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CapabilitySeen {
    /// Its number.
    pub capability: u8,
    /// The call, with the arguments that decided, as in `bind(0.0.0.0:53)`.
    pub call: String,
    /// When.
    pub phase: Phase,
    /// How often.
    pub count: u64,
    /// How it is known.
    #[serde(default)]
    pub known: Known,
    /// The caller did not have it, and the call failed.
    #[serde(default)]
    pub refused: bool,
    /// The user that the caller acted as.
    #[serde(default)]
    pub user: u32,
    /// Where it was seen.
    #[serde(flatten)]
    pub witness: Witness,
}
