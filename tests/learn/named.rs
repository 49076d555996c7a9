//! BIND, as an ordinary service and as a daemon that chroots itself.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gaoler::learn::trace::{Phase, SocketUse, Use};
use gaoler::learn::{Progress, Trace, learn};
use gaoler::spec::{Exercise, Ready};

use crate::common::*;

fn name_server(directory: &Path, port: u16) -> PathBuf {
    let base = directory.to_str().unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    let config = directory.join("named.conf");
    fs::write(
        &config,
        format!(
            "options {{ directory \"{base}\"; listen-on port {port} {{ 127.0.0.1; }};\n\
             listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; pid-file \"{base}/pid\";\n\
             session-keyfile \"{base}/session\"; }};\n\
             controls {{ }};\n\
             zone \"example.test\" {{ type master; file \"zone\"; }};\n"
        ),
    )
    .unwrap();
    fs::write(
        directory.join("zone"),
        "$TTL 60\n@ SOA ns.example.test. root.example.test. 1 60 60 60 60\n@ NS ns\n\
         ns A 127.0.0.1\nwww A 192.0.2.7\n",
    )
    .unwrap();
    config
}

fn exercise(port: u16, extra: &[&str]) -> Exercise {
    let mut command = vec!["dig".to_owned(), "@127.0.0.1".to_owned(), "-p".to_owned()];
    command.extend([
        port.to_string(),
        "+short".to_owned(),
        "www.example.test".to_owned(),
    ]);
    command.extend(extra.iter().map(|word| (*word).to_owned()));
    Exercise {
        name: "dig".to_owned(),
        command,
        expect: 0,
        output: "192.0.2.7".to_owned(),
        phase: Phase::Serve,
        because: String::new(),
    }
}

fn named(directory: &Path, port: u16, command: &[&str]) -> Trace {
    let mut request = request(command, directory);
    request.ready = vec![Ready::Udp(port), Ready::Tcp(port), Ready::Quiet(300)];
    request.exercises = vec![exercise(port, &[]), exercise(port, &["+tcp"])];
    request.serve_for = Duration::from_millis(200);
    let ready = std::sync::Mutex::new(None);
    let trace = learn(request, &|event| {
        if let Progress::Ready { after } = event {
            *ready.lock().unwrap() = Some(after);
        }
    });
    let trace = trace.unwrap_or_else(|error| {
        panic!(
            "{error}: {}",
            fs::read_to_string(directory.join("output")).unwrap()
        )
    });
    println!(
        "named: ready after {:?}, {} stops, {} threads, {} paths, gaps {:?}",
        ready.lock().unwrap(),
        trace.certificate.stops,
        trace.certificate.threads,
        trace.paths.len(),
        trace.certificate.gaps
    );
    trace
}

#[test]
fn named_is_learned() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    let config = name_server(base, 15353);
    let command = ["named", "-f", "-u", "bind", "-c", config.to_str().unwrap()];
    let trace = named(base, 15353, &command);
    assert_complete(&trace);
    assert!(
        trace.certificate.exercises.iter().all(|run| run.passed),
        "{:?}",
        trace.certificate
    );
    assert_eq!(trace.certificate.exercises.len(), 2);
    assert!(!trace.certificate.forked);
    let names: BTreeSet<&str> = trace.calls.iter().map(|call| call.name.as_str()).collect();
    for name in [
        "accept4",
        "epoll_wait",
        "sendmmsg",
        "setuid",
        "capset",
        "openat",
        "clone3",
    ] {
        assert!(names.contains(name), "{name} not in {names:?}");
    }
    assert!(path(&trace, &config).uses.contains(&Use::Read));
    assert!(path(&trace, base.join("zone")).uses.contains(&Use::Read));
    assert!(path(&trace, base.join("pid")).uses.contains(&Use::Create));
    let libraries = trace
        .paths
        .iter()
        .filter(|seen| seen.uses.contains(&Use::Map))
        .count();
    assert!(libraries > 10, "{libraries}");
    assert!(
        trace.capabilities.iter().any(|seen| seen.capability == 7),
        "CAP_SETUID"
    );
    assert!(
        trace.capabilities.iter().any(|seen| seen.capability == 6),
        "CAP_SETGID"
    );
    assert!(
        trace.capabilities.iter().all(|seen| seen.capability != 10),
        "a high port"
    );
    let bound: Vec<_> = trace
        .sockets
        .iter()
        .filter(|seen| seen.action == SocketUse::Bind && seen.port == 15353)
        .map(|seen| (seen.family, seen.kind, seen.address.as_str()))
        .collect();
    assert_eq!(bound, [(2, 1, "127.0.0.1"), (2, 2, "127.0.0.1")]);
    let foreign: Vec<_> = trace
        .sockets
        .iter()
        .filter(|seen| seen.action == SocketUse::Connect && seen.family == 2)
        .collect();
    assert!(
        foreign.is_empty(),
        "answers are no connections: {foreign:?}"
    );
    let bind = trace.ids.last().unwrap();
    assert!(bind.uids.iter().all(|uid| *uid != 0), "{bind:?}");
    assert!(
        [1, 2, 15]
            .iter()
            .all(|signal| trace.handled_signals.contains(signal))
    );
    assert!(
        trace
            .calls
            .iter()
            .any(|call| call.phase == Phase::Serve && call.name == "accept4")
    );
    let socket = trace
        .calls
        .iter()
        .find(|call| call.name == "setuid")
        .unwrap();
    assert_eq!(socket.phase, Phase::Start);
}

#[test]
fn a_daemon_that_chroots_itself_is_learned() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path();
    name_server(base, 15354);
    // Inside its root its directory is `/`.
    let config = fs::read_to_string(base.join("named.conf")).unwrap();
    let config = config.replace(base.to_str().unwrap(), "/");
    fs::write(base.join("named.conf"), config).unwrap();
    let command = [
        "named",
        "-u",
        "bind",
        "-c",
        "/named.conf",
        "-t",
        base.to_str().unwrap(),
    ];
    let trace = named(base, 15354, &command);
    assert!(trace.certificate.forked);
    assert_complete(&trace);
    assert!(path(&trace, base).uses.contains(&Use::Root));
    let zone = path(&trace, base.join("zone"));
    assert!(zone.uses.contains(&Use::Read));
    assert_eq!(zone.asked, BTreeSet::from([PathBuf::from("/zone")]));
    assert!(
        trace.capabilities.iter().any(|seen| seen.capability == 18),
        "CAP_SYS_CHROOT"
    );
}
