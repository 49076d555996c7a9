use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// What is found when each of `culprits` is a set that helps, and how often was asked.
fn found(count: usize, culprits: &[&[usize]]) -> (Vec<usize>, usize) {
    let mut asked = 0;
    let mut helps = |set: &[usize]| {
        asked += 1;
        let has = |culprit: &&[usize]| culprit.iter().all(|one| set.contains(one));
        Ok(culprits.iter().any(has))
    };
    let set = reduce(count, &mut helps).unwrap();
    (set, asked)
}

#[test]
fn the_first_of_two_that_help_is_found() {
    assert_eq!(found(16, &[&[3], &[11]]).0, [3]);
    assert_eq!(found(1, &[&[0]]), (vec![0], 0));
}

#[test]
fn two_that_only_help_together_are_found() {
    assert_eq!(found(16, &[&[3, 11]]).0, [3, 11]);
    assert_eq!(found(3, &[&[0, 2]]).0, [0, 2]);
    assert_eq!(found(400, &[&[7, 8, 399]]).0, [7, 8, 399]);
}

proptest! {
    #[test]
    fn one_culprit_takes_no_more_questions_than_promised(
        (count, one) in (1_usize..500).prop_flat_map(|count| (Just(count), 0..count))
    ) {
        let (set, asked) = found(count, &[&[one]]);
        prop_assert_eq!(set, [one]);
        prop_assert!(asked <= most_questions(count), "{asked} of {}", most_questions(count));
    }

    #[test]
    fn what_is_found_helps_and_each_of_it_is_needed(
        count in 2_usize..60,
        culprits in prop::collection::vec(prop::collection::btree_set(0_usize..60, 1..4), 1..4)
    ) {
        let culprits: Vec<Vec<usize>> = culprits
            .into_iter()
            .map(|set: BTreeSet<usize>| set.into_iter().map(|one| one % count).collect())
            .collect();
        let slices: Vec<&[usize]> = culprits.iter().map(Vec::as_slice).collect();
        let (set, _) = found(count, &slices);
        let helps = |set: &[usize]| {
            slices.iter().any(|culprit| culprit.iter().all(|one| set.contains(one)))
        };
        prop_assert!(helps(&set));
        for one in &set {
            prop_assert!(!helps(&without(&set, &[*one])), "{one} is not needed");
        }
    }
}
