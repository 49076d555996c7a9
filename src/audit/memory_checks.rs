//! Checks of what the running processes have open and mapped, how the service ended last, and
//! what it does for its clients.

use super::live::Process;
use super::{Check, Finding, Needs, Severity, Subject};

/// The table.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "live.writable-descriptor",
        worst: Severity::High,
        about: "no descriptor can write to what is read-only by its name: one that was opened \
                before is as good as the file",
        from: "",
        remedy: "restart the jail; if it comes back, report it as a bug with the plan",
        needs: Needs::Live,
        look: writable_descriptors,
    },
    Check {
        id: "live.mapping",
        worst: Severity::Medium,
        about: "no memory is writable and executable at once, unless the spec says so",
        from: "systemd.exec(5), MemoryDenyWriteExecute=",
        remedy: "find out what maps it; a program with an executable stack does (elf.stack)",
        needs: Needs::Live,
        look: mappings,
    },
    Check {
        id: "live.stale",
        worst: Severity::Medium,
        about: "a program or library that was replaced still runs as it was, with the hole that \
                the new one closed",
        from: "",
        remedy: "restart the jail",
        needs: Needs::Live,
        look: stale,
    },
    Check {
        id: "run.killed",
        worst: Severity::Low,
        about: "a service that a signal ended may have been attacked: one that reads or writes \
                where it must not, or calls what it may not",
        from: "",
        remedy: "see its last words: gaoler status NAME; and its log",
        needs: Needs::Nothing,
        look: killed,
    },
    Check {
        id: "live.exercise",
        worst: Severity::High,
        about: "the service does in the jail what it did when it was learned (with `--exercise`)",
        from: "",
        remedy: "run it by hand; if the jail is the reason, learn more of the service: gaoler \
                 learn --merge",
        needs: Needs::Exercise,
        look: exercises,
    },
];

/// Signals by which the kernel ends what has gone wrong (`signal(7)`): ILL, TRAP, ABRT, BUS, FPE,
/// SEGV, SYS.
const FATAL: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// The service's processes, without the first one that gaoler left.
fn processes<'a>(subject: &Subject<'a>) -> impl Iterator<Item = &'a Process> + use<'a> {
    let all = subject.live.into_iter().flat_map(|live| &live.processes);
    all.filter(|process| !process.is_init)
}

fn writable_descriptors(subject: &Subject<'_>) -> Vec<Finding> {
    processes(subject)
        .flat_map(|process| {
            let held = process.writable_descriptors.iter();
            held.map(move |(number, target)| {
                let name = format!("process {}, descriptor {number}", process.pid);
                let evidence = format!("it can write to {target}, which is on a read-only mount");
                Finding::plain(Severity::High, name, evidence)
            })
        })
        .collect()
}

fn mappings(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.spec.service.writable_executable {
        // `spec.writable-executable` says it.
        return Vec::new();
    }
    processes(subject)
        .filter(|process| process.writable_code > 0)
        .map(|process| {
            let evidence = format!("{} mappings are both", process.writable_code);
            Finding::plain(
                Severity::Medium,
                format!("process {}", process.pid),
                evidence,
            )
        })
        .collect()
}

fn stale(subject: &Subject<'_>) -> Vec<Finding> {
    processes(subject)
        .flat_map(|process| {
            let removed = process.removed_code.iter();
            removed.map(move |file| {
                let name = format!("process {}", process.pid);
                Finding::plain(
                    Severity::Medium,
                    name,
                    format!("{file} was removed and still runs"),
                )
            })
        })
        .collect()
}

fn killed(subject: &Subject<'_>) -> Vec<Finding> {
    let signal = subject
        .facts
        .killed_by
        .filter(|signal| FATAL.contains(signal));
    signal
        .map(|signal| {
            let evidence = format!("signal {signal} ended it when it ran last");
            Finding::plain(Severity::Low, "service", evidence)
        })
        .into_iter()
        .collect()
}

fn exercises(subject: &Subject<'_>) -> Vec<Finding> {
    let failed = subject.failed.into_iter().flatten();
    failed
        .map(|exercise| {
            let mut evidence = exercise.why.clone();
            if !exercise.last_words.is_empty() {
                evidence += &format!("; its last words: {}", exercise.last_words);
            }
            Finding::plain(
                Severity::High,
                format!("exercise {}", exercise.name),
                evidence,
            )
        })
        .collect()
}
