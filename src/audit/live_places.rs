//! Checks of where the running jail is: roots, mounts, namespaces, descriptors, executables.

use super::live::{Mount, NAMESPACES};
use super::live_checks::{Promise, RESTART, processes};
use super::{Check, Finding, Needs, Severity, Subject};
use crate::plan::Step;

/// The table.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "live.root",
        worst: Severity::Critical,
        about: "its root is the generation's tree: the inodes are compared, as with fstat and ls -di",
        from: "",
        remedy: RESTART,
        needs: Needs::Live,
        look: root,
    },
    Check {
        id: "live.directory",
        worst: Severity::Critical,
        about: "its working directory is inside",
        from: "CVE-2024-21626",
        remedy: RESTART,
        needs: Needs::Live,
        look: directory,
    },
    Check {
        id: "live.descriptor",
        worst: Severity::Critical,
        about: "no descriptor leads to a file outside",
        from: "CVE-2024-21626",
        remedy: RESTART,
        needs: Needs::Live,
        look: descriptors,
    },
    Check {
        id: "live.namespace",
        worst: Severity::Critical,
        about: "its namespaces are its own",
        from: "namespaces(7)",
        remedy: RESTART,
        needs: Needs::Live,
        look: namespaces,
    },
    Check {
        id: "live.mount",
        worst: Severity::Critical,
        about: "its mounts are as tight as planned",
        from: "mount_namespaces(7)",
        remedy: RESTART,
        needs: Needs::Live,
        look: mounts,
    },
    Check {
        id: "live.mount-change",
        worst: Severity::Critical,
        about: "its mounts are those that it was started with: none more, none less, none looser",
        from: "mount_namespaces(7)",
        remedy: "find out who changed them, and restart the jail",
        needs: Needs::Live,
        look: changed_mounts,
    },
    Check {
        id: "live.init",
        worst: Severity::High,
        about: "the first process that gaoler leaves in the jail has no capability and a filter",
        from: "pid_namespaces(7)",
        remedy: RESTART,
        needs: Needs::Live,
        look: first_process,
    },
    Check {
        id: "live.executable",
        worst: Severity::Critical,
        about: "it runs what was built",
        from: "CVE-2019-5736",
        remedy: "stop the jail and find out how it got there",
        needs: Needs::Live,
        look: executables,
    },
];

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
                Step::BindDevice { path, .. } if *path == mount.path => {
                    Some(&["ro", "nosuid", "noexec"][..])
                }
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

fn changed_mounts(subject: &Subject<'_>) -> Vec<Finding> {
    let Some((live, started)) = subject
        .live
        .and_then(|live| Some((live, live.started_mounts.as_ref()?)))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut tell = |mount: &Mount, evidence: String| {
        let path = mount.path.display().to_string();
        found.push(Finding::plain(Severity::Critical, path, evidence));
    };
    let of = |mounts: &[Mount], id| mounts.iter().find(|mount| mount.id == id).cloned();
    for mount in &live.mounts {
        match of(started, mount.id) {
            None => tell(
                mount,
                "something was mounted there after the start".to_owned(),
            ),
            Some(before) if before != *mount => tell(
                mount,
                format!(
                    "the mount was {} at {} and is {} now",
                    before.options.join(","),
                    before.path.display(),
                    mount.options.join(",")
                ),
            ),
            Some(_) => {}
        }
    }
    for mount in started {
        if of(&live.mounts, mount.id).is_none() {
            tell(
                mount,
                "what was mounted there at the start is gone".to_owned(),
            );
        }
    }
    found
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
