//! What an ordinary user cannot have is refused before anything is done, with the setting.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::machine::{Done, machine};
use crate::user::{GAOLER, HOME, User};

const LEARN: [&str; 7] = [
    GAOLER,
    "learn",
    "cache",
    "--ready",
    "tcp:21211",
    "--",
    "/usr/bin/memcached",
];

/// Numbers of system calls, as `rig.c` wants them.
#[cfg(target_arch = "x86_64")]
const UNSHARE: &str = "answer=272:1";
#[cfg(target_arch = "x86_64")]
const MOUNT: &str = "answer=165:1";

#[track_caller]
fn refused(done: Done, code: i32, wanted: &[&str]) {
    assert_eq!(done.code, code, "{done:#?}");
    for wanted in wanted {
        assert!(done.err.contains(wanted), "no {wanted:?} in {}", done.err);
    }
    let state = Path::new(HOME).join(".local/state/gaoler");
    assert!(!state.exists(), "something was done");
}

#[test]
fn what_takes_root_is_said_before_anything_is_done() {
    machine(|m| {
        let user = User::new(m);
        let learn = |words: &[&str]| {
            let service = ["--", "/usr/bin/memcached", "-p", "80"];
            user.gaoler(&[&["learn", "cache"], words, &service].concat())
        };
        let low = learn(&["--ready", "tcp:80"]);
        let sysctl = "sysctl net.ipv4.ip_unprivileged_port_start=80";
        refused(low, 125, &["port 80 is root's", sysctl]);
        refused(learn(&["--user", "memcache"]), 2, &["you are keeper"]);
        refused(learn(&["--start-as-root"]), 2, &["take root"]);
        for words in [
            &["bisect", "cache", "--", "true"][..],
            &["minimize", "cache"],
            &["check"],
            &["build", "cache", "--standalone", "/srv/keeper/tree"],
        ] {
            refused(user.gaoler(words), 125, &["it needs root"]);
        }
    });
}

#[test]
fn a_host_without_room_for_user_namespaces_is_named() {
    machine(|m| {
        let user = User::new(m);
        // A limit of a user namespace of the user's own: that of the machine is everybody's.
        let script = format!(
            "echo 0 >/proc/sys/user/max_user_namespaces && exec {}",
            LEARN.join(" ")
        );
        let done = user.run(&[
            "unshare",
            "--user",
            "--map-user=4711",
            "--map-group=4711",
            "--keep-caps",
            "sh",
            "-c",
            &script,
        ]);
        let setting = "user.max_user_namespaces is 0";
        refused(
            done,
            125,
            &[setting, "sysctl user.max_user_namespaces=15000"],
        );
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_filter_like_a_containers_is_named() {
    machine(|m| {
        let user = User::new(m);
        let rig = rig();
        for (answer, wanted) in [
            (UNSHARE, "unshare(2) answers \"Operation not permitted\""),
            (MOUNT, "one can be made, but nothing may be done in it"),
        ] {
            let setpriv = ["/usr/bin/setpriv"];
            let words = user.words(&LEARN);
            let command = [&[rig, answer, "--"], &setpriv[..], &words[1..]].concat();
            refused(m.run(&command), 125, &[wanted, "seccomp", "sudo gaoler"]);
        }
        // The rig itself is in nobody's way.
        let words = user.words(&["true"]);
        let command = [
            &[rig, "answer=400:1", "--", "/usr/bin/setpriv"],
            &words[1..],
        ]
        .concat();
        m.run(&command).ok();
    });
}

/// Compiles the program that makes a caller odd, in the machine's own place.
#[cfg(target_arch = "x86_64")]
fn rig() -> &'static str {
    const RIG: &str = "/srv/rig";
    let mut compiler = Command::new("gcc")
        .args(["-O1", "-static", "-x", "c", "-", "-o", RIG])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let source = include_bytes!("../holes/rig.c");
    compiler.stdin.take().unwrap().write_all(source).unwrap();
    assert!(compiler.wait().unwrap().success());
    RIG
}
