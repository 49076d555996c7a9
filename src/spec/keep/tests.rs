use proptest::prelude::*;

use super::*;
use crate::spec::evidence::tests::evidence;
use crate::spec::write::tests::generate;
use crate::spec::{diff, parse, to_toml};

fn call(name: &str, because: &str, evidence: &str) -> CallRule {
    CallRule {
        number: calls::number(name).unwrap(),
        start_only: false,
        because: because.to_owned(),
        evidence: Evidence::read(evidence).unwrap(),
    }
}

fn derived(calls: Vec<CallRule>) -> Derived {
    let spec = Spec {
        calls,
        ..Spec::default()
    };
    Derived {
        spec,
        notes: Vec::new(),
    }
}

#[test]
fn what_a_person_did_stays() {
    let seen = "observed: start 1";
    let first = derived(vec![
        call("read", "called", seen),
        call("write", "called", seen),
        call("close", "called", seen),
        call("brk", "timing", "rule: built in"),
    ]);
    let mine = derived(vec![
        call("read", "called", seen),
        call("write", "I know better", seen),
        call("ptrace", "my own", "person"),
    ]);
    let new = derived(vec![
        call("read", "called by web", "observed: start 2, runs 2 of 2"),
        call("write", "called by web", seen),
        call("close", "called by web", seen),
        call("open", "called by web", seen),
        call("brk", "timing", "rule: built in"),
    ]);
    let kept = keep(&mine.spec, &first.spec, new);
    let mut expected = vec![
        call("read", "called by web", "observed: start 2, runs 2 of 2"),
        call("write", "I know better", seen),
        call("open", "called by web", seen),
        call("brk", "timing", "rule: built in"),
        call("ptrace", "my own", "person"),
    ];
    expected.sort_by_key(|rule| rule.number);
    assert_eq!(kept.spec.calls, expected);
    assert_eq!(
        kept.notes,
        ["call close, not given: it was taken out of the spec"]
    );
}

#[test]
fn a_path_that_a_person_made_something_else_of() {
    let path = || PathBuf::from("/etc/web.conf");
    let because = || "read".to_owned();
    let observed = || Evidence::read("observed: start 1").unwrap();
    let bind = BindRule {
        path: path(),
        writable: false,
        because: because(),
        evidence: Evidence::Person,
    };
    let file = FileRule {
        path: path(),
        kind: crate::spec::FileKind::Data,
        because: because(),
        evidence: observed(),
    };
    let mine = Spec {
        binds: vec![bind.clone()],
        ..Spec::default()
    };
    let new = Derived {
        spec: Spec {
            files: vec![file],
            ..Spec::default()
        },
        notes: Vec::new(),
    };
    let kept = keep(&mine, &Spec::default(), new).spec;
    assert_eq!((kept.files.len(), kept.binds), (0, vec![bind]));
}

#[test]
fn settings_of_a_person_stay_and_those_of_the_trace_follow_it() {
    let first = Spec::default();
    let mut mine = first.clone();
    mine.service.umask = 0o077;
    mine.limits.memory = Some(1 << 30);
    let mut new = first.clone();
    new.service.forks = true;
    new.service.umask = 0o022;
    let new = Derived {
        spec: new,
        notes: Vec::new(),
    };
    let kept = keep(&mine, &first, new).spec;
    assert_eq!((kept.service.umask, kept.service.forks), (0o077, true));
    assert_eq!(kept.limits.memory, Some(1 << 30));
}

proptest! {
    // Whole specs take their time.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Without edits and without news nothing changes.
    #[test]
    fn nothing_happens_without_reason(spec in generate::spec()) {
        let new = Derived { spec: spec.clone(), notes: Vec::new() };
        let kept = keep(&spec, &spec, new);
        prop_assert_eq!(diff(&spec, &kept.spec), []);
        prop_assert_eq!(kept.notes, Vec::<String>::new());
    }

    /// Whatever the three are, the result can be written and read.
    #[test]
    fn what_is_kept_is_a_spec(
        mine in generate::spec(),
        first in generate::spec(),
        new in generate::spec(),
        evidence in evidence(),
    ) {
        let mut mine = mine;
        mine.calls.iter_mut().for_each(|rule| rule.evidence = evidence.clone());
        let people = mine.clone();
        let kept = keep(&mine, &first, Derived { spec: new, notes: Vec::new() }).spec;
        let text = to_toml(&kept);
        match parse(&text, "web.toml") {
            Ok(read) => prop_assert_eq!(read, kept.clone()),
            Err(error) => prop_assert!(false, "{}\n{}", error, text),
        }
        for rule in people.binds.iter().filter(|rule| rule.evidence == Evidence::Person) {
            prop_assert!(kept.binds.contains(rule));
        }
    }
}
