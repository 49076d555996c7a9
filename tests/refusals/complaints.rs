//! Complain mode: what the filter would refuse runs, and every single call of it is counted.

use serde_json::Value;

use crate::common::{DONE, Place};
use crate::phases::{NO_SUCH_CALL, RUNS, THREADS, ask, starter};

/// How often each thread asks before it listens.
const ROUNDS: usize = 100;

/// How often `getpriority` was written down, before and after it was ready. Of others, what the C
/// library asks of a static program at its start may be there.
fn complaints(place: &Place) -> Vec<(bool, u64)> {
    let file = place.state().join(&place.name).join("complaints.json");
    let record: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(record["not_told_apart"], 0);
    let mut counts = Vec::new();
    for one in record["complaints"].as_array().unwrap() {
        assert!(one["program"].is_string(), "{one}");
        let serving = one["serving"].as_bool().unwrap();
        if one["number"].as_u64() == Some(getpriority()) {
            counts.push((serving, one["count"].as_u64().unwrap()));
        } else {
            assert!(!serving, "{one}");
        }
    }
    counts
}

fn getpriority() -> u64 {
    u64::from(gaoler::sys::calls::number("getpriority").unwrap())
}

#[test]
fn every_call_that_would_be_refused_is_counted_by_phase() {
    let (mut place, port) = starter(&[]);
    place.text.start_calls.clear();
    place.write();
    place.verb("build").is(DONE, &[]);
    place
        .gaoler(&["start", &place.name, "--complain"])
        .is(DONE, &["started"]);
    let check = place.gaoler(&["check", &place.name, "--live"]);
    check.is(DONE, &["live.complain", "refuses nothing"]);
    for _ in 0..3 {
        assert_eq!(ask(port), RUNS.repeat(THREADS));
    }
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
    let (before, after) = ((ROUNDS * THREADS) as u64, (3 * THREADS) as u64);
    let expected = vec![(false, before), (true, after)];
    assert_eq!(complaints(&place), expected);
    // What enforces is the mode, not the jail: the next start refuses again.
    place.gaoler(&["start", &place.name]);
    assert_eq!(
        complaints(&place),
        expected,
        "they stay until the next run in complain mode"
    );
    place.verb("stop");
    place.nothing_runs();
}

#[test]
fn a_call_of_the_start_is_a_complaint_once_it_serves() {
    let (place, port) = starter(&[]);
    place.write();
    place.verb("build").is(DONE, &[]);
    place
        .gaoler(&["start", &place.name, "--complain"])
        .is(DONE, &["started"]);
    assert_eq!(ask(port), RUNS.repeat(THREADS));
    place.verb("stop").is(DONE, &["stopped"]);
    assert_eq!(complaints(&place), [(true, THREADS as u64)]);
    place.start();
    assert_eq!(ask(port), NO_SUCH_CALL.repeat(THREADS));
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn exec_cannot_complain() {
    let (place, _) = starter(&[]);
    place.write();
    place
        .gaoler(&["run", &place.name, "--exec", "--complain"])
        .is(crate::common::USAGE, &["cannot be used with"]);
}

#[test]
fn a_service_that_is_held_for_nobody_does_not_run() {
    let (place, port) = starter(&[]);
    // What `start` prepares is there afterwards.
    place.start();
    place.verb("stop").is(DONE, &["stopped"]);
    // Its standard input has ended: whoever would trace it was killed.
    let mut held = place.command(&["supervise", &place.name, "--traced"]);
    let held = held.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(held.status.code(), Some(125), "{held:?}");
    let words = String::from_utf8_lossy(&held.stdout);
    assert!(
        words.contains("Forked") && words.contains("Failed"),
        "{words}"
    );
    assert!(!crate::common::answers(port));
    place.nothing_runs();
}
