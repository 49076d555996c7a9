//! What cannot be learned, and what learning does not overwrite.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::common::{Answer, DONE, FAILED, GAOLER, NOT_SET_UP, Place, USAGE, USER, port};

fn learned_nothing(place: &Place) {
    assert_eq!(
        fs::read_dir(place.etc()).unwrap().count(),
        0,
        "a spec was written"
    );
    place.nothing_was_done();
}

#[test]
fn a_program_that_is_missing() {
    let place = Place::new(&[]);
    for program in ["/no/such/program", "no-such-program"] {
        for verb in ["learn", "up"] {
            let answer = place.gaoler(&[verb, "new", "--", program]);
            answer.is(USAGE, &[program]);
            learned_nothing(&place);
        }
    }
}

#[test]
fn a_sign_that_means_nothing() {
    let place = Place::new(&[]);
    let program = place.program();
    let program = program.to_str().unwrap();
    place
        .gaoler(&["learn", "new", "--ready", "tpc:80", "--", program, "pause"])
        .is(USAGE, &["tpc:80", "tcp:PORT"]);
    learned_nothing(&place);
}

#[test]
fn a_line_that_is_waited_for() {
    let place = Place::new(&[]);
    let program = place.program();
    let learn = |sign: &str| {
        let program = program.to_str().unwrap();
        let words = [
            "learn", "new", "--user", "games", "--for", "0", "--ready", sign, "--",
        ];
        let service = [
            program,
            "say",
            "warming up",
            "sleep",
            "1",
            "say",
            "now ready",
            "pause",
        ];
        place.gaoler(&[&words[..], &service[..]].concat())
    };
    learn("log:(").is(USAGE, &["as a pattern for log lines"]);
    learn("log:.*").is(USAGE, &["matches an empty line"]);
    learned_nothing(&place);
    let begun = Instant::now();
    learn("log:^now ready$").is(DONE, &["learned new"]);
    assert!(begun.elapsed() > Duration::from_millis(900));
    let spec = fs::read_to_string(place.etc().join("new.toml")).unwrap();
    assert!(spec.contains("ready = [\"log:^now ready$\"]"), "{spec}");
    // What comes before the line belongs to the start.
    let trace = fs::read_to_string(place.state().join("new/trace.json")).unwrap();
    let trace: serde_json::Value = serde_json::from_str(&trace).unwrap();
    let calls = trace["calls"].as_array().unwrap();
    let slept = calls.iter().find(|call| call["name"] == "clock_nanosleep");
    assert_eq!(slept.unwrap()["phase"], "start");
}

#[test]
fn a_sign_that_was_given_is_kept() {
    let place = Place::new(&[]);
    let port = port().to_string();
    let program = place.program();
    let words = [
        "learn",
        "new",
        "--user",
        "games",
        "--for",
        "0",
        "--ready",
        "quiet:321",
        "--",
    ];
    let service = [program.to_str().unwrap(), "serve", &port];
    place
        .gaoler(&[&words[..], &service[..]].concat())
        .is(DONE, &["learned new"]);
    let spec = fs::read_to_string(place.etc().join("new.toml")).unwrap();
    assert!(spec.contains("ready = [\"quiet:321\"]"), "{spec}");
}

#[test]
fn an_exercise_that_fails() {
    let place = Place::new(&[]);
    let port = port().to_string();
    let program = place.program();
    let answer = place.gaoler(&[
        "learn",
        "new",
        "--user",
        "games",
        "--for",
        "0",
        "--ready",
        &format!("tcp:{port}"),
        "--exercise",
        r#"sh -c 'printf "some reason\nand \033[2J another\n"; exit 4'"#,
        "--",
        program.to_str().unwrap(),
        "serve",
        &port,
    ]);
    // The service was learned; that the exercise did not work is said, and counted.
    answer.is(
        DONE,
        &[
            "warning: the exercise exercise-1 failed",
            "exit code 4 where 0 is expected\n    some reason\n    and #033[2J another",
            "0 of 1 exercises passed",
            "not passed   exercise-1 (exit code 4): ",
        ],
    );
    assert_eq!(fs::read_dir(place.etc()).unwrap().count(), 1);
    let trace = fs::read_to_string(place.state().join("new/trace.json")).unwrap();
    let trace: serde_json::Value = serde_json::from_str(&trace).unwrap();
    let run = &trace["certificate"]["exercises"][0];
    assert_eq!((&run["passed"], &run["exit"]), (&false.into(), &4.into()));
}

#[test]
fn an_exercise_knows_the_process() {
    let place = Place::new(&[]);
    let port = port().to_string();
    let program = place.program();
    let program = program.to_str().unwrap();
    let ready = format!("tcp:{port}");
    let learn = |exercise: &str| {
        let words = [
            "learn", "new", "--user", "games", "--for", "0", "--ready", &ready,
        ];
        let more = ["--exercise", exercise, "--", program, "serve", &port];
        place.gaoler(&[&words[..], &more].concat())
    };
    learn("kill -0 $HOME").is(USAGE, &["only a shell can make", "sh -c '...'", "$PID"]);
    learn("kill -0 $PID").is(DONE, &["1 of 1 exercises passed"]);
    // Neither the command nor the user, the sign or the exercise need be said again.
    let spec = || fs::read_to_string(place.etc().join("new.toml")).unwrap();
    let said = [
        "user = \"games\"".to_owned(),
        format!("ready = [\"{ready}\"]"),
    ];
    let first = spec();
    place
        .gaoler(&["learn", "new", "--again", "--for", "0"])
        .is(DONE, &["1 of 1 exercises passed"]);
    for line in said {
        assert!(first.contains(&line) && spec().contains(&line), "{line}");
    }
    assert!(spec().contains("\"$PID\""), "{}", spec());
}

#[test]
fn a_user_of_its_own_is_offered_and_made_by_both_verbs() {
    let place = Place::new(&[]);
    let program = place.program();
    let program = program.to_str().unwrap();
    for verb in ["learn", "up"] {
        place
            .gaoler(&[verb, "new", "--user", "nobody", "--", program, "pause"])
            .is(NOT_SET_UP, &["as nobody", "--create-user"]);
        // It is an option of both.
        let both = ["--create-user", "--start-as-root"];
        place
            .gaoler(&[&[verb, "new"], &both[..], &["--", program, "pause"]].concat())
            .is(USAGE, &["cannot be used with", "--create-user"]);
    }
    learned_nothing(&place);
}

#[test]
fn an_exercise_that_is_no_command() {
    let place = Place::new(&[]);
    let program = place.program();
    let program = program.to_str().unwrap();
    for exercise in ["", " \t ", "''"] {
        for verb in ["learn", "up"] {
            place
                .gaoler(&[verb, "new", "--exercise", exercise, "--", program, "pause"])
                .is(USAGE, &["as an exercise", "it is no command", "--exercise"]);
            learned_nothing(&place);
        }
    }
}

#[test]
fn a_service_that_ends_at_once_says_why() {
    let place = Place::new(&[]);
    let program = place.program();
    let program = program.to_str().unwrap();
    let answer = place.gaoler(&[
        "learn",
        "new",
        "--user",
        "games",
        "--ready",
        "tcp:20998",
        "--",
        program,
        "say",
        "my last words",
        "exit",
        "3",
    ]);
    answer.is(FAILED, &["my last words"]);
    learned_nothing(&place);
}

#[test]
fn users_that_are_refused() {
    let place = Place::new(&[]);
    let program = place.program();
    let program = program.to_str().unwrap();
    let learn = |user: &[&str]| {
        let mut words = vec!["learn", "new", "--for", "0", "--ready", "quiet:50"];
        words.extend(user);
        words.extend(["--", program, "pause"]);
        place.gaoler(&words)
    };
    for user in ["root", "nobody"] {
        learn(&["--user", user]).is(NOT_SET_UP, &[&format!("as {user}"), "--create-user"]);
    }
    learn(&["--user", "no-such-user"]).is(NOT_SET_UP, &["no such user", "--create-user"]);
    learn(&[]).is(NOT_SET_UP, &["stays root", "--create-user", "--user"]);
    // As dnsmasq's, which has Debian's nogroup as its own; _apt is everywhere.
    let hint = "groupadd --system _apt; then --group _apt";
    learn(&["--user", "_apt"]).is(NOT_SET_UP, &["as _apt in the group nogroup", hint]);
    for group in ["nogroup", "root"] {
        let refused = format!("as {USER} in the group {group}");
        learn(&["--user", USER, "--group", group]).is(NOT_SET_UP, &[&refused]);
    }
    learn(&["--user", USER, "--group", "no-such-group"]).is(
        NOT_SET_UP,
        &["no such group", "groupadd --system no-such-group"],
    );
    learned_nothing(&place);
    learn(&["--user", "_apt", "--group", USER]).is(DONE, &["learned new"]);
    let spec = fs::read_to_string(place.etc().join("new.toml")).unwrap();
    assert!(
        spec.contains("\nuser = \"_apt\"\ngroup = \"games\"\n"),
        "{spec}"
    );
}

#[test]
fn users_that_it_changes_to_by_itself() {
    let place = Place::new(&[]);
    let program = place.program();
    let program = program.to_str().unwrap();
    let learn = |options: &[&str], user: &str| {
        let mut words = vec!["learn", "new", "--for", "0", "--ready", "quiet:50"];
        words.extend(options);
        words.extend(["--", "/usr/bin/setpriv", "--reuid", user, "--keep-groups"]);
        words.extend([program, "pause"]);
        place.gaoler(&words)
    };
    let hint = "another user in its configuration";
    learn(&["--start-as-root"], "nobody").is(NOT_SET_UP, &["become nobody", hint]);
    learn(&["--as-user"], USER).is(USAGE, &["--user"]);
    learn(&["--start-as-root", "--user", USER], USER).is(USAGE, &["cannot be used with"]);
    learned_nothing(&place);
    // It is that user already.
    let twice = ["--as-user", "--user", USER];
    learn(&twice, USER).is(DONE, &["learned new"]);
    let spec = || fs::read_to_string(place.etc().join("new.toml")).unwrap();
    assert!(!spec().contains("SETUID") && !spec().contains("start_as_root"));
    learn(&["--start-as-root", "--again"], USER).is(DONE, &["learned new"]);
    let keys = "user = \"root\"\ngroup = \"root\"\ngroups = []\nstart_as_root = true\n";
    let accounts = format!("{keys}accounts = [\"{USER}\"]\n");
    assert!(
        spec().contains(&accounts) && spec().contains("\"SETUID\""),
        "{}",
        spec()
    );
}

#[test]
fn a_port_that_is_taken() {
    let place = Place::new(&[]);
    let listener = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let program = place.program();
    let words = [program.to_str().unwrap(), "serve", &port.to_string()].map(str::to_owned);
    let learn = |ready: &str| {
        let mut all = vec!["learn", "new", "--user", "games", "--ready", ready, "--"];
        all.extend(words.iter().map(String::as_str));
        place.gaoler(&all)
    };
    learn(&format!("tcp:{port}")).is(
        NOT_SET_UP,
        &[
            &format!("port {port} is taken by process {}", std::process::id()),
            "refusals",
        ],
    );
    learned_nothing(&place);
    // Nobody has said which port it needs: its own words tell.
    learn("quiet:300").is(FAILED, &["Address already in use"]);
    learned_nothing(&place);
}

#[test]
fn a_spec_that_is_there_is_not_overwritten() {
    let mut place = Place::new(&["pause"]);
    place.text.service = "# a person's own words".into();
    place.write();
    let before = fs::read(place.spec()).unwrap();
    let program = place.program();
    let command = [program.to_str().unwrap(), "exit", "0"];
    let name = place.name.clone();
    place
        .gaoler(&["learn", &name, "--", command[0], command[1], command[2]])
        .is(USAGE, &["is there already", "--again"]);
    place
        .gaoler(&["up", &name, "--", command[0], command[1], command[2]])
        .is(USAGE, &["its spec has another command", "--again"]);
    assert_eq!(fs::read(place.spec()).unwrap(), before);
    // A learning that fails leaves it, too.
    assert!(
        place
            .gaoler(&[
                "learn",
                &name,
                "--again",
                "--ready",
                "tcp:20997",
                "--",
                command[0],
                "exit",
                "0"
            ])
            .code
            != Some(DONE)
    );
    assert_eq!(fs::read(place.spec()).unwrap(), before);
    assert_eq!(fs::read_dir(place.etc()).unwrap().count(), 1);
    place.nothing_was_done();
}

#[test]
fn nobody_but_root_learns_in_roots_places_and_no_empty_spec_is_left() {
    let place = Place::new(&[]);
    let mut words = vec!["--reuid".to_owned(), "games".to_owned()];
    words.extend([
        "--clear-groups".to_owned(),
        "--".to_owned(),
        GAOLER.to_owned(),
    ]);
    let program = place.program().to_str().unwrap().to_owned();
    words.extend(place.arguments(&["learn", "new", "--", &program, "pause"]));
    let output = std::process::Command::new("setpriv").args(&words).output();
    Answer::of(output.unwrap()).is(FAILED, &["Permission denied"]);
    learned_nothing(&place);
}

#[test]
fn a_ring_is_said_to_have_hidden_something() {
    let mut place = Place::new(&["pause"]);
    place.text.calls.push("io_uring_setup");
    place.write();
    place.verb("build").is(DONE, &[]);
    place.verb("check").is(
        DONE,
        &["io_uring_setup", "what runs inside a ring was not seen"],
    );
}
