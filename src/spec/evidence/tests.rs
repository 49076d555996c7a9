use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;

pub(in crate::spec) fn evidence() -> impl Strategy<Value = Evidence> {
    let names = || btree_set("(?s)[^\0]{1,6}", 0..8).prop_map(|names| Names::of(&names));
    let runs = (1..5u32).prop_flat_map(|of| (1..=of, Just(of)));
    let observed = (any::<u64>(), any::<u64>(), names(), names(), runs).prop_map(
        |(start, serve, programs, exercises, (runs, of))| {
            Evidence::Observed(Observed {
                start,
                serve,
                programs,
                exercises,
                runs,
                of,
            })
        },
    );
    let text = || "(?s)[^\0]{1,9}";
    let origin = prop_oneof![
        text().prop_map(Evidence::Closure),
        text().prop_map(Evidence::Imported),
        observed,
        Just(Evidence::Person),
        text().prop_map(Evidence::Proven),
        text().prop_map(Evidence::Rule),
    ];
    (origin, any::<bool>()).prop_map(|(origin, tried)| match tried {
        true => origin.unproven(),
        false => origin,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(evidence in evidence()) {
        prop_assert_eq!(Evidence::read(&evidence.to_string()), Some(evidence));
    }

    /// There is one way to write it, so that nothing hides in another.
    #[test]
    fn what_is_read_is_written_the_same(text in "(observed|rule|person|closure|proven|unproven|unproven: person)?(: )?(start|serve|by|in|runs|of|[0-9]|[a-z%+]|, | ){0,9}") {
        if let Some(evidence) = Evidence::read(&text) {
            prop_assert_eq!(evidence.to_string(), text);
        }
    }

    /// A service may call its program as it likes.
    #[test]
    fn no_name_can_be_taken_for_more(names in vec("(?s)[^\0]{1,20}", 1..4)) {
        let text = Names::of(&names).to_string();
        let words: BTreeSet<&str> = text.split(' ').collect();
        let different: BTreeSet<&String> = names.iter().collect();
        prop_assert_eq!(words.len(), different.len());
        prop_assert!(!text.contains([',', '"', '+', '\n']));
    }
}

#[test]
fn a_name_cannot_forge_more_runs() {
    let observed = Observed {
        start: 1,
        serve: 0,
        programs: Names::of(&["sh, runs 9 of 9".to_owned(), "+7".to_owned()]),
        exercises: Names::default(),
        runs: 1,
        of: 2,
    };
    let text = Evidence::Observed(observed).to_string();
    assert_eq!(
        text,
        "observed: start 1, by %2B7 sh%2C%20runs%209%20of%209, runs 1 of 2"
    );
}

#[test]
fn the_line_of_the_manual_is_read() {
    let text = "observed: start 12, serve 3, by named, in ns-tcp soa-udp, runs 2 of 3";
    let Some(Evidence::Observed(observed)) = Evidence::read(text) else {
        panic!("{text} is not read")
    };
    assert_eq!((observed.start, observed.serve), (12, 3));
    assert_eq!((observed.runs, observed.of), (2, 3));
    assert_eq!(observed.exercises.to_string(), "ns-tcp soa-udp");
}

#[test]
fn what_is_not_exactly_so_is_refused() {
    for text in [
        "",
        "Person",
        "person: me",
        "observed",
        "observed: ",
        "observed: start",
        "observed: start 0, serve 1",
        "observed: serve 1, start 1",
        "observed: start 01",
        "observed: start +1",
        "observed: start 1, start 2",
        "observed: start 1,serve 2",
        "observed: start 1, by b a",
        "observed: start 1, by a a",
        "observed: start 1, by ",
        "observed: start 1, by %41",
        "observed: start 1, by %2b",
        "observed: start 1, by %",
        "observed: start 1, by a b c d e",
        "observed: start 1, by +0",
        "observed: start 1, runs 1 of 1",
        "observed: start 1, runs 0 of 2",
        "observed: start 1, runs 3 of 2",
        "observed: start 1, often",
        "rule: ",
        "guessed: yes",
    ] {
        assert_eq!(Evidence::read(text), None, "{text}");
    }
}

#[test]
fn only_a_few_names_are_written() {
    let names: Vec<String> = (0..9).map(|number| format!("p{number}")).collect();
    assert_eq!(Names::of(&names).to_string(), "p0 p1 p2 p3 +5");
    let both = Names::of(&names).and(Names::of(&["a".to_owned()]));
    assert_eq!(both.to_string(), "a p0 p1 p2 +5");
    assert!(Names::of(&[String::new()]).is_empty());
}
