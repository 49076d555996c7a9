//! A daemon that goes to the background by itself.

use std::fs;

use crate::common::{DONE, FINDINGS, Place, answers, eventually, port};

#[test]
fn it_is_followed_and_its_pid_file_is_right() {
    let port = port();
    let mut place = Place::new(&[]);
    let data = place.bind("data", true);
    let pid_file = data.join("pid");
    place.text.command.extend(
        [
            "daemon",
            pid_file.to_str().unwrap(),
            "serve",
            &port.to_string(),
        ]
        .map(str::to_owned),
    );
    place.text.service = format!(
        "forks = true\npid_file = {pid_file:?}\nready = [\"tcp:{port}\", \"file:{}\"]",
        pid_file.display()
    );
    place.text.tables += &format!(
        "[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\nbecause = \"a test\"\n"
    );
    for _ in 0..3 {
        place.start();
        assert!(answers(port));
        let pid = fs::read_to_string(&pid_file).unwrap().trim().to_owned();
        assert_eq!(pid, place.pid().to_string());
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(
            line.contains("serve"),
            "the host's pid of the daemon: {line}"
        );
        place.verb("status").is(DONE, &["is running", &pid]);
        place.verb("start").is(DONE, &["runs already", &pid]);
        place.verb("stop").is(DONE, &["stopped"]);
        eventually("the daemon has ended", || !answers(port));
        place.nothing_runs();
        place.verb("status").is(FINDINGS, &["is stopped"]);
    }
}

/// The service owns the directory of its pid file, and root writes into it.
#[test]
fn a_pid_file_that_is_a_link_leads_nowhere() {
    let port = port();
    let mut place = Place::new(&[]);
    let data = place.bind("data", true);
    let precious = place.path("precious");
    fs::write(&precious, "untouched").unwrap();
    let pid_file = data.join("pid");
    place.text.command.extend(
        [
            "daemon",
            data.join("real").to_str().unwrap(),
            "serve",
            &port.to_string(),
        ]
        .map(str::to_owned),
    );
    place.text.service = format!("forks = true\npid_file = {pid_file:?}\nready = [\"tcp:{port}\"]");
    place.text.tables += &format!(
        "[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\nbecause = \"a test\"\n"
    );
    std::os::unix::fs::symlink(&precious, &pid_file).unwrap();
    std::os::unix::fs::symlink(&precious, data.join(".pid.gaoler")).unwrap();
    place.write();
    let answer = place.verb("start");
    assert!([Some(0), Some(1)].contains(&answer.code), "{answer:#?}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "untouched");
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}
