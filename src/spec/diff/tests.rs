use proptest::prelude::*;

use super::*;
use crate::spec::write::tests::generate;
use crate::spec::{BindRule, CallRule, Evidence};
use crate::sys::calls;

/// The spec that has everything the other way round.
fn turned(mut spec: Spec) -> Spec {
    spec.files.reverse();
    spec.binds.reverse();
    spec.calls.reverse();
    spec.ports.reverse();
    for rule in &mut spec.calls {
        rule.because = "for another reason".to_owned();
        rule.evidence = Evidence::built_in();
    }
    spec
}

proptest! {
    // Whole specs take their time.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_spec_does_not_differ_from_itself(spec in generate::spec()) {
        prop_assert_eq!(diff(&spec, &turned(spec.clone())), []);
    }

    /// What is added one way is removed the other way.
    #[test]
    fn a_difference_can_be_turned_round(one in generate::spec(), other in generate::spec()) {
        let there = diff(&one, &other);
        let back = diff(&other, &one);
        prop_assert_eq!(there.len(), back.len());
        for (there, back) in there.iter().zip(&back) {
            prop_assert_eq!(&there.item, &back.item);
            let turned: Vec<Field> = back.fields.iter().cloned().map(|field| Field {
                from: field.to,
                to: field.from,
                ..field
            }).collect();
            prop_assert_eq!(&there.fields, &turned);
        }
    }

    /// No difference means that the same is allowed.
    #[test]
    fn what_does_not_differ_allows_the_same(one in generate::spec(), other in generate::spec()) {
        let calls = |spec: &Spec| {
            let mut numbers: Vec<u32> = spec.calls.iter().map(|rule| rule.number).collect();
            numbers.sort_unstable();
            numbers
        };
        let differ = diff(&one, &other).iter().any(|change| change.cost == Cost::Call);
        prop_assert_eq!(differ, calls(&one) != calls(&other));
    }
}

#[test]
fn most_costly_first() {
    let rule = |path: &str, writable| BindRule {
        path: path.into(),
        writable,
        because: "its own".to_owned(),
        evidence: Evidence::Person,
    };
    let call = |name: &str| CallRule {
        number: calls::number(name).unwrap(),
        start_only: false,
        because: "called".to_owned(),
        evidence: Evidence::built_in(),
    };
    let old = Spec {
        binds: vec![rule("/etc/web", false), rule("/var/web", false)],
        calls: vec![call("ptrace")],
        ..Spec::default()
    };
    let mut new = Spec {
        binds: vec![rule("/srv/web", false), rule("/var/web", true)],
        calls: vec![call("read")],
        ..Spec::default()
    };
    new.service.start_as_root = true;
    let changes: Vec<String> = diff(&old, &new)
        .into_iter()
        .map(|change| format!("{:?} {} {:?}", change.change, change.item, change.cost))
        .collect();
    assert_eq!(
        changes,
        [
            "Changed bind /var/web Writable",
            "Removed call ptrace Call",
            "Added call read Call",
            "Changed service.start_as_root Identity",
            "Removed bind /etc/web Readable",
            "Added bind /srv/web Readable",
        ]
    );
}
