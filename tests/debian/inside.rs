//! What is tried in the machine, which has nothing else to do and is thrown away: by root, with the
//! machine's own places, as its administrator would.

pub mod exported;
mod guarded;
mod logged;
mod managed;
mod profiled;
mod units;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

/// What a command answered.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub out: String,
    pub error: String,
}

/// Runs a command line, whose words have no blanks in them.
pub fn run(line: &str) -> Answer {
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    Answer {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs one that must succeed, and answers what it prints.
#[track_caller]
pub fn done(line: &str) -> String {
    let answer = run(line);
    if answer.code != Some(0) {
        let journal = run("journalctl --no-pager -o cat -n 30").out;
        panic!("{line}: {answer:#?}; the journal:\n{journal}");
    }
    answer.out
}

/// A property of a unit.
pub fn property(unit: &str, name: &str) -> String {
    done(&format!("systemctl show -P {name} {unit}"))
        .trim()
        .to_owned()
}

/// What is said about a jail.
pub fn status(name: &str) -> serde_json::Value {
    let answer = run(&format!("gaoler status {name} --json"));
    serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{error}: {answer:#?}"))
}

/// Waits for something that takes a moment in this slow machine.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Installs the units that come with gaoler.
pub fn units() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (name, text) in [
            (
                "gaoler@.service",
                include_str!("../../examples/systemd/gaoler@.service"),
            ),
            (
                "gaoler-exec@.service",
                include_str!("../../examples/systemd/gaoler-exec@.service"),
            ),
        ] {
            fs::write(Path::new("/etc/systemd/system").join(name), text).unwrap();
        }
        done("systemctl daemon-reload");
    });
}

/// Jails Debian's memcached, whose own unit is stopped for good.
pub fn memcached() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        done("systemctl disable --now memcached");
        done("gaoler up memcached");
        done("gaoler stop memcached");
    });
}

/// Jails Debian's BIND, whose own unit is stopped.
pub fn named() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        done("systemctl stop named");
        done("gaoler up named");
        done("gaoler stop named");
    });
}
