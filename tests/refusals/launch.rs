//! What a service finds at its start, whatever the caller was like; and what the caller gets
//! back from it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use crate::common::{Answer, DONE, GID, Place, UID, eventually, port, program};

/// Both ways to run in the foreground.
const WAYS: [&[&str]; 2] = [&["run"], &["run", "--exec"]];

fn words<'a>(way: &[&'a str], place: &'a Place) -> Vec<&'a str> {
    way.iter().copied().chain([place.name.as_str()]).collect()
}

fn spawn(mut command: Command) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn line(out: &mut impl BufRead) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_thousand_inherited_descriptors_and_a_directory() {
    let place = Place::new(&["open"]);
    place.write();
    for way in WAYS {
        let output = place
            .careless(&["descriptors"], &words(way, &place))
            .output()
            .unwrap();
        let answer = Answer::of(output);
        answer.is(DONE, &[]);
        let open: Vec<&str> = answer.lines("open ");
        let numbers: Vec<&str> = open
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(numbers, ["0", "1", "2"], "{answer:#?}");
        assert!(!answer.out.contains(" 40000"), "a directory: {answer:#?}");
        place.nothing_runs_after(way);
    }
    // The program itself can be told from what it inherits: run by the caller, it sees them.
    let outside = Command::new(crate::common::program("caller"))
        .args([
            "descriptors",
            "--",
            place.program().to_str().unwrap(),
            "open",
        ])
        .output()
        .unwrap();
    assert!(Answer::of(outside).lines("open ").len() > 1000);
}

#[test]
fn standard_descriptors_that_are_closed() {
    for closed in ["0", "1", "2", "01", "02", "12", "012"] {
        for way in WAYS {
            let place = Place::new(&["open"]);
            place.write();
            place.verb("build").is(DONE, &[]);
            let output = place
                .careless(&["closed", closed], &words(way, &place))
                .output()
                .unwrap();
            let answer = Answer::of(output);
            answer.is(DONE, &[]);
            if !closed.contains('1') {
                assert_eq!(answer.lines("open ").len(), 3, "{closed}: {answer:#?}");
            }
            place.nothing_runs_after(way);
        }
        let port = crate::common::port();
        let mut place = Place::new(&["serve", &port.to_string()]);
        place.text.service = format!("ready = [\"tcp:{port}\"]");
        place.text.tables += &format!(
            "[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\nbecause = \"a test\"\n"
        );
        place.write();
        let status = place
            .careless(&["closed", closed], &["start", &place.name])
            .output()
            .unwrap();
        assert_eq!(status.status.code(), Some(0), "{closed}: {status:?}");
        assert!(crate::common::answers(port), "{closed}");
        place.verb("stop").is(DONE, &[]);
        place.nothing_runs();
    }
}

#[test]
fn the_environment_is_exactly_the_specs() {
    let mut place = Place::with("dynamic", &["environment"]);
    place.write();
    let evil = place.path("evil.so");
    std::fs::write(&evil, "no library").unwrap();
    for (text, expected) in [
        ("", BTreeSet::new()),
        (
            "environment = { A = \"b c\", PATH = \"/jail\" }",
            BTreeSet::from(["A=b c", "PATH=/jail"]),
        ),
    ] {
        place.text.service = text.into();
        place.write();
        for way in WAYS {
            for empty in [false, true] {
                let mut command = place.command(&words(way, &place));
                if empty {
                    command.env_clear();
                } else {
                    command
                        .env("LD_PRELOAD", &evil)
                        .env("LD_LIBRARY_PATH", place.directory.path())
                        .env("LD_AUDIT", &evil)
                        .env("GCONV_PATH", place.directory.path())
                        .env("GLIBC_TUNABLES", "glibc.malloc.check=3")
                        .env("PATH", place.directory.path())
                        .env("HOME", place.directory.path())
                        .env("TMPDIR", place.directory.path())
                        .env("LISTEN_FDS", "3")
                        .env("NOTIFY_SOCKET", "/run/evil");
                }
                let answer = Answer::of(command.output().unwrap());
                answer.is(DONE, &[]);
                let found: BTreeSet<&str> = answer.lines("variable ").into_iter().collect();
                assert_eq!(found, expected, "{answer:#?}");
                place.nothing_runs_after(way);
            }
        }
    }
}

#[test]
fn the_callers_groups_do_not_survive() {
    let mut place = Place::new(&["ids"]);
    for groups in ["", "groups = [\"mail\", \"news\"]"] {
        place.text.service = groups.into();
        place.write();
        for way in WAYS {
            let output = place
                .careless(&["groups"], &words(way, &place))
                .output()
                .unwrap();
            let answer = Answer::of(output);
            answer.is(DONE, &["no_new_privs 1"]);
            assert_eq!(answer.lines("uids "), [format!("{UID} {UID} {UID}")]);
            assert_eq!(answer.lines("gids "), [format!("{GID} {GID} {GID}")]);
            let expected: &[&str] = if groups.is_empty() { &[] } else { &["8", "9"] };
            assert_eq!(answer.lines("group "), expected, "{answer:#?}");
        }
    }
}

#[test]
fn ignored_and_blocked_signals_do_not_survive() {
    let place = Place::new(&["signal-state"]);
    place.write();
    for way in WAYS {
        let output = place
            .careless(&["signals"], &words(way, &place))
            .output()
            .unwrap();
        let answer = Answer::of(output);
        answer.is(DONE, &["signals seen"]);
        assert_eq!(answer.out, "signals seen\n");
    }
    let outside = Command::new(crate::common::program("caller"))
        .args([
            "signals",
            "--",
            place.program().to_str().unwrap(),
            "signal-state",
        ])
        .output()
        .unwrap();
    Answer::of(outside).is(DONE, &["not default 13", "not default 1\n", "blocked 15"]);
}

#[test]
fn umask_and_limits_are_the_specs() {
    let mut place = Place::new(&["limits"]);
    for (service, limits, expected) in [
        ("", "", ["core 0 0", "umask 0022"].as_slice()),
        (
            "umask = \"0077\"",
            "[limits]\ndescriptors = 50\nfile_size_bytes = 8192\n",
            &["nofile 50 50", "fsize 8192 8192", "umask 0077"],
        ),
    ] {
        place.text.service = service.into();
        place.text.tables = limits.into();
        place.write();
        for way in WAYS {
            let output = place
                .careless(&["umask"], &words(way, &place))
                .output()
                .unwrap();
            Answer::of(output).is(DONE, expected);
        }
    }
}

#[test]
fn the_exit_status_passes_through() {
    for code in [0, 1, 2, 3, 77, 125, 255] {
        let place = Place::new(&["exit", &code.to_string()]);
        place.write();
        for way in WAYS {
            let answer = place.gaoler(&words(way, &place));
            answer.is(code, &[]);
            assert_eq!((answer.out.as_str(), answer.error.as_str()), ("", ""));
            place.nothing_runs_after(way);
        }
    }
}

#[test]
fn death_by_a_signal() {
    for number in [6, 9, 11, 15] {
        let place = Place::new(&["die", &number.to_string()]);
        place.write();
        place.verb("run").is(128 + number, &[]);
        place.nothing_runs();
        let status = place
            .command(&["run", "--exec", &place.name])
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(number), "nobody is in between");
        place.nothing_runs_after(&["--exec"]);
    }
}

#[test]
fn with_exec_no_process_is_in_between() {
    let place = Place::new(&["processes", "pause"]);
    place.write();
    let (mut child, mut out) = spawn(place.command(&["run", "--exec", &place.name]));
    assert_eq!(line(&mut out), format!("pid {}", child.id()));
    assert_eq!(line(&mut out), format!("parent {}", std::process::id()));
    assert_eq!(place.pid(), i32::try_from(child.id()).unwrap());
    place.verb("start").is(DONE, &["runs already"]);
    // Nobody else: `stop` finds it by its state alone. It is reaped here.
    let stop = std::thread::scope(|scope| {
        let stop = scope.spawn(|| place.verb("stop"));
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        stop.join().unwrap()
    });
    stop.is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn with_exec_limits_of_the_whole_jail_hold_and_go() {
    let mut place = Place::new(&["say", "in it", "pause"]);
    place.text.tables += "[limits]\nprocesses = 7\n";
    place.write();
    let (mut child, mut out) = spawn(place.command(&["run", "--exec", &place.name]));
    assert_eq!(line(&mut out), "in it");
    let cgroups = std::fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
    assert!(
        cgroups.contains(&format!("/gaoler/{}", place.name)),
        "{cgroups}"
    );
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| place.verb("stop"));
        child.wait().unwrap();
        stop.join().unwrap().is(DONE, &["stopped"]);
    });
    place.nothing_runs();
}

#[test]
fn signals_are_passed_on() {
    for way in WAYS {
        let place = Place::new(&["signals"]);
        place.write();
        let (mut child, mut out) = spawn(place.command(&words(way, &place)));
        assert_eq!(line(&mut out), "waiting");
        for (name, number) in [
            ("HUP", 1),
            ("INT", 2),
            ("USR1", 10),
            ("USR2", 12),
            ("TERM", 15),
        ] {
            signal(child.id(), name);
            assert_eq!(line(&mut out), format!("signal {number}"));
        }
        assert_eq!(child.wait().unwrap().code(), Some(7));
        place.nothing_runs_after(way);
    }
}

#[test]
fn an_orphan_is_reaped() {
    let place = Place::new(&["orphan", "pause"]);
    place.write();
    let (mut child, mut out) = spawn(place.command(&["run", &place.name]));
    assert_eq!(line(&mut out), "orphaned");
    let state = std::fs::read_to_string(place.run().join(&place.name).join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let init = state["init"]["pid"].as_i64().unwrap();
    let service = state["service"]["pid"].as_i64().unwrap().to_string();
    eventually("the first process has one child left", || {
        let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children"));
        children.unwrap().split_whitespace().eq([service.as_str()])
    });
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    place.nothing_runs();
}

/// A newer C library tries newer calls, and falls back where there is none (ENOSYS); a call that is
/// known and not in the spec is refused (EPERM).
#[test]
fn a_call_that_is_newer_than_gaoler_is_as_if_there_was_none() {
    let port = port();
    let mut place = Place::with("warm", &["serve", &port.to_string()]);
    place.text.service = format!("ready = [\"tcp:{port}\"]");
    place.text.tables += &format!(
        "[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\nbecause = \"a test\"\n"
    );
    place.start();
    let answer = |letter: &str| {
        let mut client = Command::new(program("warm"));
        let output = client.args(["ask", &port.to_string(), letter]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(answer("n"), "-1 38\n");
    assert_eq!(answer("w"), "-1 1\n");
    assert_eq!(answer("p"), "pong\n");
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}
