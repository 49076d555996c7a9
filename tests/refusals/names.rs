//! Names and arguments that lead elsewhere.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::common::{Place, USAGE};

const VERBS: [&str; 11] = [
    "build",
    "plan",
    "run",
    "start",
    "stop",
    "restart",
    "reload",
    "status",
    "check",
    "supervise",
    "up",
];

#[test]
fn a_name_that_is_a_path_or_an_option() {
    let place = Place::new(&["serve", "20999"]);
    let long = "x".repeat(65);
    for name in [
        "../x",
        "..",
        ".",
        "",
        ".x",
        "a/b",
        "/etc/passwd",
        "a b",
        "a\nb",
        "a\u{1b}[2Jb",
        "ä",
        &long,
    ] {
        for verb in VERBS {
            let answer = place.gaoler(&[verb, name]);
            let mut words = vec!["as the name of a jail", "a name has letters"];
            if verb == "supervise" {
                // It tells whoever started it, too.
                words.truncate(1);
            }
            answer.is(USAGE, &words);
            assert!(!answer.error.contains('\u{1b}'), "{answer:#?}");
        }
    }
    for verb in VERBS {
        place
            .gaoler(&[verb, "-x"])
            .is(USAGE, &["unexpected argument '-x'"]);
        place.gaoler(&[verb, "--", "-x"]).is(USAGE, &[]);
    }
    place.nothing_was_done();
    let longest = "x".repeat(64);
    place
        .gaoler(&["status", &longest])
        .is(USAGE, &["there is none"]);
}

#[test]
fn bytes_that_are_no_text() {
    let place = Place::new(&["serve", "20999"]);
    for verb in VERBS {
        let output = place
            .command(&[verb])
            .arg(OsStr::from_bytes(b"\xff\xfe"))
            .output()
            .unwrap();
        crate::common::Answer::of(output).is(USAGE, &["UTF-8"]);
    }
    place.nothing_was_done();
}

#[test]
fn newlines_and_quotes_in_arguments_reach_the_service_as_they_are() {
    let words = "a 'b' \"c\" $(d) `e` ;f\n\\g";
    let place = Place::new(&["say", words]);
    place.write();
    let answer = place.verb("run");
    answer.is(0, &[]);
    assert_eq!(answer.out, format!("{words}\n"));
    place.nothing_runs();
}

#[test]
fn a_nul_byte_in_a_spec() {
    for (from, to) in [
        ("\"20999\"", "\"20999\\u0000\""),
        (
            "group = \"games\"\n",
            "group = \"games\"\nenvironment = { A = \"b\\u0000c\" }\n",
        ),
    ] {
        let place = Place::new(&["serve", "20999"]);
        place.write();
        let text = std::fs::read_to_string(place.spec()).unwrap();
        std::fs::write(place.spec(), text.replacen(from, to, 1)).unwrap();
        for verb in ["build", "start", "run"] {
            place.verb(verb).is(USAGE, &["NUL", ".toml:"]);
        }
        place.nothing_was_done();
    }
}

#[test]
fn wrong_usage() {
    let place = Place::new(&["serve", "20999"]);
    for words in [
        &[][..],
        &["nonsense"],
        &["run"],
        &["run", "a", "b"],
        &["run", "--exce", "a"],
        &["check", "a", "--fail-above", "much"],
        &["learn", "a", "--for", "-1"],
        &["start", "--exec", "a"],
    ] {
        place.gaoler(words).is(USAGE, &["--help"]);
    }
    place.nothing_was_done();
}
