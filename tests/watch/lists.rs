//! `list`.

use std::fs;

use serde_json::{Value, json};

use crate::busy::{busy, is_harmless, json as seen, text};
use crate::common::{DONE, Place, USER};

/// The jail of the place in its list.
fn listed(place: &Place) -> Value {
    let list = seen(place, &["list"]);
    let jails = list["jails"].as_array().unwrap();
    let jail = jails.iter().find(|jail| jail["name"] == *place.name);
    jail.unwrap_or_else(|| panic!("{list:#}")).clone()
}

#[test]
fn a_jail_is_listed_from_its_spec_to_its_end() {
    let place = busy(&["signal", "exit", "3"]);
    place.write();
    let before = listed(&place);
    assert_eq!(before["state"], "stopped");
    assert_eq!(before["user"], USER);
    for key in ["pid", "generation", "score", "uptime_s", "command"] {
        assert_eq!(before[key], Value::Null, "{key}");
    }
    let none = seen(&place, &["list", "--running"]);
    assert_eq!(none, json!({ "jails": [] }));

    place.start();
    let running = listed(&place);
    assert_eq!(running["state"], "running");
    assert_eq!(running["pid"], place.status()["pid"]);
    assert_eq!(running["user"], USER);
    assert_eq!(
        (&running["generation"], &running["restarts"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(running["score"], Value::Null, "it was not checked");
    let command = running["command"].as_str().unwrap();
    assert!(command.ends_with("busy signal exit 3"), "{command}");
    assert_eq!(
        seen(&place, &["list", "--running"])["jails"][0]["name"],
        *place.name
    );

    // It ends by itself, with a failure.
    let pid = i32::try_from(running["pid"].as_i64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
    crate::common::eventually("its end", || listed(&place)["state"] == "failed");
    place.gaoler(&["list"]).is(DONE, &["failed"]);
    place.verb("stop");
    place.start();
    place.verb("stop").is(DONE, &["stopped"]);
    assert_eq!(listed(&place)["state"], "stopped");
}

#[test]
fn the_score_is_that_of_the_last_check_of_this_spec() {
    let place = busy(&[]);
    place.start();
    let checked = seen(&place, &["check", &place.name]);
    assert_eq!(listed(&place)["score"], checked["score"]);
    assert!(listed(&place)["checked"].as_str().unwrap().ends_with('Z'));
    place.verb("stop").is(DONE, &[]);
    let stopped = listed(&place);
    assert_eq!(
        (&stopped["score"], &stopped["user"]),
        (&checked["score"], &json!(USER))
    );
    // What was checked is not this spec.
    let spec = fs::read_to_string(place.spec()).unwrap();
    fs::write(place.spec(), spec + "# changed\n").unwrap();
    assert_eq!(listed(&place)["score"], Value::Null);
}

#[test]
fn one_jail_that_cannot_be_read_hides_no_other() {
    let place = busy(&[]);
    place.start();
    let forged = place.run().join("forged");
    fs::create_dir(&forged).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", forged.join("state.json")).unwrap();
    fs::write(place.etc().join("forged.toml"), "nonsense\u{1b}[2J").unwrap();
    fs::write(place.etc().join("\u{1b}[2J.toml"), "").unwrap();
    let list = seen(&place, &["list"]);
    assert_eq!(list["jails"].as_array().unwrap().len(), 2, "{list:#}");
    assert_eq!(list["jails"][0]["state"], "unknown");
    assert!(
        list["jails"][0]["problem"]
            .as_str()
            .unwrap()
            .contains("somebody else")
    );
    assert_eq!(listed(&place)["state"], "running");
    is_harmless(&text(&place, &["list"], &["forged", "running"]));
}
