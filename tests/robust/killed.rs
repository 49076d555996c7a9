//! Killed at a system call. A call that only reads cannot change what is there afterwards: those
//! that do are listed in `tracer.c`, and gaoler is killed at one in [`READING`] of them all the
//! same. At every other call everything is killed before it. That is the state after the one before,
//! so only with `GAOLER_ROBUST=all`, where it takes its own time, it is killed after each, too.

use crate::common::NOT_SET_UP;
use crate::lab::{Call, KILLED, Lab, Nth, What, assert_most, each, exhaustive};

/// Of the calls that only read, one in so many.
const READING: usize = 40;
/// In the short run, a jail is started for one in so many places, and stopped.
const STARTED: usize = 16;

/// The places of a command that made these calls when nobody killed it.
fn places(calls: &[Call], kinds: &[What], every: usize) -> Vec<(Nth, What)> {
    let changing = calls.iter().filter(|call| call.changes).count();
    let changing = (1..=changing).step_by(every);
    let reading = if exhaustive() { 4 } else { READING };
    let reading = (1..=calls.len()).step_by(reading);
    let both =
        changing.flat_map(|number| kinds.iter().map(move |kind| (Nth::Changing(number), *kind)));
    both.chain(reading.map(|number| (Nth::Any(number), What::Before)))
        .collect()
}

#[test]
fn a_build_leaves_the_last_generation_or_a_new_one() {
    let lab = Lab::new();
    lab.change("the measure");
    let measure = lab.traced("build", None);
    assert_eq!(measure.answer.code, Some(0), "{measure:?}");
    let places = places(&measure.calls, kinds(), 1);
    assert!(places.len() > 80, "{places:?}");
    let mut reached = 0;
    each(&places, |count, (nth, what)| {
        let when = format!("build, {what:?} {nth:?}");
        lab.change(&when);
        let traced = lab.traced("build", Some((*nth, *what)));
        reached += usize::from(traced.hit);
        if traced.hit {
            assert_eq!(traced.answer.code, Some(KILLED), "{when}: {traced:?}");
        }
        lab.is_whole(&when);
        if exhaustive() || count % STARTED == 0 {
            lab.works(&when);
        }
        // Also removes what was left, so that the next one needs as many calls as the measure.
        lab.must("build");
        assert_eq!(lab.leftovers(), Vec::<std::path::PathBuf>::new(), "{when}");
    });
    assert_most(reached, places.len());
    lab.works("at the end");
    println!("build: {reached} places, {} calls", measure.calls.len());
}

#[test]
fn a_start_that_was_killed_is_no_obstacle() {
    interrupted("start", kinds(), if exhaustive() { 1 } else { 2 });
}

#[test]
fn a_start_of_which_one_process_was_killed_is_no_obstacle() {
    interrupted("start", &[What::Alone], if exhaustive() { 1 } else { 4 });
}

fn kinds() -> &'static [What] {
    if exhaustive() {
        &[What::Before, What::After]
    } else {
        &[What::Before]
    }
}

fn interrupted(verb: &str, kinds: &[What], every: usize) {
    let lab = Lab::new();
    let calls = lab.calls_of_start(verb);
    let places = places(&calls, kinds, every);
    let mut reached = 0;
    each(&places, |_, (nth, what)| {
        let when = format!("{verb}, {what:?} {nth:?}");
        let traced = lab.traced(verb, Some((*nth, *what)));
        reached += usize::from(traced.hit);
        match what {
            // It said that nothing was started.
            What::Alone if traced.answer.code == Some(NOT_SET_UP) => {}
            // Whoever is left has gone on.
            What::Alone => {
                let stopped = lab.place.verb("stop");
                assert_eq!(stopped.code, Some(0), "{when}: {traced:?} {stopped:?}");
            }
            _ if !traced.hit => lab.must("stop"),
            _ => assert_eq!(traced.answer.code, Some(KILLED), "{when}: {traced:?}"),
        }
        lab.nothing_is_up(&when);
        lab.is_whole(&when);
        lab.works(&when);
    });
    assert_most(reached, places.len());
    println!("{verb}: {reached} places, {} calls", calls.len());
}
