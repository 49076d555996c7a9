//! What was said once of a service, and need not be said again.

use std::fs;

use gaoler::spec::{self, Spec};

use crate::machine::{Machine, machine};

const SPEC: &str = "/etc/gaoler/cache.toml";
/// It refuses to be root unless it is told whom to become.
const COMMAND: [&str; 4] = ["--", "/usr/bin/memcached", "-l", "127.0.0.1"];

fn gaoler(m: &Machine, words: &[&str]) {
    m.gaoler(&[words, &COMMAND].concat()).ok();
}

fn read() -> Spec {
    spec::parse(&fs::read_to_string(SPEC).unwrap(), SPEC).unwrap()
}

#[test]
fn whom_a_service_starts_as() {
    machine(|m| {
        let refused = m.gaoler(&[&["learn", "cache", "--unaided"], &COMMAND[..]].concat());
        assert_eq!(refused.code, 1, "{refused:#?}");
        let said = ["--user", "www-data", "--as-user", "--unaided"];
        gaoler(m, &[&["learn", "cache"], &said[..]].concat());
        let remembers = |spec: &Spec| spec.service.refuses_root && spec.service.user == "www-data";
        assert!(remembers(&read()) && read().service.unaided);
        let trace = m.json(&["trace", "show", "cache"]);
        m.gaoler(&["why", "cache"]).ok();

        gaoler(m, &["learn", "cache", "--again", "--unaided"]);
        assert!(remembers(&read()));
        m.gaoler(&["learn", "cache", "--merge"]).ok();
        assert!(remembers(&read()) && read().service.unaided);
        gaoler(m, &["up", "cache", "--again", "--unaided"]);
        assert!(remembers(&read()));
        m.gaoler(&["stop", "cache"]).ok();
        // It was never root, in any of them.
        let root = |trace: &serde_json::Value| trace["ids"].to_string().contains("[0,");
        assert!(!root(&trace) && !root(&m.json(&["trace", "show", "cache"])));

        // What gaoler knows of the program says so, too.
        gaoler(m, &["learn", "cache", "--again"]);
        assert!(!read().service.unaided);
    });
}
