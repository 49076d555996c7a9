//! Mistakes in a spec: each is shown with file, line and column, and nothing happens.

use std::fs;

use crate::common::{NOT_SET_UP, Place, USAGE};

/// Writes the spec with `from` replaced by `to`, and answers with what each verb that reads a
/// spec said, all of them alike.
fn refused(from: &str, to: &str, words: &[&str]) {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    let text = fs::read_to_string(place.spec()).unwrap();
    assert!(text.contains(from), "{text}");
    let text = text.replacen(from, to, 1);
    fs::write(place.spec(), &text).unwrap();
    // Line and column of the replaced text, as an editor counts them.
    let wrong = words[0];
    let offset = text.find(wrong).unwrap();
    let line = text[..offset].matches('\n').count() + 1;
    let place_of = format!("{}.toml:{line}:", place.name);
    let mut all = vec![
        place_of.as_str(),
        place.etc().to_str().unwrap().to_owned().leak(),
    ];
    all.extend(words);
    for verb in ["build", "start", "run", "plan", "check", "status", "stop"] {
        let answer = place.verb(verb);
        answer.is(USAGE, &all);
        let column = text[..offset].rsplit('\n').next().unwrap().len() + 1;
        let found: usize = answer
            .error
            .split(&place_of)
            .nth(1)
            .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next())
            .and_then(|digits| digits.parse().ok())
            .unwrap();
        assert!(
            found.abs_diff(column) <= 1,
            "{verb}: column {found}, not {column}: {answer:#?}"
        );
    }
    place.nothing_was_done();
}

#[test]
fn an_unknown_key() {
    refused(
        "user =",
        "usr =",
        &["usr", "unknown field `usr`", "did you mean `user`?"],
    );
}

#[test]
fn an_unknown_call() {
    refused(
        "call = \"openat\"",
        "call = \"opnat\"",
        &[
            "\"opnat\"",
            "unknown system call `opnat`",
            "did you mean `openat`?",
        ],
    );
}

#[test]
fn an_unknown_capability() {
    refused(
        "[[allow.calls]]\ncall = \"access\"\n",
        "[[allow.capabilities]]\ncapability = \"CAP_NET_BIND_SERVIC\"\n",
        &[
            "\"CAP_NET_BIND_SERVIC\"",
            "unknown capability `CAP_NET_BIND_SERVIC`",
            "NET_BIND_SERVICE",
        ],
    );
}

#[test]
fn an_unknown_family() {
    refused(
        "\"AF_INET\"",
        "\"AF_INT\"",
        &["\"AF_INT\"", "`AF_INT`", "did you mean"],
    );
}

#[test]
fn an_unknown_device() {
    refused(
        "[[allow.calls]]\ncall = \"access\"\n",
        "[[tree.devices]]\npath = \"/dev/mem\"\ndevice = \"mem\"\n",
        &["\"mem\"", "unknown variant `mem`", "null"],
    );
}

#[test]
fn an_unknown_level_of_protection() {
    refused(
        "[[allow.calls]]\ncall = \"access\"\nbecause = \"a test\"\n",
        "[protections]\nseccomp = \"requre\"\n",
        &[
            "\"requre\"",
            "unknown variant `requre`",
            "did you mean `require`?",
        ],
    );
}

#[test]
fn an_unknown_sign_of_readiness() {
    refused(
        "group = \"games\"\n",
        "group = \"games\"\nready = [\"tpc:80\"]\n",
        &["\"tpc:80\"", "`tpc:80` is no sign of readiness", "tcp:PORT"],
    );
}

#[test]
fn an_unknown_signal() {
    refused(
        "group = \"games\"\n",
        "group = \"games\"\nreload_signal = \"HPU\"\n",
        &["\"HPU\"", "unknown signal `HPU`", "did you mean `HUP`?"],
    );
}

#[test]
fn a_generic_user_and_root() {
    refused(
        "user = \"games\"",
        "user = \"nobody\"",
        &["\"nobody\"", "generic user `nobody`", "its own user"],
    );
    refused(
        "user = \"games\"",
        "user = \"root\"",
        &["\"root\"", "the user `root`", "start_as_root"],
    );
    refused(
        "user = \"games\"",
        "user = \"0\"",
        &["\"0\"", "cannot be the name of a user", "not a number"],
    );
}

#[test]
fn what_a_terminal_would_obey_is_not_printed() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    let text = fs::read_to_string(place.spec()).unwrap();
    let text = text.replacen("\"openat\"", "\"\\u001b]0;title\\u0007\"", 1);
    fs::write(place.spec(), text).unwrap();
    let answer = place.verb("build");
    answer.is(USAGE, &["unknown system call"]);
    assert!(!answer.error.contains('\u{1b}'), "{answer:#?}");
}

#[test]
fn another_file_than_a_spec() {
    let place = Place::new(&["serve", "20999"]);
    for (content, word) in [
        (&b""[..], "missing field"),
        (b"\xff\xfe", "valid UTF-8"),
        (b"[[[[", "expected"),
        (b"format = 2", "missing field"),
    ] {
        fs::write(place.spec(), content).unwrap();
        let answer = place.verb("build");
        assert!([Some(1), Some(USAGE)].contains(&answer.code), "{answer:#?}");
        assert!(answer.error.contains(word), "{answer:#?}");
    }
    place.nothing_was_done();
}

#[test]
fn a_name_that_is_not_the_files() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    fs::rename(place.spec(), place.etc().join("other.toml")).unwrap();
    place.gaoler(&["start", "other"]).is(
        USAGE,
        &["other.toml", "its name is", &place.name, "call the file"],
    );
    place.nothing_was_done();
}

#[test]
fn no_such_user_or_group() {
    for (key, what) in [("user", "user"), ("group", "group"), ("groups", "group")] {
        let mut place = Place::new(&["serve", "20999"]);
        match key {
            "user" => place.text.user = "no-such-user".into(),
            "group" => place.text.group = "no-such-group".into(),
            _ => place.text.service = "groups = [\"no-such-group\"]".into(),
        }
        place.write();
        for verb in ["build", "start", "run", "plan"] {
            place.verb(verb).is(
                USAGE,
                &[
                    &format!("the {what} no-such-{what}"),
                    "there is no such",
                    &place.name,
                ],
            );
        }
        place.nothing_was_done();
    }
}

#[test]
fn a_service_that_nobody_knows() {
    let place = Place::new(&["serve", "20999"]);
    for verb in [
        "build", "start", "run", "plan", "check", "status", "stop", "reload", "restart",
    ] {
        place.gaoler(&[verb, "no-such-jail"]).is(
            USAGE,
            &[
                "no-such-jail.toml",
                "there is none",
                "gaoler up no-such-jail",
            ],
        );
    }
    for verb in ["up", "learn"] {
        place.gaoler(&[verb, "no-such-jail"]).is(
            USAGE,
            &[
                "learn no-such-jail",
                "no service of that name",
                "-- COMMAND",
            ],
        );
    }
    place.nothing_was_done();
}

#[test]
fn a_spec_that_vanished() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    place.verb("build").is(0, &[]);
    fs::remove_file(place.spec()).unwrap();
    for verb in ["start", "run", "status"] {
        place
            .verb(verb)
            .is(USAGE, &["there is none", "read the spec", "hint"]);
    }
    place.nothing_runs();
}

#[test]
fn a_protection_that_is_off_where_it_is_needed() {
    let mut place = Place::new(&["serve", "20999"]);
    place.bind("data", true);
    place.text.tables += "[protections]\nmount_namespace = \"off\"\n";
    place.write();
    for verb in ["start", "run"] {
        place
            .verb(verb)
            .is(NOT_SET_UP, &["mount_namespace is off", "--standalone"]);
    }
    place.nothing_runs();
}

#[test]
fn a_risk_that_is_accepted_until_no_day() {
    let risk = "[service]\n";
    let accepted = "[[accepted]]\ncheck = \"spec.root\"\nsubject = \"x\"\nbecause = \"a test\"\nuntil = \"2027-02-30\"\n[service]\n";
    refused(
        risk,
        accepted,
        &["\"2027-02-30\"", "`2027-02-30` is no day", "such as"],
    );
}
