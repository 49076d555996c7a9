//! The layers of a jail, and its plan without some of them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::plan::step::Namespaces;
use crate::plan::{Phase, Plan, PlannedStep, Step};
use crate::{Error, Result};

/// What may stop a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The root tree and its mounts: what is not there, what is read-only, nodev, noexec, nosuid.
    Root,
    /// What is left open when the service begins.
    Descriptors,
    /// The user and the groups.
    Ids,
    /// The capability sets.
    Capabilities,
    /// `no_new_privs`.
    NoNewPrivs,
    /// Landlock.
    Landlock,
    /// The filter of system calls.
    Seccomp,
    /// A pid namespace.
    PidNamespace,
    /// An IPC namespace.
    IpcNamespace,
    /// A UTS namespace.
    UtsNamespace,
    /// A session without a terminal.
    Session,
    /// Resource limits and cgroups.
    Limits,
    /// What gaoler does outside: the log, pid files, whatever a service left, is neither believed
    /// nor followed.
    Host,
}

const NAMES: [(Layer, &str); 13] = [
    (Layer::Root, "root"),
    (Layer::Descriptors, "descriptors"),
    (Layer::Ids, "ids"),
    (Layer::Capabilities, "capabilities"),
    (Layer::NoNewPrivs, "no_new_privs"),
    (Layer::Landlock, "landlock"),
    (Layer::Seccomp, "seccomp"),
    (Layer::PidNamespace, "pid_namespace"),
    (Layer::IpcNamespace, "ipc_namespace"),
    (Layer::UtsNamespace, "uts_namespace"),
    (Layer::Session, "session"),
    (Layer::Limits, "limits"),
    (Layer::Host, "host"),
];

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(layer, _)| *layer).ok_or_else(|| {
            let names: Vec<&str> = Self::removable().map(|layer| layer.name()).collect();
            format!("there is no such layer; there are {}", names.join(", "))
        })
    }
}

impl Layer {
    fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(layer, _)| *layer == self)
            .map_or("?", |(_, name)| name)
    }

    /// Those that a jail can be started without, to see what they stop.
    pub fn removable() -> impl Iterator<Item = Layer> {
        NAMES
            .iter()
            .map(|(layer, _)| *layer)
            .filter(|layer| *layer != Layer::Descriptors)
    }
}

/// A group that no service has, for whoever is unconfined.
const UNUSUAL_GROUP: u32 = 4_242_425;

/// The plan with a program that is handed over in place of the service, and these arguments.
#[must_use]
pub fn with_prober(plan: &Plan, arguments: &[String]) -> Plan {
    let mut plan = plan.clone();
    for planned in &mut plan.steps {
        match &mut planned.step {
            Step::OpenProgram { .. } => planned.step = Step::TakeProgram,
            Step::Execute { arguments: old, .. } => *old = arguments.to_vec(),
            _ => {}
        }
    }
    plan
}

/// The plan without these layers: what only they stop is stopped no more.
///
/// # Errors
/// A layer that nothing can be started without, or not without another.
pub fn without(plan: &Plan, layers: &[Layer], all_capabilities: u64) -> Result<Plan> {
    let mut plan = plan.clone();
    for layer in layers {
        remove(&mut plan.steps, *layer, all_capabilities);
    }
    let off = |layer| layers.contains(&layer);
    let needs_no_new_privs = !off(Layer::Seccomp) || !off(Layer::Landlock);
    let refuse = |why: &str| {
        let doing = format!("start the jail {} without a layer", plan.name);
        Err(Error::usage(doing, why.to_owned()))
    };
    if off(Layer::NoNewPrivs) && needs_no_new_privs {
        return refuse("seccomp and landlock need no_new_privs: take them out too");
    }
    if off(Layer::Descriptors) {
        return refuse("the launcher's own descriptors cannot stay open");
    }
    if off(Layer::Ids) || off(Layer::Capabilities) {
        let steps = &mut plan.steps;
        let verifies =
            |step: &Step| matches!(step, Step::VerifyIds { .. } | Step::VerifyOwnIds { .. });
        steps.retain(|planned| !verifies(&planned.step));
    }
    Ok(plan)
}

fn remove(steps: &mut Vec<PlannedStep>, layer: Layer, all_capabilities: u64) {
    let drop = |planned: &PlannedStep| match layer {
        Layer::Root => matches!(planned.phase, Phase::Mounts | Phase::Root),
        Layer::Ids => matches!(
            planned.step,
            Step::SetGroups { .. } | Step::SetGids { .. } | Step::SetUids { .. }
        ),
        Layer::Capabilities => matches!(planned.step, Step::DropBoundingSet { .. }),
        Layer::NoNewPrivs => matches!(planned.step, Step::NoNewPrivs),
        Layer::Landlock => matches!(planned.step, Step::Landlock(_)),
        Layer::Seccomp => matches!(planned.step, Step::Seccomp { .. } | Step::EndStart { .. }),
        Layer::PidNamespace => matches!(planned.step, Step::ForkService { .. }),
        Layer::Session => matches!(planned.step, Step::NewSession),
        Layer::Limits => matches!(planned.step, Step::Limit { .. } | Step::JoinCgroup { .. }),
        Layer::IpcNamespace | Layer::UtsNamespace | Layer::Descriptors | Layer::Host => false,
    };
    steps.retain(|planned| !drop(planned));
    for planned in steps {
        match &mut planned.step {
            Step::NewNamespaces(kinds) => match layer {
                Layer::PidNamespace => kinds.pid = false,
                Layer::IpcNamespace => kinds.ipc = false,
                Layer::UtsNamespace => kinds.uts = false,
                _ => {}
            },
            Step::SetCapabilities { keep } | Step::SetAmbient { keep }
                if layer == Layer::Capabilities =>
            {
                *keep = all_capabilities;
            }
            _ => {}
        }
    }
}

/// The plan with this log of the host's, a directory with its socket, in place of the jail's own:
/// without [`Layer::Host`] nobody stands between the two.
#[must_use]
pub fn with_log_of_host(plan: &Plan, directory: &Path) -> Plan {
    let mut plan = plan.clone();
    let own = plan.log_directory();
    for planned in &mut plan.steps {
        match &mut planned.step {
            Step::Bind { source, .. } if Some(&*source) == own.as_ref() => {
                directory.clone_into(source);
            }
            _ => {}
        }
    }
    plan
}

/// A plan that confines nothing: with mounts and a host name of its own, so that a probe that gets
/// through changes nothing outside, and as this user, or as root.
#[must_use]
pub fn unconfined(name: &str, user: Option<(u32, u32)>, arguments: Vec<String>) -> Plan {
    let execute = Step::Execute {
        arguments,
        environment: Vec::new(),
    };
    bare(name, Step::TakeProgram, user, execute)
}

/// The same for the ordinary user who runs this.
#[must_use]
pub fn unconfined_as_is(name: &str, arguments: Vec<String>) -> Plan {
    let execute = Step::Execute {
        arguments,
        environment: Vec::new(),
    };
    nothing_but(
        name,
        vec![
            (Phase::Descriptors, Step::TakeProgram),
            (Phase::Execute, execute),
        ],
    )
}

/// The most that an ordinary user can become without a set-user-ID program: every capability in a
/// user namespace of their own, which `jail` is started in too.
#[must_use]
pub fn unconfined_in_namespace(jail: &Plan, all_capabilities: u64, arguments: Vec<String>) -> Plan {
    let enter = jail.steps.iter().map(|planned| &planned.step);
    let enter = enter.filter(|step| matches!(step, Step::EnterUserNamespace { .. }));
    let mut steps: Vec<(Phase, Step)> = enter.map(|step| (Phase::Host, step.clone())).collect();
    let keep = all_capabilities;
    let execute = Step::Execute {
        arguments,
        environment: Vec::new(),
    };
    steps.extend([
        (Phase::Namespaces, Step::NewNamespaces(OWN)),
        (Phase::Mounts, Step::StopPropagation),
        (Phase::Descriptors, Step::TakeProgram),
        (Phase::Ids, Step::SetCapabilities { keep }),
        (Phase::Ids, Step::SetAmbient { keep }),
        (Phase::Execute, execute),
    ]);
    nothing_but(&jail.name, steps)
}

/// The same for a launcher at this path, with this environment: what it does not stop, nothing does.
#[must_use]
pub fn launched(
    name: &str,
    path: PathBuf,
    arguments: Vec<String>,
    environment: Vec<String>,
) -> Plan {
    let execute = Step::Execute {
        arguments,
        environment,
    };
    bare(name, Step::OpenProgram { path }, None, execute)
}

/// What whoever is unconfined has of its own.
const OWN: Namespaces = Namespaces {
    mount: true,
    pid: false,
    ipc: false,
    uts: true,
};

fn bare(name: &str, program: Step, user: Option<(u32, u32)>, execute: Step) -> Plan {
    let mut steps = vec![
        (Phase::Namespaces, Step::NewNamespaces(OWN)),
        (Phase::Mounts, Step::StopPropagation),
        (Phase::Descriptors, program),
    ];
    // Somebody whose groups nobody looks after.
    let groups = vec![UNUSUAL_GROUP];
    steps.push((Phase::Ids, Step::SetGroups { groups }));
    if let Some((uid, gid)) = user {
        steps.push((Phase::Ids, Step::SetGids { gid }));
        steps.push((Phase::Ids, Step::SetUids { uid }));
        steps.push((Phase::Ids, Step::SetCapabilities { keep: 0 }));
    }
    steps.push((Phase::Execute, execute));
    nothing_but(name, steps)
}

fn nothing_but(name: &str, steps: Vec<(Phase, Step)>) -> Plan {
    let planned = steps.into_iter().map(|(phase, step)| PlannedStep {
        phase,
        step,
        reason: "to see what it does where nothing stops it".to_owned(),
    });
    Plan {
        name: name.to_owned(),
        generation: 0,
        forks: false,
        steps: planned.collect(),
        ready: Vec::new(),
        lacking: Vec::new(),
        check_every_s: 0,
        living: crate::plan::Living::default(),
        log: Default::default(),
    }
}
