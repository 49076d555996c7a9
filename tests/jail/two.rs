//! Two jails of BIND at once.

use std::fs;

use crate::machine::{Machine, machine, zone_file};

#[test]
fn two_jails_with_configurations_of_their_own() {
    machine(|m| {
        m.write("/srv/dns/first", &zone_file(1, "192.0.2.1"));
        m.configure(
            "listen-on { 127.0.0.1; }; listen-on-v6 { none; };",
            "zone \"one.test\" { type primary; file \"/srv/dns/first\"; };\n",
        );
        m.write("/srv/second/zone", &zone_file(1, "192.0.2.2"));
        m.own_directory("/srv/second/state");
        m.write(
            "/srv/second/named.conf",
            "options { directory \"/srv/second/state\"; recursion no; dnssec-validation no;\n\
             listen-on { 127.0.0.2; }; listen-on-v6 { none; };\n\
             pid-file \"/srv/second/state/pid\"; session-keyfile \"/srv/second/state/session.key\"; };\n\
             controls { };\n\
             zone \"two.test\" { type primary; file \"/srv/second/zone\"; };\n",
        );
        let first = m.up();
        let command = [
            "/usr/sbin/named",
            "-f",
            "-u",
            "bind",
            "-c",
            "/srv/second/named.conf",
        ];
        m.gaoler(&[&["up", "second", "--"], &command[..]].concat())
            .ok();
        shares_its_user(m);
        assert_eq!(m.pid("named"), first);
        let second = |name: &str| {
            let done = m.run(&["dig", "@127.0.0.2", "+short", "+tries=1", "+time=3", name]);
            done.out.trim().to_owned()
        };
        m.answers(&["www.one.test"], "192.0.2.1");
        crate::machine::eventually(|| second("www.two.test"), |answer| answer == "192.0.2.2");
        assert_eq!(
            (second("www.one.test"), m.dig(&["www.two.test"])),
            (String::new(), String::new())
        );

        m.gaoler(&["restart", "second"]).ok();
        m.gaoler(&["restart", "named"]).ok();
        m.answers(&["www.one.test"], "192.0.2.1");
        crate::machine::eventually(|| second("www.two.test"), |answer| answer == "192.0.2.2");
        m.gaoler(&["stop", "named"]).ok();
        crate::machine::eventually(|| second("www.two.test"), |answer| answer == "192.0.2.2");
        m.gaoler(&["stop", "second"]).ok();
        m.nothing_left("named", &[]);
        m.nothing_left("second", &[]);
    });
}

/// Both run as BIND's user: that is found, and once it is accepted the jail is sound.
fn shares_its_user(m: &Machine) {
    let report = m.json(&["check", "second", "--live"]);
    let findings = report["findings"].as_array().unwrap().iter();
    let shared: Vec<_> = findings.filter(|one| one["id"] == "shared.uid").collect();
    assert_eq!(shared.len(), 1, "{report:#}");
    assert_eq!(shared[0]["subject"], "jail named");
    let path = "/etc/gaoler/second.toml";
    let accepted = "\n[[accepted]]\ncheck = \"shared.uid\"\nsubject = \"jail named\"\n\
                    because = \"one package, one user\"\nuntil = \"2999-12-31\"\n";
    let spec = fs::read_to_string(path).unwrap() + accepted;
    fs::write(path, spec).unwrap();
    m.sound("second");
}
