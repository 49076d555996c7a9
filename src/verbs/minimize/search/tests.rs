use proptest::prelude::*;

use super::*;

/// Runs a search to its end with so many workers, which answer in some order: what it kept, and
/// how often it asked.
fn search(
    groups: Vec<Vec<usize>>,
    workers: usize,
    order: &[usize],
    works: &dyn Fn(&BTreeSet<usize>) -> bool,
) -> (Search, usize) {
    let mut search = Search::over(groups);
    let most = search.at_most();
    let (mut open, mut asked, mut order) = (Vec::new(), 0, order.iter().cycle());
    loop {
        while open.len() < workers {
            let Some(question) = search.next() else { break };
            open.push(question);
            asked += 1;
        }
        if open.is_empty() {
            break;
        }
        let which = order.next().unwrap() % open.len();
        let (job, without) = open.remove(which);
        search.answer(job, (!works(&without)).then_some("it"));
    }
    if workers == 1 {
        assert!(asked <= most, "{asked} of {most}");
    }
    assert_eq!(search.at_most(), 0);
    (search, asked)
}

#[test]
fn of_two_ways_to_the_same_end_one_stays() {
    let works = |without: &BTreeSet<usize>| !(without.contains(&0) && without.contains(&1));
    for order in [[0, 1], [1, 0]] {
        let (found, _) = search(vec![vec![0], vec![1]], 2, &order, &works);
        assert_eq!(found.removed.len(), 1);
        assert_eq!(found.needed.len(), 1);
    }
}

#[test]
fn a_group_that_nobody_misses_goes_at_once() {
    let (found, asked) = search(vec![(0..64).collect()], 1, &[0], &|_| true);
    assert_eq!((found.removed.len(), asked), (64, 1));
}

#[test]
fn one_failure_is_not_enough() {
    let mut search = Search::over(vec![vec![7]]);
    let (job, _) = search.next().unwrap();
    search.answer(job, Some("flaky"));
    assert!(search.needed.is_empty());
    let (job, _) = search.next().unwrap();
    search.answer(job, None);
    assert!(search.needed.is_empty() && search.removed.contains(&7));
}

proptest! {
    #[test]
    fn exactly_what_is_needed_stays(
        count in 1_usize..80,
        needed in prop::collection::btree_set(0_usize..80, 0..40),
        size in 1_usize..40,
        workers in 1_usize..5,
        order in prop::collection::vec(0_usize..100, 1..20)
    ) {
        let needed: BTreeSet<usize> = needed.into_iter().filter(|one| *one < count).collect();
        let all: Vec<usize> = (0..count).collect();
        let groups = all.chunks(size).map(<[usize]>::to_vec).collect();
        let works = |without: &BTreeSet<usize>| without.is_disjoint(&needed);
        let (found, _) = search(groups, workers, &order, &works);
        let kept: BTreeSet<usize> = found.needed.keys().copied().collect();
        prop_assert_eq!(&kept, &needed);
        prop_assert_eq!(found.removed.len(), count - needed.len());
    }

    #[test]
    fn with_other_ways_what_stays_works_and_each_of_it_is_needed(
        ways in prop::collection::vec(prop::collection::btree_set(0_usize..20, 1..4), 1..6),
        workers in 1_usize..5,
        order in prop::collection::vec(0_usize..100, 1..20)
    ) {
        // Of each set, one must stay.
        let works = |without: &BTreeSet<usize>| ways.iter().all(|way| !way.is_subset(without));
        let (found, _) = search(vec![(0..20).collect()], workers, &order, &works);
        prop_assert!(works(&found.removed));
        for one in found.needed.keys() {
            let mut without = found.removed.clone();
            without.insert(*one);
            prop_assert!(!works(&without));
        }
    }
}
