//! Against seccompiler, for what it can express: one action for what matches, one for the rest.

use std::collections::BTreeMap;

use proptest::prelude::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::interpreter::run;
use super::*;

fn reference(rules: &[Rule]) -> Vec<Instruction> {
    let rules: BTreeMap<i64, Vec<SeccompRule>> = rules
        .iter()
        .map(|rule| {
            let alternatives = rule.alternatives.iter().map(|(conditions, _)| {
                SeccompRule::new(conditions.iter().map(translate).collect()).unwrap()
            });
            (i64::from(rule.call), alternatives.collect())
        })
        .collect();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(1),
        SeccompAction::Allow,
        TargetArch::x86_64,
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    program
        .into_iter()
        .map(|one| Instruction {
            code: one.code,
            jt: one.jt,
            jf: one.jf,
            k: one.k,
        })
        .collect()
}

fn translate(condition: &Condition) -> SeccompCondition {
    let length = if condition.low_half_only {
        SeccompCmpArgLen::Dword
    } else {
        SeccompCmpArgLen::Qword
    };
    let (operator, value) = match condition.comparison {
        Comparison::Equal(value) => (SeccompCmpOp::Eq, value),
        Comparison::NotEqual(value) => (SeccompCmpOp::Ne, value),
        Comparison::MaskedEqual { mask, value } => (SeccompCmpOp::MaskedEq(mask), value),
    };
    SeccompCondition::new(condition.argument, length, operator, value).unwrap()
}

proptest! {
    #[test]
    fn both_compilers_agree(
        policy in policy(),
        calls in prop::collection::vec(call(), 100),
    ) {
        let mut policy = policy;
        policy.architecture = Architecture::X86_64;
        (policy.denied, policy.unknown) = (Action::Errno(1), Action::Errno(1));
        policy.foreign = Action::KillProcess;
        for rule in &mut policy.rules {
            // seccompiler has no empty rule: no alternative means always.
            rule.alternatives.retain(|(conditions, _)| !conditions.is_empty());
            rule.alternatives.iter_mut().for_each(|(_, action)| *action = Action::Allow);
            let always = rule.alternatives.is_empty();
            rule.otherwise = if always { Action::Allow } else { Action::Errno(1) };
        }
        let (ours, theirs) = (compile(&policy).unwrap(), reference(&policy.rules));
        for call in calls {
            // seccompiler does not know x32.
            if call.architecture == policy.architecture.audit() && call.number >= X32_BIT {
                continue;
            }
            prop_assert_eq!(run(&ours, &call).answer, run(&theirs, &call).answer);
        }
    }
}

#[test]
fn ours_is_quicker_and_no_longer() {
    let calls = hundred_and_twenty();
    let policy = allow_list(calls.iter().copied());
    let (ours, theirs) = (compile(&policy).unwrap(), reference(&policy.rules));
    let steps = |program: &[Instruction]| -> usize {
        calls
            .iter()
            .map(|number| run(program, &Call::new(*number)).steps)
            .sum()
    };
    println!("{} against {} instructions", ours.len(), theirs.len());
    println!(
        "{} against {} steps on average",
        steps(&ours) / 120,
        steps(&theirs) / 120
    );
    assert!(ours.len() < theirs.len());
    assert!(steps(&ours) * 5 < steps(&theirs));
}
