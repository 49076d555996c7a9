//! Random policies, and random calls that meet them.

use proptest::prelude::*;

use super::interpreter::Call;
use super::*;

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => Just(Action::Allow),
        2 => (0u16..5).prop_map(Action::Errno),
        1 => Just(Action::KillProcess),
        1 => Just(Action::Log),
        1 => Just(Action::Notify),
        1 => (0u16..5).prop_map(Action::Trace),
        1 => Just(Action::Trap),
    ]
}

/// Few distinct values, so that random calls meet random conditions, with both halves in play.
fn value() -> impl Strategy<Value = u64> {
    let half = || prop_oneof![4 => 0u64..4, 1 => Just(0xFFFF_FFFF), 1 => Just(0x8000_0000)];
    (half(), half()).prop_map(|(high, low)| high << 32 | low)
}

fn comparison() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        value().prop_map(Comparison::Equal),
        value().prop_map(Comparison::NotEqual),
        (prop_oneof![value(), Just(u64::MAX)], value()).prop_map(|(mask, value)| {
            Comparison::MaskedEqual {
                mask,
                value: value & mask,
            }
        }),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    (0u8..3, any::<bool>(), comparison()).prop_map(|(argument, low_half_only, comparison)| {
        let low = 0xFFFF_FFFF;
        let comparison = match comparison {
            _ if !low_half_only => comparison,
            Comparison::Equal(value) => Comparison::Equal(value & low),
            Comparison::NotEqual(value) => Comparison::NotEqual(value & low),
            Comparison::MaskedEqual { mask, value } => Comparison::MaskedEqual {
                mask,
                value: value & low,
            },
        };
        Condition {
            argument: if argument == 2 { 5 } else { argument },
            low_half_only,
            comparison,
        }
    })
}

pub fn rule() -> impl Strategy<Value = Rule> {
    let alternative = (prop::collection::vec(condition(), 0..4), action());
    let alternatives = prop::collection::vec(alternative, 0..4);
    (number(), alternatives, action()).prop_map(|(call, alternatives, otherwise)| Rule {
        call,
        alternatives,
        otherwise,
    })
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![30 => 0u32..60, 1 => Just(X32_BIT - 1), 1 => 300u32..500]
}

pub fn policy() -> impl Strategy<Value = Policy> {
    let architecture = prop_oneof![Just(Architecture::X86_64), Just(Architecture::Aarch64)];
    let rules = prop::collection::vec(rule(), 0..40).prop_map(|mut rules| {
        let mut seen = BTreeSet::new();
        rules.retain(|rule| seen.insert(rule.call));
        rules
    });
    let known = prop_oneof![0u32..70, Just(X32_BIT), Just(u32::MAX)];
    (architecture, rules, known, action(), action(), action()).prop_map(
        |(architecture, rules, known_up_to, denied, unknown, foreign)| Policy {
            architecture,
            rules,
            known_up_to,
            denied,
            unknown,
            foreign,
        },
    )
}

pub fn call() -> impl Strategy<Value = Call> {
    let architecture = prop_oneof![
        10 => Just(0xC000_003E_u32),
        10 => Just(0xC000_00B7_u32),
        1 => Just(0x4000_0003_u32),
        1 => any::<u32>(),
    ];
    let number = prop_oneof![
        40 => number(),
        2 => (0u32..60).prop_map(|number| number | X32_BIT),
        1 => Just(u32::MAX),
        1 => any::<u32>(),
    ];
    (architecture, number, prop::array::uniform6(value())).prop_map(
        |(architecture, number, arguments)| Call {
            architecture,
            number,
            arguments,
        },
    )
}
