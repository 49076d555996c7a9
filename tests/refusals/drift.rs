//! A protection that is taken away behind gaoler's back while the jail runs is told: in the log, as
//! an event, by `status`; once, until it is there again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{DONE, Place, USAGE, eventually, mode, port, program};

/// A jail that is compared with what was started every second.
fn watched() -> Place {
    let port = port();
    let mut place = Place::with("dynamic", &["serve", &port.to_string()]);
    // It runs for long: not as the user of tests that look for others of theirs.
    (place.text.user, place.text.group) = ("uucp".into(), "uucp".into());
    place.text.service = format!("ready = [\"tcp:{port}\"]");
    place.text.tables += &format!(
        "[check]\nevery = \"1s\"\n[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\n\
         port = {port}\nbecause = \"a test\"\n"
    );
    place
}

/// What differs now.
fn drift(place: &Place) -> Vec<String> {
    let status = place.status();
    let drift = status["drift"].as_array().unwrap();
    drift
        .iter()
        .map(|it| it.as_str().unwrap().to_owned())
        .collect()
}

/// Waits for a comparison that is made after this.
#[track_caller]
fn compared(place: &Place) {
    let path = place.run().join(&place.name).join("drift.json");
    for _ in 0..2 {
        let before = fs::metadata(&path).and_then(|it| it.modified()).ok();
        eventually("a comparison", || {
            fs::metadata(&path).and_then(|it| it.modified()).ok() != before
        });
    }
}

fn events(place: &Place) -> Vec<Value> {
    let path = place.run().join(&place.name).join("events.jsonl");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// How often an event of this kind has these words.
fn told(place: &Place, kind: &str, words: &str) -> usize {
    let all = events(place);
    let is_it = |event: &&Value| {
        event["event"] == kind && event["detail"].as_str().unwrap().contains(words)
    };
    all.iter().filter(is_it).count()
}

/// Waits until something is told, holds that it is told once however often it is looked at, that
/// `status` has it, and what the event says.
#[track_caller]
fn is_told(place: &Place, words: &str) -> Value {
    eventually(words, || told(place, "drift", words) > 0);
    compared(place);
    assert_eq!(told(place, "drift", words), 1, "{:#?}", events(place));
    assert!(
        drift(place).iter().any(|it| it.contains(words)),
        "{:#?}",
        drift(place)
    );
    place.verb("status").is(DONE, &["DRIFT", words]);
    let all = events(place);
    let event = all
        .iter()
        .find(|event| event["detail"].as_str().unwrap().contains(words));
    let event = event.unwrap().clone();
    assert_eq!(event["jail"], place.name.as_str());
    let time = event["time"].as_str().unwrap();
    assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
    event
}

/// Waits until it is told that it has gone.
#[track_caller]
fn is_over(place: &Place, words: &str) {
    eventually(words, || told(place, "drift-over", words) > 0);
    // The event is written first: it is never lost.
    eventually("status has it no more", || {
        !drift(place).iter().any(|it| it.contains(words))
    });
}

fn intruder(place: &Place, what: &str) -> Command {
    let mut command = Command::new(program("intruder"));
    command
        .arg(place.pid().to_string())
        .arg(what)
        .stdin(Stdio::null());
    command
}

#[track_caller]
fn intrude(place: &Place, what: &str) {
    assert!(intruder(place, what).status().unwrap().success(), "{what}");
}

#[test]
fn what_is_as_it_was_started_is_no_event() {
    let place = watched();
    place.start();
    compared(&place);
    assert_eq!(drift(&place), Vec::<String>::new());
    assert!(place.status()["compared"].is_string());
    let told = events(&place);
    let differs = |event: &&Value| event["event"].as_str().unwrap().starts_with("drift");
    assert_eq!(told.iter().filter(differs).count(), 0, "{told:#?}");
    place
        .gaoler(&["check", &place.name, "--live"])
        .is(DONE, &[]);
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

#[test]
fn a_tree_that_changes_is_told() {
    let place = watched();
    place.start();
    let program = place.inside(1, &place.program());
    let passwd = place.inside(1, Path::new("/etc/passwd"));
    let before = fs::metadata(&program).unwrap();

    mode(&program, 0o4777);
    is_told(&place, "mode is 4777, not 0555");
    // The same size and the old times: only what the kernel notes by itself shows it.
    let times = fs::metadata(&passwd).unwrap();
    let mut text = fs::read(&passwd).unwrap();
    text[0] ^= 1;
    fs::write(&passwd, &text).unwrap();
    let file = fs::File::options().write(true).open(&passwd).unwrap();
    file.set_modified(times.modified().unwrap()).unwrap();
    is_told(&place, "/etc/passwd: content is");
    fs::write(place.inside(1, Path::new("/etc/more")), "").unwrap();
    is_told(&place, "/etc/more: is not in the manifest");

    // Where this machine has no log of its own, the jail's is here.
    if !Path::new("/dev/log").exists() && !Path::new("/run/systemd/journal/socket").exists() {
        let log = format!("/var/log/gaoler-{}.log", place.name);
        let log = fs::read_to_string(log).unwrap();
        assert_eq!(
            log.matches("drift: tree.drift: /etc/more").count(),
            1,
            "{log}"
        );
    }

    fs::remove_file(place.inside(1, Path::new("/etc/more"))).unwrap();
    is_over(&place, "/etc/more: is not in the manifest");
    fs::set_permissions(&program, before.permissions()).unwrap();
    is_over(&place, "mode is 4777");
    assert_eq!(drift(&place).len(), 1, "{:?}", drift(&place));
    mode(&program, 0o4777);
    eventually("it is told anew", || {
        told(&place, "drift", "mode is 4777") == 2
    });
    place.verb("stop").is(DONE, &[]);
    assert_eq!(place.status()["drift"], serde_json::json!([]));
}

#[test]
fn a_program_that_is_replaced_under_its_process_is_told() {
    let place = watched();
    place.start();
    let program = place.inside(1, &place.program());
    let other = program.with_extension("new");
    fs::copy("/bin/true", &other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o555)).unwrap();
    fs::rename(&other, &program).unwrap();
    let event = is_told(&place, "live.executable");
    assert_eq!(event["pid"], place.pid());
    is_told(&place, "tree.drift");
    place.verb("stop").is(DONE, &[]);
}

#[test]
fn mounts_that_change_are_told() {
    let place = watched();
    place.start();
    intrude(&place, "loosen");
    is_told(&place, "live.mount: /: the mount is not ro");
    is_told(&place, "live.mount-change: /: the mount was ro");
    let check = place.gaoler(&["check", &place.name, "--live"]);
    check.is(DONE, &["live.mount-change", "the mount was ro"]);
    intrude(&place, "tighten");
    is_over(&place, "live.mount-change: /: the mount was ro");
    intrude(&place, "mount");
    is_told(
        &place,
        "live.mount-change: /etc: something was mounted there",
    );
    intrude(&place, "unmount");
    is_over(&place, "live.mount-change: /etc");
    assert_eq!(drift(&place), Vec::<String>::new());
    place.verb("stop").is(DONE, &[]);
}

#[test]
fn an_intruder_in_the_jail_is_told() {
    let place = watched();
    place.start();
    let mut stays = intruder(&place, "stay").spawn().unwrap();
    let event = is_told(&place, "live.capabilities: process ");
    let pid = i32::try_from(event["pid"].as_i64().unwrap()).unwrap();
    assert_ne!(pid, place.pid());
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(comm.trim(), "intruder");
    for rule in [
        "live.uid",
        "live.seccomp",
        "live.no-new-privs",
        "live.executable",
    ] {
        is_told(&place, &format!("{rule}: process {pid}"));
    }
    stays.kill().unwrap();
    stays.wait().unwrap();
    is_over(&place, "live.capabilities: process ");
    eventually("nothing differs", || drift(&place).is_empty());
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

/// Its filter is still there for whoever looks at the process: but it decides nothing any more.
#[test]
fn a_tracer_that_suspends_the_filter_is_told() {
    let place = watched();
    place.start();
    let mut tracer = intruder(&place, "trace").spawn().unwrap();
    let words = format!(
        "live.tracer: process {}: process {}",
        place.pid(),
        tracer.id()
    );
    let event = is_told(&place, &words);
    assert_eq!(event["pid"], place.pid());
    let check = place.gaoler(&["check", &place.name, "--live"]);
    check.is(
        DONE,
        &["live.tracer", "which is not in the jail, traces it"],
    );
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    is_over(&place, &words);
    place.verb("stop").is(DONE, &[]);
}

#[test]
fn it_can_be_switched_off_and_a_wrong_time_is_refused() {
    let mut place = watched();
    let tables = place.text.tables.clone();
    for wrong in ["0s", "1", "25h", "-1s", "1.5s", "99999999999h"] {
        place.text.tables = tables.replace("\"1s\"", &format!("{wrong:?}"));
        place.write();
        place
            .verb("build")
            .is(USAGE, &["no time between checks", "\"90s\""]);
    }
    place.text.tables = tables.replace("\"1s\"", "\"off\"");
    place.start();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(place.status()["compared"].is_null());
    // Who asks for it gets it all the same.
    place.gaoler(&["attest", &place.name]).is(DONE, &[]);
    assert!(place.status()["compared"].is_string());
    place.verb("stop").is(DONE, &[]);
    place.gaoler(&["attest", "nobody"]).is(DONE, &[]);
    place.gaoler(&["attest", "../x"]).is(USAGE, &[]);
}
