use super::*;
use crate::spec::{diff, parse};

const EXAMPLE: &str = include_str!("../../../tests/docs/example.toml");

fn example() -> Spec {
    parse(EXAMPLE, "example.toml").unwrap()
}

#[test]
fn taken_away_and_given_back_a_spec_is_the_same() {
    let spec = example();
    let all = Allowance::all_of(&spec);
    assert_eq!(all.len(), 15);
    for one in all {
        let mut without = spec.clone();
        assert!(one.take(&mut without), "{one:?}");
        assert!(!one.take(&mut without), "{one:?}");
        assert_eq!(diff(&spec, &without).len(), 1, "{one:?}");
        one.give(&mut without);
        assert_eq!(diff(&spec, &without), [], "after it was given back");
    }
}

#[test]
fn names_and_costs_are_those_of_a_comparison() {
    let mut empty = example();
    let mut all = Allowance::all_of(&empty);
    all.push(Allowance::WritableExecutable);
    for one in &all {
        one.take(&mut empty);
    }
    for one in all {
        let mut with = empty.clone();
        one.clone().give(&mut with);
        let changes = diff(&empty, &with);
        let [change] = changes.as_slice() else {
            panic!("{one:?}: {changes:?}");
        };
        assert_eq!((&change.item, change.cost), (&one.name(), one.cost()));
    }
}

#[test]
fn what_is_given_takes_the_place_of_what_was_there() {
    let mut spec = example();
    let bind = spec.binds.first().unwrap().clone();
    assert!(!bind.writable);
    let count = spec.binds.len();
    let writable = BindRule {
        writable: true,
        ..bind.clone()
    };
    Allowance::Bind(writable).give(&mut spec);
    assert_eq!(spec.binds.len(), count);
    let now = spec.binds.iter().find(|rule| rule.path == bind.path);
    assert!(now.unwrap().writable);
}
