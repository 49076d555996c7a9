//! The compiled program against a direct reading of the policy, against another compiler, and
//! against the kernel.

pub(crate) mod interpreter;
mod kernel;
mod random;
mod reference;

use proptest::prelude::*;

use super::*;
use allowed::{Case, allowed};
use interpreter::{Call, run};
use random::{call, policy, rule};

const ENOSYS: Action = Action::Errno(38);

/// An allow list with nothing else.
fn allow_list(calls: impl IntoIterator<Item = u32>) -> Policy {
    let rule = |call| Rule {
        call,
        alternatives: Vec::new(),
        otherwise: Action::Allow,
    };
    Policy {
        architecture: Architecture::X86_64,
        rules: calls.into_iter().map(rule).collect(),
        known_up_to: 469,
        denied: Action::Errno(1),
        unknown: ENOSYS,
        foreign: Action::KillProcess,
    }
}

/// What the policy says, read word by word.
fn evaluate(policy: &Policy, call: &Call) -> Action {
    let x32 =
        policy.architecture == Architecture::X86_64 && (X32_BIT..u32::MAX).contains(&call.number);
    if call.architecture != policy.architecture.audit() || x32 {
        return policy.foreign;
    }
    if let Some(rule) = policy.rules.iter().find(|rule| rule.call == call.number) {
        let matching =
            |conditions: &[Condition]| conditions.iter().all(|condition| holds(condition, call));
        let found = rule
            .alternatives
            .iter()
            .find(|(conditions, _)| matching(conditions));
        return found.map_or(rule.otherwise, |(_, action)| *action);
    }
    let newer = call.number > policy.known_up_to || x86_minus_one(policy, call);
    if newer { policy.unknown } else { policy.denied }
}

fn x86_minus_one(policy: &Policy, call: &Call) -> bool {
    policy.architecture == Architecture::X86_64 && call.number == u32::MAX
}

fn holds(condition: &Condition, call: &Call) -> bool {
    let mut argument = call.arguments[usize::from(condition.argument)];
    if condition.low_half_only {
        argument &= 0xFFFF_FFFF;
    }
    match condition.comparison {
        Comparison::Equal(value) => argument == value,
        Comparison::NotEqual(value) => argument != value,
        Comparison::MaskedEqual { mask, value } => argument & mask == value,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_program_says_what_the_policy_says(
        policy in policy(),
        calls in prop::collection::vec(call(), 50),
    ) {
        let program = compile(&policy).unwrap();
        for mut call in calls {
            prop_assert_eq!(run(&program, &call).answer, evaluate(&policy, &call).value());
            call.architecture = policy.architecture.audit();
            prop_assert_eq!(run(&program, &call).answer, evaluate(&policy, &call).value());
        }
    }
}

fn is_in(case: &Case, call: &Call) -> bool {
    let mut tests = case.0.iter();
    tests.all(|(argument, bits)| call.arguments[usize::from(*argument)] & bits.mask == bits.value)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_cases_are_where_a_rule_allows_and_exclude_each_other(
        mut rule in rule(),
        calls in prop::collection::vec(call(), 50),
    ) {
        // What is not equal to something wide takes a case for each bit, and they multiply.
        rule.alternatives.truncate(2);
        for (conditions, _) in &mut rule.alternatives {
            conditions.truncate(2);
            for condition in conditions.iter_mut().skip(1) {
                if let Comparison::NotEqual(value) = condition.comparison {
                    condition.comparison = Comparison::Equal(value);
                }
            }
        }
        let cases = allowed(&rule);
        let policy = Policy { rules: vec![rule], ..allow_list([]) };
        for mut call in calls {
            call.architecture = policy.architecture.audit();
            call.number = policy.rules[0].call;
            let found = cases.iter().filter(|case| is_in(case, &call)).count();
            let allows = evaluate(&policy, &call) == Action::Allow;
            prop_assert_eq!(found, usize::from(allows), "{:?} {:?}", cases, call);
        }
    }
}

/// A hundred and twenty calls that a name server makes, spread as they are.
fn hundred_and_twenty() -> Vec<u32> {
    let ranges = [
        0..5,
        7..24,
        28..29,
        32..34,
        35..36,
        38..64,
        72..73,
        74..76,
        77..78,
        79..84,
    ];
    let mut calls: Vec<u32> = ranges.into_iter().flatten().collect();
    calls.extend([
        86, 87, 89, 90, 91, 92, 95, 96, 97, 98, 99, 102, 104, 105, 106, 107, 108,
    ]);
    calls.extend([
        110, 112, 114, 115, 116, 117, 119, 120, 125, 126, 131, 137, 138, 157, 158,
    ]);
    calls.extend([
        160, 186, 200, 201, 202, 203, 204, 213, 217, 218, 228, 229, 230, 231, 232,
    ]);
    calls.extend([
        233, 234, 257, 262, 273, 281, 288, 290, 291, 302, 318, 332, 334, 435, 439,
    ]);
    calls.truncate(120);
    calls
}

#[test]
fn an_allow_list_is_small_and_quick() {
    let calls = hundred_and_twenty();
    assert_eq!(calls.len(), 120);
    let program = compile(&allow_list(calls.iter().copied())).unwrap();
    let steps: Vec<usize> = calls
        .iter()
        .map(|number| run(&program, &Call::new(*number)).steps)
        .collect();
    let average = steps.iter().sum::<usize>() as f64 / steps.len() as f64;
    let longest = steps.iter().max().copied().unwrap();
    println!(
        "{} instructions, {average:.1} run on average, {longest} at most",
        program.len()
    );
    assert!(program.len() < 200);
    assert!(average < 14.0);
    assert!(longest <= 14);
}

/// The worst spread: every second call, so that no two ranges can be merged.
#[test]
fn the_worst_allow_list_of_120_is_still_small() {
    let calls: Vec<u32> = (0..240).step_by(2).collect();
    let program = compile(&allow_list(calls.iter().copied())).unwrap();
    let steps: usize = calls
        .iter()
        .map(|number| run(&program, &Call::new(*number)).steps)
        .sum();
    println!(
        "{} instructions, {:.1} run on average",
        program.len(),
        steps as f64 / 120.0
    );
    assert!(program.len() < 200);
    assert!((steps as f64) < 14.0 * 120.0);
}

/// Every second call has its own rule on its arguments, so that the search spans more than a
/// conditional jump can.
fn wide_policy(rules: u32) -> Policy {
    let mut policy = allow_list([]);
    policy.known_up_to = 2 * rules;
    policy.rules = (0..rules)
        .map(|index| {
            let same = |argument, value| Condition {
                argument,
                low_half_only: false,
                comparison: Comparison::Equal(value),
            };
            let value = u64::from(index) << 33 | u64::from(index);
            Rule {
                call: 2 * index,
                alternatives: vec![
                    (vec![same(0, value), same(1, value + 1)], Action::Allow),
                    (vec![same(0, value + 2)], Action::Errno(2)),
                ],
                otherwise: Action::Errno(3),
            }
        })
        .collect();
    policy
}

#[test]
fn long_jumps_take_trampolines() {
    let policy = wide_policy(230);
    let program = compile(&policy).unwrap();
    let trampolines = program
        .iter()
        .filter(|one| one.code == assemble::JUMP)
        .count();
    println!(
        "{} instructions, {trampolines} of them trampolines",
        program.len()
    );
    assert!(trampolines > 5);
    for number in 0..500 {
        let value = u64::from(number / 2) << 33 | u64::from(number / 2);
        for arguments in [[value, value + 1], [value, 9], [value + 2, 0], [0, 0]] {
            let mut call = Call::new(number);
            call.arguments[..2].copy_from_slice(&arguments);
            assert_eq!(
                run(&program, &call).answer,
                evaluate(&policy, &call).value()
            );
        }
    }
}

/// One end of a jump at the very end of its reach, the other far beyond: the trampoline for the
/// second lies in the way of the first.
#[test]
fn a_trampoline_does_not_push_its_neighbour_out_of_reach() {
    for gap in 240..270 {
        let mut graph = graph::Graph::default();
        let far = graph.answer(1);
        let lower = (0..300).fold(far, |next, _| graph.load(graph::ARGUMENTS, next));
        let near = graph.answer(2);
        let upper = (0..gap).fold(lower, |next, _| graph.load(graph::ARGUMENTS, next));
        let branch = graph.test(graph::Test::Equal, 7, near, far);
        let branch = graph.test(graph::Test::AtLeast, 100, upper, branch);
        let start = graph.load(graph::NUMBER, branch);
        let program = assemble::assemble(&graph, start).expect("every jump is within reach");
        let answers = [7, 8, 100].map(|number| run(&program, &Call::new(number)).answer);
        assert_eq!(answers, [2, 1, 1], "{gap}");
    }
}

#[test]
fn a_program_that_is_too_long_is_refused() {
    let error = compile(&wide_policy(600)).unwrap_err();
    assert!(error.why().contains("at most 4096"), "{error}");
}

#[test]
fn what_has_no_meaning_is_refused() {
    let with = |change: &dyn Fn(&mut Policy)| {
        let mut policy = allow_list([1, 2]);
        change(&mut policy);
        compile(&policy).map(|_| ()).unwrap_err().to_string()
    };
    let condition = |argument, low_half_only, comparison| {
        let all = vec![Condition {
            argument,
            low_half_only,
            comparison,
        }];
        vec![(all, Action::Allow)]
    };
    let twice = with(&|policy| policy.rules[1].call = 1);
    assert!(twice.contains("system call 1 has two rules"), "{twice}");
    let x32 = with(&|policy| policy.rules[1].call = X32_BIT | 1);
    assert!(x32.contains("x32"), "{x32}");
    let errno = with(&|policy| policy.denied = Action::Errno(4096));
    assert!(errno.contains("4096"), "{errno}");
    let argument = with(&|policy| {
        policy.rules[0].alternatives = condition(6, false, Comparison::Equal(0));
    });
    assert!(argument.contains("no argument 6"), "{argument}");
    let high = with(&|policy| {
        policy.rules[0].alternatives = condition(0, true, Comparison::Equal(1 << 32));
    });
    assert!(high.contains("0x100000000"), "{high}");
    let mask = Comparison::MaskedEqual { mask: 1, value: 3 };
    let never = with(&|policy| policy.rules[0].alternatives = condition(0, false, mask));
    assert!(never.contains("0x3"), "{never}");
}

/// CVE-2019-7303: a bit in the high half of an ioctl request must not lead past the filter.
#[test]
fn the_high_half_of_an_int_does_not_count() {
    const TIOCSTI: u64 = 0x5412;
    let request = Condition {
        argument: 1,
        low_half_only: true,
        comparison: Comparison::Equal(TIOCSTI),
    };
    let mut policy = allow_list([]);
    policy.rules.push(Rule {
        call: 16,
        alternatives: vec![(vec![request], Action::Errno(1))],
        otherwise: Action::Allow,
    });
    let program = compile(&policy).unwrap();
    let mut call = Call::new(16);
    for high in [0, 1, 0x8000_0000, 0xFFFF_FFFF] {
        call.arguments[1] = high << 32 | TIOCSTI;
        assert_eq!(run(&program, &call).answer, Action::Errno(1).value());
    }
    call.arguments[1] = TIOCSTI + 1;
    assert_eq!(run(&program, &call).answer, Action::Allow.value());
}

#[test]
fn a_program_can_be_read() {
    let mut policy = allow_list([3]);
    policy.rules.push(Rule {
        call: 56,
        alternatives: vec![(
            vec![Condition {
                argument: 0,
                low_half_only: false,
                comparison: Comparison::MaskedEqual {
                    mask: 0x7E02_0000,
                    value: 0,
                },
            }],
            Action::Allow,
        )],
        otherwise: Action::Errno(1),
    });
    let text = explain(&compile(&policy).unwrap());
    for part in [
        "load architecture",
        "load number",
        "argument 0 low",
        "& 0x7e020000",
        "errno 38",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains("argument 0 high"), "{text}");
}
