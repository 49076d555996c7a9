//! The learner's trace of one run against the kernel's account of the same run, and against what
//! strace showed of another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gaoler::learn::Trace;
use gaoler::learn::trace::{PathSeen, SocketSeen, SocketUse, Use};

use crate::oracle::{Effect, Seen, Socket, picked};

/// Calls that one run makes and another need not, because of when things happen. Each may be
/// missing from one side; all other calls must be in both.
const TIMING: &[(&str, &str)] = &[
    ("futex", "a lock that is free is taken without a call"),
    ("madvise", "an allocator gives memory back after a time"),
    ("restart_syscall", "a wait that a stop has interrupted"),
    ("sched_yield", "a lock that is taken for a moment"),
];

/// How much was compared.
#[derive(Debug)]
pub struct Compared {
    pub calls: usize,
    pub paths: usize,
    pub sockets: usize,
}

/// How often each call was made, in both phases together.
pub fn counts(trace: &Trace) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for seen in &trace.calls {
        *counts.entry(seen.name.clone()).or_default() += seen.count;
    }
    counts
}

/// The kernel saw each call exactly as often as the learner.
pub fn with_kernel(trace: &Trace, kernel: &BTreeMap<String, u64>) {
    let ours = counts(trace);
    let names: BTreeSet<&String> = ours.keys().chain(kernel.keys()).collect();
    let different: Vec<String> = names
        .into_iter()
        .filter(|name| ours.get(*name) != kernel.get(*name))
        .map(|name| format!("{name}: {:?}, {:?}", ours.get(name), kernel.get(name)))
        .collect();
    assert_eq!(different, [""; 0], "ours, the kernel's");
}

/// Every call that the kernel saw in one of the passes is in the trace of both.
pub fn names_with_kernel(trace: &Trace, kernel: &BTreeMap<String, u64>) {
    let ours = counts(trace);
    let missing: Vec<&String> = kernel
        .keys()
        .filter(|name| !ours.contains_key(*name))
        .collect();
    assert!(missing.is_empty(), "only the kernel saw {missing:?}");
}

/// What may differ between two runs of a daemon.
pub struct Varying<'a> {
    /// Calls that depend on timing in this daemon, with the reason.
    pub timing: &'a [(&'a str, &'a str)],
    /// Gives names that are made up in each run a name that stays.
    pub plain: &'a dyn Fn(&Path) -> PathBuf,
}

/// Everything that strace showed is in the trace, and nothing else is.
pub fn with_strace(trace: &Trace, theirs: &Seen, varying: &Varying<'_>) -> Compared {
    let (compared, wrong) = differences(trace, theirs, varying);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    compared
}

fn differences(trace: &Trace, theirs: &Seen, varying: &Varying<'_>) -> (Compared, Vec<String>) {
    let mut wrong = Vec::new();
    let compared = Compared {
        calls: calls(trace, theirs, varying.timing, &mut wrong),
        paths: paths(trace, theirs, varying.plain, &mut wrong),
        sockets: sockets(trace, theirs, varying.plain, &mut wrong),
    };
    (compared, wrong)
}

fn calls(trace: &Trace, theirs: &Seen, timing: &[(&str, &str)], wrong: &mut Vec<String>) -> usize {
    let ours = counts(trace);
    let certain = |name: &&String| {
        let mut all = TIMING.iter().chain(timing);
        all.all(|(timing, _)| timing != name)
    };
    for name in theirs.calls.keys().filter(certain) {
        if !ours.contains_key(name) {
            wrong.push(format!("call {name}: only strace shows it"));
        }
    }
    for name in ours.keys().filter(certain) {
        if !theirs.calls.contains_key(name) {
            wrong.push(format!("call {name}: strace does not show it"));
        }
    }
    ours.len()
}

/// Paths are compared as they were asked for. What was done is known of the file that they lead
/// to, which may have been asked for by several names.
fn paths(
    trace: &Trace,
    theirs: &Seen,
    plain: &dyn Fn(&Path) -> PathBuf,
    wrong: &mut Vec<String>,
) -> usize {
    let mut must: BTreeMap<PathBuf, BTreeSet<Effect>> = BTreeMap::new();
    let mut all: BTreeMap<PathBuf, BTreeSet<Effect>> = BTreeMap::new();
    for (asked, effects) in &theirs.paths {
        let asked = plain(asked);
        (must.entry(asked.clone()).or_default()).extend(&effects.must);
        let all = all.entry(asked).or_default();
        all.extend(effects.must.iter().chain(&effects.may));
    }
    let mut ours: BTreeMap<PathBuf, BTreeSet<Effect>> = BTreeMap::new();
    for seen in &trace.paths {
        let effects = effects(seen);
        let mut shown = BTreeSet::new();
        for asked in &seen.asked {
            let asked = plain(asked);
            match all.get(&asked) {
                Some(effects) => shown.extend(effects),
                None => wrong.push(format!("path {asked:?}: strace does not show it: {seen:?}")),
            }
            ours.entry(asked).or_default().extend(&effects);
        }
        if !effects.is_subset(&shown) && !shown.is_empty() {
            let more: Vec<_> = effects.difference(&shown).collect();
            wrong.push(format!(
                "path {:?}: strace does not show {more:?}",
                seen.host
            ));
        }
    }
    for (asked, effects) in &must {
        let Some(seen) = ours.get(asked) else {
            wrong.push(format!("path {asked:?}: only strace shows it: {effects:?}"));
            continue;
        };
        if !effects.is_subset(seen) {
            let more: Vec<_> = effects.difference(seen).collect();
            wrong.push(format!("path {asked:?}: only strace shows {more:?}"));
        }
    }
    ours.len()
}

/// Successes and failures alike. A directory that is read looks like a file to strace.
fn effects(seen: &PathSeen) -> BTreeSet<Effect> {
    let succeeded = seen.uses.iter().map(|used| (*used, 0));
    let failed = seen.failures.iter().copied();
    succeeded
        .chain(failed)
        .map(|(used, errno)| match used {
            Use::List => (Use::Read, errno),
            used => (used, errno),
        })
        .collect()
}

fn sockets(
    trace: &Trace,
    theirs: &Seen,
    plain: &dyn Fn(&Path) -> PathBuf,
    wrong: &mut Vec<String>,
) -> usize {
    // The path of a UNIX socket is one like any other.
    let named = |socket: Socket| -> Socket {
        let (action, family, address, port) = socket;
        let address = match address.contains('/') {
            true => plain(Path::new(&address)).to_string_lossy().into_owned(),
            false => address,
        };
        (action, family, address, port)
    };
    let ours: BTreeSet<Socket> = trace.sockets.iter().map(ours).map(named).collect();
    let theirs: BTreeSet<Socket> = theirs.sockets.iter().cloned().map(named).collect();
    for socket in theirs.difference(&ours) {
        wrong.push(format!("socket {socket:?}: only strace shows it"));
    }
    for socket in ours.difference(&theirs) {
        wrong.push(format!("socket {socket:?}: strace does not show it"));
    }
    ours.len()
}

fn ours(seen: &SocketSeen) -> Socket {
    match seen.action {
        SocketUse::Create => {
            let about = format!("type {} protocol {}", seen.kind, seen.protocol);
            (SocketUse::Create, seen.family, about, 0)
        }
        _ => {
            let port = picked(seen.port);
            (seen.action.clone(), seen.family, seen.address.clone(), port)
        }
    }
}

#[cfg(test)]
mod tests {
    use gaoler::learn::trace::{CallSeen, PathKind, Phase, Witness};

    use super::*;
    use crate::{oracle, strace};

    const LINES: &str = "7 execve(\"/bin/x\", [\"x\"], 0x7ffc /* 2 vars */) = 0\n\
        7 openat(-100</>, \"/etc/a\", 0) = 3</etc/a>\n\
        7 openat(-100</>, \"/etc/none\", 0) = -1 ENOENT (No such file)\n\
        7 bind(4<UDP:[7]>, {sa_family=0x2, sin_port=\"\\x00\\x35\", sin_addr=\"\\x7f\\x00\\x00\\x01\"}, 16) = 0\n";

    fn path(name: &str, used: Use, failure: Option<i32>) -> PathSeen {
        PathSeen {
            host: name.into(),
            asked: [name.into()].into(),
            links: Vec::new(),
            kind: PathKind::File,
            device: None,
            uses: failure.map_or([used].into(), |_| BTreeSet::new()),
            failures: failure.map(|errno| (used, errno)).into_iter().collect(),
            phase: Phase::Start,
            count: 1,
            witness: Witness::default(),
        }
    }

    fn trace() -> Trace {
        let call = |name: &str, count| CallSeen {
            number: 0,
            name: name.to_owned(),
            phase: Phase::Start,
            count,
            witness: Witness::default(),
        };
        Trace {
            calls: vec![call("bind", 1), call("execve", 1), call("openat", 2)],
            paths: vec![
                path("/bin/x", Use::Execute, None),
                path("/etc/a", Use::Read, None),
                path("/etc/none", Use::Read, Some(2)),
            ],
            sockets: vec![SocketSeen {
                action: SocketUse::Bind,
                family: 2,
                kind: 2,
                protocol: 17,
                address: "127.0.0.1".to_owned(),
                port: 53,
                phase: Phase::Start,
                witness: Witness::default(),
            }],
            ..Trace::default()
        }
    }

    fn wrong(change: impl FnOnce(&mut Trace)) -> Vec<String> {
        let mut trace = trace();
        change(&mut trace);
        let theirs = oracle::read(&strace::lines(LINES));
        let varying = Varying {
            timing: &[],
            plain: &Path::to_owned,
        };
        differences(&trace, &theirs, &varying).1
    }

    #[test]
    fn each_difference_is_found() {
        assert_eq!(wrong(|_| ()), [""; 0]);
        let changes: [fn(&mut Trace); 11] = [
            |trace| trace.calls.truncate(2),
            |trace| trace.calls[0].name = "listen".to_owned(),
            |trace| trace.paths.truncate(2),
            |trace| trace.paths.push(path("/etc/b", Use::Read, None)),
            |trace| trace.paths[1].uses.extend([Use::Write]),
            |trace| trace.paths[1].uses = [Use::Look].into(),
            |trace| trace.paths[1].failures.extend([(Use::Read, 2)]),
            |trace| trace.paths[2].failures = [(Use::Read, 13)].into(),
            |trace| trace.sockets[0].port = 54,
            |trace| trace.sockets[0].action = SocketUse::BindFailed(98),
            |trace| trace.sockets.clear(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert_ne!(wrong(change), [""; 0], "change {number}");
        }
    }

    #[test]
    #[should_panic(expected = "openat: Some(2), Some(3)")]
    fn a_count_that_differs_from_the_kernels_is_found() {
        let mut kernel = counts(&trace());
        *kernel.get_mut("openat").unwrap() += 1;
        with_kernel(&trace(), &kernel);
    }
}
