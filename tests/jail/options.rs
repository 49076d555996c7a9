//! What administrators write into OPTIONS, and ports that only the configuration knows.

use std::fs;

use crate::machine::{Machine, machine, zone_file};

fn works_on(m: &Machine, port: &str) {
    m.answers(&["-p", port, "localhost"], "127.0.0.1");
    m.answers(&["-p", port, "localhost", "+tcp"], "127.0.0.1");
    let spec = fs::read_to_string("/etc/gaoler/named.toml").unwrap();
    for sign in [format!("\"tcp:{port}\""), format!("\"udp:{port}\"")] {
        assert!(
            spec.contains(&sign),
            "{sign} is no sign of readiness:\n{spec}"
        );
    }
    assert!(
        spec.contains(&format!("\"-p\", \"{port}\"")),
        "the exercises ask elsewhere:\n{spec}"
    );
    m.gaoler(&["restart", "named"]).ok();
    m.answers(&["-p", port, "localhost"], "127.0.0.1");
    m.gaoler(&["stop", "named"]).ok();
    m.nothing_left("named", &[]);
}

#[test]
fn four_and_one_thread() {
    machine(|m| {
        m.set_options("-u bind -4 -n 1");
        let pid = m.up();
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(words.contains("\0-4\0-n\x001\x00"), "{words:?}");
        let tables = fs::read_to_string("/proc/net/udp6").unwrap();
        assert!(!tables.contains(":0035 "), "{tables}");
        works_on(m, "53");
    });
}

#[test]
fn another_port() {
    machine(|m| {
        m.set_options("-u bind -p 5353");
        let up = m.gaoler(&["up", "named"]).ok();
        assert!(up.contains("9 of 9 exercises passed"), "{up}");
        m.sound("named");
        let spec = fs::read_to_string("/etc/gaoler/named.toml").unwrap();
        assert!(
            !spec.contains("NET_BIND_SERVICE") || spec.contains(":953)"),
            "{spec}"
        );
        works_on(m, "5353");
    });
}

#[test]
fn a_port_that_only_the_configuration_knows() {
    machine(|m| {
        m.configure(
            "listen-on port 5353 { any; }; listen-on-v6 port 5353 { any; };",
            "",
        );
        let up = m.gaoler(&["up", "named"]).ok();
        assert!(up.contains("9 of 9 exercises passed"), "{up}");
        m.sound("named");
        works_on(m, "5353");
    });
}

#[test]
fn another_configuration_file() {
    machine(|m| {
        m.write("/srv/dns/zone", &zone_file(1, "192.0.2.1"));
        m.write(
            "/srv/dns/conf/rest.conf",
            "include \"/srv/dns/key.conf\";\n",
        );
        let key = m.run(&["rndc-confgen", "-b", "256"]).ok();
        let (key, _) = key.split_once("};").unwrap();
        let key = key
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n");
        m.write("/srv/dns/key.conf", &format!("{}\n}};\n", key.trim()));
        m.write("/etc/bind/rndc.key", &format!("{}\n}};\n", key.trim()));
        m.write(
            "/srv/dns/conf/my.conf",
            "include \"/srv/dns/conf/rest.conf\";\n\
             controls { inet 127.0.0.1 allow { localhost; } keys { \"rndc-key\"; }; };\n\
             options { directory \"/var/cache/bind\"; recursion no; dnssec-validation no; };\n\
             zone \"own.test\" { type primary; file \"/srv/dns/zone\"; };\n",
        );
        m.set_options("-u bind -c /srv/dns/conf/my.conf");
        m.up();
        m.answers(&["www.own.test"], "192.0.2.1");
        m.gaoler(&["reload", "named"]).ok();
        let spec = fs::read_to_string("/etc/gaoler/named.toml").unwrap();
        let test = "[\"/usr/bin/named-checkconf\", \"-z\", \"/srv/dns/conf/my.conf\"]";
        assert!(spec.contains(test), "{spec}");
    });
}
