//! The steps of a launch, as data. Their order is the order of [`Phase`].

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::filter::Instruction;
use crate::spec::{Device, Exercise, Listen, Ready};

/// The parts of a launch, in the only order that is safe. A plan's steps are sorted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// On the host, before anything is private.
    Host,
    /// New namespaces.
    Namespaces,
    /// What the jail sees.
    Mounts,
    /// The change of root.
    Root,
    /// A process of its own for the service.
    Process,
    /// What is left open.
    Descriptors,
    /// Who it is.
    Ids,
    /// What it may still do.
    Restrict,
    /// The service itself.
    Execute,
    /// Once it is ready.
    Ready,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Host => "host",
            Phase::Namespaces => "namespaces",
            Phase::Mounts => "mounts",
            Phase::Root => "root",
            Phase::Process => "process",
            Phase::Descriptors => "descriptors",
            Phase::Ids => "ids",
            Phase::Restrict => "restrict",
            Phase::Execute => "execute",
            Phase::Ready => "ready",
        })
    }
}

/// A resource limit (`setrlimit(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// RLIMIT_CORE, bytes.
    CoreFile,
    /// RLIMIT_NOFILE.
    Descriptors,
    /// RLIMIT_FSIZE, bytes.
    FileSize,
}

/// Which namespaces a launch makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// CLONE_NEWNS
    pub mount: bool,
    /// CLONE_NEWPID
    pub pid: bool,
    /// CLONE_NEWIPC
    pub ipc: bool,
    /// CLONE_NEWUTS
    pub uts: bool,
}

/// What Landlock grants beneath a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Read files and list directories.
    Read,
    /// Read and execute one file.
    Execute,
    /// Read and write one file or device.
    Write,
    /// Everything but execute and making device nodes, beneath a directory.
    Change,
}

/// What a Landlock rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    /// A path of the host.
    Path(PathBuf),
    /// The device node at a path of the host, with its number, `major:minor`.
    Device(PathBuf, String),
    /// The scratch place at this path in the jail.
    Scratch(PathBuf),
}

/// The Landlock part of a launch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockRules {
    /// The ABI to use: never more than the kernel has.
    pub abi: u32,
    /// What may be done with which files.
    pub files: Vec<(Object, Grant)>,
    /// TCP ports that may be bound. `None`: binding is not restricted.
    pub bind_tcp: Option<Vec<u16>>,
    /// TCP ports that may be connected to. `None`: connecting is not restricted.
    pub connect_tcp: Option<Vec<u16>>,
}

/// A socket that the service is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// What the service finds it by.
    pub name: String,
    /// Where it listens.
    pub listen: Listen,
    /// How many connections may wait.
    pub backlog: u32,
    /// IPV6_V6ONLY.
    pub only_ipv6: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// Of a Unix socket: who can connect.
    pub mode: u32,
    /// Of a Unix socket: its owner.
    pub uid: u32,
    /// Of a Unix socket: its group.
    pub gid: u32,
}

/// What of the tree is put into a place in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A directory.
    Directory,
    /// A copy of a regular file.
    File,
    /// A symbolic link to this.
    Link(PathBuf),
}

/// One thing that is done to start a jail.
#[expect(
    missing_docs,
    reason = "the fields of a variant are what its line names"
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Close everything above standard error.
    CloseInherited,
    /// Start from an empty environment.
    ClearEnvironment,
    /// Signal dispositions and mask as a program expects them.
    ResetSignals,
    /// Users and groups as numbers.
    ResolveIds {
        user: String,
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    /// Make and join a cgroup, one directory for each hierarchy, with its limits.
    JoinCgroup {
        directories: Vec<PathBuf>,
        limits: Vec<(PathBuf, String)>,
    },
    /// Make and join a directory in each hierarchy that counts what the jail uses, where that can
    /// be had; nothing depends on it.
    CountUsage { directories: Vec<PathBuf> },
    /// Make the socket that is the jail's `/dev/log`.
    OpenLogSocket { directory: PathBuf },
    /// Make the socket beside it that the jail has in the place of journald's own.
    OpenJournalSocket { directory: PathBuf },
    /// Make the socket beside it on which the service says that it is ready.
    OpenNotifySocket { directory: PathBuf, uid: u32 },
    /// Bind a socket for the service, or take one over that is bound already.
    OpenSocket { socket: Socket },
    /// A user namespace with one user and one group, for who is not root.
    EnterUserNamespace { uid: u32, gid: u32 },
    /// Make the empty file systems that the jail may write in.
    MakeScratch {
        path: PathBuf,
        size_kib: u32,
        uid: u32,
        gid: u32,
        mode: u32,
    },
    /// Put something of the tree, which that place would hide, into it.
    FillScratch {
        scratch: PathBuf,
        path: PathBuf,
        tree: PathBuf,
        content: Content,
    },
    /// New namespaces.
    NewNamespaces(Namespaces),
    /// Nothing that is mounted from here on reaches the host.
    StopPropagation,
    /// The root tree, read-only.
    MountRoot { tree: PathBuf },
    /// A place of the host.
    Bind {
        path: PathBuf,
        source: PathBuf,
        writable: bool,
    },
    /// A device of the host: an ordinary user can make none.
    BindDevice { path: PathBuf, device: Device },
    /// A place that `MakeScratch` made.
    MountScratch { path: PathBuf },
    /// The tree becomes `/`.
    PivotRoot,
    /// The host's file systems go out of reach.
    DetachOldRoot,
    /// Plain `chroot`, where mounts are not wanted.
    Chroot { tree: PathBuf },
    /// The working directory is the new root.
    EnterRoot,
    /// The first process stays behind to reap, under a filter of its own; the service has the
    /// same number inside as outside.
    ForkService {
        #[serde(with = "super::packed")]
        program: Vec<Instruction>,
    },
    /// A session of its own: no terminal of the host's.
    NewSession,
    /// Give the sockets the numbers at which the service looks for them, from 3 on.
    PassSockets { names: Vec<String> },
    /// The program, from inside.
    OpenProgram { path: PathBuf },
    /// A program that is handed over, in place of the service's: nothing of it is in the tree.
    TakeProgram,
    /// The working directory.
    ChangeDirectory { path: PathBuf },
    /// Close everything but standard input, output and error.
    CloseRest,
    /// A resource limit.
    Limit { resource: Resource, value: u64 },
    /// File mode creation mask.
    Umask { mask: u32 },
    /// Capabilities that no program here can ever have.
    DropBoundingSet { keep: u64, last: u8 },
    /// Supplementary groups, exactly.
    SetGroups { groups: Vec<u32> },
    /// Real, effective, saved and file system group.
    SetGids { gid: u32 },
    /// Real, effective, saved and file system user.
    SetUids { uid: u32 },
    /// Permitted, effective and inheritable capabilities.
    SetCapabilities { keep: u64 },
    /// Ambient capabilities: they outlive the execve of a program without file capabilities.
    SetAmbient { keep: u64 },
    /// Read everything back.
    VerifyIds {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
        capabilities: u64,
        ambient: u64,
    },
    /// Read back what an ordinary user's launch has not changed, and its capabilities. The groups
    /// stay.
    VerifyOwnIds {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    /// execve can no longer add privileges.
    NoNewPrivs,
    /// Landlock.
    Landlock(LandlockRules),
    /// A filter of system calls; with a listener if some calls end when the service is ready. If it
    /// `refuses` anything by itself, that is tried at once. If it `logs`, the kernel's log gets a
    /// record of what it refuses.
    Seccomp {
        #[serde(with = "super::packed")]
        program: Vec<Instruction>,
        listener: bool,
        refuses: bool,
        #[serde(default)]
        logs: bool,
    },
    /// Hand over.
    Execute {
        arguments: Vec<String>,
        environment: Vec<String>,
    },
    /// The listener is closed as soon as all signs of readiness are there, and then the exercises
    /// of the start have passed.
    EndStart {
        calls: Vec<u32>,
        signs: Vec<Ready>,
        exercises: Vec<Exercise>,
    },
    /// What the filter would refuse runs, and is written down beside the generations.
    Complain {
        directory: PathBuf,
        only_at_start: Vec<u32>,
        signs: Vec<Ready>,
        exercises: Vec<Exercise>,
    },
}

/// A step with its place in the order and the reason for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Where it belongs.
    pub phase: Phase,
    /// What is done.
    pub step: Step,
    /// Why, and why there.
    pub reason: String,
}
