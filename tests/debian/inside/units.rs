//! A jail as a unit of systemd's.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{done, eventually, memcached, named, property, run, status, units};

const SUPERVISED: &str = "gaoler@memcached.service";
const EXEC: &str = "gaoler-exec@memcached.service";

/// Whether memcached answers.
pub fn answers() -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", 11211)) else {
        return false;
    };
    let mut text = String::new();
    let asked = stream.write_all(b"version\r\nquit\r\n").is_ok();
    asked && stream.read_to_string(&mut text).is_ok() && text.starts_with("VERSION ")
}

/// What runs in a unit's cgroup and below it, by name.
fn processes(unit: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cgroups = vec![format!("/sys/fs/cgroup{}", property(unit, "ControlGroup"))];
    while let Some(cgroup) = cgroups.pop() {
        let pids = std::fs::read_to_string(format!("{cgroup}/cgroup.procs")).unwrap();
        let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        found.extend(pids.lines().map(|pid| name(pid).trim().to_owned()));
        let below = std::fs::read_dir(&cgroup)
            .unwrap()
            .map(|entry| entry.unwrap());
        let below = below.filter(|entry| entry.file_type().unwrap().is_dir());
        cgroups.extend(below.map(|entry| entry.path().to_str().unwrap().to_owned()));
    }
    found.sort();
    found
}

#[test]
#[ignore = "in the machine"]
fn a_jail_is_a_unit_with_gaoler_beside_it() {
    units();
    memcached();
    done(&format!("systemctl start {SUPERVISED}"));
    // Type=notify: it is ready by now.
    assert!(answers());
    assert_eq!(property(SUPERVISED, "ActiveState"), "active");
    let jail = status("memcached");
    assert_eq!(jail["state"], "running", "{jail:#}");
    let main = property(SUPERVISED, "MainPID");
    let beside = std::fs::read_to_string(format!("/proc/{main}/comm")).unwrap();
    assert_eq!(beside.trim(), "gaoler");
    // What the unit's own cgroup does not have, systemctl stop would not reach.
    // The supervisor, and the first process of the jail.
    assert_eq!(processes(SUPERVISED), ["gaoler", "gaoler", "memcached"]);
    done("gaoler check memcached --live");

    // Its death is the unit's, which starts it again.
    let service = jail["pid"].as_i64().unwrap();
    done(&format!("kill -KILL {service}"));
    eventually("systemd starts it again", || {
        property(SUPERVISED, "NRestarts") == "1" && property(SUPERVISED, "ActiveState") == "active"
    });
    assert!(answers());
    assert_ne!(status("memcached")["pid"], service);

    done(&format!("systemctl stop {SUPERVISED}"));
    assert_eq!(property(SUPERVISED, "Result"), "success");
    assert_eq!(status("memcached")["state"], "stopped");
    assert!(!answers());
}

#[test]
#[ignore = "in the machine"]
fn a_jail_is_a_unit_with_nobody_between() {
    units();
    memcached();
    done(&format!("systemctl start {EXEC}"));
    eventually("it answers", answers);
    let main: i64 = property(EXEC, "MainPID").parse().unwrap();
    assert_eq!(status("memcached")["pid"], main);
    assert_eq!(processes(EXEC), ["memcached"]);
    done("gaoler check memcached --live");
    done(&format!("kill -SEGV {main}"));
    eventually("systemd starts it again", || {
        property(EXEC, "NRestarts") == "1" && property(EXEC, "ActiveState") == "active"
    });
    eventually("it answers again", answers);
    done(&format!("systemctl stop {EXEC}"));
    assert_eq!(status("memcached")["state"], "stopped");
}

#[test]
#[ignore = "in the machine"]
fn systemctl_reload_reloads_and_a_mistake_is_told() {
    units();
    named();
    let unit = "gaoler@named.service";
    done(&format!("systemctl start {unit}"));
    let before = status("named")["pid"].clone();
    done(&format!("systemctl reload {unit}"));
    let asked = "dig @127.0.0.1 localhost A +short +tries=2 +time=5";
    assert_eq!(done(asked).trim(), "127.0.0.1");
    // rndc of the host knows nothing of a jail.
    assert!(done("rndc status").contains("server is up and running"));
    let options = "/etc/bind/named.conf.local";
    std::fs::write(options, "mistake;\n").unwrap();
    assert_ne!(run(&format!("systemctl reload {unit}")).code, Some(0));
    let told = done(&format!("journalctl -u {unit} -o cat --no-pager"));
    assert!(told.contains("named.conf.local:1"), "{told}");
    std::fs::write(options, "").unwrap();
    assert_eq!(done(asked).trim(), "127.0.0.1");
    assert_eq!(status("named")["pid"], before, "it went on");
    done(&format!("systemctl stop {unit}"));
}
