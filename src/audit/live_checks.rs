//! Checks of the running jail, from outside: what the plan promised against what `/proc` shows.

use super::live::{NAMESPACES, Process};
use super::{Check, Finding, Severity, Subject};
use crate::host::process::Status;
use crate::plan::Step;
use crate::plan::step::Namespaces;
use crate::sys::caps::CapabilitySet;

/// The table.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "live.uid",
        about: "every thread has the uid in all four forms",
        look: uids,
    },
    Check {
        id: "live.gid",
        about: "every thread has the gid in all four forms",
        look: gids,
    },
    Check {
        id: "live.groups",
        about: "every thread has exactly the groups",
        look: groups,
    },
    Check {
        id: "live.capabilities",
        about: "no set holds more than was kept",
        look: capabilities,
    },
    Check {
        id: "live.no-new-privs",
        about: "execve cannot add privileges",
        look: no_new_privs,
    },
    Check {
        id: "live.seccomp",
        about: "every thread is under the filter",
        look: seccomp,
    },
    Check {
        id: "live.start",
        about: "the calls that only starting needs have come to their end",
        look: start,
    },
    Check {
        id: "live.complain",
        about: "what the system call filter would refuse is refused",
        look: complain,
    },
    Check {
        id: "live.root",
        about: "its root is the generation's tree: the inode is compared, as \"Running BIND9 in \
                a chroot cage\" does with fstat",
        look: root,
    },
    Check {
        id: "live.directory",
        about: "its working directory is inside",
        look: directory,
    },
    Check {
        id: "live.descriptor",
        about: "no descriptor leads to a file outside (CVE-2024-21626; \"close file descriptors \
                aggressively\")",
        look: descriptors,
    },
    Check {
        id: "live.namespace",
        about: "its namespaces are its own",
        look: namespaces,
    },
    Check {
        id: "live.mount",
        about: "its mounts are as tight as planned",
        look: mounts,
    },
    Check {
        id: "live.init",
        about: "the first process that gaoler leaves in the jail has no capability and a filter",
        look: first_process,
    },
    Check {
        id: "live.executable",
        about: "it runs what was built",
        look: executables,
    },
];

const RESTART: &str = "restart the jail; if it comes back, report it as a bug with the plan";

/// What the plan promised.
#[derive(Default)]
struct Promise {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    capabilities: u64,
    filters: u32,
    no_new_privs: bool,
    namespaces: Namespaces,
}

impl Promise {
    fn of(subject: &Subject<'_>) -> Self {
        let mut promise = Self::default();
        for planned in &subject.plan.steps {
            match &planned.step {
                Step::VerifyIds {
                    uid,
                    gid,
                    groups,
                    capabilities,
                    ..
                } => {
                    promise.uid = *uid;
                    promise.gid = *gid;
                    promise.groups.clone_from(groups);
                    promise.groups.sort_unstable();
                    promise.capabilities = *capabilities;
                }
                Step::Seccomp { .. } => promise.filters = 1,
                Step::NoNewPrivs => promise.no_new_privs = true,
                Step::NewNamespaces(kinds) => promise.namespaces = *kinds,
                _ => {}
            }
        }
        promise
    }
}

/// The service's processes, without the first one that gaoler left.
fn processes<'a>(subject: &Subject<'a>) -> impl Iterator<Item = &'a Process> + use<'a> {
    subject
        .live
        .into_iter()
        .flat_map(|live| &live.processes)
        .filter(|process| !process.is_init)
}

/// Looks at every thread of every process of the service.
fn each_thread(
    subject: &Subject<'_>,
    wrong: impl Fn(&Promise, &Status) -> Option<String>,
) -> Vec<Finding> {
    let promise = Promise::of(subject);
    processes(subject)
        .flat_map(|process| {
            process
                .threads
                .iter()
                .map(move |thread| (process.pid, thread))
        })
        .filter_map(|(pid, thread)| {
            let evidence = wrong(&promise, thread)?;
            let subject = format!("process {pid} ({})", thread.name);
            Some(Finding::new(Severity::Critical, subject, evidence, RESTART))
        })
        .collect()
}

fn uids(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.spec.service.start_as_root && subject.spec.service.user == "root" {
        // Some of it stays so: `spec.root` says it.
        return Vec::new();
    }
    if subject.spec.service.start_as_root {
        // It changes by itself, so only what it ends up as can be judged.
        return each_thread(subject, |_, thread| {
            (thread.uids.contains(&0)).then(|| format!("a uid is still 0: {:?}", thread.uids))
        });
    }
    each_thread(subject, |promise, thread| {
        (thread.uids != [promise.uid; 4])
            .then(|| format!("uids are {:?}, not four times {}", thread.uids, promise.uid))
    })
}

fn gids(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.spec.service.start_as_root {
        return Vec::new();
    }
    each_thread(subject, |promise, thread| {
        (thread.gids != [promise.gid; 4])
            .then(|| format!("gids are {:?}, not four times {}", thread.gids, promise.gid))
    })
}

fn groups(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.spec.service.start_as_root {
        return Vec::new();
    }
    each_thread(subject, |promise, thread| {
        let mut found = thread.groups.clone();
        found.sort_unstable();
        (found != promise.groups).then(|| format!("groups are {found:?}, not {:?}", promise.groups))
    })
}

fn capabilities(subject: &Subject<'_>) -> Vec<Finding> {
    each_thread(subject, |promise, thread| {
        let sets = [
            ("effective", thread.effective),
            ("permitted", thread.permitted),
            ("inheritable", thread.inheritable),
            ("bounding", thread.bounding),
            ("ambient", thread.ambient),
        ];
        let more: Vec<String> = sets
            .into_iter()
            .filter(|(_, set)| set & !promise.capabilities != 0)
            .map(|(name, set)| format!("{name} has {}", CapabilitySet(set & !promise.capabilities)))
            .collect();
        (!more.is_empty()).then(|| more.join("; "))
    })
}

fn no_new_privs(subject: &Subject<'_>) -> Vec<Finding> {
    each_thread(subject, |promise, thread| {
        (promise.no_new_privs && !thread.no_new_privs).then(|| "no_new_privs is not set".to_owned())
    })
}

fn seccomp(subject: &Subject<'_>) -> Vec<Finding> {
    each_thread(subject, |promise, thread| {
        let missing =
            promise.filters > 0 && (thread.seccomp != 2 || thread.filters < promise.filters);
        missing.then(|| {
            format!(
                "seccomp mode {}, {} filters",
                thread.seccomp, thread.filters
            )
        })
    })
}

fn start(subject: &Subject<'_>) -> Vec<Finding> {
    let calls = subject
        .plan
        .steps
        .iter()
        .find_map(|planned| match &planned.step {
            Step::EndStart { calls, .. } => Some(calls.len()),
            _ => None,
        });
    match (calls, subject.live) {
        (Some(calls), Some(live)) if !live.serving => vec![Finding::new(
            Severity::Low,
            "service",
            format!("{calls} system calls of the start are still let through"),
            "wait until it is ready; change service.ready if the sign is wrong",
        )],
        _ => Vec::new(),
    }
}

fn complain(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.live.is_none_or(|live| !live.complaining) {
        return Vec::new();
    }
    vec![Finding::new(
        Severity::High,
        "service",
        "it runs in complain mode: the filter refuses nothing",
        "restart it when enough was seen; gaoler why shows what it would have been refused",
    )]
}

fn root(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(live) = subject.live else {
        return Vec::new();
    };
    processes(subject)
        .filter(|process| process.root != live.tree && !process.root_inside)
        .map(|process| {
            Finding::new(
                Severity::Critical,
                format!("process {}", process.pid),
                format!(
                    "its root is inode {}, the tree's is {}",
                    process.root.1, live.tree.1
                ),
                RESTART,
            )
        })
        .collect()
}

fn directory(subject: &Subject<'_>) -> Vec<Finding> {
    processes(subject)
        .filter(|process| !process.directory_inside)
        .map(|process| {
            Finding::new(
                Severity::Critical,
                format!("process {}", process.pid),
                "its working directory is not inside the jail",
                RESTART,
            )
        })
        .collect()
}

fn descriptors(subject: &Subject<'_>) -> Vec<Finding> {
    processes(subject)
        .flat_map(|process| {
            process
                .foreign_descriptors
                .iter()
                .map(move |(number, target)| {
                    Finding::new(
                        Severity::Critical,
                        format!("process {}, descriptor {number}", process.pid),
                        format!("it leads to {target}, which is on no mount of the jail"),
                        RESTART,
                    )
                })
        })
        .collect()
}

fn namespaces(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(live) = subject.live else {
        return Vec::new();
    };
    let kinds = Promise::of(subject).namespaces;
    let wanted = [kinds.mount, kinds.pid, kinds.ipc, kinds.uts];
    let mut findings = Vec::new();
    for process in processes(subject) {
        let compared = NAMESPACES
            .iter()
            .zip(wanted)
            .zip(process.namespaces.iter().zip(&live.host_namespaces));
        for ((kind, wanted), (own, host)) in compared {
            if wanted && own == host {
                findings.push(Finding::new(
                    Severity::Critical,
                    format!("process {}", process.pid),
                    format!("its {kind} namespace is the host's"),
                    RESTART,
                ));
            }
        }
    }
    findings
}

fn mounts(subject: &Subject<'_>) -> Vec<Finding> {
    let Some(live) = subject.live else {
        return Vec::new();
    };
    if !Promise::of(subject).namespaces.mount {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for mount in &live.mounts {
        let planned = subject
            .plan
            .steps
            .iter()
            .find_map(|planned| match &planned.step {
                Step::Bind {
                    path,
                    writable: true,
                    ..
                } if *path == mount.path => Some(&["nosuid", "nodev", "noexec"][..]),
                Step::Bind {
                    path,
                    writable: false,
                    ..
                } if *path == mount.path => Some(&["ro", "nosuid", "nodev", "noexec"][..]),
                Step::MountScratch { path } if *path == mount.path => {
                    Some(&["nosuid", "nodev", "noexec"][..])
                }
                Step::MountRoot { .. } if mount.path.as_os_str() == "/" => {
                    Some(&["ro", "nosuid"][..])
                }
                _ => None,
            });
        // What lies beneath a bound directory on the host comes with it, as tight as that.
        let Some(wanted) = planned else {
            let beneath = live.mounts.iter().any(|above| {
                above.path.as_os_str() != "/"
                    && above.path != mount.path
                    && mount.path.starts_with(&above.path)
            });
            if !beneath {
                findings.push(Finding::new(
                    Severity::Critical,
                    mount.path.display().to_string(),
                    "something is mounted there that the plan does not have",
                    RESTART,
                ));
            }
            continue;
        };
        let missing: Vec<&str> = wanted
            .iter()
            .copied()
            .filter(|option| !mount.options.iter().any(|found| found == option))
            .collect();
        if !missing.is_empty() {
            findings.push(Finding::new(
                Severity::Critical,
                mount.path.display().to_string(),
                format!("the mount is not {}", missing.join(", ")),
                RESTART,
            ));
        }
    }
    findings
}

fn first_process(subject: &Subject<'_>) -> Vec<Finding> {
    let first = subject
        .live
        .into_iter()
        .flat_map(|live| &live.processes)
        .filter(|it| it.is_init);
    first
        .flat_map(|process| &process.threads)
        .filter(|thread| {
            let held = thread.permitted | thread.effective | thread.inheritable | thread.ambient;
            held != 0 || thread.seccomp != 2 || !thread.no_new_privs
        })
        .map(|thread| {
            Finding::new(
                Severity::High,
                "the jail's first process",
                format!(
                    "permitted capabilities {:x}, seccomp mode {}",
                    thread.permitted, thread.seccomp
                ),
                RESTART,
            )
        })
        .collect()
}

fn executables(subject: &Subject<'_>) -> Vec<Finding> {
    processes(subject)
        .filter_map(|process| {
            let (path, wrong) = &process.executable;
            Some(Finding::new(
                Severity::Critical,
                format!("process {}", process.pid),
                format!("its executable {path} {}", wrong.as_ref()?),
                "stop the jail and find out how it got there",
            ))
        })
        .collect()
}
