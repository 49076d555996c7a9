//! Finding the call number: a balanced search over ranges of numbers with one answer.

use std::collections::BTreeMap;

use super::graph::{Graph, Id, Test};
use super::{Architecture, Policy, Rule, X32_BIT, answers, arguments};

/// Numbers from `start` up to the next range's start.
#[derive(Clone, Copy)]
struct Range {
    start: u32,
    answer: Id,
}

/// What decides on the call whose number is in the accumulator.
pub(super) fn search(graph: &mut Graph, policy: &Policy) -> Id {
    let ranges = ranges(graph, policy);
    bisect(graph, &ranges)
}

/// All numbers, in order, neighbours with the same answer merged.
fn ranges(graph: &mut Graph, policy: &Policy) -> Vec<Range> {
    let defaults = defaults(graph, policy);
    let mut starts = defaults.clone();
    let mut rules: Vec<&Rule> = policy.rules.iter().collect();
    rules.sort_by_key(|rule| rule.call);
    for rule in rules {
        starts.insert(rule.call, arguments::decide(graph, rule));
        if let Some(after) = rule.call.checked_add(1)
            && let Some((_, &answer)) = defaults.range(..=after).next_back()
        {
            starts.insert(after, answer);
        }
    }
    let mut ranges: Vec<Range> = starts
        .into_iter()
        .map(|(start, answer)| Range { start, answer })
        .collect();
    ranges.dedup_by_key(|range| range.answer);
    ranges
}

/// The answers to numbers without a rule, by the first number that each holds for.
fn defaults(graph: &mut Graph, policy: &Policy) -> BTreeMap<u32, Id> {
    let denied = graph.answer(policy.denied.value());
    let unknown = graph.answer(policy.unknown.value());
    let mut defaults = BTreeMap::from([(0, denied)]);
    if let Some(first_unknown) = policy.known_up_to.checked_add(1) {
        defaults.insert(first_unknown, unknown);
    }
    if policy.architecture == Architecture::X86_64 {
        let foreign = graph.answer(policy.foreign.value());
        defaults.retain(|start, _| *start < X32_BIT);
        defaults.insert(X32_BIT, foreign);
        defaults.insert(u32::MAX, unknown);
    }
    defaults
}

/// One test per range, less where a single number interrupts a range.
fn bisect(graph: &mut Graph, ranges: &[Range]) -> Id {
    match ranges {
        [] => graph.answer(answers::KILL_PROCESS),
        [only] => only.answer,
        [before, single, after]
            if before.answer == after.answer
                && single.start.checked_add(1) == Some(after.start) =>
        {
            graph.test(Test::Equal, single.start, single.answer, before.answer)
        }
        _ => {
            let (below, above) = ranges.split_at(middle(ranges.len()));
            let first_above = above.first().map_or(0, |range| range.start);
            let below = bisect(graph, below);
            let above = bisect(graph, above);
            graph.test(Test::AtLeast, first_above, above, below)
        }
    }
}

/// Where to split so many ranges: near the middle, and so that ranges remain in threes, which
/// one test can tell apart where single numbers interrupt.
fn middle(count: usize) -> usize {
    match count / 2 {
        half @ 0..3 => half,
        half => (half + 1) / 3 * 3,
    }
}
