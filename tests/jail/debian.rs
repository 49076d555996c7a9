//! Debian's own configuration, from `up` to `stop`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::machine::{Machine, bind_ids, field, machine};

#[test]
fn up_once_and_again() {
    machine(|m| {
        let first = m.json(&["up", "named"]);
        let pid = m.pid("named");
        let spec = fs::read_to_string("/etc/gaoler/named.toml").unwrap();
        let begun = Instant::now();
        let again = m.gaoler(&["up", "named"]).ok();
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(4), "{took:?}");
        assert!(again.contains("unchanged"), "{again}");
        assert_eq!(m.pid("named"), pid);
        assert_eq!(m.json(&["status", "named"])["generation"], 1);
        assert_eq!(fs::read_to_string("/etc/gaoler/named.toml").unwrap(), spec);
        assert!(first.is_object(), "{first:#}");
        let status = m.json(&["status", "named"]);
        assert_eq!(
            keys(&status),
            [
                "compared",
                "drift",
                "generation",
                "last",
                "last_restart",
                "log",
                "name",
                "pid",
                "restarts",
                "stale",
                "state",
                "supervised",
                "uptime_s",
                "usage"
            ]
        );
        let check = m.json(&["check", "named", "--live"]);
        assert_eq!(keys(&check), ["findings", "name", "passed", "score"]);
        for finding in check["findings"].as_array().unwrap() {
            let expected = [
                "accepted", "evidence", "id", "remedy", "severity", "subject",
            ];
            assert_eq!(keys(finding), expected);
        }
        println!("{check:#}");
        assert!(check["score"].as_f64().unwrap() < 1.0, "{check:#}");
        let above = m.gaoler(&["check", "named", "--live", "--fail-above=-1"]);
        assert_eq!(above.code, 3, "{above:#?}");
        let sarif = m.gaoler(&["check", "named", "--live", "--sarif"]);
        let sarif: Value = serde_json::from_str(&sarif.out).unwrap();
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.len(), check["findings"].as_array().unwrap().len());
        scanned(m);
    });
}

/// What listens on the machine: the jail, hardly exposed, after a listener that nothing confines.
fn scanned(m: &Machine) {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let scan = m.json(&["check"]);
    drop(listener);
    println!("{scan:#}");
    let listening = scan["listening"].as_array().unwrap();
    let pid = m.json(&["status", "named"])["pid"].clone();
    let of = |pid: &Value| listening.iter().position(|one| one["pid"] == *pid);
    let (named, own) = (of(&pid).unwrap(), of(&std::process::id().into()).unwrap());
    assert!(own < named, "the worst first");
    let (named, own) = (&listening[named], &listening[own]);
    assert_eq!(named["jail"], "named");
    for layer in ["landlock", "no_new_privs", "own_root", "seccomp"] {
        assert_eq!(
            (&named[layer], &own[layer]),
            (&true.into(), &false.into()),
            "{layer}"
        );
    }
    assert!(named["exposure"].as_f64().unwrap() <= 1.0, "{named:#}");
    assert!(own["exposure"].as_f64().unwrap() >= 7.0, "{own:#}");
    assert_eq!(scan["score"], listening[0]["exposure"]);
    // The listener is gone, and whatever else listens here is not the test's to say.
    let shown = m.gaoler(&["check", "--fail-above=-1"]);
    assert_eq!(shown.code, 3, "{shown:#?}");
    assert!(shown.out.contains("jail named, Landlock"), "{shown:#?}");
    assert!(
        shown.out.contains("aa-unconfined: not confined"),
        "{shown:#?}"
    );
}

fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap();
    let keys: BTreeSet<&str> = object.keys().map(String::as_str).collect();
    keys.into_iter().collect()
}

#[test]
fn clients_and_verbs() {
    machine(|m| {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let pid = m.up();
        m.answers(&["localhost"], "127.0.0.1");
        m.answers(&["localhost", "+tcp"], "127.0.0.1");
        m.answers(&["-x", "127.0.0.1"], "localhost.");
        assert!(m.rndc(&["status"]).contains("server is up and running"));
        let file = fs::read_to_string("/run/named/named.pid").unwrap();
        assert_eq!(file.trim(), pid.to_string());
        let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        assert_eq!(exe.file_name().unwrap(), "named");

        m.gaoler(&["reload", "named"]).ok();
        assert_eq!(m.pid("named"), pid, "reload starts nothing");
        m.gaoler(&["restart", "named"]).ok();
        let restarted = m.pid("named");
        assert_ne!(restarted, pid);
        m.answers(&["localhost"], "127.0.0.1");
        m.sound("named");

        m.gaoler(&["stop", "named"]).ok();
        let status = m.gaoler(&["status", "named"]);
        assert_eq!(status.code, 3);
        let status = m.json(&["status", "named"]);
        assert_eq!(status["state"], "stopped");
        assert_eq!(status["last"], "it exited with code 0");
        assert!(
            !Path::new("/run/named/named.pid").exists(),
            "named removes it when it ends well"
        );
        m.nothing_left("named", &[]);
        assert_eq!(fs::read_to_string("/proc/self/mounts").unwrap(), mounts);

        m.gaoler(&["start", "named"]).ok();
        m.answers(&["localhost"], "127.0.0.1");
        m.gaoler(&["stop", "named"]).ok();
        assert_eq!(
            m.gaoler(&["stop", "named"]).code,
            0,
            "stopping twice is no error"
        );
        m.nothing_left("named", &[]);
    });
}

/// What the kernel says about the running service, without asking gaoler.
#[test]
fn facts_of_the_running_service() {
    machine(|m| {
        let pid = m.up();
        let (uid, gid) = bind_ids();
        assert_eq!(field(pid, "Uid"), format!("{uid} {uid} {uid} {uid}"));
        assert_eq!(field(pid, "Gid"), format!("{gid} {gid} {gid} {gid}"));
        assert_eq!(field(pid, "Groups"), "");
        let net_bind_service = format!("{:016x}", 1 << 10);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let value = field(pid, set);
            let fine = value == net_bind_service || value == format!("{:016x}", 0);
            assert!(fine, "{set} is {value}");
        }
        assert_eq!(field(pid, "CapEff"), net_bind_service);
        assert_eq!(field(pid, "NoNewPrivs"), "1");
        assert_eq!(field(pid, "Seccomp"), "2");
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        for thread in threads.flatten() {
            let status = fs::read_to_string(thread.path().join("status")).unwrap();
            assert!(status.contains("Seccomp:\t2\n"), "{status}");
            assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        }
        root(pid);
        descriptors(pid);
        namespaces(pid);
        mounts(pid);
        assert!(read_outside(m, pid).is_empty());
    });
}

fn root(pid: i32) {
    let inside = fs::metadata(format!("/proc/{pid}/root/.")).unwrap();
    let tree = fs::metadata("/var/lib/gaoler/named/generations/1/root").unwrap();
    assert_eq!(inside.ino(), tree.ino());
    assert_ne!(inside.ino(), fs::metadata("/").unwrap().ino());
    let cwd = fs::metadata(format!("/proc/{pid}/cwd/.")).unwrap();
    let cache = fs::metadata("/var/cache/bind").unwrap();
    assert_eq!(
        (cwd.dev(), cwd.ino()),
        (cache.dev(), cache.ino()),
        "named went to its directory"
    );
}

fn descriptors(pid: i32) {
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let target = fs::read_link(entry.path()).unwrap();
        let target = target.to_str().unwrap();
        let own = [
            "socket:[",
            "/run/gaoler/named/output",
            "pipe:[",
            "anon_inode:[",
            "/dev/null",
            "/var/cache/bind",
            "/run/named",
        ];
        assert!(
            own.iter().any(|start| target.starts_with(start)),
            "{entry:?} is {target}"
        );
    }
}

fn namespaces(pid: i32) {
    let of = |pid: &str, kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    for kind in ["mnt", "pid", "ipc", "uts"] {
        assert_ne!(of(&pid.to_string(), kind), of("self", kind), "{kind}");
    }
    assert_eq!(of(&pid.to_string(), "net"), of("self", "net"));
}

fn mounts(pid: i32) {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (target, options) = (fields[4], fields[5]);
        let has = |option| options.split(',').any(|found| found == option);
        let writable = ["/run/named", "/var/cache/bind", "/var/lib/bind"];
        if target == "/dev/null" {
            assert!(has("nosuid") && has("noexec"), "{line}");
        } else {
            assert_eq!(has("ro"), !writable.contains(&target), "{line}");
            assert!(has("nosuid"), "{line}");
            // The tree has programs and device nodes.
            assert!(target == "/" || (has("nodev") && has("noexec")), "{line}");
        }
        seen.insert(target.to_owned());
    }
    for wanted in [
        "/",
        "/etc/bind",
        "/run/named",
        "/var/cache/bind",
        "/var/lib/bind",
    ] {
        assert!(seen.contains(wanted), "{wanted} not in {seen:?}");
    }
    assert!(!seen.contains("/proc"), "{seen:?}");
}

/// Which of the host's files can be reached through the service's root.
fn read_outside(_: &Machine, pid: i32) -> Vec<&'static str> {
    let root = format!("/proc/{pid}/root");
    [
        "/etc/shadow",
        "/bin/sh",
        "/usr/bin/dig",
        "/proc/1",
        "/sys/kernel",
        "/root",
        "/home",
    ]
    .into_iter()
    .filter(|path| Path::new(&format!("{root}{path}")).exists())
    .collect()
}
