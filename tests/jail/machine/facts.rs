//! What a test asks of its machine, and gives it.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// uid and gid of `bind`.
pub fn bind_ids() -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("bind:"));
    let fields: Vec<&str> = line.expect("bind9 is installed").split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

/// The letter of a process's state, or nothing.
pub fn state_of(pid: i32) -> String {
    field(pid, "State").chars().take(1).collect()
}

/// A line of `/proc/PID/status`, its blanks made single.
pub fn field(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    words.join(" ")
}

/// Asks until `wanted` holds; fails with the last answer if it never does.
#[track_caller]
pub fn eventually<T: std::fmt::Debug>(ask: impl Fn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask();
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "still {answer:?}");
        sleep(Duration::from_millis(50));
    }
}

/// A zone file with one address at `www`.
pub fn zone_file(serial: u32, address: &str) -> String {
    format!(
        "$TTL 60\n@ SOA ns root {serial} 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\nwww A {address}\n"
    )
}
