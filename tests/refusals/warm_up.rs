//! Exercises of the start: run before the service counts as ready, wherever it is started. What
//! only they make it call is refused afterwards.

use std::fs;
use std::process::Stdio;

use crate::common::{DONE, Place, USAGE, USER, eventually, port, program};
use crate::phases::{NO_SUCH_CALL, RUNS, ask, starter};

/// A jail of the threads that ask, with an exercise of the start that runs `script`.
fn with_exercise(script: &str) -> (Place, u16) {
    let (mut place, port) = starter(&[]);
    let script = script.replace("$PORT", &port.to_string());
    place.text.tables += &exercise("warm", &["bash", "-c", &script], "start");
    (place, port)
}

fn exercise(name: &str, command: &[&str], phase: &str) -> String {
    format!(
        "[[exercise]]\nname = {name:?}\ncommand = {command:?}\nphase = {phase:?}\nbecause = \"a test\"\n"
    )
}

/// Passes only if all threads may still ask.
const ALL_RUN: &str = "exec 3<>/dev/tcp/127.0.0.1/$PORT; [ \"$(sort -u <&3)\" = '20 0' ]";

#[test]
fn it_has_passed_when_the_start_is_over() {
    let (place, port) = with_exercise(ALL_RUN);
    place.start();
    assert_eq!(ask(port), NO_SUCH_CALL.repeat(8));
    // It would not pass any more, and is not repeated.
    place
        .gaoler(&["check", &place.name, "--exercise"])
        .is(DONE, &[]);
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn it_is_run_where_no_call_is_only_for_the_start() {
    let (mut place, port) = with_exercise("true");
    place.text.calls.append(&mut place.text.start_calls);
    let made = place.path("made");
    place.text.tables = place.text.tables.replace(
        "\"true\"",
        &format!("{:?}", format!("touch {}", made.display())),
    );
    place.start();
    assert!(made.exists());
    assert_eq!(ask(port), RUNS.repeat(8));
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn the_helper_of_exec_runs_it() {
    for start_only in [true, false] {
        let (mut place, port) = with_exercise("touch MADE");
        let made = place.path("made");
        place.text.tables = place.text.tables.replace("MADE", made.to_str().unwrap());
        if !start_only {
            place.text.calls.append(&mut place.text.start_calls);
        }
        place.write();
        place.verb("build").is(DONE, &[]);
        let mut command = place.command(&["run", "--exec", &place.name]);
        let mut service = command.stdout(Stdio::null()).spawn().unwrap();
        eventually("it was run", || made.exists());
        let answer = if start_only { NO_SUCH_CALL } else { RUNS };
        eventually("the start is over", || ask(port) == answer.repeat(8));
        service.kill().unwrap();
        service.wait().unwrap();
        place.nothing_runs_after(&["--exec"]);
    }
}

#[test]
fn the_start_waits_for_one_that_fails() {
    let (mut place, port) = with_exercise("[ -e SIGN ]");
    let sign = place.path("sign");
    place.text.tables = place.text.tables.replace("SIGN", sign.to_str().unwrap());
    place.write();
    let mut starting = place.command(&["start", &place.name]);
    let mut starting = starting
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let state = place.run().join(&place.name).join("state.json");
    let told = || fs::read_to_string(&state).unwrap_or_default();
    eventually("that it has failed is told", || {
        told().contains("its exercise warm has not passed: exit code 1 where 0 is expected")
    });
    assert_eq!(ask(port), RUNS.repeat(8));
    place
        .gaoler(&["check", &place.name, "--exercise"])
        .is(DONE, &["live.exercise: exercise warm", "has not passed"]);
    fs::write(&sign, "").unwrap();
    assert!(starting.wait().unwrap().success());
    assert!(!told().contains("has not passed"));
    assert_eq!(ask(port), NO_SUCH_CALL.repeat(8));
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn another_phase_is_refused_with_its_place() {
    let (mut place, _) = with_exercise("true");
    place.text.tables = place.text.tables.replace("\"start\"", "\"reload\"");
    place.write();
    place.verb("build").is(
        USAGE,
        &["reload", "start", "serve", &format!("{}.toml:", place.name)],
    );
}

/// What only an exercise of the start makes the service call is learned as starting, and refused
/// in the jail once that exercise has passed.
#[test]
fn what_only_it_needs_is_learned_as_starting_and_refused_afterwards() {
    let (place, port) = (Place::with("warm", &[]), port().to_string());
    let service = place.program();
    let service = service.to_str().unwrap();
    let client = |letter: &str| format!("{service} ask {port} {letter}");
    let (warm, serve) = (client("w"), client("p"));
    let sign = format!("tcp:{port}");
    let words = [
        "up",
        &place.name,
        "--user",
        USER,
        "--for",
        "0",
        "--ready",
        &sign,
        "--start-exercise",
        &warm,
        "--exercise",
        &serve,
        "--",
        service,
        "serve",
        &port,
    ];
    place.gaoler(&words).is(DONE, &[]);
    let spec = fs::read_to_string(place.spec()).unwrap();
    let asked = spec
        .lines()
        .find(|line| line.contains("\"getpriority\""))
        .unwrap();
    assert!(
        asked.contains("phase = \"start\"") && asked.contains("in start-1"),
        "{asked}"
    );
    assert!(spec.contains("name = \"start-1\"") && spec.contains("phase = \"start\"\nbecause"));
    let answer = |letter: &str| {
        let mut client = std::process::Command::new(program("warm"));
        let output = client.args(["ask", &port, letter]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        (answer("p").as_str(), answer("w").as_str()),
        ("pong\n", NO_SUCH_CALL)
    );
    let shown = place.gaoler(&["trace", "show", &place.name]);
    shown.is(
        DONE,
        &["1 passed in start: start-1", "1 passed: exercise-1"],
    );
    place
        .gaoler(&["check", &place.name, "--exercise"])
        .is(DONE, &[]);
    // Once more, with both exercises of the spec: nothing changes.
    place.verb("stop").is(DONE, &["stopped"]);
    place
        .gaoler(&[
            "learn",
            &place.name,
            "--merge",
            "--for",
            "0",
            "--",
            service,
            "serve",
            &port,
        ])
        .is(DONE, &[]);
    let merged = fs::read_to_string(place.spec()).unwrap();
    assert!(merged.contains("phase = \"start\"\nbecause"));
    place.verb("start").is(DONE, &["started"]);
    assert_eq!(answer("w"), NO_SUCH_CALL);
    // In its jail under a tracer it passes, too.
    place.verb("stop").is(DONE, &["stopped"]);
    let why = place.verb("why");
    assert!(
        !why.out.contains("has not passed") && !why.out.contains("getpriority"),
        "{why:?}"
    );
    place.nothing_runs();
}
