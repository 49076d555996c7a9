//! When the supervisor or the service is killed.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::machine::{Machine, eventually, machine, state_of};

fn kill(m: &Machine, pid: i32) {
    m.run(&["kill", "-KILL", &pid.to_string()]).ok();
    eventually(
        || state_of(pid),
        |state| ["Z", ""].contains(&state.as_str()),
    );
}

fn state() -> Value {
    let text = fs::read_to_string("/run/gaoler/named/state.json").unwrap();
    serde_json::from_str(&text).unwrap()
}

fn pid_in(state: &Value, who: &str) -> i32 {
    i32::try_from(state[who]["pid"].as_i64().unwrap()).unwrap()
}

#[test]
fn without_its_supervisor() {
    machine(|m| {
        let pid = m.up();
        kill(m, pid_in(&state(), "supervisor"));
        m.answers(&["localhost"], "127.0.0.1");
        m.answers(&["localhost", "+tcp"], "127.0.0.1");
        assert_eq!(m.pid("named"), pid);
        m.rndc(&["querylog", "on"]);
        assert_eq!(m.dig(&["localhost"]), "127.0.0.1", "nobody reads its log");
        m.gaoler(&["reload", "named"]).ok();
        let again = m.gaoler(&["start", "named"]).ok();
        assert!(again.contains("already"), "{again}");
        m.gaoler(&["stop", "named"]).ok();
        m.nothing_left("named", &[]);
        m.up();
        m.gaoler(&["stop", "named"]).ok();
        m.nothing_left("named", &[]);
    });
}

#[test]
fn a_killed_service() {
    machine(|m| {
        let pid = m.up();
        kill(m, pid);
        eventually(
            || Path::new("/run/gaoler/named/state.json").exists(),
            |there| !there,
        );
        eventually(|| m.processes(&[]), Vec::is_empty);
        let status = m.json(&["status", "named"]);
        assert_eq!(status["state"], "stopped");
        assert_eq!(status["last"], "signal 9 killed it");
        assert_eq!(m.gaoler(&["status", "named"]).code, 3);
        m.nothing_left("named", &[]);
        m.gaoler(&["start", "named"]).ok();
        assert_ne!(m.pid("named"), pid);
        m.answers(&["localhost"], "127.0.0.1");
        m.sound("named");
    });
}

#[test]
fn supervisor_and_service_killed() {
    machine(|m| {
        let pid = m.up();
        let before = state();
        kill(m, pid_in(&before, "supervisor"));
        kill(m, pid);
        let status = m.json(&["status", "named"]);
        assert_eq!(status["state"], "stopped");
        m.gaoler(&["start", "named"]).ok();
        m.answers(&["localhost"], "127.0.0.1");
        m.gaoler(&["stop", "named"]).ok();
        m.nothing_left("named", &[]);
    });
}

#[test]
fn the_first_process_of_the_jail_killed() {
    machine(|m| {
        m.up();
        kill(m, pid_in(&state(), "init"));
        eventually(|| m.processes(&[]), Vec::is_empty);
        assert_eq!(m.json(&["status", "named"])["state"], "stopped");
        m.nothing_left("named", &[]);
        m.gaoler(&["start", "named"]).ok();
    });
}
