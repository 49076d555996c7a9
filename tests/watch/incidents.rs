//! `incidents`: what may be an attack, by services that do what one would.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::common::{DONE, Place, USAGE, answers, eventually, port, program};

/// `mount`, and `write` by the table of x32, which kills.
const MOUNT: &str = "165";
const OF_X32: &str = "1073741825";

/// A jail of a program that no other test has: what the kernel writes down names that, and a user
/// whom they share.
fn place(words: &[&str]) -> Place {
    let copy = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
        .keep();
    let copied = copy.join("service");
    fs::copy(program("service"), &copied).unwrap();
    let mut place = Place::of(&copied, words);
    place.text.service += "ready = [\"quiet:50\"]\n";
    // Of its C library's start, which is no incident.
    place.text.calls.push("readlink");
    place
}

fn remove(place: &Place) {
    fs::remove_dir_all(Path::new(&place.text.command[0]).parent().unwrap()).unwrap();
}

fn incidents(place: &Place) -> Vec<Value> {
    let answer = place.gaoler(&["incidents", &place.name, "--json"]);
    answer.is(DONE, &[]);
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    found["incidents"].as_array().unwrap().clone()
}

fn state(place: &Place) -> Value {
    place.status()["state"].clone()
}

fn kinds(found: &[Value]) -> Vec<&str> {
    found
        .iter()
        .map(|it| it["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn what_is_denied_is_one_incident_however_often() {
    let mut place = place(&["say", "hello", "call", MOUNT, "call", MOUNT, "pause"]);
    place.start();
    let found = incidents(&place);
    assert_eq!(kinds(&found), ["denial"], "{found:#?}");
    let denial = &found[0];
    assert_eq!(
        (&denial["subject"], &denial["count"]),
        (&"mount".into(), &2.into())
    );
    assert_eq!(denial["pid"], place.pid());
    let before = &denial["before"];
    assert_eq!(before["program"], place.text.command[0].as_str());
    assert!(
        before["place"].as_str().unwrap().contains("/service"),
        "{before:#}"
    );
    assert!(before["words"].to_string().contains("hello"), "{before:#}");
    // What was seen is not seen again.
    assert_eq!(incidents(&place), found);
    let id = denial["id"].to_string();
    place
        .gaoler(&["incidents", "show", &id])
        .is(DONE, &["denial", "refuses mount", "hello"]);
    place
        .gaoler(&["incidents", "show", "77"])
        .is(USAGE, &["none of this number"]);
    let none = place.gaoler(&["incidents", "--kind", "port"]);
    none.is(DONE, &["no incident"]);
    place.verb("stop").is(DONE, &[]);
    // A call that its spec has is no incident, and neither is a stop.
    place.text.calls.push("mount");
    place.start();
    place.verb("stop").is(DONE, &[]);
    assert_eq!(incidents(&place), found);
    place.nothing_runs();
    remove(&place);
}

#[test]
fn a_kill_is_told_and_the_jail_stays_down_for_a_look() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = listener.local_addr().unwrap();
    let mut place = place(&["say", "before", "sleep", "3", "call", OF_X32, "pause"]);
    let told = place.path("told");
    place.text.tables += &format!(
        "[restart]\nwhen = \"always\"\ndelay = \"10s\"\n[incidents]\nfreeze = [\"kill\"]\n\
         webhook = \"http://{hook}/x\"\ncommand = [\"/bin/sh\", \"-c\", \"cat > {}\"]\n",
        told.display()
    );
    place.start();
    let (mut client, _) = listener.accept().unwrap();
    let mut posted = Vec::new();
    let mut buffer = [0; 65536];
    while !posted.ends_with(b"}}") {
        let length = client.read(&mut buffer).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&posted));
        posted.extend(&buffer[..length]);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let posted = String::from_utf8(posted).unwrap();
    let (_, body) = posted.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&body["kind"], &body["frozen"]),
        (&"kill".into(), &true.into()),
        "{body:#}"
    );
    eventually("it stays down", || place.status()["state"] == "stopped");
    let status = place.status();
    assert!(
        status["last"]
            .as_str()
            .unwrap()
            .contains("frozen: incident 1"),
        "{status:#}"
    );
    assert_eq!(status["restarts"], 0);
    let found = incidents(&place);
    assert_eq!(kinds(&found), ["kill"], "{found:#?}");
    assert!(found[0]["before"]["words"].to_string().contains("before"));
    let told: Value = serde_json::from_str(&fs::read_to_string(told).unwrap()).unwrap();
    assert_eq!(told, body);
    // Whoever has looked starts it.
    place.verb("start").is(DONE, &["started"]);
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
    remove(&place);
}

#[test]
fn a_crash_has_what_was_mapped_and_a_restart_that_is_unusual_is_one() {
    let mut place = place(&["sleep", "3", "die", "11"]);
    place.text.tables += "[restart]\nwhen = \"on-failure\"\ndelay = \"50ms\"\nlimit = 1\n";
    place.start();
    eventually("it stays down", || place.status()["state"] == "stopped");
    let found = incidents(&place);
    assert_eq!(kinds(&found), ["crash", "restart"], "{found:#?}");
    assert_eq!(
        (&found[0]["count"], &found[0]["subject"]),
        (&2.into(), &"SIGSEGV".into())
    );
    let before = &found[0]["before"];
    assert!(
        before["maps"].to_string().contains("/service"),
        "{before:#}"
    );
    assert!(
        before["events"].to_string().contains("exit signal 11"),
        "{before:#}"
    );
    place.nothing_runs();
    remove(&place);
}

#[test]
fn a_port_that_its_spec_has_not_freezes_it_and_thawed_it_goes_on() {
    let port = port();
    let mut place = place(&["serve", &port.to_string()]);
    place.text.tables += "[protections]\nlandlock = \"off\"\n[liveness]\nevery = \"100ms\"\n\
                          timeout = \"200ms\"\nfailures = 1\ncommand = [\"/bin/false\"]\n\
                          [incidents]\nfreeze = [\"port\"]\n";
    let lives = place.text.tables.replace("/bin/false", "/bin/true");
    let dies = std::mem::replace(&mut place.text.tables, lives);
    place.start();
    assert!(answers(port));
    let found = incidents(&place);
    assert_eq!(kinds(&found), ["port"], "{found:#?}");
    assert_eq!(
        (&found[0]["subject"], &found[0]["frozen"]),
        (&format!("tcp {port}").into(), &true.into())
    );
    assert_eq!(state(&place), "frozen");
    let list = place.gaoler(&["list"]);
    assert!(list.lines(&place.name)[0].contains("frozen"), "{list:?}");
    let stopped = fs::read_to_string(format!("/proc/{}/stat", place.pid())).unwrap();
    assert!(stopped.contains(") T "), "{stopped}");
    place.verb("thaw").is(DONE, &["goes on"]);
    place.verb("thaw").is(DONE, &["was not frozen"]);
    assert!(answers(port));
    // It is there still, and was told of.
    assert_eq!(incidents(&place)[0]["count"], 1);
    assert_eq!(state(&place), "running");
    place.verb("freeze").is(DONE, &["1 process is stopped"]);
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();

    // One that is frozen is not ended because it does not live.
    place.text.tables = dies.replace("\"100ms\"", "\"1s\"");
    place.start();
    place.verb("freeze").is(DONE, &["frozen"]);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(state(&place), "frozen");
    place.verb("thaw").is(DONE, &["goes on"]);
    eventually("it does not live", || state(&place) == "stopped");
    place.nothing_runs();
    remove(&place);
}
