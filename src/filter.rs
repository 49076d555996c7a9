//! The system call filter: a pure compiler from a [`Policy`] to classic BPF for `seccomp(2)`.
//!
//! The program checks the architecture, then finds the call number by a balanced binary search
//! over ranges of numbers that get the same answer, then looks at arguments. The order matters:
//! a number means another call on another architecture, so nothing is decided before the first
//! check (`Documentation/userspace-api/seccomp_filter.rst`, "Pitfalls").
#![forbid(unsafe_code)]

pub mod allowed;
mod arguments;
mod assemble;
pub mod evaluate;
mod explain;
mod graph;
mod numbers;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;

use crate::error::{Error, Result};
pub use crate::sys::seccomp::Instruction;
use crate::sys::seccomp::answers;
pub use explain::explain;

/// The most instructions that the kernel takes in one program (`linux/bpf_common.h`).
pub const MAXIMUM_INSTRUCTIONS: usize = 4096;

/// Set in the numbers of x32's calls, which share x86_64's `AUDIT_ARCH` (`asm/unistd.h`). No
/// call of x86_64 itself has this number or a higher one.
const X32_BIT: u32 = 0x4000_0000;

/// The largest error number that the kernel passes on (`MAX_ERRNO`, `linux/err.h`).
const MAXIMUM_ERRNO: u16 = 4095;

/// What happens to a call (`seccomp(2)`, "return value" of a filter).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It runs.
    Allow,
    /// It does not run and fails with this error number, 0 to 4095; 0 looks like success.
    Errno(u16),
    /// It does not run; the process dies as if by SIGSYS.
    KillProcess,
    /// It runs and the kernel logs it.
    Log,
    /// It waits for whoever holds the filter's listener.
    Notify,
    /// It stops for the tracer, which reads this number; without a tracer it fails with ENOSYS.
    Trace(u16),
    /// It does not run; the thread gets SIGSYS.
    Trap,
}

impl Action {
    /// The value that a filter returns for it (`linux/seccomp.h`).
    fn value(self) -> u32 {
        match self {
            Action::Allow => answers::ALLOW,
            Action::Errno(number) => answers::ERRNO | u32::from(number),
            Action::KillProcess => answers::KILL_PROCESS,
            Action::Log => answers::LOG,
            Action::Notify => answers::USER_NOTIF,
            Action::Trace(number) => answers::TRACE | u32::from(number),
            Action::Trap => answers::TRAP,
        }
    }
}

/// The architectures that gaoler runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Architecture {
    /// 64-bit ARM.
    Aarch64,
    /// 64-bit x86.
    X86_64,
}

impl Architecture {
    /// The one that this program was built for, if it is one of these.
    pub fn native() -> Option<Self> {
        match std::env::consts::ARCH {
            "aarch64" => Some(Architecture::Aarch64),
            "x86_64" => Some(Architecture::X86_64),
            _ => None,
        }
    }

    /// Its `AUDIT_ARCH_` number (`linux/audit.h`): ELF machine, 64 bits, little-endian.
    pub fn audit(self) -> u32 {
        match self {
            Architecture::Aarch64 => 0xC000_00B7,
            Architecture::X86_64 => 0xC000_003E,
        }
    }
}

/// How an argument is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// It is this.
    Equal(u64),
    /// These bits of it are this.
    MaskedEqual {
        /// The bits that count.
        mask: u64,
        /// What they are; no bit outside of `mask`.
        value: u64,
    },
    /// It is not this.
    NotEqual(u64),
}

/// A test of one argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Condition {
    /// Which, 0 to 5.
    pub argument: u8,
    /// Compare the low 32 bits alone. Right for what the kernel reads as an `int`, such as ioctl
    /// requests and socket families: it ignores the high half, so a filter that looks at it is
    /// passed by setting a bit there (CVE-2019-7303).
    pub low_half_only: bool,
    /// With what.
    pub comparison: Comparison,
}

/// What happens to one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its number.
    pub call: u32,
    /// The first alternative whose conditions all hold decides.
    pub alternatives: Vec<(Vec<Condition>, Action)>,
    /// What decides if none does.
    pub otherwise: Action,
}

/// What happens to every call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Whose call numbers these are.
    pub architecture: Architecture,
    /// The calls that have a rule, each once, in any order.
    pub rules: Vec<Rule>,
    /// The highest call number that was known when the policy was made.
    pub known_up_to: u32,
    /// For a known call without a rule.
    pub denied: Action,
    /// For a call that is newer than the policy: `Errno(ENOSYS)` makes a C library fall back to
    /// what it used before (moby#42680). Number -1 counts as such, on x86_64 too: it is what a
    /// tracer writes to skip a call, not an x32 call.
    pub unknown: Action,
    /// For a call through another architecture's entry, x32 included: `KillProcess`.
    pub foreign: Action,
}

/// Compiles a policy.
///
/// # Errors
/// A call with two rules or with the x32 bit, an argument above 5, a comparison that can never
/// hold, an error number above 4095, or a program of more than [`MAXIMUM_INSTRUCTIONS`].
pub fn compile(policy: &Policy) -> Result<Vec<Instruction>> {
    validate(policy)?;
    let mut graph = graph::Graph::default();
    let number = numbers::search(&mut graph, policy);
    let number = graph.load(graph::NUMBER, number);
    let foreign = graph.answer(policy.foreign.value());
    let check = graph.test(
        graph::Test::Equal,
        policy.architecture.audit(),
        number,
        foreign,
    );
    let start = graph.load(graph::ARCHITECTURE, check);
    let program = assemble::assemble(&graph, start).ok_or_else(|| refused("a jump is too long"))?;
    if program.len() > MAXIMUM_INSTRUCTIONS {
        let length = program.len();
        let why = format!(
            "it takes {length} instructions, and the kernel takes at most {MAXIMUM_INSTRUCTIONS}"
        );
        return Err(refused(&why).hint("allow some calls whatever their arguments are"));
    }
    Ok(program)
}

/// Refuses what has no meaning, so that the rest need not think of it.
fn validate(policy: &Policy) -> Result<()> {
    let mut seen = BTreeSet::new();
    for action in [policy.denied, policy.unknown, policy.foreign] {
        validate_action(action)?;
    }
    for rule in &policy.rules {
        let call = rule.call;
        if !seen.insert(call) {
            return Err(refused(&format!("system call {call} has two rules")));
        }
        if policy.architecture == Architecture::X86_64 && call >= X32_BIT {
            return Err(refused(&format!("system call {call} is an x32 call")));
        }
        validate_action(rule.otherwise)?;
        for (conditions, action) in &rule.alternatives {
            validate_action(*action)?;
            for condition in conditions {
                validate_condition(call, condition)?;
            }
        }
    }
    Ok(())
}

fn validate_action(action: Action) -> Result<()> {
    match action {
        Action::Errno(number) if number > MAXIMUM_ERRNO => Err(refused(&format!(
            "error number {number} is above {MAXIMUM_ERRNO}"
        ))),
        _ => Ok(()),
    }
}

fn validate_condition(call: u32, condition: &Condition) -> Result<()> {
    let argument = condition.argument;
    if argument > 5 {
        return Err(refused(&format!(
            "system call {call} has no argument {argument}"
        )));
    }
    let (mask, value) = match condition.comparison {
        Comparison::Equal(value) | Comparison::NotEqual(value) => (u64::MAX, value),
        Comparison::MaskedEqual { mask, value } => (mask, value),
    };
    let compared = if condition.low_half_only {
        mask & u64::from(u32::MAX)
    } else {
        mask
    };
    if value & !compared != 0 {
        let why = format!(
            "argument {argument} of system call {call} is compared with {value:#x}, \
             which has bits outside of {compared:#x}"
        );
        return Err(refused(&why));
    }
    Ok(())
}

fn refused(why: &str) -> Error {
    Error::new("compile the system call filter", why)
}
