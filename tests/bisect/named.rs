//! BIND: every capability that it keeps is needed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use serde_json::Value;

use crate::common::{DONE, Place};

/// BIND's user on Debian, by number.
fn bind_user() -> u32 {
    let output = Command::new("id").args(["-u", "bind"]).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

/// A port below 1024 that nobody has.
fn low_port() -> u16 {
    let first = 600 + u16::try_from(std::process::id() % 300).unwrap();
    (first..1024)
        .find(|port| {
            std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()
                && std::net::UdpSocket::bind(("127.0.0.1", *port)).is_ok()
        })
        .unwrap()
}

#[test]
fn every_capability_that_named_keeps_is_proven() {
    let place = Place::new(&[]);
    let data = place.path("bind");
    fs::create_dir(&data).unwrap();
    chown(&data, Some(bind_user()), None).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let (base, port) = (data.display(), low_port());
    fs::write(
        data.join("named.conf"),
        format!(
            "options {{ directory \"{base}\"; listen-on port {port} {{ 127.0.0.1; }};\n\
             listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no;\n\
             pid-file none; session-keyfile none; }};\ncontrols {{ }};\n\
             zone \"example.test\" {{ type master; file \"zone\"; }};\n"
        ),
    )
    .unwrap();
    fs::write(
        data.join("zone"),
        "$TTL 60\n@ SOA ns.example.test. root.example.test. 1 60 60 60 60\n@ NS ns\n\
         ns A 127.0.0.1\nwww A 192.0.2.7\n",
    )
    .unwrap();
    let dig = format!(
        "sh -c 'dig @127.0.0.1 -p {port} +short +tries=1 www.example.test | grep 192.0.2.7'"
    );
    let config = data.join("named.conf");
    let words = [
        "learn",
        &place.name,
        "--exercise",
        &dig,
        "--",
        "/usr/sbin/named",
        "-f",
        "-u",
        "bind",
        "-c",
        config.to_str().unwrap(),
    ];
    place.gaoler(&words).is(DONE, &[]);
    let shown = fs::read_to_string(place.spec()).unwrap();
    let kept = shown.matches("capability = ").count();
    assert!(kept > 0, "{shown}");
    let words = ["minimize", &place.name, "--only", "capability", "--json"];
    let answer = place.gaoler(&words);
    assert_eq!(answer.code, Some(DONE), "{answer:#?}");
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(
        found["unproven"].as_array().map(Vec::len),
        Some(0),
        "{found:#}"
    );
    assert_eq!(
        found["proven"].as_array().map(Vec::len),
        Some(kept),
        "{found:#}"
    );
    place.nothing_runs();
}
