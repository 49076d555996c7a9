//! A full and a read-only disk.

use std::fs;
use std::process::Command;

use crate::common::{Answer, FAILED, GAOLER, NOT_SET_UP, Place};

/// Runs the command where `options` describe the file system of the state directory, and
/// answers with what it said and what it left there.
fn on(place: &Place, options: &str, verb: &str) -> (Answer, String) {
    fs::create_dir_all(place.state()).unwrap();
    let script = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" || exit 99; list=$3; shift 3; \
                  \"$@\"; code=$?; find \"$list\" ! -type d; exit $code";
    let state = place.state();
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh", options])
        .args([&state, &state])
        .arg(GAOLER)
        .args(place.arguments(&[verb, &place.name]))
        .output()
        .unwrap();
    let answer = Answer::of(output);
    let left = answer.out.clone();
    (answer, left)
}

/// The verbs that make a tree, and what they answer if they cannot.
const BUILDING: [(&str, i32); 3] = [
    ("build", FAILED),
    ("start", NOT_SET_UP),
    ("run", NOT_SET_UP),
];

#[test]
fn a_full_disk() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    for (verb, code) in BUILDING {
        let (answer, left) = on(&place, "size=256k,mode=755", verb);
        answer.is(
            code,
            &["No space left on device", "hint: free some space", "copy"],
        );
        let left: Vec<&str> = left
            .lines()
            .filter(|line| !line.ends_with("/lock"))
            .collect();
        assert_eq!(left, Vec::<&str>::new());
        place.nothing_runs();
    }
}

#[test]
fn a_disk_that_is_full_of_names() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    for inodes in [3, 6, 9] {
        let (answer, _) = on(&place, &format!("nr_inodes={inodes},mode=755"), "build");
        answer.is(FAILED, &["No space left on device"]);
        place.nothing_runs();
    }
}

#[test]
fn a_read_only_disk() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    for (verb, code) in BUILDING {
        let (answer, left) = on(&place, "ro,mode=755", verb);
        answer.is(
            code,
            &["Read-only file system", place.state().to_str().unwrap()],
        );
        assert_eq!(left, "");
        place.nothing_runs();
    }
}

/// The tree is there; its disk has no room for the compiled plan.
#[test]
fn a_run_directory_on_a_read_only_disk() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    place.verb("build").is(0, &[]);
    fs::create_dir_all(place.run()).unwrap();
    let script = "mount -t tmpfs -o ro,mode=755 tmpfs \"$1\" || exit 99; shift; exec \"$@\"";
    for words in [&["start"][..], &["run"], &["run", "--exec"]] {
        let mut words = words.to_vec();
        words.push(&place.name);
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(place.run())
            .arg(GAOLER)
            .args(place.arguments(&words))
            .output()
            .unwrap();
        Answer::of(output).is(
            NOT_SET_UP,
            &["Read-only file system", place.run().to_str().unwrap()],
        );
        place.nothing_runs();
    }
}
