//! `upgrade`: what the host has replaced, tried out, swapped in, and out again.

use std::fs;

use serde_json::Value;

use crate::common::{DONE, FAILED, FINDINGS, eventually};
use crate::subject::{Subject, subject};

/// A jail that runs from its first generation.
fn running() -> Subject {
    let subject = subject();
    subject.place.verb("start").is(DONE, &["started"]);
    subject
}

/// What `upgrade NAME WORDS --json` says, and its exit code.
fn upgrade(subject: &Subject, words: &[&str]) -> (Option<i32>, Value) {
    let name = subject.place.name.as_str();
    let all = [&["upgrade", name, "--settle", "0", "--json"], words].concat();
    let answer = subject.place.gaoler(&all);
    let found = serde_json::from_str(&answer.out).unwrap_or_else(|_| panic!("{answer:#?}"));
    (answer.code, found)
}

/// The first version runs, from the first generation, whatever was tried.
#[track_caller]
fn is_as_before(subject: &Subject) {
    assert_eq!(subject.version(), "1");
    assert_eq!(subject.generations().1, Some(1));
    assert!(subject.status_generation() == 1);
}

#[test]
fn what_is_new_comes_in_and_what_is_not_changes_nothing() {
    let subject = running();
    let (code, found) = upgrade(&subject, &[]);
    assert_eq!(
        (code, &found["jails"][0]["outcome"]),
        (Some(DONE), &"current".into())
    );
    let pid = subject.place.pid();
    let (code, _) = upgrade(&subject, &["--check"]);
    assert_eq!(code, Some(DONE));
    assert_eq!(subject.place.status()["stale"], serde_json::json!([]));

    subject.install(&["-DVERSION=\"2\""]);
    let program = subject.place.program();
    let program = program.to_str().unwrap();
    let stale = subject.place.status()["stale"].clone();
    assert_eq!(stale[0], format!("{program} is another one on the host"));
    let (code, found) = upgrade(&subject, &["--check"]);
    assert_eq!(
        (code, &found["jails"][0]["outcome"]),
        (Some(FINDINGS), &"stale".into())
    );
    assert_eq!(found["jails"][0]["altered"][0]["path"], program);
    let all = subject.place.gaoler(&["upgrade", "--all", "--check"]);
    all.is(FINDINGS, &["is behind the host", "~ /"]);
    assert_eq!(subject.place.pid(), pid, "nothing was done");

    let (code, found) = upgrade(&subject, &[]);
    assert_eq!(code, Some(DONE), "{found:#}");
    let done = &found["jails"][0];
    assert_eq!(done["outcome"], "upgraded", "{found:#}");
    assert_eq!((&done["from"], &done["to"]), (&1.into(), &2.into()));
    assert_eq!(subject.version(), "2");
    assert_ne!(subject.place.pid(), pid);
    assert_eq!(subject.place.status()["stale"], serde_json::json!([]));
    subject.place.verb("rollback").is(DONE, &["generation 1"]);
    assert_eq!(subject.version(), "1");
}

#[test]
fn one_that_crashes_or_has_lost_something_does_not_come_in() {
    let subject = running();
    for (flag, words) in [
        ("-DCRASHES", "before it was ready"),
        ("-DLOSES", "exercise work"),
    ] {
        subject.install(&[flag, "-DVERSION=\"2\""]);
        let pid = subject.place.pid();
        let (code, found) = upgrade(&subject, &["--yes"]);
        assert_eq!(code, Some(FAILED), "{found:#}");
        assert_eq!(found["jails"][0]["outcome"], "refused", "{found:#}");
        let why = found["jails"][0]["why"].as_str().unwrap();
        assert!(why.contains(words), "{why}");
        assert_eq!(subject.place.pid(), pid, "the service was left alone");
        is_as_before(&subject);
    }
}

#[test]
fn one_that_needs_more_asks_and_is_given_it_with_its_spec() {
    let subject = running();
    let spec = subject.spec();
    subject.install(&["-DNEEDS", "-DVERSION=\"2\""]);
    let (code, found) = upgrade(&subject, &[]);
    assert_eq!(code, Some(FAILED), "{found:#}");
    let done = &found["jails"][0];
    assert_eq!(done["outcome"], "refused");
    assert_eq!(done["grown"][0]["subject"], "call sysinfo", "{found:#}");
    assert!(done["hint"].as_str().unwrap().contains("--yes"));
    is_as_before(&subject);
    assert_eq!(subject.spec(), spec);

    let (code, found) = upgrade(&subject, &["--yes"]);
    assert_eq!(code, Some(DONE), "{found:#}");
    assert_eq!(subject.version(), "2");
    assert!(subject.spec().contains("sysinfo"));
    let (code, _) = upgrade(&subject, &["--check"]);
    assert_eq!(code, Some(DONE));
    // The spec goes back with the tree.
    subject.place.verb("rollback").is(DONE, &["generation 1"]);
    assert_eq!(subject.spec(), spec);
}

#[test]
fn one_that_only_works_beside_is_rolled_back() {
    let mut subject = subject();
    // An exercise that sees the difference between the two networks: on the host it is asked for
    // real.
    let here = fs::read_link("/proc/self/ns/net").unwrap();
    let client = subject.place.path("client");
    let script = format!(
        "[ \"$(readlink /proc/self/ns/net)\" != '{}' ] || {} {} work yes",
        here.display(),
        client.display(),
        subject.port
    );
    let exercise = format!(
        "command = [{client:?}, \"{}\", \"work\", \"yes\"]",
        subject.port
    );
    let tables = &subject.place.text.tables;
    let changed = tables.replace(
        &exercise,
        &format!("command = [\"sh\", \"-c\", {script:?}]"),
    );
    assert_ne!(*tables, changed);
    subject.place.text.tables = changed;
    subject.place.write();
    subject.place.verb("start").is(DONE, &["started"]);
    subject.install(&["-DLOSES", "-DVERSION=\"2\""]);
    let (code, found) = upgrade(&subject, &[]);
    assert_eq!(code, Some(FAILED), "{found:#}");
    assert_eq!(found["jails"][0]["outcome"], "rolled-back", "{found:#}");
    is_as_before(&subject);
    // And where it was not tried out at all.
    subject.install(&["-DCRASHES"]);
    let (code, found) = upgrade(&subject, &["--skip-trial"]);
    assert_eq!(code, Some(FAILED), "{found:#}");
    assert_eq!(found["jails"][0]["outcome"], "rolled-back", "{found:#}");
    is_as_before(&subject);
    subject.place.verb("restart").is(DONE, &["started"]);
    is_as_before(&subject);
}

#[test]
fn a_stopped_jail_is_upgraded_for_its_next_start() {
    let subject = running();
    subject.place.verb("stop").is(DONE, &["stopped"]);
    subject.install(&["-DVERSION=\"2\""]);
    let (code, found) = upgrade(&subject, &[]);
    assert_eq!(code, Some(DONE), "{found:#}");
    assert!(found["jails"][0]["pid"].is_null());
    subject.place.verb("start").is(DONE, &["started"]);
    assert_eq!(subject.version(), "2");
}

#[test]
fn killed_at_any_moment_what_worked_still_starts() {
    let subject = running();
    subject.install(&["-DVERSION=\"2\""]);
    // Once it watches, the new generation runs and has not been found good.
    let name = subject.place.name.as_str();
    let words = ["upgrade", name, "--settle", "600", "--yes"];
    for wait_for_switch in [true, false] {
        let mut child = subject.place.command(&words).spawn().unwrap();
        let journal = subject.place.state().join(name).join("switch.json");
        if wait_for_switch {
            eventually("it is being switched", || journal.exists());
        } else {
            eventually("the new one answers", || subject.version() == "2");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had started may be on its way up still.
        eventually("it can be stopped and started", || {
            let stopped = subject.place.verb("stop").code;
            (stopped, subject.place.verb("start").code) == (Some(DONE), Some(DONE))
        });
        is_as_before(&subject);
        assert!(!journal.exists());
    }
}
