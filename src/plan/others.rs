//! The filter of a spec for a launcher of another make.

use super::policy::{EPERM, compile, enforcing, rule_for, rules};
use crate::Result;
use crate::filter::{Action, Comparison, Condition, Instruction, Rule};
use crate::spec::Spec;
use crate::sys::calls;

/// A call that a launcher makes besides those of a spec: its name, and the ways in which it may be
/// made. Each is a list of arguments (position, value) that are all so. No way: as the spec would
/// allow it.
pub type Besides<'a> = (&'a str, Vec<Vec<(u8, u32)>>);

/// What a spec allows, call by call, where nobody is asked: what only starting needs stays allowed.
/// Calls that are `left_out` are not.
///
/// # Errors
/// gaoler has no table for this architecture.
pub fn rules_for_others(
    spec: &Spec,
    left_out: &[u32],
    besides: &[Besides<'_>],
) -> Result<Vec<Rule>> {
    let mut rules = rules(spec)?;
    rules.retain(|rule| !left_out.contains(&rule.call));
    for (name, ways) in besides {
        // Some architectures lack some.
        let call = calls::number(name);
        let missing = |call: &u32| !rules.iter().any(|rule| rule.call == *call);
        if let Some(call) = call.filter(missing) {
            rules.push(match ways.is_empty() {
                true => rule_for(call, spec),
                false => only(call, ways),
            });
        }
    }
    rules.sort_by_key(|rule| rule.call);
    Ok(rules)
}

/// Compiles that for a launcher that installs it and then executes the program from a path.
///
/// # Errors
/// As [`rules_for_others`]; the filter is too long.
pub fn filter_for_others(
    spec: &Spec,
    left_out: &[u32],
    besides: &[Besides<'_>],
) -> Result<Vec<Instruction>> {
    let rules = rules_for_others(spec, left_out, besides)?;
    compile(rules, enforcing(Action::Errno(EPERM)))
}

/// A call that may be made in these ways alone.
fn only(call: u32, ways: &[Vec<(u8, u32)>]) -> Rule {
    let same = |(argument, value): &(u8, u32)| Condition {
        argument: *argument,
        low_half_only: true,
        comparison: Comparison::Equal(u64::from(*value)),
    };
    let way = |way: &Vec<(u8, u32)>| (way.iter().map(same).collect(), Action::Allow);
    Rule {
        call,
        alternatives: ways.iter().map(way).collect(),
        otherwise: Action::Errno(EPERM),
    }
}
