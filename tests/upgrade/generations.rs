//! `generations` and `rollback`.

use std::fs;

use crate::common::{DONE, FAILED, USAGE};
use crate::subject::{Subject, subject};

/// A jail that runs from its second generation.
fn two() -> Subject {
    let subject = subject();
    subject.place.verb("start").is(DONE, &["started"]);
    subject.install(&["-DVERSION=\"2\""]);
    subject.place.verb("build").is(DONE, &["generation 2"]);
    subject.place.verb("restart").is(DONE, &["started"]);
    assert_eq!(subject.version(), "2");
    subject
}

#[test]
fn generations_say_what_they_are_and_what_differs() {
    let subject = two();
    let found = subject.json("generations", &[]);
    let (new, old) = (&found["generations"][0], &found["generations"][1]);
    assert_eq!(
        (&found["current"], &found["running"]),
        (&2.into(), &2.into())
    );
    assert_eq!(
        (&new["current"], &new["running"]),
        (&true.into(), &true.into())
    );
    assert_eq!(
        (&old["number"], &old["current"]),
        (&1.into(), &false.into())
    );
    assert!(old["ready"].is_string() && new["ready"].is_string());
    assert!(old["before"].is_null() && new["before"] == 1);
    let altered = new["altered"].as_array().unwrap();
    assert_eq!(altered.len(), 1, "{altered:?}");
    assert_eq!(altered[0]["change"], "changed");
    assert_eq!(
        altered[0]["path"],
        subject.place.program().to_str().unwrap()
    );
    let words = ["generation 2", "current, runs", "from 1", "~ /"];
    subject.place.verb("generations").is(DONE, &words);
}

#[test]
fn rolling_back_brings_the_tree_and_the_spec_and_stays() {
    let subject = two();
    let first = fs::read_to_string(subject.place.tree(1).with_file_name("spec.toml")).unwrap();
    subject.change_spec("0027");
    subject.place.verb("restart").is(DONE, &["started"]);
    let third = subject.spec();
    // Not built yet: it is kept all the same.
    subject.change_spec("0077");
    let edited = subject.spec();
    let done = subject.json("rollback", &["1"]);
    assert_eq!(done["to"], 1);
    assert!(done["pid"].is_number());
    assert_eq!(subject.version(), "1");
    assert_eq!(subject.spec(), first);
    let old = subject.place.spec().with_extension("toml.old");
    assert_eq!(fs::read_to_string(&old).unwrap(), edited);
    assert_ne!(third, first);
    // What is stopped and started afterwards is not built anew, though the host has another program.
    for verb in ["restart", "stop", "start"] {
        subject.place.verb(verb).is(DONE, &[]);
    }
    assert_eq!(subject.version(), "1");
    assert_eq!(subject.generations().1, Some(1));
    subject.place.verb("up").is(DONE, &[]);
    assert_eq!(subject.version(), "2");
}

#[test]
fn without_a_number_it_is_the_last_one_that_was_ready() {
    let subject = two();
    // Of a third that never ran.
    subject.install(&["-DVERSION=\"3\""]);
    subject.place.verb("build").is(DONE, &["generation 3"]);
    subject.install(&["-DVERSION=\"4\""]);
    subject.place.verb("build").is(DONE, &["generation 4"]);
    // The first had to make room, since the second is the last good one.
    assert_eq!(subject.generations(), (vec![4, 3, 2], Some(4)));
    subject.place.verb("rollback").is(DONE, &["generation 2"]);
    assert_eq!(subject.version(), "2");
    let answer = subject.place.verb("rollback");
    answer.is(FAILED, &["no generation before 2"]);
    let answer = subject
        .place
        .gaoler(&["rollback", &subject.place.name, "9"]);
    answer.is(USAGE, &["no such generation", "gaoler generations"]);
    let answer = subject
        .place
        .gaoler(&["rollback", &subject.place.name, "2"]);
    answer.is(USAGE, &["is current"]);
}

#[test]
fn a_generation_that_does_not_start_is_left_again() {
    let subject = subject();
    subject.install(&["-DCRASHES"]);
    subject.place.verb("build").is(DONE, &["generation 1"]);
    subject.install(&["-DVERSION=\"2\""]);
    subject.change_spec("0027");
    subject.place.verb("start").is(DONE, &["started"]);
    let spec = subject.spec();
    let answer = subject.place.verb("rollback");
    answer.is(FAILED, &["generation 1 does not work, 2 runs again"]);
    assert_eq!(subject.version(), "2");
    assert_eq!(subject.generations().1, Some(2));
    assert_eq!(subject.spec(), spec);
    // Nothing is under way any more.
    subject.place.verb("restart").is(DONE, &["started"]);
    assert_eq!(subject.version(), "2");
}

#[test]
fn who_was_killed_while_switching_leaves_what_worked() {
    let subject = two();
    subject.change_spec("0027");
    subject.place.verb("restart").is(DONE, &["started"]);
    let newer = subject.spec();
    subject.place.verb("stop").is(DONE, &["stopped"]);
    let state = subject.place.state().join(&subject.place.name);
    let journal = state.join("switch.json");
    let text = "{\"from\":2,\"to\":1,\"process\":{\"pid\":2147483647,\"start_time\":1}}";
    let switched = || {
        fs::remove_file(state.join("current")).unwrap();
        std::os::unix::fs::symlink("generations/1", state.join("current")).unwrap();
    };
    let first = fs::read_to_string(subject.place.tree(1).with_file_name("spec.toml")).unwrap();
    // At each of its steps: nothing yet, the tree, the spec.
    for step in 0..3 {
        fs::write(&journal, text).unwrap();
        if step > 0 {
            switched();
        }
        if step > 1 {
            fs::write(subject.place.spec(), &first).unwrap();
        }
        let answer = subject.place.verb("start");
        answer.is(DONE, &["started", "generation 2 is current again"]);
        assert_eq!(subject.version(), "2", "step {step}");
        assert_eq!(subject.generations().1, Some(2), "step {step}");
        assert_eq!(subject.spec(), newer, "step {step}");
        assert!(!journal.exists());
        subject.place.verb("stop").is(DONE, &["stopped"]);
    }
    // In the foreground, too, where no TOML is read otherwise.
    fs::write(&journal, text).unwrap();
    switched();
    let mut run = subject.place.command(&["run", &subject.place.name]);
    let mut run = run.spawn().unwrap();
    crate::common::eventually("it answers", || subject.version() == "2");
    subject.place.verb("stop").is(DONE, &["stopped"]);
    run.wait().unwrap();
    assert_eq!(subject.generations().1, Some(2));
}

#[test]
fn pruning_spares_what_runs_is_current_or_worked_last() {
    let subject = two();
    for version in 3..=5 {
        subject.install(&[&format!("-DVERSION=\"{version}\"")]);
        subject.place.verb("build").is(DONE, &[]);
    }
    // 2 runs, and 5 is current.
    let found = subject.json("generations", &["--prune", "1"]);
    let removed = found["removed"].as_array().unwrap();
    assert!(!removed.is_empty(), "{found:#}");
    assert_eq!(subject.generations(), (vec![5, 2], Some(5)));
    subject.place.verb("stop").is(DONE, &["stopped"]);
    let found = subject.json("generations", &["--prune", "1"]);
    assert_eq!(found["removed"].as_array().unwrap().len(), 0);
    assert_eq!(subject.generations(), (vec![5, 2], Some(5)));
    let wrong = subject
        .place
        .gaoler(&["generations", &subject.place.name, "--prune", "0"]);
    wrong.is(USAGE, &[]);
}
