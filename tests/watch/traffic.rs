//! `netstats` and `top`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::busy::{allow, busy, is_harmless, json, text};
use crate::common::{Place, eventually, port};

/// A jail that does this and then waits on a port, and the connection of a client that has sent it 10 bytes and got
/// them back.
fn visited(before: &[&str]) -> (Place, u16, TcpStream) {
    let port = port();
    let mut place = busy(&[before, &["serve", &port.to_string()]].concat());
    allow(&mut place, "bind", "tcp", port);
    place.text.service = format!("ready = [\"tcp:{port}\"]");
    place.start();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"0123456789").unwrap();
    client.read_exact(&mut [0; 10]).unwrap();
    (place, port, client)
}

fn sockets(place: &Place) -> Vec<Value> {
    let seen = json(place, &["netstats", &place.name]);
    seen["jails"][0]["sockets"].as_array().unwrap().clone()
}

/// The one of this protocol, activity and port.
fn socket<'a>(all: &'a [Value], protocol: &str, activity: &str, port: u16) -> &'a Value {
    let is_it = |it: &&Value| {
        it["protocol"] == protocol
            && it["activity"] == activity
            && (port == 0 || it["port"] == port)
    };
    let found = all.iter().find(is_it);
    found.unwrap_or_else(|| panic!("no {protocol} {activity} {port}: {all:#?}"))
}

#[test]
fn sockets_have_their_process_what_went_through_and_whether_they_may_be() {
    let (place, port, client) = visited(&["unix"]);
    let all = sockets(&place);
    let pid = &place.status()["pid"];
    let listening = socket(&all, "tcp", "listening", port);
    assert_eq!(
        (&listening["allowed"], &listening["pids"][0]),
        (&Value::Bool(true), pid)
    );
    let incoming = socket(&all, "tcp", "incoming", port);
    assert_eq!(incoming["peer_port"], client.local_addr().unwrap().port());
    assert_eq!(
        (&incoming["received"], &incoming["sent"]),
        (&10.into(), &10.into())
    );
    // A path that is a terminal's command.
    let unix = socket(&all, "unix", "listening", 0);
    assert!(
        unix["address"]
            .as_str()
            .unwrap()
            .starts_with("@a\n\u{1b}[2Jb"),
        "{unix:#}"
    );
    let shown = text(
        &place,
        &["netstats"],
        &[&place.name, "incoming", "10 B", "yes"],
    );
    is_harmless(&shown);
    assert!(!shown.contains("NO"), "{shown}");
}

#[test]
fn what_the_spec_does_not_have_is_told() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let (there, own) = (peer.local_addr().unwrap().port(), port());
    let words = ["datagrams", &own.to_string(), "connect", &there.to_string()];
    let mut place = busy(&words);
    // Without Landlock's rules of ports, nothing keeps the service from what its spec lacks.
    place.text.tables += "[protections]\nlandlock = \"off\"\n";
    place.start();
    eventually("the connection", || {
        sockets(&place)
            .iter()
            .any(|it| it["activity"] == "outgoing" && it["sent"] == 5)
    });
    let all = sockets(&place);
    let outgoing = socket(&all, "tcp", "outgoing", 0);
    assert_eq!(
        (&outgoing["peer_port"], &outgoing["allowed"]),
        (&there.into(), &false.into())
    );
    assert_eq!(socket(&all, "udp", "listening", own)["allowed"], false);
    text(&place, &["netstats", &place.name], &["NO"]);
}

#[test]
fn top_tells_who_computes_and_who_is_connected() {
    let (place, _, client) = visited(&[]);
    let spinning = busy(&["evil", "spin"]);
    spinning.start();
    let seen = json(&spinning, &["top", &spinning.name]);
    let jail = &seen["jails"][0];
    let processes = jail["processes"].as_array().unwrap();
    let spins = |it: &&Value| it["usage"]["cpu_percent"].as_f64() > Some(0.0);
    assert_eq!(processes.iter().filter(spins).count(), 1, "{seen:#}");
    assert!(spins(&jail), "{seen:#}");
    // The service and its two children, and the first process.
    assert_eq!(processes.len(), 4, "{seen:#}");
    assert!(jail["usage"]["memory_kib"].as_u64() > Some(0), "{seen:#}");
    is_harmless(&text(
        &spinning,
        &["top", "--once"],
        &["CPU%", &spinning.name],
    ));

    let seen = json(&place, &["top"]);
    assert_eq!(seen["jails"][0]["usage"]["connections"], 1, "{seen:#}");
    drop(client);
}
