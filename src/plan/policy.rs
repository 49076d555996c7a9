//! The parts of a plan that are a translation of the spec: filter, cgroup, arguments.

use std::path::PathBuf;

use super::assemble::Mode;
use crate::filter::{self, Action, Architecture, Comparison, Condition, Instruction, Rule};
use crate::host::cgroup::{Cgroups, Version};
use crate::spec::{CapabilityRule, Demand, Exercise, Limits, Listen, Ready, Spec};
use crate::sys::calls;
use crate::{Error, Result};

/// Where gaoler's cgroups live below each hierarchy's mount point.
const CGROUP_PARENT: &str = "gaoler";

/// The first number of a descriptor that is passed on (`sd_listen_fds(3)`, SD_LISTEN_FDS_START).
pub const FIRST_PASSED: u32 = 3;

/// The numbers of the descriptors that the service's process has until it is executed: after the
/// sockets that it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    sockets: u32,
}

impl Descriptors {
    /// After this many sockets: [`crate::spec::MOST_SOCKETS`] at most.
    pub fn after(sockets: usize) -> Self {
        let sockets = u32::try_from(sockets).unwrap_or(u32::MAX);
        Self {
            sockets: sockets.min(crate::spec::MOST_SOCKETS as u32),
        }
    }

    /// That of the program: the filter lets execveat run that and nothing else.
    pub fn program(self) -> u32 {
        FIRST_PASSED + self.sockets
    }

    /// That on which a failed launch is reported.
    pub fn errors(self) -> u32 {
        self.program() + 1
    }

    /// The first that nothing in a jail has a use for.
    pub fn first_unused(self) -> u32 {
        self.errors() + 1
    }
}

/// Calls that any process needs to end, or to go on after a signal.
const ALWAYS: [&str; 4] = ["exit", "exit_group", "rt_sigreturn", "restart_syscall"];

/// TIOCSTI types into a terminal, TIOCLINUX can paste into one (CVE-2017-5226).
const TERMINAL_INJECTION: [u64; 2] = [libc_constants::TIOCSTI, libc_constants::TIOCLINUX];

/// Every CLONE_NEW* flag of `clone(2)`: a new namespace gives a process capabilities over it,
/// and the kernel code behind them.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000 | 0x80;

/// PROT_WRITE (`mmap(2)`).
const WRITE: u64 = 0x2;

/// PROT_EXEC.
const EXECUTE: u64 = 0x4;

/// MAP_ANONYMOUS: memory that no file is behind.
const ANONYMOUS: u64 = 0x20;

mod libc_constants {
    //! From `asm-generic/ioctls.h`; the same on x86_64 and aarch64.
    pub const TIOCSTI: u64 = 0x5412;
    pub const TIOCLINUX: u64 = 0x541c;
}

pub(super) const EPERM: u16 = 1;
const ENOSYS: u16 = 38;
const EAFNOSUPPORT: u16 = 97;

/// The program's argument list: the interpreter of a script first.
pub fn arguments(spec: &Spec, interpreter: &[String]) -> Vec<String> {
    interpreter
        .iter()
        .chain(&spec.service.command)
        .cloned()
        .collect()
}

/// The calls that end when the service is ready.
pub fn start_calls(spec: &Spec) -> Vec<u32> {
    let always: Vec<u32> = ALWAYS
        .iter()
        .filter_map(|name| calls::number(name))
        .collect();
    let calls = spec.calls.iter().filter(|rule| rule.start_only);
    calls
        .map(|rule| rule.number)
        .filter(|number| !always.contains(number))
        .collect()
}

/// A sign that ends the start and that nobody hears in this mode: after `--exec` there is neither a
/// log nor a supervisor.
pub fn unheard(spec: &Spec, mode: Mode) -> Option<&Ready> {
    let filtered = spec.protections.seccomp != Demand::Off;
    let ends = (filtered && !start_calls(spec).is_empty())
        || spec.exercises.iter().any(Exercise::is_of_start);
    let mut signs = spec.service.ready.iter();
    signs.find(|sign| mode == Mode::Exec && ends && sign.is_said())
}

/// A sign of readiness by which calls of the start would end before the service has begun: it is
/// that of a port which is bound for it, and nothing else has to show.
pub fn shows_at_once(spec: &Spec) -> Option<&Ready> {
    let is_given = |sign: &Ready| {
        let port = sign.port();
        port.is_some()
            && spec
                .sockets
                .iter()
                .any(|socket| socket.listen.port() == port || socket.listen == Listen::Manager)
    };
    let waits = spec.exercises.iter().any(Exercise::is_of_start);
    let all = spec.service.ready.iter().all(is_given);
    spec.service.ready.first().filter(|_| all && !waits)
}

/// Whether somebody holds a listener of the filter.
pub fn listens(spec: &Spec, mode: Mode) -> bool {
    matches!(mode, Mode::Complaining | Mode::Traced) || !start_calls(spec).is_empty()
}

/// What the spec allows, call by call: some of them only with some arguments.
///
/// # Errors
/// gaoler has no table for this architecture.
pub(super) fn rules(spec: &Spec) -> Result<Vec<Rule>> {
    let mut rules: Vec<Rule> = spec
        .calls
        .iter()
        .map(|rule| rule_for(rule.number, spec))
        .collect();
    // Who may call clone3 is sent to clone instead, so that its flags can be seen.
    let (clone, clone3) = (number("clone")?, number("clone3")?);
    let allows = |call: u32| rules.iter().any(|rule| rule.call == call);
    if allows(clone3) && !allows(clone) {
        rules.push(rule_for(clone, spec));
    }
    for name in ALWAYS {
        let number = number(name)?;
        if !rules.iter().any(|rule| rule.call == number) {
            rules.push(Rule {
                call: number,
                alternatives: Vec::new(),
                otherwise: Action::Allow,
            });
        }
    }
    rules.sort_by_key(|rule| rule.call);
    Ok(rules)
}

/// Compiles the filter. The calls that only starting needs wait for whoever holds its listener; in
/// complain mode, so does everything else that would be refused.
pub fn filter(spec: &Spec, mode: Mode) -> Result<Vec<Instruction>> {
    let only_at_start = start_calls(spec);
    let mut rules = rules(spec)?;
    let clone3 = number("clone3")?;
    for rule in &mut rules {
        if only_at_start.contains(&rule.call) {
            ask_first(rule);
        }
    }
    // The last step waits until the listener has been taken over: it goes with this process's
    // descriptors.
    let execute = if listens(spec, mode) {
        Action::Notify
    } else {
        Action::Allow
    };
    let own = Descriptors::after(spec.sockets.len());
    permit(&mut rules, number("execveat")?, own.program(), execute);
    permit(&mut rules, number("write")?, own.errors(), Action::Allow);
    rules.sort_by_key(|rule| rule.call);
    if mode == Mode::Complaining {
        return compile(complaining(rules)?, [Action::Notify; 3]);
    }
    // Left to the quiet filter.
    for rule in rules.iter_mut().filter(|rule| rule.call == clone3) {
        rule.otherwise = Action::Allow;
    }
    compile(rules, enforcing(Action::Errno(EPERM)))
}

/// A filter that answers what a program is expected to try, and whose answers nobody wants to read
/// about: each new thread tries `clone3` first. It lets everything else run, and so does the
/// [`filter`] behind it with what this one refuses. `None` if it has nothing to refuse.
///
/// # Errors
/// gaoler has no table for this architecture.
pub fn quiet_filter(spec: &Spec, mode: Mode) -> Result<Option<Vec<Instruction>>> {
    let clone3 = number("clone3")?;
    let listed = spec.calls.iter().any(|rule| rule.number == clone3);
    if !listed || mode == Mode::Complaining {
        return Ok(None);
    }
    compile(vec![rule_for(clone3, spec)], [Action::Allow; 3]).map(Some)
}

/// What would be refused asks instead. `clone3` is refused still: whoever falls back to `clone`
/// misses nothing.
fn complaining(mut rules: Vec<Rule>) -> Result<Vec<Rule>> {
    let clone3 = number("clone3")?;
    for rule in rules.iter_mut().filter(|rule| rule.call != clone3) {
        let actions = rule.alternatives.iter_mut().map(|(_, action)| action);
        for action in actions.chain([&mut rule.otherwise]) {
            if matches!(action, Action::Errno(1..)) {
                *action = Action::Notify;
            }
        }
    }
    Ok(rules)
}

/// A filter that does nothing but hold the launcher's last step until its listener answers.
pub fn holding_filter(spec: &Spec) -> Result<Vec<Instruction>> {
    let mut rules = Vec::new();
    let program = Descriptors::after(spec.sockets.len()).program();
    permit(&mut rules, number("execveat")?, program, Action::Notify);
    for rule in &mut rules {
        rule.otherwise = Action::Allow;
    }
    compile(rules, [Action::Allow; 3])
}

/// Which argument of a call the filter looks at, if it does.
pub fn argument_that_decides(call: u32) -> Option<usize> {
    match calls::name(call)? {
        "socket" | "socketpair" | "clone" => Some(0),
        "ioctl" => Some(1),
        "mmap" | "mprotect" | "pkey_mprotect" | "shmat" => Some(2),
        _ => None,
    }
}

/// `AUDIT_ARCH_*` of this program.
///
/// # Errors
/// gaoler has no table for this architecture.
pub fn native_architecture() -> Result<u32> {
    architecture().map(Architecture::audit)
}

/// The filter of the jail's first process: it waits, tells, and ends.
pub fn first_process_filter() -> Result<Vec<Instruction>> {
    let mut rules = Vec::new();
    for name in ALWAYS.into_iter().chain(["wait4", "write"]) {
        rules.push(Rule {
            call: number(name)?,
            alternatives: Vec::new(),
            otherwise: Action::Allow,
        });
    }
    rules.sort_by_key(|rule| rule.call);
    compile(rules, enforcing(Action::KillProcess))
}

/// What becomes of calls without a rule: those that are `denied`, those that are newer than this
/// program, and those of other architectures.
pub(super) fn enforcing(denied: Action) -> [Action; 3] {
    [denied, Action::Errno(ENOSYS), Action::KillProcess]
}

pub(super) fn compile(rules: Vec<Rule>, without_rule: [Action; 3]) -> Result<Vec<Instruction>> {
    let [denied, unknown, foreign] = without_rule;
    filter::compile(&filter::Policy {
        architecture: architecture()?,
        rules,
        known_up_to: calls::highest(),
        denied,
        unknown,
        foreign,
    })
}

fn architecture() -> Result<Architecture> {
    Architecture::native().ok_or_else(|| {
        Error::setup(
            "compile the system call filter",
            "gaoler has no table for this architecture",
        )
    })
}

/// What would run waits for an answer instead.
fn ask_first(rule: &mut Rule) {
    let actions = rule.alternatives.iter_mut().map(|(_, action)| action);
    for action in actions.chain([&mut rule.otherwise]) {
        if *action == Action::Allow {
            *action = Action::Notify;
        }
    }
}

/// What happens to a call on one descriptor, the launcher's own, whatever the spec says of it.
fn permit(rules: &mut Vec<Rule>, call: u32, descriptor: u32, action: Action) {
    let same = vec![Condition {
        argument: 0,
        low_half_only: true,
        comparison: Comparison::Equal(descriptor.into()),
    }];
    match rules.iter_mut().find(|rule| rule.call == call) {
        Some(rule) if rule.alternatives.is_empty() && rule.otherwise == action => {}
        Some(rule) => rule.alternatives.insert(0, (same, action)),
        None => rules.push(Rule {
            call,
            alternatives: vec![(same, action)],
            otherwise: Action::Errno(EPERM),
        }),
    }
}

pub(super) fn rule_for(call: u32, spec: &Spec) -> Rule {
    let low = |argument, comparison| Condition {
        argument,
        low_half_only: true,
        comparison,
    };
    let has = |argument, bits| {
        let comparison = Comparison::MaskedEqual {
            mask: bits,
            value: bits,
        };
        low(argument, comparison)
    };
    let (alternatives, otherwise) = match calls::name(call).unwrap_or("") {
        "socket" | "socketpair" => (
            spec.families
                .iter()
                .map(|rule| {
                    (
                        vec![low(0, Comparison::Equal(rule.family.into()))],
                        Action::Allow,
                    )
                })
                .collect(),
            Action::Errno(EAFNOSUPPORT),
        ),
        // The kernel looks at the low half of an ioctl number only (CVE-2019-7303).
        "ioctl" => (
            TERMINAL_INJECTION
                .iter()
                .map(|&code| (vec![low(1, Comparison::Equal(code))], Action::Errno(EPERM)))
                .collect(),
            Action::Allow,
        ),
        "clone" => (
            vec![(
                vec![low(
                    0,
                    Comparison::MaskedEqual {
                        mask: NAMESPACE_FLAGS,
                        value: 0,
                    },
                )],
                Action::Allow,
            )],
            Action::Errno(EPERM),
        ),
        // Even a list that changes nothing takes CAP_SETGID: setgroups(2). Without it the list is that
        // of the spec, for good, and who insists on setting it goes on.
        "setgroups" if !may_set_groups(spec) => (Vec::new(), Action::Errno(0)),
        // Its flags are behind a pointer, which a filter cannot read: glibc falls back to clone.
        "clone3" => (Vec::new(), Action::Errno(ENOSYS)),
        // Code comes from files: what can be written is on noexec mounts, so nothing that was
        // written is run, neither at once nor later.
        "mmap" if !spec.service.writable_executable => (
            vec![
                (vec![has(2, WRITE | EXECUTE)], Action::Errno(EPERM)),
                (
                    vec![has(2, EXECUTE), has(3, ANONYMOUS)],
                    Action::Errno(EPERM),
                ),
            ],
            Action::Allow,
        ),
        "mprotect" | "pkey_mprotect" if !spec.service.writable_executable => (
            vec![(vec![has(2, EXECUTE)], Action::Errno(EPERM))],
            Action::Allow,
        ),
        "shmat" if !spec.service.writable_executable => (
            vec![(vec![has(2, calls::SHM_EXEC)], Action::Errno(EPERM))],
            Action::Allow,
        ),
        _ => (Vec::new(), Action::Allow),
    };
    Rule {
        call,
        alternatives,
        otherwise,
    }
}

/// It starts as root, or keeps CAP_SETGID (`capabilities(7)`).
fn may_set_groups(spec: &Spec) -> bool {
    const SETGID: u8 = 6;
    let kept = |rule: &CapabilityRule| rule.capability == SETGID;
    spec.service.start_as_root || spec.capabilities.iter().any(kept)
}

fn number(name: &str) -> Result<u32> {
    calls::number(name).ok_or_else(|| {
        Error::setup(
            format!("find the number of the system call {name}"),
            "this architecture has none",
        )
    })
}

/// Every directory that a jail of that name may have in the cgroup hierarchies.
pub fn cgroup_directories(name: &str, cgroups: &Cgroups) -> Vec<PathBuf> {
    let limited = Limits {
        memory: Some(0),
        processes: Some(0),
        ..Limits::default()
    };
    let mut directories = cgroup(name, &limited, cgroups).0;
    directories.extend(counting(name, cgroups));
    directories.sort_unstable();
    directories.dedup();
    directories
}

/// The jail's directory in each hierarchy that counts memory, processes or processor time. The
/// unified hierarchy counts that time in every directory, whichever controllers it has.
pub fn counting(name: &str, cgroups: &Cgroups) -> Vec<PathBuf> {
    let unified = || {
        let mut all = cgroups.hierarchies.iter();
        all.find(|hierarchy| hierarchy.version == Version::Two)
    };
    let found = [
        cgroups.hierarchy_of("memory"),
        cgroups.hierarchy_of("pids"),
        cgroups.hierarchy_of("cpuacct").or_else(unified),
    ];
    let mut directories = Vec::new();
    for hierarchy in found.into_iter().flatten() {
        let directory = hierarchy.mount.join(CGROUP_PARENT).join(name);
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories
}

/// The jail's directory in each cgroup hierarchy, and the files that hold its limits.
pub fn cgroup(
    name: &str,
    limits: &Limits,
    cgroups: &Cgroups,
) -> (Vec<PathBuf>, Vec<(PathBuf, String)>) {
    let mut directories = Vec::new();
    let mut values = Vec::new();
    let wanted = [
        (
            "memory",
            "memory.limit_in_bytes",
            "memory.max",
            limits.memory,
        ),
        ("pids", "pids.max", "pids.max", limits.processes),
    ];
    for (controller, first_version, second_version, limit) in wanted {
        let Some(limit) = limit else { continue };
        let Some(hierarchy) = cgroups.hierarchy_of(controller) else {
            continue;
        };
        let directory = hierarchy.mount.join(CGROUP_PARENT).join(name);
        let file = match hierarchy.version {
            Version::One => first_version,
            Version::Two => second_version,
        };
        values.push((directory.join(file), limit.to_string()));
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    (directories, values)
}
