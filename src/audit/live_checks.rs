//! Checks of the running jail, from outside: what the plan promised against what `/proc` shows.

use super::live::Process;
use super::{Check, Finding, Needs, Severity, Subject};
use crate::host::process::Status;
use crate::plan::Step;
use crate::plan::step::Namespaces;
use crate::sys::caps::CapabilitySet;

/// The table.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "live.uid",
        worst: Severity::Critical,
        about: "every thread has the uid in all four forms",
        from: "",
        remedy: RESTART,
        needs: Needs::Live,
        look: uids,
    },
    Check {
        id: "live.gid",
        worst: Severity::Critical,
        about: "every thread has the gid in all four forms",
        from: "as live.uid",
        remedy: RESTART,
        needs: Needs::Live,
        look: gids,
    },
    Check {
        id: "live.groups",
        worst: Severity::Critical,
        about: "every thread has exactly the groups",
        from: "",
        remedy: RESTART,
        needs: Needs::Live,
        look: groups,
    },
    Check {
        id: "live.capabilities",
        worst: Severity::Critical,
        about: "no set holds more than was kept",
        from: "capabilities(7); CVE-2022-27650",
        remedy: RESTART,
        needs: Needs::Live,
        look: capabilities,
    },
    Check {
        id: "live.no-new-privs",
        worst: Severity::Critical,
        about: "execve cannot add privileges",
        from: "prctl(2), PR_SET_NO_NEW_PRIVS",
        remedy: RESTART,
        needs: Needs::Live,
        look: no_new_privs,
    },
    Check {
        id: "live.seccomp",
        worst: Severity::Critical,
        about: "every thread is under the filter",
        from: "seccomp(2)",
        remedy: RESTART,
        needs: Needs::Live,
        look: seccomp,
    },
    Check {
        id: "live.start",
        worst: Severity::Low,
        about: "the calls that only starting needs have come to their end",
        from: "seccomp_unotify(2)",
        remedy: "wait until it is ready; change service.ready if the sign is wrong",
        needs: Needs::Live,
        look: start,
    },
    Check {
        id: "live.complain",
        worst: Severity::High,
        about: "what the system call filter would refuse is refused",
        from: "",
        remedy: "restart it when enough was seen; gaoler why shows what it would have been refused",
        needs: Needs::Live,
        look: complain,
    },
    Check {
        id: "live.tracer",
        worst: Severity::Critical,
        about: "nobody outside traces it: a tracer reads and changes its memory, makes calls in its name, and can suspend its filter",
        from: "ptrace(2), PTRACE_O_SUSPEND_SECCOMP",
        remedy: UNTRACE,
        needs: Needs::Live,
        look: tracers,
    },
    Check {
        id: "live.supervisor",
        worst: Severity::Medium,
        about: "its supervisor is there: what the service logs arrives, and what changes in the jail is noticed",
        from: "CWE-778",
        remedy: SUPERVISE,
        needs: Needs::Live,
        look: supervisor,
    },
];

const UNTRACE: &str = "end the tracer, find out who started it, and restart the jail";

const SUPERVISE: &str =
    "find out what ended it, and have another one take over: gaoler status NAME";

pub(super) const RESTART: &str =
    "restart the jail; if it comes back, report it as a bug with the plan";

/// What the plan promised.
#[derive(Default)]
pub(super) struct Promise {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    /// Its primary group may be among its supplementary ones, as `login(1)` makes it.
    keeps_primary: bool,
    capabilities: u64,
    filters: u32,
    no_new_privs: bool,
    pub(super) namespaces: Namespaces,
}

impl Promise {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
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
                Step::VerifyOwnIds { uid, gid, groups } => {
                    promise.uid = *uid;
                    promise.gid = *gid;
                    promise.groups.clone_from(groups);
                    promise.keeps_primary = true;
                }
                Step::Seccomp { .. } => promise.filters += 1,
                Step::NoNewPrivs => promise.no_new_privs = true,
                Step::NewNamespaces(kinds) => promise.namespaces = *kinds,
                _ => {}
            }
        }
        promise
    }
}

/// The service's processes, without the first one that gaoler left.
pub(super) fn processes<'a>(subject: &Subject<'a>) -> impl Iterator<Item = &'a Process> + use<'a> {
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
        found.retain(|group| !promise.keeps_primary || *group != promise.gid);
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

/// A service may trace its own: those are all under its filter.
fn tracers(subject: &Subject<'_>) -> Vec<Finding> {
    let all = || subject.live.into_iter().flat_map(|live| &live.processes);
    let own: Vec<i32> = all().map(|process| process.pid).collect();
    let mut found = Vec::new();
    for process in all() {
        let mut outside = process.threads.iter().map(|thread| thread.tracer);
        if let Some(tracer) = outside.find(|pid| *pid != 0 && !own.contains(pid)) {
            found.push(Finding::new(
                Severity::Critical,
                format!("process {}", process.pid),
                format!("process {tracer}, which is not in the jail, traces it"),
                UNTRACE,
            ));
        }
    }
    found
}

fn supervisor(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.live.is_none_or(|live| !live.abandoned) {
        return Vec::new();
    }
    vec![Finding::new(
        Severity::Medium,
        "supervisor",
        "it has ended: nobody passes on what the service logs, or compares the jail",
        SUPERVISE,
    )]
}

fn start(subject: &Subject<'_>) -> Vec<Finding> {
    let calls = subject
        .plan
        .steps
        .iter()
        .find_map(|planned| match &planned.step {
            Step::EndStart { calls, .. } => Some(calls.len()).filter(|calls| *calls > 0),
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
