//! `minimize`: what is superfluous falls away, what is needed is proven.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{Answer, DONE, FAILED, Place, eventually};
use crate::subject::{client, subject};

/// Adds an exercise that asks the service for something.
fn exercise(place: &mut Place, port: u16, name: &str, request: &str) {
    let command = client(port, request);
    place.text.tables +=
        &format!("[[exercise]]\nname = {name:?}\ncommand = {command:?}\nbecause = \"a test\"\n");
}

fn minimize(place: &Place, options: &[&str]) -> Value {
    let mut words = vec!["minimize", place.name.as_str(), "--json"];
    words.extend(options);
    let answer = place.gaoler(&words);
    assert_eq!(answer.code, Some(DONE), "{answer:#?}");
    serde_json::from_str(&answer.out).unwrap()
}

fn names(found: &Value, list: &str) -> BTreeSet<String> {
    let items = found[list].as_array().unwrap().iter();
    items
        .map(|one| one["item"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn exactly_what_was_planted_falls_away() {
    let (mut place, port) = subject(&["helper".to_owned()]);
    place
        .text
        .calls
        .extend(["openat", "sysinfo", "setpriority", "clone", "pause"]);
    place.text.tables +=
        "[[allow.capabilities]]\ncapability = \"SYS_NICE\"\nbecause = \"a test\"\n";
    let data = place.bind("data", true);
    exercise(&mut place, port, "hello", "hello");
    exercise(&mut place, port, "sysinfo", "sysinfo");
    exercise(&mut place, port, "nice", "nice -5");
    exercise(
        &mut place,
        port,
        "write",
        &format!("file {}/x 1", data.display()),
    );
    place.write();

    // What this C library does not need here falls away first; that run is interrupted.
    let kept = place.state().join(&place.name).join("minimize.json");
    let words = ["minimize", &place.name, "--remove", "--jobs", "2"];
    let mut command = place.command(&words);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    eventually("something is known", || {
        std::fs::read_to_string(&kept).is_ok_and(|text| text.matches("\"call ").count() > 3)
    });
    let before = std::fs::read(place.spec()).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap(),
        rustix::process::Signal::INT,
    )
    .unwrap();
    let answer = Answer::of(child.wait_with_output().unwrap());
    answer.is(FAILED, &["SIGINT came", "the same command goes on"]);
    assert_eq!(std::fs::read(place.spec()).unwrap(), before);
    place.nothing_runs();

    let found = minimize(&place, &["--remove"]);
    assert!(found["resumed"].as_u64().unwrap() > 3, "{found:#}");
    assert!(!kept.exists(), "it is done");
    let proven = found["proven"].as_array().unwrap();
    let exercise_of = |item: &str| {
        let mut proofs = proven.iter();
        let proof = proofs.find(|one| one["item"] == item);
        proof.map_or("", |one| one["exercise"].as_str().unwrap())
    };
    assert_eq!(exercise_of("call sysinfo"), "sysinfo");
    assert_eq!(exercise_of("capability SYS_NICE"), "nice");
    assert_eq!(exercise_of(&format!("bind {}", data.display())), "write");
    assert_eq!(
        exercise_of(&format!("writable {}", data.display())),
        "write"
    );
    assert_eq!(exercise_of("call bind"), "start");
    assert_eq!(
        exercise_of("call setsockopt"),
        "start",
        "a restart needs it"
    );
    assert_eq!(
        exercise_of("call pause"),
        "serve",
        "its helper would compute for ever"
    );
    let minimal = std::fs::read_to_string(place.spec()).unwrap();
    assert!(
        minimal.contains("evidence = \"proven: nice fails without it\""),
        "{minimal}"
    );

    // Planted, listed, and then removed.
    let extra = place.path("extra.conf");
    std::fs::write(&extra, "text").unwrap();
    let plant = |list: &str, rule: &str, text: &str| -> String {
        let rule = format!("{rule}, because = \"planted\" }}");
        if text.contains(&format!("{list} = []")) {
            return text.replace(&format!("{list} = []"), &format!("{list} = [{rule}]"));
        }
        text.replace(
            &format!("{list} = [\n"),
            &format!("{list} = [\n  {rule},\n"),
        )
    };
    let mut planted = minimal.clone();
    for (list, rule) in [
        ("calls", "{ call = \"ptrace\"".to_owned()),
        ("capabilities", "{ capability = \"SYS_ADMIN\"".to_owned()),
        ("files", format!("{{ path = {extra:?}, kind = \"data\"")),
        (
            "devices",
            "{ path = \"/dev/zero\", device = \"zero\"".to_owned(),
        ),
        ("scratch", "{ path = \"/scratch\", size_kib = 64".to_owned()),
        ("families", "{ family = \"appletalk\"".to_owned()),
    ] {
        let with = plant(list, &rule, &planted);
        assert_ne!(with, planted, "{list}: {planted}");
        planted = with;
    }
    std::fs::write(place.spec(), &planted).unwrap();
    let expected: BTreeSet<String> = [
        "call ptrace",
        "capability SYS_ADMIN",
        &format!("file {}", extra.display()),
        "device /dev/zero",
        "scratch /scratch",
        "family appletalk",
    ]
    .map(str::to_owned)
    .into();
    let found = minimize(&place, &["--jobs", "2"]);
    assert_eq!(names(&found, "unproven"), expected);
    assert_eq!(found["way"], "isolated");
    let listed = std::fs::read_to_string(place.spec()).unwrap();
    assert_eq!(
        listed.matches("evidence = \"unproven: person\"").count(),
        6,
        "{listed}"
    );
    let old = std::fs::read_to_string(place.spec().with_extension("toml.old")).unwrap();
    assert_eq!(old, planted);
    let only = ["--remove", "--only", "capability", "--only", "device"];
    let found = minimize(&place, &only);
    assert_eq!(names(&found, "unproven").len(), 2);
    let smaller = std::fs::read_to_string(place.spec()).unwrap();
    assert!(!smaller.contains("SYS_ADMIN") && smaller.contains("ptrace"));
    place.nothing_runs();
}

#[test]
fn exercises_that_fail_prove_nothing() {
    let (mut place, port) = subject(&[]);
    exercise(&mut place, port, "never", "sysinfo");
    place.write();
    let answer = place.verb("minimize");
    answer.is(FAILED, &["with its whole spec, never", "beside the jail"]);
    place.nothing_runs();
}

#[test]
fn what_only_an_exercise_of_the_start_needs_is_proven() {
    let (mut place, port) = subject(&[]);
    place.text.calls.push("pause");
    place.text.start_calls = vec!["sysinfo"];
    let command = client(port, "sysinfo");
    place.text.tables += &format!(
        "[[exercise]]\nname = \"warm\"\ncommand = {command:?}\nphase = \"start\"\nbecause = \"a test\"\n"
    );
    exercise(&mut place, port, "hello", "hello");
    place.write();
    let found = minimize(&place, &[]);
    assert!(names(&found, "unproven").contains("call pause"), "{found}");
    let proven = found["proven"].as_array().unwrap();
    let call = proven.iter().find(|one| one["item"] == "call sysinfo");
    assert_eq!(call.unwrap()["exercise"], "start", "{found}");
    place.nothing_runs();
}
