//! named that goes to the background by itself, as it does unless it is told otherwise.

use std::fs;

use crate::machine::{Machine, eventually, field, machine, zone_file};

const COMMAND: [&str; 5] = ["/usr/sbin/named", "-u", "bind", "-c", "/srv/own/named.conf"];

fn configure(m: &Machine) {
    m.write("/srv/own/zone", &zone_file(1, "192.0.2.8"));
    m.own_directory("/srv/own/state");
    m.write(
        "/srv/own/named.conf",
        "options { directory \"/srv/own/state\"; recursion no; dnssec-validation no;\n\
         listen-on port 5353 { 127.0.0.1; }; listen-on-v6 { none; };\n\
         pid-file \"/srv/own/state/pid\"; session-keyfile \"/srv/own/state/session.key\"; };\n\
         controls { };\n\
         zone \"own.test\" { type primary; file \"/srv/own/zone\"; };\n",
    );
}

fn answers(m: &Machine) {
    let ask = || m.dig(&["-p", "5353", "www.own.test"]);
    eventually(ask, |answer| answer == "192.0.2.8");
}

#[test]
fn it_is_learned_and_followed() {
    machine(|m| {
        configure(m);
        m.gaoler(&[&["up", "own", "--"], &COMMAND[..]].concat())
            .ok();
        m.sound("own");
        let spec = fs::read_to_string("/etc/gaoler/own.toml").unwrap();
        assert!(spec.contains("\nforks = true\n"), "{spec}");
        let command = format!("\ncommand = {COMMAND:?}\n");
        assert!(spec.contains(&command), "{spec}");
        let mut before = 0;
        for verb in ["up", "restart", "restart"] {
            if verb == "restart" {
                m.gaoler(&[verb, "own"]).ok();
            }
            answers(m);
            let pid = m.pid("own");
            assert_ne!(pid, before);
            before = pid;
            assert_eq!(field(pid, "Name"), "named");
            let mut status = field(pid, "Uid");
            status.truncate(status.find(' ').unwrap());
            assert_ne!(status, "0");
            let file = fs::read_to_string("/srv/own/state/pid").unwrap();
            assert_eq!(file.trim(), pid.to_string(), "after {verb}");
            let named = m.processes(&[]).into_iter();
            let named: Vec<_> = named
                .filter(|(_, words)| words.starts_with("/usr/sbin/named"))
                .collect();
            assert_eq!(named.len(), 1, "{named:?}");
            assert_eq!(named[0].0, pid);
        }
        m.gaoler(&["stop", "own"]).ok();
        m.nothing_left("own", &[]);
    });
}

/// As some hosts are set up: what named tries with addresses of version 6 fails.
#[test]
fn a_host_without_ipv6() {
    machine(|m| {
        for which in ["all", "default", "lo"] {
            m.write(
                &format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"),
                "1",
            );
        }
        let addresses = fs::read_to_string("/proc/net/if_inet6").unwrap();
        assert_eq!(addresses, "", "IPv6 is off");
        m.up();
        m.answers(&["localhost"], "127.0.0.1");
        m.answers(&["localhost", "+tcp"], "127.0.0.1");
        m.gaoler(&["restart", "named"]).ok();
        m.answers(&["localhost"], "127.0.0.1");
        m.gaoler(&["stop", "named"]).ok();
        m.nothing_left("named", &[]);
    });
}
