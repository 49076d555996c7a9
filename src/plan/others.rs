//! The filter of a spec for a launcher of another make.

use std::collections::BTreeSet;

use super::policy::{ALWAYS, EPERM, compile, enforcing, number, rule_for};
use crate::Result;
use crate::filter::{Action, Comparison, Condition, Instruction, Rule};
use crate::spec::Spec;
use crate::sys::calls;

/// A call that a launcher makes besides those of a spec: its name, and the ways in which it may be
/// made. Each is a list of arguments (position, value) that are all so. No way: as the spec would
/// allow it.
pub type Besides<'a> = (&'a str, Vec<Vec<(u8, u32)>>);

/// Compiles the filter for a launcher that installs it and then executes the program from a path.
/// Nobody is asked, so what only starting needs stays allowed. Calls that are `left_out` are not.
///
/// # Errors
/// gaoler has no table for this architecture; the filter is too long.
pub fn filter_for_others(
    spec: &Spec,
    left_out: &[u32],
    besides: &[Besides<'_>],
) -> Result<Vec<Instruction>> {
    let clone3 = number("clone3")?;
    let listed = spec.calls.iter().map(|rule| rule.number);
    let mut allowed: BTreeSet<u32> = listed.filter(|call| !left_out.contains(call)).collect();
    if allowed.contains(&clone3) {
        allowed.insert(number("clone")?);
    }
    for name in ALWAYS {
        allowed.insert(number(name)?);
    }
    // Some architectures lack some.
    let known = |(name, ways): &Besides<'_>| Some((calls::number(name)?, ways.clone()));
    let besides: Vec<_> = besides.iter().filter_map(known).collect();
    let whole = besides.iter().filter(|(_, ways)| ways.is_empty());
    allowed.extend(whole.map(|(call, _)| *call));
    let mut rules: Vec<Rule> = allowed.iter().map(|call| rule_for(*call, spec)).collect();
    for (call, ways) in besides {
        if allowed.insert(call) {
            rules.push(only(call, &ways));
        }
    }
    rules.sort_by_key(|rule| rule.call);
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
