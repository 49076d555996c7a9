//! What `export` writes, enforced by whom it is for, with no gaoler beside it.

use std::fs;
use std::path::Path;

use super::units::answers;
use super::{done, eventually, memcached, named, property, run};

/// Where it is exported into.
const OUT: &str = "/run/exported";

/// Exports a jail to systemd and puts the files where they belong.
fn installed(name: &str, options: &str) -> serde_json::Value {
    drop(fs::remove_dir_all(OUT));
    let line = format!("gaoler export {name} --to systemd -o {OUT} --json {options}");
    let exported: serde_json::Value = serde_json::from_str(&done(&line)).unwrap();
    for file in exported["files"].as_array().unwrap() {
        let from = Path::new(OUT).join(file["path"].as_str().unwrap());
        let to = Path::new(file["install"].as_str().unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
    done("systemctl daemon-reload");
    done("sysctl -q --system");
    exported
}

/// Takes them away again.
fn removed(exported: &serde_json::Value) {
    for file in exported["files"].as_array().unwrap() {
        fs::remove_file(file["install"].as_str().unwrap()).unwrap();
    }
    done("systemctl daemon-reload");
    done("sysctl -q -w net.ipv4.ip_unprivileged_port_start=1024");
}

/// How exposed systemd finds a unit: 0 is best, 10 is worst.
fn exposure(unit: &str) -> f64 {
    let told = done(&format!("systemd-analyze security --no-pager {unit}"));
    let line = told.lines().find(|line| line.contains("Overall exposure"));
    let line = line.unwrap_or_else(|| panic!("{told}"));
    let number = line.rsplit(": ").next().unwrap();
    let number = number.split(' ').next().unwrap().parse().unwrap();
    println!("{unit}: {number}\n{told}");
    number
}

/// Starts named as a unit that gaoler has written, and has it do everything that its exercises do.
fn works() {
    done("systemctl start named");
    let asked = "dig @127.0.0.1 localhost A +short +tries=5 +time=5";
    assert_eq!(done(asked).trim(), "127.0.0.1");
    assert_eq!(done(&format!("{asked} +tcp")).trim(), "127.0.0.1");
    for order in ["status", "stats", "sync", "dumpdb -cache", "recursing"] {
        done(&format!("rndc {order}"));
    }
    done("systemctl reload named");
    assert_eq!(done(asked).trim(), "127.0.0.1");
    let told = done("journalctl -u named -o cat --no-pager");
    assert!(told.contains("reloading configuration succeeded"), "{told}");
    let main = property("named", "MainPID");
    let status = fs::read_to_string(format!("/proc/{main}/status")).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{status}");
    }
    // A zone comes over from itself, and goes out.
    let transferred = done("dig @127.0.0.1 localhost AXFR +tries=2 +time=5");
    assert!(transferred.contains("XFR size"), "{transferred}");
    done("systemctl restart named");
    assert_eq!(done(asked).trim(), "127.0.0.1");
}

fn ends() {
    done("systemctl stop named");
    assert_eq!(property("named", "Result"), "success");
}

#[test]
#[ignore = "in the machine"]
fn named_works_as_a_unit_on_the_tree_of_its_jail() {
    named();
    let exported = installed("named", "");
    works();
    assert!(exposure("named.service") <= 1.4);
    let root = property("named", "RootDirectory");
    assert_eq!(root, "/var/lib/gaoler/named/current/root");
    let main = property("named", "MainPID");
    let seen: Vec<_> = fs::read_dir(format!("/proc/{main}/root/etc"))
        .unwrap()
        .collect();
    let hosts = fs::read_dir("/etc").unwrap().count();
    assert!(seen.len() * 5 < hosts, "{} of {hosts} in /etc", seen.len());
    ends();
    // systemd has made nothing in it.
    done("gaoler perms named");
    removed(&exported);
}

#[test]
#[ignore = "in the machine"]
fn named_works_without_any_capability() {
    named();
    let exported = installed("named", "--open-ports");
    works();
    assert!(exposure("named.service") <= 1.1);
    let main = property("named", "MainPID");
    let status = fs::read_to_string(format!("/proc/{main}/status")).unwrap();
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let line = format!("{set}:\t0000000000000000");
        assert!(status.contains(&line), "{status}");
    }
    ends();
    removed(&exported);
}

#[test]
#[ignore = "in the machine"]
fn debian_s_own_unit_of_named_is_confined_by_a_drop_in() {
    named();
    let before = exposure("named.service");
    let exported = installed("named", "--drop-in named.service --host-files");
    assert!(property("named", "FragmentPath").starts_with("/lib/systemd/system/named.service"));
    works();
    let after = exposure("named.service");
    assert!(before > 9.0 && after <= 1.4, "{before} to {after}");
    ends();
    removed(&exported);
}

#[test]
#[ignore = "in the machine"]
fn memcached_works_as_a_unit_without_gaps_that_matter() {
    memcached();
    let exported = installed("memcached", "");
    done("systemctl start memcached");
    eventually("it answers", answers);
    assert!(exposure("memcached.service") <= 1.1);
    done("systemctl stop memcached");
    assert!(!answers());
    removed(&exported);
    let refused = run("gaoler export memcached --to systemd --fail-on-gap");
    assert_eq!(refused.code, Some(3), "{refused:?}");
}
