//! From a plan to operations that the child can perform without allocating: every string is
//! made, every descriptor that needs the host is opened.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::Gid;

use super::cgroup;
use super::landlock::{self, Restriction};
use super::launch::step_failed;
use super::mounts::open_source;
use super::scratch;
use super::user_namespace;
use crate::plan::step::{Namespaces, Resource};
use crate::plan::{Descriptors, Plan, Step};
use crate::sys::exec::StringArray;
use crate::sys::fork::{self, Stack};
use crate::sys::mount::MountAttributes;
use crate::sys::seccomp::{Instruction, Options};
use crate::{Doing, Error, Result};

/// Descriptors that the child still needs at the end are kept above this number until they get
/// their own, so that none is overwritten before its turn.
const HIGH: i32 = 64;

/// Size of the directory that Landlock must refuse, which holds nothing.
const FORBIDDEN_KIB: u32 = 4;

/// Major and minor number of `/dev/null` (`null(4)`).
const NULL: (u32, u32) = (1, 3);

/// One thing that the child does. The index of its step comes with it, for the error.
#[derive(Debug)]
pub(super) enum Operation {
    StopPropagation,
    MountRoot {
        tree: CString,
    },
    Bind {
        source: CString,
        target: CString,
        attributes: MountAttributes,
    },
    BindDevice {
        source: CString,
        target: CString,
        number: (u32, u32),
        attributes: MountAttributes,
    },
    MountScratch {
        mount: OwnedFd,
        target: CString,
    },
    PivotRoot,
    DetachOldRoot,
    Chroot {
        tree: CString,
    },
    EnterRoot,
    NewSession,
    PassSockets,
    OpenProgram {
        path: CString,
    },
    TakeProgram,
    ChangeDirectory {
        path: CString,
    },
    CloseRest,
    Limit {
        resource: rustix::process::Resource,
        value: u64,
    },
    Umask {
        mask: u32,
    },
    DropBoundingSet {
        keep: u64,
        last: u8,
    },
    SetGroups {
        groups: Vec<Gid>,
    },
    SetGids {
        gid: u32,
    },
    SetUids {
        uid: u32,
    },
    SetCapabilities {
        keep: u64,
    },
    SetAmbient {
        keep: u64,
    },
    VerifyIds {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
        capabilities: u64,
        ambient: u64,
    },
    VerifyOwnIds {
        uid: u32,
        gid: u32,
    },
    NoNewPrivs,
    Landlock,
    Seccomp {
        program: Vec<Instruction>,
        options: Options,
        refuses: bool,
    },
    Execute {
        arguments: StringArray,
        environment: StringArray,
    },
}

/// The service's process beside a first one.
#[derive(Debug)]
pub(super) struct Service {
    /// The index of the step that forks it.
    pub step: u32,
    /// The first process's own filter.
    pub first_filter: Vec<Instruction>,
    /// What the service's process does.
    pub operations: Vec<(u32, Operation)>,
    /// What it runs on until it is executed.
    pub stack: Stack,
}

/// A plan, ready to be executed.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Namespaces for the child.
    pub namespaces: fork::Namespaces,
    /// They belong to a user namespace: nothing outside of it can be chosen.
    pub unprivileged: bool,
    /// What the first process does.
    pub first: Vec<(u32, Operation)>,
    /// The service's process, if it is another one.
    pub service: Option<Service>,
    /// `cgroup.procs` of each cgroup to join.
    pub cgroups: Vec<OwnedFd>,
    /// The same of each that only counts.
    pub counting: Vec<OwnedFd>,
    /// What else is open for them.
    pub opened: Opened,
}

/// Descriptors that the service's process is to have under fixed numbers.
#[derive(Debug)]
pub(super) struct Opened {
    /// What Landlock needs.
    pub landlock: Option<Restriction>,
    /// The program that [`Step::TakeProgram`] takes.
    pub program: Option<OwnedFd>,
    /// The sockets that are passed on.
    pub sockets: Vec<OwnedFd>,
    /// The numbers.
    pub numbers: Descriptors,
}

/// Prepares everything; changes nothing but cgroups, which [`cgroup::remove`] undoes.
pub(super) fn prepare(plan: &Plan) -> Result<Prepared> {
    let mut prepared = Prepared {
        namespaces: fork::Namespaces::default(),
        unprivileged: false,
        first: Vec::new(),
        service: None,
        cgroups: Vec::new(),
        counting: Vec::new(),
        opened: Opened {
            landlock: None,
            program: None,
            sockets: Vec::new(),
            numbers: plan.descriptors(),
        },
    };
    let mut made: Vec<(PathBuf, OwnedFd)> = Vec::new();
    for (planned, index) in plan.steps.iter().zip(0_u32..) {
        let doing = || format!("prepare to {}", planned.step);
        let operation = match &planned.step {
            Step::CloseInherited
            | Step::ClearEnvironment
            | Step::ResetSignals
            | Step::ResolveIds { .. }
            | Step::OpenLogSocket { .. }
            | Step::OpenJournalSocket { .. }
            | Step::OpenNotifySocket { .. }
            | Step::OpenSocket { .. }
            | Step::EndStart { .. }
            | Step::Complain { .. } => None,
            Step::JoinCgroup {
                directories,
                limits,
            } => {
                prepared.cgroups = cgroup::make(directories, limits)?;
                None
            }
            Step::CountUsage { directories } => {
                prepared.counting = cgroup::make_counting(directories);
                None
            }
            Step::EnterUserNamespace { uid, gid } => {
                user_namespace::enter(plan, planned, *uid, *gid)?;
                prepared.unprivileged = true;
                None
            }
            Step::MakeScratch {
                path,
                size_kib,
                uid,
                gid,
                mode,
            } => {
                let mount = scratch::make(*size_kib, *uid, *gid, *mode).doing(doing)?;
                scratch::make_mount_points(plan, path, &mount).doing(doing)?;
                made.push((path.clone(), mount));
                None
            }
            Step::FillScratch {
                scratch,
                path,
                tree,
                content,
            } => {
                let mount = made.iter().find(|(place, _)| place == scratch);
                let (_, mount) =
                    mount.ok_or_else(|| Error::setup(doing(), "no step makes that place"))?;
                let below = path.strip_prefix(scratch).unwrap_or(path);
                let source = tree.join(path.strip_prefix("/").unwrap_or(path));
                scratch::fill(mount, below, content, &source).doing(doing)?;
                None
            }
            Step::NewNamespaces(kinds) => {
                prepared.namespaces = namespaces(*kinds);
                None
            }
            Step::ForkService { program } => {
                prepared.service = Some(Service {
                    step: index,
                    first_filter: program.clone(),
                    operations: Vec::new(),
                    stack: Stack::new().doing(doing)?,
                });
                None
            }
            Step::Landlock(rules) => {
                prepared.opened.landlock = Some(Restriction {
                    ruleset: high(landlock::ruleset(rules, &made)?)?,
                    forbidden: high(forbidden().doing(doing)?)?,
                });
                Some(Operation::Landlock)
            }
            Step::MountScratch { path } => {
                let mount = made
                    .iter()
                    .find(|(place, _)| place == path)
                    .ok_or_else(|| Error::setup(doing(), "no step makes it"))?;
                let mount = rustix::io::fcntl_dupfd_cloexec(&mount.1, HIGH).doing(doing)?;
                Some(Operation::MountScratch {
                    mount,
                    target: relative(path)?,
                })
            }
            Step::Bind { source, .. } => {
                // Before Landlock stumbles over it, in fewer words.
                open_source(&text(source)?).map_err(|errno| source_failed(plan, index, errno))?;
                Some(direct(&planned.step)?)
            }
            step => Some(direct(step)?),
        };
        if let Some(operation) = operation {
            let list = match &mut prepared.service {
                Some(service) => &mut service.operations,
                None => &mut prepared.first,
            };
            list.push((index, operation));
        }
    }
    Ok(prepared)
}

/// The directory that Landlock must refuse. It is the caller's: in a user namespace there may be no
/// other user.
fn forbidden() -> rustix::io::Result<OwnedFd> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    scratch::make(FORBIDDEN_KIB, uid.as_raw(), gid.as_raw(), 0o755)
}

/// The words for a source of a bind that is not what it was.
fn source_failed(plan: &Plan, index: u32, errno: Errno) -> Error {
    let error = step_failed(plan, index, errno);
    match errno {
        Errno::NOENT => error.hint("create it on the host, or take it out of binds in the spec"),
        Errno::LOOP => error.hint(
            "there is a symbolic link in it, which could lead anywhere: name the place it leads \
             to, or put back what was there",
        ),
        _ => error,
    }
}

/// The steps whose operation needs nothing but the step.
fn direct(step: &Step) -> Result<Operation> {
    Ok(match step {
        Step::StopPropagation => Operation::StopPropagation,
        Step::MountRoot { tree } => Operation::MountRoot { tree: text(tree)? },
        Step::Bind {
            path,
            source,
            writable,
        } => Operation::Bind {
            source: text(source)?,
            target: relative(path)?,
            attributes: MountAttributes {
                read_only: !writable,
                no_suid: true,
                no_device: true,
                no_exec: true,
            },
        },
        Step::BindDevice { path, device } => Operation::BindDevice {
            source: text(device.path())?,
            target: relative(path)?,
            number: device.number(),
            // Nothing of the node itself can be changed; what is written to it is the device's.
            attributes: MountAttributes {
                read_only: true,
                no_suid: true,
                no_device: false,
                no_exec: true,
            },
        },
        Step::PivotRoot => Operation::PivotRoot,
        Step::DetachOldRoot => Operation::DetachOldRoot,
        Step::Chroot { tree } => Operation::Chroot { tree: text(tree)? },
        Step::EnterRoot => Operation::EnterRoot,
        Step::NewSession => Operation::NewSession,
        Step::PassSockets { .. } => Operation::PassSockets,
        Step::OpenProgram { path } => Operation::OpenProgram { path: text(path)? },
        Step::TakeProgram => Operation::TakeProgram,
        Step::ChangeDirectory { path } => Operation::ChangeDirectory { path: text(path)? },
        Step::CloseRest => Operation::CloseRest,
        Step::Limit { resource, value } => Operation::Limit {
            resource: match resource {
                Resource::CoreFile => rustix::process::Resource::Core,
                Resource::Descriptors => rustix::process::Resource::Nofile,
                Resource::FileSize => rustix::process::Resource::Fsize,
            },
            value: *value,
        },
        Step::Umask { mask } => Operation::Umask { mask: *mask },
        Step::DropBoundingSet { keep, last } => Operation::DropBoundingSet {
            keep: *keep,
            last: *last,
        },
        Step::SetGroups { groups } => Operation::SetGroups {
            groups: groups.iter().map(|gid| Gid::from_raw(*gid)).collect(),
        },
        Step::SetGids { gid } => Operation::SetGids { gid: *gid },
        Step::SetUids { uid } => Operation::SetUids { uid: *uid },
        Step::SetCapabilities { keep } => Operation::SetCapabilities { keep: *keep },
        Step::SetAmbient { keep } => Operation::SetAmbient { keep: *keep },
        Step::VerifyIds {
            uid,
            gid,
            groups,
            capabilities,
            ambient,
        } => Operation::VerifyIds {
            uid: *uid,
            gid: *gid,
            groups: {
                let mut sorted = groups.clone();
                sorted.sort_unstable();
                sorted
            },
            capabilities: *capabilities,
            ambient: *ambient,
        },
        Step::VerifyOwnIds { uid, gid, .. } => Operation::VerifyOwnIds {
            uid: *uid,
            gid: *gid,
        },
        Step::NoNewPrivs => Operation::NoNewPrivs,
        Step::Seccomp {
            program,
            listener,
            refuses,
            logs,
        } => Operation::Seccomp {
            program: program.clone(),
            options: Options {
                log: *logs,
                listener: *listener,
            },
            refuses: *refuses,
        },
        Step::Execute {
            arguments,
            environment,
        } => Operation::Execute {
            arguments: strings(arguments)?,
            environment: strings(environment)?,
        },
        other => {
            return Err(Error::setup(
                format!("prepare to {other}"),
                "it is no step of the child",
            ));
        }
    })
}

fn namespaces(kinds: Namespaces) -> fork::Namespaces {
    fork::Namespaces {
        mount: kinds.mount,
        pid: kinds.pid,
        ipc: kinds.ipc,
        uts: kinds.uts,
    }
}

fn text(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| Error::setup(format!("use the path {}", path.display()), error))
}

/// The path below the root, without the leading slash.
fn relative(path: &Path) -> Result<CString> {
    text(path.strip_prefix("/").unwrap_or(path))
}

fn strings(texts: &[String]) -> Result<StringArray> {
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(Error::setup(
            "use the arguments",
            "one of them has a NUL byte in it",
        ));
    }
    StringArray::numbered(texts, Plan::is_numbered)
        .map_err(|error| Error::setup("use the arguments", error))
}

/// Moves a descriptor out of the way of the fixed numbers; the old one is closed.
pub(super) fn high(descriptor: OwnedFd) -> Result<OwnedFd> {
    let doing = "duplicate a descriptor";
    match rustix::io::fcntl_dupfd_cloexec(&descriptor, HIGH) {
        // fcntl(2): the number is not below RLIMIT_NOFILE.
        Err(Errno::INVAL | Errno::MFILE) => Err(Error::setup(
            doing,
            format!("too few files may be open: a start needs numbers above {HIGH}"),
        )
        .hint("raise the limit of whoever starts it: ulimit -n, LimitNOFILE=")),
        duplicated => duplicated.doing(|| doing),
    }
}

/// `/dev/null`, for standard input, and nothing else in its place (CVE-2025-31133).
pub(super) fn null() -> Result<OwnedFd> {
    let doing = || "open /dev/null";
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let null = rustix::fs::open(c"/dev/null", flags, Mode::empty()).doing(doing)?;
    let stat = rustix::fs::fstat(&null).doing(doing)?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if !is_device || stat.st_rdev != rustix::fs::makedev(NULL.0, NULL.1) {
        return Err(Error::setup(doing(), "it is not the null device")
            .hint("look who has put it there; then: rm /dev/null; mknod -m 666 /dev/null c 1 3"));
    }
    Ok(null)
}
