//! A service is started again as its spec has it, is ended when it does not live, and goes on when
//! its supervisor is killed, without a line lost.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{DONE, FINDINGS, Place, answers, eventually, port};

/// How often a supervisor is killed, and how often if everything is asked for.
const KILLS: u32 = 25;
const ALL_KILLS: u32 = 100;

fn restart(when: &str, delay: &str, limit: u32) -> String {
    format!(
        "[restart]\nwhen = \"{when}\"\ndelay = \"{delay}\"\nlongest_delay = \"20s\"\nlimit = {limit}\n"
    )
}

fn ready() -> String {
    "ready = [\"quiet:50\"]\n".to_owned()
}

pub fn state(place: &Place) -> Value {
    let text = fs::read(place.run().join(&place.name).join("state.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn events(place: &Place) -> Vec<(String, String)> {
    let path = place.run().join(&place.name).join("events.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let text_of = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|event| (text_of(&event, "event"), text_of(&event, "detail")))
        .collect()
}

fn names(events: &[(String, String)]) -> Vec<&str> {
    events.iter().map(|(event, _)| event.as_str()).collect()
}

pub fn kill(pid: i32) {
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.unwrap().success());
}

fn kill_supervisor(place: &Place) {
    let pid = state(place)["supervisor"]["pid"].as_i64().unwrap();
    kill(i32::try_from(pid).unwrap());
    // On a busy machine it takes a while to end.
    let stat = format!("/proc/{pid}/stat");
    eventually("it has ended", || {
        let stat = fs::read_to_string(&stat).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
}

fn is(place: &Place, wanted: &str) {
    eventually(wanted, || place.status()["state"] == wanted);
}

#[test]
fn one_that_fails_is_started_again_until_the_limit() {
    // Longer than the start takes on a busy machine.
    let mut place = Place::new(&["say", "hello", "sleep", "3", "exit", "3"]);
    place.text.service += &ready();
    place.text.tables += &restart("on-failure", "50ms", 2);
    place.start();
    is(&place, "stopped");
    let status = place.status();
    assert_eq!(status["restarts"], 2, "{status:#}");
    assert_eq!(status["last_restart"]["cause"], "exit code 3");
    let last = status["last"].as_str().unwrap();
    assert!(
        last.contains("code 3") && last.contains("stays down") && last.contains("2 times"),
        "{last}"
    );
    let run = ["start", "ready", "exit"];
    let again = ["restart", "start", "ready", "exit"];
    let wanted = [&run[..], &again[..], &again[..], &["limit"]].concat();
    assert_eq!(names(&events(&place)), wanted);
    place.nothing_runs();
}

#[test]
fn what_a_person_starts_again_is_counted_but_not_after_a_stop() {
    let mut place = Place::new(&["pause"]);
    place.text.service += &ready();
    place.start();
    kill(place.pid());
    is(&place, "stopped");
    let counted = |verb: &str, number: u32, cause: &str| {
        place.verb(verb).is(DONE, &["started"]);
        let status = place.status();
        assert_eq!(status["restarts"], number);
        assert_eq!(status["last_restart"]["cause"], cause);
    };
    counted("start", 1, "signal 9");
    place.verb("stop").is(DONE, &["stopped"]);
    counted("start", 1, "signal 9");
    counted("restart", 2, "by hand");
    let told = events(&place)
        .into_iter()
        .filter(|(event, _)| event == "restart");
    let told: Vec<_> = told.map(|(_, detail)| detail).collect();
    assert_eq!(told, ["signal 9, number 1", "by hand, number 2"]);
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn its_first_start_has_to_succeed() {
    let mut place = Place::new(&["say", "no", "exit", "3"]);
    place.text.service += &ready();
    place.text.tables += &restart("always", "50ms", 5);
    place.write();
    let begun = Instant::now();
    place.verb("start").is(1, &["exited with code 3"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(place.status()["restarts"], 0);
    place.nothing_runs();
}

#[test]
fn who_waits_to_be_started_again_can_be_stopped_and_started() {
    let mut place = Place::new(&["pause"]);
    place.text.service += &ready();
    place.text.tables += &restart("always", "10m", 5).replace("20s", "20m");
    place.start();
    kill(place.pid());
    is(&place, "restarting");
    place
        .verb("status")
        .is(FINDINGS, &["waits to be started again"]);
    place.verb("stop").is(DONE, &["stopped"]);
    assert_eq!(place.status()["state"], "stopped");
    place.nothing_runs();
    place.verb("start").is(DONE, &["started"]);
    kill(place.pid());
    is(&place, "restarting");
    place.verb("start").is(DONE, &["started"]);
    let status = place.status();
    assert_eq!(
        (&status["state"], &status["restarts"]),
        (&"running".into(), &2.into())
    );
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn only_failures_are_followed_and_never_a_stop() {
    let mut place = Place::new(&["pause"]);
    place.text.service += &ready();
    place.text.tables += &restart("on-failure", "1ms", 5);
    place.start();
    let terminated = Command::new("kill").arg(place.pid().to_string()).status();
    assert!(terminated.unwrap().success());
    is(&place, "stopped");
    place.text.tables = place.text.tables.replace("on-failure", "always");
    place.start();
    let (pid, before) = (place.pid(), place.status()["restarts"].as_u64().unwrap());
    let terminated = Command::new("kill").arg(pid.to_string()).status();
    assert!(terminated.unwrap().success());
    eventually("it runs again", || {
        let status = place.status();
        status["state"] == "running" && status["pid"] != pid
    });
    assert_eq!(place.status()["restarts"], before + 1);
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn one_that_does_not_live_is_ended() {
    let mut place = Place::new(&["pause"]);
    let alive = place.path("alive");
    fs::write(&alive, "").unwrap();
    place.text.service += &ready();
    place.text.tables += &format!(
        "[liveness]\nevery = \"50ms\"\nfailures = 2\ncommand = [\"test\", \"-e\", {alive:?}]\n{}",
        restart("on-failure", "50ms", 20)
    );
    place.start();
    let pid = place.pid();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(place.pid(), pid);
    fs::remove_file(&alive).unwrap();
    eventually("it is started again", || place.status()["restarts"] != 0);
    fs::write(&alive, "").unwrap();
    is(&place, "running");
    let cause = place.status()["last_restart"]["cause"].clone();
    assert!(
        cause
            .as_str()
            .unwrap()
            .starts_with("liveness: test: exit code 1"),
        "{cause}"
    );
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn one_that_leaves_its_port_or_is_silent_is_ended() {
    let port = port();
    let looks = [
        (
            format!("every = \"50ms\"\nfailures = 1\nport = \"tcp:{port}\"\n"),
            "nothing waits at",
        ),
        ("watchdog = \"300ms\"\n".to_owned(), "WATCHDOG=1"),
    ];
    for (look, wanted) in looks {
        let mut place = Place::new(&["pause"]);
        place.text.service += &ready();
        place.text.tables += &format!("[liveness]\n{look}");
        place.start();
        is(&place, "stopped");
        let last = place.status()["last"].to_string();
        assert!(last.contains(wanted), "{last}");
        place.nothing_runs();
    }
    let mut place = Place::new(&["serve", &port.to_string()]);
    place.text.service += &format!("ready = [\"tcp:{port}\"]\n");
    place.text.tables += &format!(
        "[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\nbecause = \"a test\"\n\
         [liveness]\nevery = \"20ms\"\nfailures = 1\nport = \"tcp:{port}\"\n"
    );
    place.start();
    std::thread::sleep(Duration::from_millis(500));
    assert!(answers(port));
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

/// The numbers of the lines of this kind in the log; each may be there twice.
fn numbers(log: &str, kind: &str) -> BTreeSet<u32> {
    let begins = format!(": {kind} ");
    let number = |line: &str| line.rsplit_once(&begins)?.1.strip_suffix('.')?.parse().ok();
    log.lines().filter_map(number).collect()
}

#[test]
fn a_killed_supervisor_costs_neither_the_service_nor_a_line() {
    let kills = match std::env::var("GAOLER_ROBUST").as_deref() {
        Ok("all") => ALL_KILLS,
        _ => KILLS,
    };
    let (lines, pause) = ((kills * 60).to_string(), "500");
    let mut place = Place::with("chatter", &[&lines, pause]);
    place.text.service += &ready();
    place.text.tables += &format!(
        "[[allow.families]]\nfamily = \"AF_UNIX\"\nbecause = \"a test\"\n{}",
        restart("on-failure", "1h", 5).replace("20s", "1h")
    );
    place.text.calls.extend(["sendto", "poll"]);
    place.start();
    let pid = place.pid();
    // At other moments in each run.
    let mut random = u64::from(std::process::id());
    for _ in 0..kills {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        std::thread::sleep(Duration::from_micros((random >> 33) % 20_000));
        kill_supervisor(&place);
        let status = place.status();
        assert_eq!(status["pid"], pid, "{status}");
        assert_eq!(status["supervised"], true, "{status}");
    }
    let path = format!("/var/log/gaoler-{}.log", place.name);
    let log = || fs::read_to_string(&path).unwrap();
    if std::path::Path::new("/dev/log").exists() {
        println!("skipped: what is logged here goes to /dev/log, where it is not looked for");
    } else {
        eventually("the last line", || log().contains(": lost "));
        assert!(log().contains(": lost 0."), "the service found no log");
        let all: BTreeSet<u32> = (1..=kills * 60).collect();
        assert_eq!(numbers(&log(), "logged"), all);
        assert_eq!(numbers(&log(), "printed"), all);
    }
    // The last one knows how it ends, and goes by the spec.
    kill(pid);
    is(&place, "restarting");
    let exits: Vec<_> = events(&place)
        .into_iter()
        .filter(|(event, _)| event == "exit")
        .collect();
    assert_eq!(exits, [("exit".to_owned(), "signal 9".to_owned())]);
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn what_was_said_while_nobody_listened_is_passed_on_by_stop() {
    let mut place = Place::new(&["say", "before", "sleep", "4", "say", "meanwhile", "pause"]);
    place.text.service += "ready = [\"quiet:10\"]\n";
    place.start();
    kill_supervisor(&place);
    std::thread::sleep(Duration::from_millis(5000));
    place.verb("stop").is(DONE, &["stopped"]);
    let last = fs::read_to_string(place.run().join(&place.name).join("last.json")).unwrap();
    assert!(last.contains("meanwhile"), "{last}");
    place.nothing_runs();
}

#[test]
fn a_jail_without_a_first_process_is_taken_over_too() {
    let mut place = Place::new(&["say", "before", "pause"]);
    place.text.service += &ready();
    place.text.tables += "[protections]\npid_namespace = \"off\"\n";
    place.start();
    let pid = place.pid();
    kill_supervisor(&place);
    let status = place.status();
    assert_eq!(
        (&status["pid"], &status["supervised"]),
        (&pid.into(), &true.into())
    );
    kill(pid);
    is(&place, "stopped");
    assert_eq!(place.status()["last"], "it ended, and nobody saw how");
    place.nothing_runs();
}

#[test]
fn a_supervisor_that_waits_has_little_in_effect() {
    let mut place = Place::new(&["pause"]);
    place.text.service += &ready();
    place.start();
    for _ in 0..2 {
        let pid = state(&place)["supervisor"]["pid"].as_i64().unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        // CAP_DAC_READ_SEARCH is 2, CAP_KILL 5, CAP_SYS_PTRACE 19.
        assert_eq!(line.map(str::trim), Some("0000000000080024"));
        kill_supervisor(&place);
        assert_eq!(place.status()["state"], "running");
    }
    place.verb("stop").is(DONE, &["stopped"]);
    place.nothing_runs();
}

#[test]
fn what_a_jail_uses_is_counted() {
    let mut place = Place::new(&["pause"]);
    place.text.service += &ready();
    place.start();
    let usage = &place.status()["usage"];
    let hierarchies = fs::read_to_string("/proc/self/mounts").unwrap();
    for (controller, key) in [("memory", "memory_bytes"), ("pids", "processes")] {
        let there = hierarchies
            .lines()
            .any(|line| line.contains(" cgroup ") && line.contains(controller));
        if there {
            assert!(usage[key].as_u64().unwrap() > 0, "{usage}");
        }
    }
    assert!(
        usage["cpu_us"].as_u64().is_some_and(|time| time > 0),
        "{usage}"
    );
    place.verb("stop").is(DONE, &["stopped"]);
    assert_eq!(place.status()["usage"], Value::Null);
    place.nothing_runs();
}
