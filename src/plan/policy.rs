//! The parts of a plan that are a translation of the spec: filter, cgroup, arguments.

use std::path::PathBuf;

use crate::filter::{self, Action, Architecture, Comparison, Condition, Instruction, Rule};
use crate::host::cgroup::{Cgroups, Version};
use crate::spec::{Limits, Spec};
use crate::sys::calls;
use crate::{Error, Result};

/// Where gaoler's cgroups live below each hierarchy's mount point.
const CGROUP_PARENT: &str = "gaoler";

/// The descriptor number that the program is opened on: the filter lets execveat run that and
/// nothing else.
pub const PROGRAM_DESCRIPTOR: u32 = 3;

/// The descriptor number on which a failed launch is reported.
pub const ERROR_DESCRIPTOR: u32 = 4;

/// Calls that any process needs to end, or to go on after a signal.
const ALWAYS: [&str; 4] = ["exit", "exit_group", "rt_sigreturn", "restart_syscall"];

/// TIOCSTI types into a terminal, TIOCLINUX can paste into one (CVE-2017-5226).
const TERMINAL_INJECTION: [u64; 2] = [libc_constants::TIOCSTI, libc_constants::TIOCLINUX];

/// Every CLONE_NEW* flag of `clone(2)`: a new namespace gives a process capabilities over it,
/// and the kernel code behind them.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000 | 0x80;

/// PROT_WRITE and PROT_EXEC.
const WRITE_EXECUTE: u64 = 0x2 | 0x4;

mod libc_constants {
    //! From `asm-generic/ioctls.h`; the same on x86_64 and aarch64.
    pub const TIOCSTI: u64 = 0x5412;
    pub const TIOCLINUX: u64 = 0x541c;
}

const EPERM: u16 = 1;
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

/// Compiles the filter: the calls of the spec, some of them only with some arguments. Those that
/// only starting needs wait for whoever holds the filter's listener.
pub fn filter(spec: &Spec) -> Result<Vec<Instruction>> {
    let only_at_start = start_calls(spec);
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
    for rule in &mut rules {
        if only_at_start.contains(&rule.call) {
            ask_first(rule);
        }
    }
    // The last step waits until the listener has been taken over: it goes with this process's
    // descriptors.
    let execute = if only_at_start.is_empty() {
        Action::Allow
    } else {
        Action::Notify
    };
    permit(&mut rules, number("execveat")?, PROGRAM_DESCRIPTOR, execute);
    permit(
        &mut rules,
        number("write")?,
        ERROR_DESCRIPTOR,
        Action::Allow,
    );
    rules.sort_by_key(|rule| rule.call);
    compile(rules, Action::Errno(EPERM))
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
    compile(rules, Action::KillProcess)
}

fn compile(rules: Vec<Rule>, denied: Action) -> Result<Vec<Instruction>> {
    let architecture = Architecture::native().ok_or_else(|| {
        Error::setup(
            "compile the system call filter",
            "gaoler has no table for this architecture",
        )
    })?;
    filter::compile(&filter::Policy {
        architecture,
        rules,
        known_up_to: calls::highest(),
        denied,
        unknown: Action::Errno(ENOSYS),
        foreign: Action::KillProcess,
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

fn rule_for(call: u32, spec: &Spec) -> Rule {
    let low = |argument, comparison| Condition {
        argument,
        low_half_only: true,
        comparison,
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
        // Its flags are behind a pointer, which a filter cannot read: glibc falls back to clone.
        "clone3" => (Vec::new(), Action::Errno(ENOSYS)),
        "mmap" | "mprotect" | "pkey_mprotect" if !spec.service.writable_executable => (
            vec![(
                vec![low(
                    2,
                    Comparison::MaskedEqual {
                        mask: WRITE_EXECUTE,
                        value: WRITE_EXECUTE,
                    },
                )],
                Action::Errno(EPERM),
            )],
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
    cgroup(name, &limited, cgroups).0
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
