//! BIND that changes its root by itself, and trees for plain chroot.

use std::fs;
use std::os::unix::fs::symlink;

use crate::machine::{Machine, Running, eventually, machine, zone_file};

const ROOT: &str = "/var/lib/named-chroot";

/// A tree as the how-tos have it.
fn chroot_tree(m: &Machine) {
    for directory in ["etc", "var", "dev", "usr/share"] {
        fs::create_dir_all(format!("{ROOT}/{directory}")).unwrap();
    }
    m.run(&["cp", "-a", "/etc/bind", &format!("{ROOT}/etc/bind")])
        .ok();
    m.run(&[
        "cp",
        "-a",
        "/usr/share/dns",
        &format!("{ROOT}/usr/share/dns"),
    ])
    .ok();
    for directory in [
        "var/cache/bind",
        "var/lib/bind",
        "run/named",
        "var/run/named",
    ] {
        m.own_directory(&format!("{ROOT}/{directory}"));
    }
    m.run(&[
        "mknod",
        "-m",
        "666",
        &format!("{ROOT}/dev/null"),
        "c",
        "1",
        "3",
    ])
    .ok();
    m.run(&[
        "mknod",
        "-m",
        "666",
        &format!("{ROOT}/dev/random"),
        "c",
        "1",
        "8",
    ])
    .ok();
    m.write(
        &format!("{ROOT}/etc/bind/named.conf.options"),
        "options { directory \"/var/cache/bind\"; recursion no; dnssec-validation no; };\n",
    );
    m.write(
        &format!("{ROOT}/etc/bind/named.conf.local"),
        "zone \"rooted.test\" { type primary; file \"/etc/bind/rooted\"; };\n\
         zone \"dyn.test\" { type primary; file \"/var/lib/bind/dyn\"; update-policy local; };\n",
    );
    m.write(
        &format!("{ROOT}/etc/bind/rooted"),
        &zone_file(1, "192.0.2.1"),
    );
    m.write(
        &format!("{ROOT}/var/lib/bind/dyn"),
        &zone_file(1, "192.0.2.2"),
    );
    m.run(&["chown", "bind:bind", &format!("{ROOT}/var/lib/bind/dyn")])
        .ok();
    m.set_options(&format!("-u bind -t {ROOT}"));
}

#[test]
fn a_service_that_changes_its_root_by_itself() {
    machine(|m| {
        chroot_tree(m);
        // As Debian's wiki has it: tools outside find the same files.
        fs::remove_dir_all("/etc/bind").unwrap();
        symlink(format!("{ROOT}/etc/bind"), "/etc/bind").unwrap();
        let pid = m.up();
        m.answers(&["www.rooted.test"], "192.0.2.1");
        let file = fs::read_to_string(format!("{ROOT}/run/named/named.pid")).unwrap();
        assert_eq!(file.trim(), pid.to_string());
        m.write(
            &format!("{ROOT}/etc/bind/rooted"),
            &zone_file(2, "192.0.2.3"),
        );
        m.gaoler(&["reload", "named"]).ok();
        eventually(
            || m.dig(&["www.rooted.test"]),
            |answer| answer == "192.0.2.3",
        );
        let key = format!("{ROOT}/run/named/session.key");
        let update =
            "server 127.0.0.1\nzone dyn.test\nupdate add new.dyn.test 60 A 192.0.2.9\nsend\n";
        m.nsupdate(&["-k", &key], update);
        m.answers(&["new.dyn.test"], "192.0.2.9");
        assert!(fs::metadata(format!("{ROOT}/var/lib/bind/dyn.jnl")).is_ok());
        m.gaoler(&["restart", "named"]).ok();
        m.answers(&["new.dyn.test"], "192.0.2.9");
        m.sound("named");
        m.gaoler(&["stop", "named"]).ok();
        m.nothing_left("named", &[]);
    });
}

fn answers(m: &Machine, running: Running) {
    let ask = || m.dig(&["www.alone.test"]);
    eventually(ask, |answer| answer == "192.0.2.6");
    assert!(m.rndc(&["status"]).contains("server is up and running"));
    m.rndc(&["stop"]);
    let pid = running.pid();
    eventually(
        || crate::machine::state_of(pid),
        |state| ["Z", ""].contains(&state.as_str()),
    );
}

#[test]
fn a_standalone_tree() {
    machine(|m| {
        m.write("/srv/dns/alone", &zone_file(1, "192.0.2.6"));
        m.configure(
            "",
            "zone \"alone.test\" { type primary; file \"/srv/dns/alone\"; };\n",
        );
        m.gaoler(&["learn", "named"]).ok();
        fs::create_dir_all("/srv/jails").unwrap();
        m.gaoler(&["build", "named", "--standalone", "/srv/jails/named"])
            .ok();
        // What it is made of is not there any more: the tree must be complete in itself.
        fs::rename("/srv/dns", "/srv/gone").unwrap();
        let tree = "/srv/jails/named";
        answers(m, m.background(&["named", "-f", "-u", "bind", "-t", tree]));
        answers(
            m,
            m.background(&["chroot", tree, "/usr/sbin/named", "-f", "-u", "bind"]),
        );
    });
}
