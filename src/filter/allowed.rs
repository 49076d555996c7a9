//! Which arguments a rule lets through, as a union of cases that compare each argument at most once:
//! the form of filters that others compile (`libseccomp`, and with it the OCI's runtimes).

use std::collections::BTreeMap;

use super::{Action, Comparison, Condition, Rule};

/// The low half, of what the kernel reads as an `int`.
const LOW_HALF: u64 = 0xFFFF_FFFF;

/// Some bits of an argument are these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    /// The bits that count.
    pub mask: u64,
    /// What they are; no bit outside of `mask`.
    pub value: u64,
}

/// Arguments, by their place from 0 to 5, all of which have these bits. Empty: any arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case(pub BTreeMap<u8, Bits>);

impl Case {
    /// Where both hold; `None`: nowhere.
    fn and(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        for (argument, bits) in &other.0 {
            let own = both.0.entry(*argument).or_default();
            if (own.value ^ bits.value) & own.mask & bits.mask != 0 {
                return None;
            }
            own.mask |= bits.mask;
            own.value |= bits.value;
        }
        Some(both)
    }

    /// Where this holds and `other` does not: cases of which no two hold at once.
    fn without(&self, other: &Self) -> Vec<Self> {
        if self.and(other).is_none() {
            return vec![self.clone()];
        }
        let (mut rest, mut same) = (Vec::new(), self.clone());
        for (argument, bits) in &other.0 {
            let known = self.0.get(argument).map_or(0, |own| own.mask);
            let open = bits.mask & !known;
            for bit in (0..64).map(|at| 1_u64 << at).filter(|bit| open & bit != 0) {
                let mut differs = same.clone();
                for (case, value) in [(&mut differs, !bits.value), (&mut same, bits.value)] {
                    let own = case.0.entry(*argument).or_default();
                    own.mask |= bit;
                    own.value |= value & bit;
                }
                rest.push(differs);
            }
        }
        rest
    }
}

/// The cases in which a rule allows its call; of no two both hold.
pub fn allowed(rule: &Rule) -> Vec<Case> {
    let (mut left, mut found) = (vec![Case::default()], Vec::new());
    for (conditions, action) in &rule.alternatives {
        for case in all_of(conditions) {
            if *action == Action::Allow {
                found.extend(left.iter().filter_map(|it| it.and(&case)));
            }
            left = left.iter().flat_map(|it| it.without(&case)).collect();
        }
    }
    if rule.otherwise == Action::Allow {
        found.extend(left);
    }
    found
}

/// Where all of these hold, as cases that exclude each other.
fn all_of(conditions: &[Condition]) -> Vec<Case> {
    let mut cases = vec![Case::default()];
    for condition in conditions {
        let one = of(condition);
        let both = |case: &Case| one.iter().filter_map(|it| case.and(it)).collect::<Vec<_>>();
        cases = cases.iter().flat_map(both).collect();
    }
    cases
}

fn of(condition: &Condition) -> Vec<Case> {
    let whole = match condition.low_half_only {
        true => LOW_HALF,
        false => u64::MAX,
    };
    let case = |mask, value| Case(BTreeMap::from([(condition.argument, Bits { mask, value })]));
    match condition.comparison {
        // What is compared with more bits than there are is never the same.
        Comparison::Equal(value) | Comparison::MaskedEqual { value, .. } if value & !whole != 0 => {
            Vec::new()
        }
        Comparison::NotEqual(value) if value & !whole != 0 => vec![Case::default()],
        Comparison::Equal(value) => vec![case(whole, value)],
        Comparison::MaskedEqual { mask, value } if value & !mask != 0 => Vec::new(),
        Comparison::MaskedEqual { mask, value } => vec![case(mask & whole, value)],
        Comparison::NotEqual(value) => Case::default().without(&case(whole, value)),
    }
}
