//! What jails say, in journald; what the kernel says of them, from auditd.

use std::path::Path;

use super::{done, eventually};
use crate::common::{DONE, Place};

#[test]
#[ignore = "in the machine"]
fn what_a_jail_says_is_in_the_journal_with_its_name() {
    super::named();
    done("gaoler start named");
    let mine = "journalctl --no-pager -o json GAOLER_JAIL=named";
    eventually("named's messages are there", || {
        done(mine)
            .lines()
            .any(|line| line.contains("all zones loaded"))
    });
    let all = done(mine);
    let line = all
        .lines()
        .rfind(|line| line.contains("all zones loaded"))
        .unwrap();
    let entry: serde_json::Value = serde_json::from_str(line).unwrap();
    let pid = super::status("named")["pid"].to_string();
    assert_eq!(
        (&entry["SYSLOG_PID"], &entry["GAOLER_GENERATION"]),
        (&pid.into(), &"1".into()),
        "{entry:#}"
    );
    let shown = done("gaoler logs named -n 1000");
    assert!(shown.contains("all zones loaded"), "{shown}");
    done("gaoler stop named");
}

#[test]
#[ignore = "in the machine"]
fn what_the_filter_refuses_is_found_in_auditd_s_file() {
    const MOUNT: &str = "165";
    let words = ["say", "hello", "sleep", "1", "call", MOUNT, "pause"];
    let place = Place::of(Path::new("/mnt/service"), &words);
    place.start();
    let pid = place.pid();
    let mut denial = serde_json::Value::Null;
    eventually("it is an incident", || {
        let found = place.gaoler(&["incidents", "--json"]);
        let found: serde_json::Value = serde_json::from_str(&found.out).unwrap();
        let mut all = found["incidents"].as_array().unwrap().iter();
        let is_it = |it: &&serde_json::Value| it["kind"] == "denial" && it["subject"] == "mount";
        denial = all.find(is_it).cloned().unwrap_or_default();
        denial.is_object()
    });
    assert_eq!(denial["pid"], pid, "{denial:#}");
    // auditd has the records, and so the kernel's own log has none.
    let records = std::fs::read_to_string("/var/log/audit/audit.log").unwrap();
    let mut lines = records.lines().filter(|line| line.contains("type=SECCOMP"));
    assert!(
        lines.any(|line| line.contains(&format!(" pid={pid} "))),
        "{records}"
    );
    // It is told, too.
    let told = done("journalctl --no-pager -o cat -t gaoler");
    assert!(told.contains("refuses mount"), "{told}");
    let why = place.gaoler(&["why", &place.name, "--log", "/var/log/audit/audit.log"]);
    assert!(why.out.contains("call mount"), "{why:#?}");
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}
