//! Puts the steps together. The order here is the launch order of the design; a test holds it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::step::{Namespaces, Phase, PlannedStep, Step};
use super::{Living, Plan, policy, restrict};
use crate::build::Manifest;
use crate::host::Host;
use crate::spec::{Demand, Ready, Spec};
use crate::{Error, Result};

/// How the jail will be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A supervisor outside and, in a pid namespace, a first process inside.
    Supervised,
    /// `run --exec`: this process becomes the service.
    Exec,
    /// As supervised, but what the filter would refuse runs, and is written down.
    Complaining,
    /// As supervised, but the service waits before its first instruction until it is let go: a
    /// tracer takes hold of it there.
    Traced,
}

impl Mode {
    /// Whether a supervisor stays outside.
    pub fn is_supervised(self) -> bool {
        self != Mode::Exec
    }
}

/// What a plan is made from, all of it plain data.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The policy.
    pub spec: &'a Spec,
    /// What was built.
    pub manifest: &'a Manifest,
    /// The generation's number.
    pub generation: u64,
    /// Its root tree on the host.
    pub tree: &'a Path,
    /// The jail's directory below `/run/gaoler`.
    pub runtime: &'a Path,
    /// What its cgroups are called: the jail's name, but for a trial of it.
    pub cgroup: &'a str,
    /// What the host can do.
    pub host: &'a Host,
    /// `service.user` as a number.
    pub uid: u32,
    /// `service.group` as a number.
    pub gid: u32,
    /// `service.groups` as numbers.
    pub groups: &'a [u32],
    /// Owner and group of each of `spec.sockets`, in their order.
    pub socket_owners: &'a [(u32, u32)],
    /// If the program is a script: its interpreter and the interpreter's argument.
    pub interpreter: &'a [String],
    /// How it will be run.
    pub mode: Mode,
    /// It is tried out: what its filter refuses is refused on purpose, maybe in a loop, and no
    /// record of it is wanted.
    pub tried: bool,
}

/// Makes the plan.
///
/// # Errors
/// A protection that is required and that this host lacks; a program that is not in the tree.
pub fn assemble(inputs: Inputs<'_>) -> Result<Plan> {
    nothing_to_mount_without_mounts(inputs.spec)?;
    let mut plan = Assembly {
        inputs,
        steps: Vec::new(),
        lacking: Vec::new(),
    };
    plan.judge_ordinary()?;
    plan.host_side()?;
    plan.namespaces();
    plan.mounts();
    plan.root();
    plan.process()?;
    plan.descriptors()?;
    plan.ids();
    plan.restrictions()?;
    plan.execute()?;
    plan.ready()?;
    Ok(Plan {
        name: inputs.spec.name.clone(),
        generation: inputs.generation,
        forks: inputs.spec.service.forks,
        steps: plan.steps,
        ready: inputs.spec.service.ready.clone(),
        lacking: plan.lacking,
        // The supervisor of an ordinary user's jail is in its user namespace, where nobody can tell
        // what belongs to root.
        check_every_s: match inputs.host.user {
            Some(_) => 0,
            None => inputs.spec.check.every_s,
        },
        living: Living {
            liveness: inputs.spec.liveness.clone(),
            stop_timeout_s: inputs.spec.service.stop_timeout_s,
            restart: inputs.spec.restart,
            host_pid_file: inputs.spec.service.host_pid_file.clone(),
        },
        log: inputs.spec.log.sink,
    })
}

/// Where root's jails are when they run, unless something else was asked for.
const RUNTIME: &str = "/run/gaoler";

/// A number for a text (the hash FNV-1a, draft-eastlake-fnv): the same with every compiler.
fn fnv_1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Binds and scratch places need a mount namespace of the jail's own: made without one, the
/// mounts would be the host's.
fn nothing_to_mount_without_mounts(spec: &Spec) -> Result<()> {
    let mounts = spec.binds.len() + spec.scratch.len();
    if spec.protections.mount_namespace != Demand::Off || mounts == 0 {
        return Ok(());
    }
    Err(Error::setup(
        format!("plan the jail {}", spec.name),
        format!("mount_namespace is off, and {mounts} places are to be mounted"),
    )
    .hint("build it with --standalone for plain chroot, or take the places out of the spec"))
}

/// A plan in the making.
pub(super) struct Assembly<'a> {
    pub(super) inputs: Inputs<'a>,
    steps: Vec<PlannedStep>,
    pub(super) lacking: Vec<String>,
}

impl Assembly<'_> {
    pub(super) fn add(&mut self, phase: Phase, step: Step, reason: impl Into<String>) {
        self.steps.push(PlannedStep {
            phase,
            step,
            reason: reason.into(),
        });
    }

    /// Whether to use a layer. One that is missing stops the plan or is reported, as the
    /// spec says: nothing is skipped in silence.
    pub(super) fn wants(
        &mut self,
        layer: &str,
        demand: Demand,
        missing: Option<&str>,
    ) -> Result<bool> {
        match (demand, missing) {
            (Demand::Off, _) => Ok(false),
            (Demand::Require | Demand::Prefer, None) => Ok(true),
            (Demand::Prefer, Some(why)) => {
                self.lacking.push(format!("{layer}: {why}"));
                Ok(false)
            }
            (Demand::Require, Some(why)) => Err(Error::setup(
                format!("plan the jail {}: its protection {layer} is required", self.inputs.spec.name),
                why,
            )
            .hint(format!(
                "set {layer} = \"prefer\" under [protections] to start without it and have it reported"
            ))),
        }
    }

    fn host_side(&mut self) -> Result<()> {
        let Inputs {
            spec,
            uid,
            gid,
            groups,
            runtime,
            cgroup,
            host,
            ..
        } = self.inputs;
        self.add(
            Phase::Host,
            Step::CloseInherited,
            "an inherited descriptor of a directory is a way out of any root (CVE-2024-21626); \
             this comes before anything is opened",
        );
        self.add(
            Phase::Host,
            Step::ClearEnvironment,
            "nothing of the caller's environment may steer the loader or the service",
        );
        self.add(
            Phase::Host,
            Step::ResetSignals,
            "ignored and blocked signals outlive execve: a service that cannot be told to stop",
        );
        self.add(
            Phase::Host,
            Step::ResolveIds {
                user: spec.service.user.clone(),
                uid,
                gid,
                groups: groups.to_vec(),
            },
            "names are looked up on the host: after the change of root, NSS would load the \
             jail's libraries as root (CVE-2019-14271, CVE-2025-32463)",
        );
        let (directories, limits) = policy::cgroup(cgroup, &spec.limits, &host.cgroups);
        let missing = match (self.is_ordinary(), directories.is_empty()) {
            (true, _) => Some(
                "without root there is no cgroup to put it in, so its limits of memory and \
                 processes do not hold",
            ),
            (false, true) => Some("no cgroup hierarchy is mounted"),
            (false, false) => None,
        };
        let limited = spec.limits.memory.is_some() || spec.limits.processes.is_some();
        if limited && self.wants("cgroup", spec.protections.cgroup, missing)? {
            self.add(
                Phase::Host,
                Step::JoinCgroup {
                    directories,
                    limits,
                },
                "limits on the whole jail hold for every process in it",
            );
        }
        self.count_usage();
        if self.inputs.mode.is_supervised() {
            self.add(
                Phase::Host,
                Step::OpenLogSocket {
                    directory: runtime.join("log"),
                },
                "the supervisor reads the jail's /dev/log and says itself which jail wrote",
            );
        }
        if self.has_journal() {
            self.add(
                Phase::Host,
                Step::OpenJournalSocket {
                    directory: runtime.join("log"),
                },
                "the service speaks journald's protocol; the supervisor says itself whose it is",
            );
        }
        if self.is_notified()? {
            self.add(
                Phase::Host,
                Step::OpenNotifySocket {
                    directory: runtime.join("log"),
                    uid: if spec.service.start_as_root { 0 } else { uid },
                },
                "the service says here that it is ready (sd_notify(3)); only its own user can",
            );
        }
        self.open_sockets();
        self.user_namespace();
        for scratch in &spec.scratch {
            self.add(
                Phase::Host,
                Step::MakeScratch {
                    path: scratch.path.clone(),
                    size_kib: scratch.size_kib,
                    uid: if spec.service.start_as_root { 0 } else { uid },
                    gid,
                    mode: 0o700,
                },
                scratch.because.clone(),
            );
        }
        self.fill_scratch();
        Ok(())
    }

    /// Has the kernel count what the jail uses, in the hierarchies in which it has no directory for
    /// a limit. Whoever takes a process over by `run --exec` counts by himself.
    fn count_usage(&mut self) {
        let Inputs {
            spec,
            runtime,
            cgroup,
            host,
            mode,
            ..
        } = self.inputs;
        if self.is_ordinary() || !matches!(mode, Mode::Supervised | Mode::Complaining) {
            return;
        }
        let limited = self.steps.iter().find_map(|planned| match &planned.step {
            Step::JoinCgroup { directories, .. } => Some(directories.clone()),
            _ => None,
        });
        // A jail of the same name in other places is another jail.
        let name = match cgroup == spec.name && !runtime.starts_with(RUNTIME) {
            true => format!("{cgroup}@{:016x}", fnv_1a(runtime.as_os_str().as_bytes())),
            false => cgroup.to_owned(),
        };
        let mut directories = policy::counting(&name, &host.cgroups);
        directories.retain(|directory| !limited.iter().flatten().any(|it| it == directory));
        if !directories.is_empty() {
            self.add(
                Phase::Host,
                Step::CountUsage { directories },
                "the kernel counts memory, processor time and processes of the whole jail; a \
                 host that does not let it is no reason not to start",
            );
        }
    }

    /// Whether the service is to say by itself that it is ready, and somebody hears it.
    pub(super) fn is_notified(&self) -> Result<bool> {
        let Inputs { spec, mode, .. } = self.inputs;
        let watched = spec
            .liveness
            .as_ref()
            .is_some_and(|it| it.watchdog_ms.is_some());
        let wanted =
            mode.is_supervised() && (watched || spec.service.ready.contains(&Ready::Notify));
        if wanted && spec.protections.mount_namespace == Demand::Off {
            return Err(Error::setup(
                format!("plan the jail {}", spec.name),
                "mount_namespace is off, and the socket for sd_notify(3) is to be mounted",
            )
            .hint(
                "take another sign of readiness than notify: tcp:, udp:, file:, log: or quiet:; and \
                 a command or port under [liveness] for the watchdog",
            ));
        }
        Ok(wanted)
    }

    pub(super) fn kinds(&self) -> Namespaces {
        let wanted = &self.inputs.spec.protections;
        Namespaces {
            mount: wanted.mount_namespace != Demand::Off,
            pid: wanted.pid_namespace != Demand::Off && self.inputs.mode.is_supervised(),
            ipc: wanted.ipc_namespace != Demand::Off,
            uts: wanted.uts_namespace != Demand::Off,
        }
    }

    fn namespaces(&mut self) {
        let kinds = self.kinds();
        if kinds == Namespaces::default() {
            return;
        }
        self.add(
            Phase::Namespaces,
            Step::NewNamespaces(kinds),
            match self.is_ordinary() {
                false => {
                    "mounts, process ids, System V IPC and host name of its own; as root this \
                     needs no user namespace"
                }
                true => {
                    "mounts, process ids, System V IPC and host name of its own, which belong to \
                     the user namespace"
                }
            },
        );
        if kinds.pid != (self.inputs.spec.protections.pid_namespace != Demand::Off) {
            self.lacking.push(
                "pid_namespace: with --exec there is none, execve cannot enter one".to_owned(),
            );
        }
    }

    fn process(&mut self) -> Result<()> {
        if self.kinds().pid {
            self.add(
                Phase::Process,
                Step::ForkService {
                    program: policy::first_process_filter()?,
                },
                "pid 1 ignores signals that it has no handler for and must reap orphans, which a \
                 service does not expect; the pid is the same inside and outside, so that pid \
                 files and logs are right",
            );
        }
        if self.inputs.mode.is_supervised() {
            self.add(
                Phase::Process,
                Step::NewSession,
                "with no controlling terminal there is nothing for TIOCSTI to type into \
                 (CVE-2017-5226)",
            );
        }
        Ok(())
    }

    fn descriptors(&mut self) -> Result<()> {
        let program = self.program()?;
        self.pass_sockets();
        self.add(
            Phase::Descriptors,
            Step::OpenProgram { path: program },
            match self.is_ordinary() {
                false => {
                    "opened by root inside the new root, so that what runs is what was built and \
                     need not be readable by the service"
                }
                true => "opened inside the new root, so that what runs is what was built",
            },
        );
        let path = self.inputs.spec.service.workdir.clone();
        self.add(
            Phase::Descriptors,
            Step::ChangeDirectory { path },
            "only now are all mounts final; the answer of getcwd must begin with / \
             (CVE-2024-21626)",
        );
        self.add(
            Phase::Descriptors,
            Step::CloseRest,
            "what the launcher itself opened must not stay either; before the filter, which may \
             refuse close_range",
        );
        Ok(())
    }

    /// What is executed: the service's program, or its interpreter if it is a script.
    fn program(&self) -> Result<PathBuf> {
        let arguments = policy::arguments(self.inputs.spec, self.inputs.interpreter);
        let program = arguments.first().map(PathBuf::from).unwrap_or_default();
        if restrict::resolve(self.inputs.manifest, &program).is_some() {
            return Ok(program);
        }
        Err(Error::setup(
            format!("plan the jail {}", self.inputs.spec.name),
            format!("its program {} is not in the tree", program.display()),
        )
        .hint("list it under files with kind = \"program\" and build again"))
    }
}
