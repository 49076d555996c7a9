//! Zones that change by themselves: dynamic updates and DNSSEC.

use std::fs;
use std::path::Path;

use crate::machine::{Machine, eventually, machine, zone_file};

fn dynamic(m: &Machine, directory: &str, grant: &str) {
    m.own_directory(directory);
    let file = format!("{directory}/dyn.test.db");
    m.write(&file, &zone_file(1, "192.0.2.1"));
    m.run(&["chown", "bind:bind", &file]).ok();
    let key = m.run(&["tsig-keygen", "-a", "hmac-sha256", "updater"]).ok();
    m.write("/etc/bind/updater.key", &key);
    m.configure(
        "",
        &format!(
            "include \"/etc/bind/updater.key\";\n\
             zone \"dyn.test\" {{ type primary; file \"{file}\"; {grant} }};\n"
        ),
    );
}

#[test]
fn updates_with_a_key_are_kept() {
    machine(|m| {
        let directory = "/srv/dns/dynamic";
        dynamic(m, directory, "allow-update { key updater; };");
        m.up();
        let update =
            "server 127.0.0.1\nzone dyn.test\nupdate add new.dyn.test 60 A 192.0.2.9\nsend\n";
        m.nsupdate(&["-k", "/etc/bind/updater.key"], update);
        m.answers(&["new.dyn.test"], "192.0.2.9");
        assert!(Path::new("/srv/dns/dynamic/dyn.test.db.jnl").exists());
        let denied = m.run_with(&["nsupdate"], &update.replace("new", "evil"));
        assert_ne!(denied.code, 0);
        m.gaoler(&["restart", "named"]).ok();
        m.answers(&["new.dyn.test"], "192.0.2.9");
        m.rndc(&["sync", "-clean"]);
        let zone = fs::read_to_string("/srv/dns/dynamic/dyn.test.db").unwrap();
        assert!(zone.contains("192.0.2.9"), "{zone}");
        assert!(!Path::new("/srv/dns/dynamic/dyn.test.db.jnl").exists());
        m.rndc(&["freeze", "dyn.test"]);
        m.rndc(&["thaw", "dyn.test"]);
        m.gaoler(&["stop", "named"]).ok();
        m.gaoler(&["start", "named"]).ok();
        m.answers(&["new.dyn.test"], "192.0.2.9");
    });
}

#[test]
fn updates_with_the_session_key() {
    machine(|m| {
        dynamic(m, "/var/lib/bind", "update-policy local;");
        m.up();
        let update = "zone dyn.test\nupdate add local.dyn.test 60 TXT hello\nsend\n";
        m.nsupdate(&["-l"], update);
        m.answers(&["local.dyn.test", "TXT"], "\"hello\"");
        m.gaoler(&["restart", "named"]).ok();
        let update = update.replace("hello", "again");
        m.nsupdate(&["-l"], &update);
        assert!(m.dig(&["local.dyn.test", "TXT"]).contains("again"));
    });
}

#[test]
fn zones_are_signed() {
    machine(|m| {
        m.own_directory("/srv/dns/signed");
        m.own_directory("/srv/dns/keys");
        m.write("/srv/dns/signed/sec.test", &zone_file(1, "192.0.2.7"));
        m.configure(
            "",
            "zone \"sec.test\" { type primary; file \"/srv/dns/signed/sec.test\";\n\
             key-directory \"/srv/dns/keys\"; dnssec-policy default; inline-signing yes; };\n",
        );
        m.up();
        let signed = |answer: &String| answer.lines().count() == 2;
        let ask = || m.dig(&["www.sec.test", "A", "+dnssec"]);
        eventually(ask, signed);
        let keys = || {
            let mut names: Vec<_> = fs::read_dir("/srv/dns/keys")
                .unwrap()
                .flatten()
                .map(|entry| entry.file_name())
                .collect();
            names.sort();
            names
        };
        let made = keys();
        assert_eq!(made.len(), 3, "{made:?}");
        assert!(Path::new("/srv/dns/signed/sec.test.signed").exists());
        assert!(
            m.rndc(&["dnssec", "-status", "sec.test"])
                .contains("dnssec-policy: default")
        );
        verified(m);

        m.gaoler(&["restart", "named"]).ok();
        eventually(ask, signed);
        assert_eq!(keys(), made, "no new key");

        m.write("/srv/dns/signed/sec.test", &zone_file(2, "192.0.2.8"));
        m.rndc(&["reload", "sec.test"]);
        eventually(ask, |answer| answer.contains("192.0.2.8") && signed(answer));
        m.rndc(&["sign", "sec.test"]);
        verified(m);
    });
}

/// delv, with the zone's own key as its anchor.
fn verified(m: &Machine) {
    let key = m.dig(&["sec.test", "DNSKEY"]);
    let words: Vec<&str> = key.lines().next().unwrap().splitn(4, ' ').collect();
    m.write(
        "/run/anchor",
        &format!(
            "trust-anchors {{ sec.test. static-key {} {} {} \"{}\"; }};\n",
            words[0], words[1], words[2], words[3]
        ),
    );
    let done = m.run(&[
        "delv",
        "@127.0.0.1",
        "-a",
        "/run/anchor",
        "+root=sec.test",
        "www.sec.test",
    ]);
    assert!(done.out.contains("; fully validated"), "{done:#?}");
}
