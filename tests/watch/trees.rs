//! `tree`.

use serde_json::Value;

use crate::busy::{busy, is_harmless, json, text};
use crate::common::{DONE, FAILED, UID, USAGE, USER};

#[test]
fn every_process_is_there_with_its_pid_inside_and_nothing_that_a_terminal_obeys() {
    let place = busy(&["evil", "evil"]);
    place.start();
    let other = busy(&[]);
    let seen = json(&place, &["tree", &place.name]);
    let processes = seen["jails"][0]["processes"].as_array().unwrap();
    let roles: Vec<&str> = processes
        .iter()
        .map(|it| it["role"].as_str().unwrap())
        .collect();
    assert_eq!(
        roles,
        ["supervisor", "init", "service", "process", "process"],
        "{seen:#}"
    );
    let inner: Vec<i64> = processes
        .iter()
        .map(|it| it["inner_pid"].as_i64().unwrap())
        .collect();
    assert_eq!(inner[1], 1, "{seen:#}");
    let depths: Vec<i64> = processes
        .iter()
        .map(|it| it["depth"].as_i64().unwrap())
        .collect();
    assert_eq!(depths, [0, 1, 2, 3, 3], "{seen:#}");
    let service = &processes[2];
    assert_eq!(
        (service["uid"].as_u64(), service["user"].as_str()),
        (Some(UID.into()), Some(USER))
    );
    assert_eq!(service["pid"], place.status()["pid"]);
    for child in &processes[3..] {
        assert_eq!(child["parent"], service["pid"]);
        assert_ne!(child["inner_pid"], child["pid"]);
    }
    // The terminal's commands are there as JSON, and not as text.
    let evil = processes[3]["command"].as_str().unwrap();
    assert!(evil.contains('\u{1b}'), "{evil:?}");
    let tree = text(
        &place,
        &["tree"],
        &[&place.name, "[supervisor]", "\u{fffd}"],
    );
    is_harmless(&tree);
    assert_eq!(tree.lines().count(), 6, "{tree}");

    place
        .gaoler(&["tree", "nobody"])
        .is(USAGE, &["there is none"]);
    other.write();
    other
        .verb("tree")
        .is(FAILED, &["it does not run", "gaoler start"]);
    assert_eq!(json(&other, &["tree"])["jails"], Value::Array(Vec::new()));
}

#[test]
fn a_jail_without_a_pid_namespace_is_known_by_its_cgroup_and_its_parents() {
    let place = busy(&["evil"]);
    place.write();
    place.verb("build").is(DONE, &[]);
    let mut running = place
        .command(&["run", &place.name, "--exec"])
        .spawn()
        .unwrap();
    crate::common::eventually("the service and its child", || {
        place.status()["pid"] == running.id() && {
            let seen = json(&place, &["tree"]);
            seen["jails"][0]["processes"]
                .as_array()
                .is_some_and(|all| all.len() == 2)
        }
    });
    let seen = json(&place, &["tree"]);
    let processes = &seen["jails"][0]["processes"];
    assert_eq!(processes[0]["role"], "service");
    assert_eq!(processes[0]["inner_pid"], processes[0]["pid"]);
    assert_eq!(processes[1]["parent"], processes[0]["pid"]);
    let child = i32::try_from(processes[1]["pid"].as_i64().unwrap()).unwrap();
    running.kill().unwrap();
    running.wait().unwrap();
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    place.verb("stop");
}
