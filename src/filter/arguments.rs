//! Looking at a call's arguments. The accumulator holds 32 bits, an argument 64.

use super::graph::{ARGUMENTS, Graph, Id, Test};
use super::{Comparison, Condition, Rule};

/// A part of the filter that may begin by loading a word.
#[derive(Clone, Copy)]
struct Entry {
    /// The word that it looks at first; none if it looks at nothing.
    word: Option<u32>,
    /// Where it begins once that word is in the accumulator.
    loaded: Id,
    /// Where it begins otherwise.
    fresh: Id,
}

impl Entry {
    fn answer(id: Id) -> Self {
        Self {
            word: None,
            loaded: id,
            fresh: id,
        }
    }

    /// Where to begin when the accumulator holds `word` (or nothing of use).
    fn from(&self, word: Option<u32>) -> Id {
        if self.word == word {
            self.loaded
        } else {
            self.fresh
        }
    }
}

/// What decides on a call that has this rule.
pub(super) fn decide(graph: &mut Graph, rule: &Rule) -> Id {
    let mut next = Entry::answer(graph.answer(rule.otherwise.value()));
    for (conditions, action) in rule.alternatives.iter().rev() {
        let mut entry = Entry::answer(graph.answer(action.value()));
        for condition in conditions.iter().rev() {
            entry = check(graph, condition, entry, next);
        }
        next = entry;
    }
    next.fresh
}

/// Goes on to `holds` or `fails`.
fn check(graph: &mut Graph, condition: &Condition, holds: Entry, fails: Entry) -> Entry {
    match condition.comparison {
        Comparison::Equal(value) => masked(graph, condition, (u64::MAX, value), holds, fails),
        Comparison::NotEqual(value) => masked(graph, condition, (u64::MAX, value), fails, holds),
        Comparison::MaskedEqual { mask, value } => {
            masked(graph, condition, (mask, value), holds, fails)
        }
    }
}

/// Compares the low half, in which values differ most, then the high half if it counts.
fn masked(
    graph: &mut Graph,
    condition: &Condition,
    (mask, value): (u64, u64),
    same: Entry,
    differs: Entry,
) -> Entry {
    // Both architectures are little-endian: the low half comes first.
    let low = ARGUMENTS + 8 * u32::from(condition.argument);
    let (low_mask, high_mask) = halves(mask);
    let (low_value, high_value) = halves(value);
    let rest = if condition.low_half_only {
        same
    } else {
        half(graph, low + 4, (high_mask, high_value), same, differs)
    };
    half(graph, low, (low_mask, low_value), rest, differs)
}

/// Compares one word, with the fewest instructions for this mask.
fn half(
    graph: &mut Graph,
    word: u32,
    (mask, value): (u32, u32),
    same: Entry,
    differs: Entry,
) -> Entry {
    let here = Some(word);
    let loaded = match (mask, value) {
        (0, _) => return same,
        (u32::MAX, _) => graph.test(Test::Equal, value, same.from(here), differs.from(here)),
        (_, 0) => graph.test(Test::AnyBit, mask, differs.from(here), same.from(here)),
        _ if mask == value && mask.is_power_of_two() => {
            graph.test(Test::AnyBit, mask, same.from(here), differs.from(here))
        }
        _ => {
            let test = graph.test(Test::Equal, value, same.from(None), differs.from(None));
            graph.keep(mask, test)
        }
    };
    Entry {
        word: here,
        loaded,
        fresh: graph.load(word, loaded),
    }
}

/// The low and the high 32 bits.
fn halves(value: u64) -> (u32, u32) {
    let low = value & u64::from(u32::MAX);
    (
        u32::try_from(low).unwrap_or(u32::MAX),
        u32::try_from(value >> 32).unwrap_or(u32::MAX),
    )
}
