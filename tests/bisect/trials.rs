//! What trials leave alone, and what is left of them, whatever happens.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::{Answer, DONE, FAILED, FINDINGS, NOT_SET_UP, Place, eventually};
use crate::subject::{client, says_yes, subject};

/// A bisection that takes a while, in the background.
fn start(place: &Place, port: u16, options: &[&str]) -> Child {
    let mut words = vec!["bisect", place.name.as_str()];
    words.extend(options);
    words.push("--");
    let client = client(port, "sysinfo");
    words.extend(client.iter().map(String::as_str));
    let mut command = place.command(&words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// The processes of trials of this place.
fn workers(place: &Place) -> usize {
    let processes = place.processes();
    let is_worker = |(_, line): &&(i32, String)| line.contains("trial-worker");
    processes.iter().filter(is_worker).count()
}

fn trial_directories(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.state()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".trial-"))
        .collect()
}

#[test]
fn a_signal_ends_it_and_the_jail_runs_again() {
    for name in ["-INT", "-TERM"] {
        let (place, port) = subject(&[]);
        place.start();
        let pid = place.pid();
        let child = start(&place, port, &["--in-place"]);
        eventually("it is stopped for the trials", || {
            place.status()["pid"].is_null()
        });
        signal(&child, name);
        let answer = Answer::of(child.wait_with_output().unwrap());
        answer.is(FAILED, &["cannot go on trying", "SIG"]);
        assert_ne!(place.pid(), pid);
        assert_eq!(trial_directories(&place), [""; 0]);
        place.verb("stop").is(DONE, &[]);
        place.nothing_runs();
    }
}

/// Who starts the jail again.
fn keeper(place: &Place) -> Option<i32> {
    let processes = place.processes();
    let keeper = processes
        .iter()
        .find(|(_, line)| line.contains("trial-keeper"));
    keeper.map(|(pid, _)| *pid)
}

#[test]
fn the_jail_runs_again_after_one_that_is_killed() {
    let (place, port) = subject(&[]);
    place.start();
    let before = place.pid();
    let mut child = start(&place, port, &["--in-place"]);
    eventually("it is stopped for the trials", || {
        place.status()["pid"].is_null() && workers(&place) == 2
    });
    signal(&child, "-KILL");
    child.wait().unwrap();
    eventually("it runs again", || !place.status()["pid"].is_null());
    eventually("nobody watches over it", || keeper(&place).is_none());
    assert_ne!(place.pid(), before);
    assert_eq!(workers(&place), 0);
    assert_eq!(trial_directories(&place), [""; 0]);
    let answer = place.verb("status");
    answer.is(DONE, &["is running"]);
    assert!(!answer.error.contains("try it out"), "{answer:#?}");
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

#[test]
fn nothing_outlives_those_that_are_killed_and_the_next_command_says_so() {
    let (place, port) = subject(&[]);
    place.start();
    let mut child = start(&place, port, &["--in-place"]);
    eventually("it is stopped for the trials", || {
        place.status()["pid"].is_null() && workers(&place) == 2
    });
    let keeper = keeper(&place)
        .expect("somebody watches over it")
        .to_string();
    let killed = Command::new("kill").args(["-KILL", &keeper]).status();
    assert!(killed.unwrap().success());
    signal(&child, "-KILL");
    child.wait().unwrap();
    eventually("its processes end", || place.processes().is_empty());
    place
        .verb("status")
        .is(FINDINGS, &["was stopped to try it out", "gaoler start"]);
    // The next one takes over where it was: it starts the jail at its end.
    let child = start(&place, port, &[]);
    let answer = Answer::of(child.wait_with_output().unwrap());
    answer.is(DONE, &["call sysinfo"]);
    let answer = place.verb("status");
    answer.is(DONE, &["is running"]);
    assert!(!answer.error.contains("try it out"), "{answer:#?}");
    assert_eq!(trial_directories(&place), [""; 0]);
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

#[test]
fn one_that_is_killed_beside_the_jail_leaves_nothing_that_the_next_does_not_remove() {
    let (mut place, port) = subject(&[]);
    place.text.tables += "[limits]\nprocesses = 9\n";
    place.start();
    let pid = place.pid();
    let mut child = start(&place, port, &[]);
    eventually("there is a worker", || workers(&place) == 2);
    std::thread::sleep(Duration::from_millis(200));
    signal(&child, "-KILL");
    child.wait().unwrap();
    eventually("its processes end", || workers(&place) == 0);
    assert_eq!(place.pid(), pid);
    let child = start(&place, port, &[]);
    let answer = Answer::of(child.wait_with_output().unwrap());
    answer.is(DONE, &["call sysinfo"]);
    assert_eq!(place.pid(), pid);
    assert_eq!(trial_directories(&place), [""; 0]);
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

#[test]
fn two_commands_do_not_try_the_same_jail() {
    let (place, port) = subject(&[]);
    place.write();
    let mut first = start(&place, port, &[]);
    eventually("there is a worker", || workers(&place) == 2);
    let second = start(&place, port, &["--in-place"]);
    let second = Answer::of(second.wait_with_output().unwrap());
    second.is(NOT_SET_UP, &["another command does that now"]);
    let mut text = String::new();
    first
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(first.wait().unwrap().success());
    assert!(text.contains("call sysinfo"), "{text}");
    place.nothing_runs();
}

#[test]
fn trials_do_not_reach_the_host() {
    let (mut place, port) = subject(&[]);
    place.text.calls.extend(["openat", "sysinfo"]);
    let data = place.bind("data", true);
    std::fs::write(data.join("precious"), "before").unwrap();
    std::os::unix::fs::chown(data.join("precious"), Some(5), Some(60)).unwrap();
    place.start();
    let request = format!("file {}/precious 1", data.display());
    let words = client(port, &request);
    let mut all = vec!["bisect", place.name.as_str(), "--"];
    all.extend(words.iter().map(String::as_str));
    place
        .gaoler(&all)
        .is(DONE, &["nothing to find", "copies of 1 place ("]);
    assert_eq!(
        std::fs::read_to_string(data.join("precious")).unwrap(),
        "before"
    );
    // The running jail has the port; the trial's service had it too, in its own network.
    assert!(says_yes(&client(port, "hello")));
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

#[test]
fn mistakes_are_told() {
    let (place, _) = subject(&[]);
    place.write();
    let name = place.name.as_str();
    place.gaoler(&["bisect", name]).is(2, &["there is no test"]);
    let words = ["bisect", name, "--exercise", "nothing"];
    place.gaoler(&words).is(2, &["no exercise \"nothing\""]);
    place
        .gaoler(&["minimize", name])
        .is(2, &["has no exercise"]);
    let words = ["minimize", name, "--only", "colour"];
    place
        .gaoler(&words)
        .is(2, &["no kind of allowance", "capability"]);
    place.nothing_runs();
}
