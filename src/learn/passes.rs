//! What may run without a stop in the second pass: what the first has shown, and what shows
//! nothing more than its number and the arguments that decide. Pure.
//!
//! A filter sees numbers and registers, not what a pointer leads to. So every call that names a
//! path or an address, changes ids, or needs a look at the caller stops in both passes. Two kinds
//! of calls with paths do not: those that are [watched](super::names) otherwise, and those whose
//! flags say that they are about a descriptor (`AT_EMPTY_PATH`, as `fstat(3)` makes them). Such a
//! call could still name a path, which then counts (`openat(2)`): no C library does that.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::{self, deciding::Width, named::Named};
use super::capabilities;
use super::names::Watched;
use super::record::Recorder;
use super::trace::Phase;
use crate::error::{Error, Result};
use crate::filter::{Action, Architecture, Comparison, Condition, Policy, Rule, compile};
use crate::sys::abi;
use crate::sys::seccomp::Instruction;

/// Calls that show more than arguments do, but nothing that a policy needs once their number and
/// those arguments are known. Where the `send` and `recv` families go to and hear from is behind
/// a pointer: a new peer of a socket that was made and bound before our eyes is not seen.
const SHOWN_BY_ARGUMENTS: [&str; 13] = [
    "clone",
    "mmap",
    "mprotect",
    "pkey_mprotect",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "socket",
    "socketpair",
];

/// A filter for the second pass, and the calls that it lets run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Free {
    /// Answers TRACE to everything that is not known yet.
    pub program: Vec<Instruction>,
    /// The numbers of the calls that run, some only with arguments that were seen.
    pub calls: Vec<u32>,
}

/// What the first pass has shown of serving, and the calls that are watched. What only starting
/// needs stops again: seen later, it would be needed later.
///
/// # Errors
/// On an architecture that gaoler has no filter for, or if the program is too long.
pub fn free<'a>(first: &Recorder, watched: impl Iterator<Item = &'a Watched>) -> Result<Free> {
    let architecture = Architecture::native().ok_or_else(|| {
        let why = "gaoler has no filter for this architecture";
        Error::setup("prepare the second pass", why).hint("learn in one pass: --passes 1")
    })?;
    let watched: BTreeMap<u32, &Watched> = watched.map(|one| (one.call, one)).collect();
    let rules: Vec<Rule> = first
        .calls_in(Phase::Serve)
        .filter_map(|number| rule(first, number, watched.get(&number).copied()))
        .collect();
    let calls = rules.iter().map(|rule| rule.call).collect();
    let policy = Policy {
        architecture,
        rules,
        known_up_to: crate::sys::calls::highest(),
        denied: Action::Trace(0),
        unknown: Action::Trace(0),
        foreign: Action::Trace(0),
    };
    Ok(Free {
        program: compile(&policy)?,
        calls,
    })
}

/// `None` for a call that must stop every time.
fn rule(first: &Recorder, number: u32, watched: Option<&Watched>) -> Option<Rule> {
    let name = calls::name(number.into());
    if let Some(shape) = calls::named(number.into()) {
        return named(first, number, shape, watched);
    }
    if calls::shape(number.into()).is_some() && !SHOWN_BY_ARGUMENTS.contains(&name.as_str()) {
        return None;
    }
    let Some(deciding) = calls::deciding(number.into()) else {
        return Some(always(number));
    };
    let seen = first.arguments_in(number, Phase::Serve)?;
    let alternatives: Vec<_> = seen
        .iter()
        .filter(|values| !tells_more(&name, values))
        .map(|values| {
            let conditions = deciding.iter().zip(values);
            let conditions = conditions.map(|((argument, width), value)| Condition {
                argument: *argument,
                low_half_only: *width == Width::Int,
                comparison: Comparison::Equal(*value),
            });
            (conditions.collect(), Action::Allow)
        })
        .collect();
    (!alternatives.is_empty()).then_some(Rule {
        call: number,
        alternatives,
        otherwise: Action::Trace(0),
    })
}

/// A call that reads what it names. Its flags are compared as a tracepoint compares them: whole.
fn named(first: &Recorder, number: u32, named: &Named, watched: Option<&Watched>) -> Option<Rule> {
    let Some(&[(argument, _)]) = calls::deciding(number.into()) else {
        return watched.map(|_| always(number));
    };
    let seen = first.arguments_in(number, Phase::Serve).unwrap_or_default();
    let seen = seen.iter().filter_map(|values| values.first().copied());
    let flags: BTreeSet<u64> = seen
        .filter(|flags| named.is_of_descriptor(*flags))
        .chain(watched.iter().flat_map(|watched| watched.flags.clone()))
        .collect();
    let alternatives: Vec<_> = flags
        .into_iter()
        .map(|flags| {
            let condition = Condition {
                argument,
                low_half_only: false,
                comparison: Comparison::Equal(flags),
            };
            (vec![condition], Action::Allow)
        })
        .collect();
    (!alternatives.is_empty()).then_some(Rule {
        call: number,
        alternatives,
        otherwise: Action::Trace(0),
    })
}

fn always(call: u32) -> Rule {
    Rule {
        call,
        alternatives: Vec::new(),
        otherwise: Action::Allow,
    }
}

/// With these arguments there is something to see every time: a file that is mapped to be
/// executed, an option that takes a capability with some values.
fn tells_more(name: &str, values: &[u64]) -> bool {
    let executable = |protection: u64| protection & u64::from(abi::PROT_EXEC.unsigned_abs()) != 0;
    match (name, values) {
        ("mmap" | "mprotect" | "pkey_mprotect", [protection, ..]) => executable(*protection),
        ("setsockopt", [level, option]) => {
            let int = |value: u64| i32::try_from(value).unwrap_or(-1);
            capabilities::socket_option(int(*level), int(*option), u32::MAX).is_some()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
