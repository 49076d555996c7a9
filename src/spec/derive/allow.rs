//! System calls and capabilities.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Facts;
use super::evidence::{add, by_whom_and_when, observed, or_rule, when};
use super::successors::successors;
use super::tree::is_log;
use crate::learn::Trace;
use crate::learn::trace::{CapabilitySeen, Known, Phase, SocketUse};
use crate::spec::{CallRule, CapabilityRule, Evidence, Knowledge, Observed};
use crate::sys::{calls, caps};

/// CAP_NET_BIND_SERVICE (`capabilities(7)`).
const NET_BIND_SERVICE: u8 = 10;
/// CAP_SETPCAP.
const SETPCAP: u8 = 8;
/// CAP_SYS_ADMIN.
const SYS_ADMIN: u8 = 21;
/// Capabilities that only the change from root to a user needs, or that only make up for not
/// being that user: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, KILL (its own
/// children need none), SETGID, SETUID, SETPCAP, SYS_RESOURCE (limits are set before the
/// start), MKNOD and SETFCAP (devices and files are made before the start).
const NEEDED_BY_ROOT_ONLY: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 24, 27, 31];
/// What they are good for.
const NO_CHANGE: &str = "to become its user, which it is already in the jail";
/// "These functions are always successful" (`getuid(2)`, `getgid(2)`, `getpid(2)`, `gettid(2)`).
const ALWAYS_SUCCEED: [&str; 7] = [
    "getegid", "geteuid", "getgid", "getpid", "getppid", "gettid", "getuid",
];
/// Calls that wait for what is open already, take memory or give it back, or end what has begun: they
/// open nothing and reach nothing.
const BY_TIMING: [&str; 15] = [
    "brk",
    "clock_nanosleep",
    "exit",
    "exit_group",
    "futex",
    "madvise",
    "mmap",
    "mremap",
    "munmap",
    "nanosleep",
    "poll",
    "ppoll",
    "restart_syscall",
    "rt_sigreturn",
    "sched_yield",
];
/// Calls named in one reason.
const CALLS_NAMED: usize = 3;

/// Every call that was seen, and those that are known to be rare.
pub(super) fn calls(
    trace: &Trace,
    knowledge: Option<&Knowledge>,
    facts: &Facts,
    notes: &mut Vec<String>,
) -> Vec<CallRule> {
    let mut seen: BTreeMap<&str, (u32, Observed)> = BTreeMap::new();
    for call in &trace.calls {
        let Some(name) = calls::name(call.number) else {
            notes.push(format!(
                "called system call {}, not given: it has no name",
                call.number
            ));
            continue;
        };
        let more = observed(trace, &call.witness);
        let known = seen.remove(name).map(|(_, known)| known);
        let both = known.map_or(more.clone(), |known| known.and(more));
        seen.insert(name, (call.number, both));
    }
    forget_the_launch(&mut seen, trace.certificate.passes);
    // Without an exercise nobody knows what serving takes.
    let mut runs = trace.certificate.exercises.iter();
    let exercised = runs.any(|run| run.passed && run.phase == Phase::Serve);
    let observed = seen.into_iter().map(|(name, (number, seen))| CallRule {
        number,
        start_only: exercised && seen.serve == 0,
        because: reason(name, &seen, facts),
        evidence: Evidence::Observed(seen),
    });
    let known = knowledge.into_iter().flat_map(|known| {
        known.calls.iter().map(|rule| CallRule {
            evidence: or_rule(None, &known.file),
            ..rule.clone()
        })
    });
    let mut rules: BTreeMap<u32, CallRule> = observed.map(|rule| (rule.number, rule)).collect();
    let others = who_it_is().chain(by_timing()).chain(known);
    for rule in others {
        let start_only = rule.start_only;
        // What may come at any time is not over when the service is ready.
        rules.entry(rule.number).or_insert(rule).start_only &= start_only;
    }
    if let Some(rule) = grows_arenas(trace).and_then(|call| rules.get_mut(&call)) {
        rule.start_only = false;
    }
    let missing = clone_for_clone3(&rules).into_iter();
    for rule in missing.chain(log(trace)).chain(counts_processors(trace)) {
        let start_only = rule.start_only;
        rules.entry(rule.number).or_insert(rule).start_only &= start_only;
    }
    for rule in successors(&rules) {
        rules.insert(rule.number, rule);
    }
    rules.into_values().collect()
}

fn reason(name: &str, seen: &Observed, facts: &Facts) -> String {
    let called = format!("called{}", by_whom_and_when(seen));
    if !facts.start_as_root && calls::CHANGE_IDS.contains(&name) {
        format!("{called}, {NO_CHANGE}")
    } else {
        called
    }
}

/// With this call the C library grows the memory of each thread but the first (`malloc(3)`, arenas):
/// how much that takes is up to load, as with `mmap`.
fn grows_arenas(trace: &Trace) -> Option<u32> {
    calls::number("mprotect").filter(|_| is_threaded(trace))
}

fn is_threaded(trace: &Trace) -> bool {
    trace.certificate.threads > trace.certificate.processes
}

/// The flags of clone3 are behind a pointer, where no filter can look, so it is answered with
/// ENOSYS, upon which the C library calls clone (`clone(2)`).
fn clone_for_clone3(rules: &BTreeMap<u32, CallRule>) -> Option<CallRule> {
    let clone3 = rules.get(&calls::number("clone3")?)?;
    Some(CallRule {
        number: calls::number("clone")?,
        start_only: clone3.start_only,
        because: "a filter can look into it, unlike clone3: see there".to_owned(),
        evidence: Evidence::built_in(),
    })
}

/// On a host where nobody reads the log the service cannot connect to it and sends nothing. In its
/// jail the log is read, and the C library sends each message with this call (`syslog(3)`).
fn log(trace: &Trace) -> Option<CallRule> {
    trace.paths.iter().find(|path| is_log(path))?;
    Some(CallRule {
        number: calls::number("sendto")?,
        start_only: false,
        because: "it logs, and in its jail somebody reads that".to_owned(),
        evidence: Evidence::built_in(),
    })
}

/// No jail has /sys, where the C library reads first how many processors there are; without it, it
/// asks with this call (`get_nprocs(3)`): for each thread's memory, too, when load says so.
fn counts_processors(trace: &Trace) -> Option<CallRule> {
    let path = Path::new("/sys/devices/system/cpu/online");
    let seen = trace.paths.iter().find(|seen| seen.host == path)?;
    Some(CallRule {
        number: calls::number("sched_getaffinity")?,
        start_only: seen.witness.serve == 0 && !is_threaded(trace),
        because: "how many processors there are, which /sys does not tell it in a jail".to_owned(),
        evidence: Evidence::built_in(),
    })
}

/// A service that is learned as root and jailed as its user takes other ways, on which it asks
/// who it is; and an answer that cannot be misleads it.
fn who_it_is() -> impl Iterator<Item = CallRule> {
    rules_for(
        &ALWAYS_SUCCEED,
        "tells who it is, and never fails: no program expects it to",
    )
}

/// Under the tracer a service is slow and alone: data is there before it is read, and a lock is
/// free when it is taken.
fn by_timing() -> impl Iterator<Item = CallRule> {
    rules_for(
        &BY_TIMING,
        "timing and load decide when a process waits, takes memory or ends",
    )
}

fn rules_for(names: &'static [&str], because: &'static str) -> impl Iterator<Item = CallRule> {
    let numbers = names.iter().filter_map(|name| calls::number(name));
    numbers.map(|number| CallRule {
        number,
        start_only: false,
        because: because.to_owned(),
        evidence: Evidence::built_in(),
    })
}

/// The first execve is the launcher's: a jail has a way of its own to start the program, and a
/// service that executes nothing shall not be able to. There is one in every pass.
fn forget_the_launch(seen: &mut BTreeMap<&str, (u32, Observed)>, passes: u32) {
    if let Some((_, execve)) = seen.get_mut("execve") {
        execve.start = execve.start.saturating_sub(u64::from(passes.max(1)));
        if (execve.start, execve.serve) == (0, 0) {
            seen.remove("execve");
        }
    }
}

/// The capabilities that the service needs: if it is not root in the jail, those that it still
/// needs as its user from the start.
pub(super) fn capabilities(
    trace: &Trace,
    facts: &Facts,
    notes: &mut Vec<String>,
) -> Vec<CapabilityRule> {
    let mut needed: BTreeMap<u8, Needed> = BTreeMap::new();
    for seen in &trace.capabilities {
        match caps::name(seen.capability) {
            Some(name) if seen.refused => notes.push(format!(
                "was refused CAP_{name} for {}: not given",
                seen.call
            )),
            None => notes.push(format!(
                "needed capability {} for {}, not given: it has no name",
                seen.capability, seen.call
            )),
            Some(_) if !facts.start_as_root && only_as_root(seen) => {}
            Some(_) => {
                let needed = needed.entry(seen.capability).or_default();
                needed.calls.insert(seen.call.clone());
                add(&mut needed.seen, observed(trace, &seen.witness));
            }
        }
    }
    if !facts.start_as_root {
        notes.extend(left_to_root(trace));
    }
    add_low_ports(trace, facts, &mut needed);
    if needed.contains_key(&SYS_ADMIN) {
        notes.push(
            "CAP_SYS_ADMIN is given, as it was needed: it can undo most of a jail".to_owned(),
        );
    }
    needed
        .into_iter()
        .map(|(capability, needed)| {
            let named: Vec<String> = needed.calls.into_iter().take(CALLS_NAMED).collect();
            let when = needed.seen.as_ref().map_or("", when);
            CapabilityRule {
                capability,
                because: format!("{} {when}", named.join(", ")),
                evidence: or_rule(needed.seen, Evidence::BUILT_IN),
            }
        })
        .collect()
}

/// It was root that needed it, which the service in its jail never is. One that became its user
/// and is still asked for such a capability has kept it on purpose, except `CAP_SETPCAP`, which
/// serves to give the others up. A rule knows too little to tell.
fn only_as_root(seen: &CapabilitySeen) -> bool {
    let kept = seen.user != 0 && seen.known == Known::Asked && seen.capability != SETPCAP;
    NEEDED_BY_ROOT_ONLY.contains(&seen.capability) && !kept
}

/// What is needed by root only, in one sentence for each phase.
fn left_to_root(trace: &Trace) -> Vec<String> {
    let in_phase = |phase| {
        let seen = trace.capabilities.iter();
        let seen =
            seen.filter(move |seen| seen.phase == phase && !seen.refused && only_as_root(seen));
        let names: BTreeSet<String> = seen
            .filter_map(|seen| caps::name(seen.capability))
            .map(|name| format!("CAP_{name}"))
            .collect();
        names.into_iter().collect::<Vec<String>>().join(", ")
    };
    let ways = [
        (in_phase(Phase::Start), "at start"),
        (in_phase(Phase::Serve), "while it serves"),
    ];
    let named = ways.into_iter().filter(|(names, _)| !names.is_empty());
    named
        .map(|(names, when)| {
            format!("needed {names} {when}, not given: it is its user from the start")
        })
        .collect()
}

/// The calls that need a capability.
#[derive(Default)]
struct Needed {
    calls: BTreeSet<String>,
    seen: Option<Observed>,
}

/// A low port needs CAP_NET_BIND_SERVICE whatever the traced user had, and no other port does.
fn add_low_ports(trace: &Trace, facts: &Facts, needed: &mut BTreeMap<u8, Needed>) {
    if facts.unprivileged_port_start == 0 {
        needed.remove(&NET_BIND_SERVICE);
    }
    if needed.contains_key(&NET_BIND_SERVICE) {
        return;
    }
    let low = trace.sockets.iter().filter(|socket| {
        socket.action == SocketUse::Bind
            && super::network::is_internet(socket.family)
            && (1..facts.unprivileged_port_start).contains(&socket.port)
    });
    let mut binds = Needed::default();
    for socket in low {
        let call = format!("bind({}:{})", socket.address, socket.port);
        binds.calls.insert(call);
        add(&mut binds.seen, observed(trace, &socket.witness));
    }
    if !binds.calls.is_empty() {
        needed.insert(NET_BIND_SERVICE, binds);
    }
}
