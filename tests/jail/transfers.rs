//! Zone transfers to and from a server outside.

use std::fs;
use std::path::Path;

use crate::machine::{Machine, Running, eventually, machine, zone_file};

/// An ordinary BIND beside the jailed one.
fn beside(m: &Machine, zones: &str) -> Running {
    m.own_directory("/run/other");
    m.write(
        "/etc/bind/other.conf",
        &format!(
            "options {{ directory \"/run/other\"; pid-file none; session-keyfile \"/run/other/key\";\n\
             listen-on {{ 127.0.0.2; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;\n\
             transfer-source 127.0.0.2; notify-source 127.0.0.2; }};\ncontrols {{ }};\n{zones}\n"
        ),
    );
    let running = m.background(&["named", "-f", "-u", "bind", "-c", "/etc/bind/other.conf"]);
    let asked = || {
        m.run(&["dig", "@127.0.0.2", "+short", "+tries=1", "+time=1", "."])
            .code
    };
    eventually(asked, |code| *code == 0);
    running
}

fn ask_other(m: &Machine, name: &str) -> String {
    let done = m.run(&["dig", "@127.0.0.2", "+short", "+tries=1", "+time=1", name]);
    done.out.trim().to_owned()
}

#[test]
fn as_primary() {
    machine(|m| {
        m.write("/srv/dns/out.test", &zone_file(1, "192.0.2.1"));
        m.configure(
            "listen-on { 127.0.0.1; };",
            "zone \"out.test\" { type primary; file \"/srv/dns/out.test\"; allow-transfer { 127.0.0.2; };\n\
             also-notify { 127.0.0.2; }; notify explicit; };\n",
        );
        m.up();
        let other = beside(
            m,
            "zone \"out.test\" { type secondary; primaries { 127.0.0.1; }; file \"out.test\"; };",
        );
        eventually(
            || ask_other(m, "www.out.test"),
            |answer| answer == "192.0.2.1",
        );
        m.write("/srv/dns/out.test", &zone_file(2, "192.0.2.2"));
        m.rndc(&["reload", "out.test"]);
        // Only the NOTIFY can bring it: the zone's refresh is an hour.
        eventually(
            || ask_other(m, "www.out.test"),
            |answer| answer == "192.0.2.2",
        );
        let refused = m.run(&["dig", "@127.0.0.1", "out.test", "AXFR"]);
        assert!(refused.out.contains("Transfer failed"), "{refused:#?}");
        drop(other);
    });
}

#[test]
fn as_secondary() {
    machine(|m| {
        m.configure(
            "listen-on { 127.0.0.1; }; notify-source 127.0.0.1; transfer-source 127.0.0.1;",
            "zone \"in.test\" { type secondary; primaries { 127.0.0.2; }; file \"in.test\"; };\n\
             zone \"odd.test\" { type secondary; primaries { 127.0.0.2; }; file \"/srv/dns/second/odd\"; };\n",
        );
        m.own_directory("/srv/dns/second");
        m.up();
        m.write("/srv/primary/in.test", &zone_file(1, "192.0.2.1"));
        m.write("/srv/primary/odd.test", &zone_file(1, "192.0.2.3"));
        let primary = |name: &str| {
            format!(
                "zone \"{name}\" {{ type primary; file \"/srv/primary/{name}\"; also-notify {{ 127.0.0.1; }};\n\
                 notify explicit; allow-transfer {{ any; }}; }};\n"
            )
        };
        let other = beside(m, &(primary("in.test") + &primary("odd.test")));
        // The first try came before it was there.
        m.rndc(&["retransfer", "in.test"]);
        m.rndc(&["retransfer", "odd.test"]);
        eventually(|| m.dig(&["www.in.test"]), |answer| answer == "192.0.2.1");
        eventually(|| m.dig(&["www.odd.test"]), |answer| answer == "192.0.2.3");
        eventually(
            || Path::new("/var/cache/bind/in.test").exists(),
            |there| *there,
        );
        eventually(|| Path::new("/srv/dns/second/odd").exists(), |there| *there);

        m.write("/srv/primary/in.test", &zone_file(2, "192.0.2.2"));
        m.run(&["kill", "-HUP", &other.pid().to_string()]).ok();
        eventually(|| m.dig(&["www.in.test"]), |answer| answer == "192.0.2.2");

        m.gaoler(&["restart", "named"]).ok();
        drop(other);
        m.answers(&["www.in.test"], "192.0.2.2");
        assert!(fs::metadata("/var/cache/bind/in.test").unwrap().len() > 0);
    });
}

/// Landlock lets a service connect only where its spec says, so the port must be in it.
#[test]
fn a_primary_on_another_port() {
    machine(|m| {
        m.own_directory("/run/other");
        m.configure(
            "listen-on { 127.0.0.1; };",
            "zone \"in.test\" { type secondary; primaries { 127.0.0.2 port 5300; }; file \"in.test\"; };\n",
        );
        m.up();
        m.write("/srv/primary/in.test", &zone_file(1, "192.0.2.1"));
        m.write(
            "/etc/bind/other.conf",
            "options { directory \"/run/other\"; pid-file none; session-keyfile \"/run/other/key\";\n\
             listen-on port 5300 { 127.0.0.2; }; listen-on-v6 { none; }; recursion no;\n\
             dnssec-validation no; notify-source 127.0.0.2; };\ncontrols { };\n\
             zone \"in.test\" { type primary; file \"/srv/primary/in.test\"; notify explicit;\n\
             also-notify { 127.0.0.1; }; allow-transfer { any; }; };\n",
        );
        let _other = m.background(&["named", "-f", "-u", "bind", "-c", "/etc/bind/other.conf"]);
        let ask = || {
            m.run(&[
                "dig",
                "@127.0.0.2",
                "-p",
                "5300",
                "+tries=1",
                "+time=1",
                ".",
            ])
            .code
        };
        eventually(ask, |code| *code == 0);
        m.rndc(&["retransfer", "in.test"]);
        eventually(|| m.dig(&["www.in.test"]), |answer| answer == "192.0.2.1");
    });
}
