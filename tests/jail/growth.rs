//! A server that was learned with Debian's own configuration, and then gets more to do: what a
//! short run cannot show must be known.

use std::fs;

use crate::machine::{Machine, bind_ids, eventually, machine, zone_file};

fn own_zone(path: &str) {
    let (uid, gid) = bind_ids();
    fs::write(path, zone_file(1, "192.0.2.1")).unwrap();
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
}

fn grow(m: &Machine, options: &str, zones: &str) {
    m.configure(options, zones);
    m.gaoler(&["reload", "named"]).ok();
}

#[test]
fn secondary_zones_come_later() {
    machine(|m| {
        m.configure("listen-on { 127.0.0.1; };", "");
        m.up();
        m.own_directory("/run/other");
        m.write("/srv/primary/in.test", &zone_file(1, "192.0.2.5"));
        m.write(
            "/etc/bind/other.conf",
            "options { directory \"/run/other\"; pid-file none; session-keyfile \"/run/other/key\";\n\
             listen-on { 127.0.0.2; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; };\n\
             controls { };\n\
             zone \"in.test\" { type primary; file \"/srv/primary/in.test\"; allow-transfer { any; }; };\n",
        );
        let _other = m.background(&["named", "-f", "-u", "bind", "-c", "/etc/bind/other.conf"]);
        let ask = || {
            m.run(&["dig", "@127.0.0.2", "+tries=1", "+time=1", "."])
                .code
        };
        eventually(ask, |code| *code == 0);
        let zone =
            "zone \"in.test\" { type secondary; primaries { 127.0.0.2; }; file \"in.test\"; };\n";
        grow(m, "listen-on { 127.0.0.1; };", zone);
        m.answers(&["www.in.test"], "192.0.2.5");
        m.rndc(&["retransfer", "in.test"]);
    });
}

#[test]
fn dynamic_and_signed_zones_come_later() {
    machine(|m| {
        m.up();
        own_zone("/var/lib/bind/dyn");
        own_zone("/var/lib/bind/sec");
        grow(
            m,
            "",
            "zone \"dyn.test\" { type primary; file \"/var/lib/bind/dyn\"; update-policy local; };\n\
             zone \"sec.test\" { type primary; file \"/var/lib/bind/sec\"; dnssec-policy default;\n\
             inline-signing yes; key-directory \"/var/cache/bind\"; };\n",
        );
        let update = "zone dyn.test\nupdate add new.dyn.test 60 A 192.0.2.9\nsend\n";
        m.nsupdate(&["-l"], update);
        m.answers(&["new.dyn.test"], "192.0.2.9");
        m.rndc(&["sync", "-clean"]);
        m.rndc(&["freeze"]);
        m.rndc(&["thaw"]);
        let signed = |answer: &String| answer.lines().count() == 2;
        eventually(|| m.dig(&["www.sec.test", "+dnssec"]), signed);
        m.gaoler(&["restart", "named"]).ok();
        eventually(|| m.dig(&["www.sec.test", "+dnssec"]), signed);
    });
}

#[test]
fn zones_are_added_by_rndc() {
    machine(|m| {
        m.up();
        grow(m, "allow-new-zones yes;", "");
        own_zone("/var/lib/bind/added");
        let zone = "{ type primary; file \"/var/lib/bind/added\"; };";
        m.rndc(&["addzone", "added.test", zone]);
        m.answers(&["www.added.test"], "192.0.2.1");
        m.gaoler(&["restart", "named"]).ok();
        m.answers(&["www.added.test"], "192.0.2.1");
        m.rndc(&["delzone", "added.test"]);
        m.answers(&["www.added.test"], "");
    });
}

#[test]
fn logs_come_later() {
    machine(|m| {
        m.up();
        grow(
            m,
            "",
            "logging { channel few { file \"few.log\" versions 3 size 10k; };\n\
             channel none { file \"none.log\" size 10k; };\n\
             channel all { file \"all.log\" versions unlimited size 10k suffix timestamp; };\n\
             category queries { few; none; all; }; };\n",
        );
        m.rndc(&["querylog", "on"]);
        let batch: String = (0..500)
            .map(|number| format!("n{number}.localhost\n"))
            .collect();
        m.write("/run/batch", &batch);
        m.run(&["dig", "@127.0.0.1", "-f", "/run/batch", "+noall"])
            .ok();
        let names = || -> Vec<String> {
            let entries = fs::read_dir("/var/cache/bind").unwrap().flatten();
            entries
                .map(|entry| entry.file_name().into_string().unwrap())
                .collect()
        };
        let rolled = |names: &Vec<String>| {
            let old = |start: &str| names.iter().any(|name| name.starts_with(start));
            old("few.log.2") && old("all.log.2")
        };
        eventually(names, rolled);
    });
}
