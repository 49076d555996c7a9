//! What `export` writes, enforced by whom it is for, with no gaoler beside it.

use std::fs;
use std::path::Path;

use super::units::answers;
use super::{done, eventually, memcached, named, property, run};

/// Where it is exported into.
pub const OUT: &str = "/run/exported";

/// Exports a jail to systemd and puts the files where they belong.
pub fn installed(name: &str, options: &str) -> serde_json::Value {
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
    done("systemd-tmpfiles --create");
    done("sysctl -q --system");
    exported
}

/// Takes them away again.
pub fn removed(exported: &serde_json::Value) {
    for file in exported["files"].as_array().unwrap() {
        fs::remove_file(file["install"].as_str().unwrap()).unwrap();
    }
    done("systemctl daemon-reload");
    done("sysctl -q -w net.ipv4.ip_unprivileged_port_start=1024");
}

/// How exposed systemd finds a unit: 0 is best, 10 is worst; and why.
fn exposure(unit: &str) -> (f64, String) {
    let told = done(&format!("systemd-analyze security --no-pager {unit}"));
    let line = told.lines().find(|line| line.contains("Overall exposure"));
    let line = line.unwrap_or_else(|| panic!("{told}"));
    let number = line.rsplit(": ").next().unwrap();
    let number = number.split(' ').next().unwrap().parse().unwrap();
    (number, told)
}

/// It is no more exposed than that.
#[track_caller]
fn is_exposed_at_most(unit: &str, most: f64) {
    let (exposure, told) = exposure(unit);
    assert!(exposure <= most, "{exposure}: {told}");
}

/// Its zones are there a moment after its port.
fn answers_for_localhost(how: &str) {
    let asked = format!("dig @127.0.0.1 localhost A +short +tries=1 +time=2 {how}");
    eventually("it answers", || run(&asked).out.trim() == "127.0.0.1");
}

/// Starts named, and has it do what its exercises do, with no help of gaoler's.
fn works() {
    done("systemctl start named");
    answers_for_localhost("");
    answers_for_localhost("+tcp");
    eventually("it is spoken to", || run("rndc status").code == Some(0));
    done("rndc dumpdb -cache");
    done("systemctl reload named");
    answers_for_localhost("");
    let told = done("journalctl -u named -o cat --no-pager");
    assert!(told.contains("reloading configuration succeeded"), "{told}");
    let transferred = done("dig @127.0.0.1 localhost AXFR +tries=2 +time=5");
    assert!(transferred.contains("XFR size"), "{transferred}");
    let status = status_of_main();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{status}");
    }
}

fn status_of_main() -> String {
    let main = property("named", "MainPID");
    fs::read_to_string(format!("/proc/{main}/status")).unwrap()
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
    is_exposed_at_most("named.service", 1.4);
    let main = property("named", "MainPID");
    let root = Path::new("/proc").join(main).join("root");
    assert!(root.join("etc/bind/named.conf").exists());
    for hidden in ["etc/shadow", "usr/bin", "home", "var/log"] {
        assert!(!root.join(hidden).exists(), "{hidden}");
    }
    // What was built is taken at the next start, and systemd has made nothing in it.
    done("systemctl restart named");
    answers_for_localhost("");
    done("gaoler perms named");
    ends();
    removed(&exported);
}

#[test]
#[ignore = "in the machine"]
fn named_works_without_any_capability() {
    named();
    let exported = installed("named", "--open-ports");
    done("systemctl start named");
    answers_for_localhost("");
    is_exposed_at_most("named.service", 1.1);
    let status = status_of_main();
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let line = format!("{set}:\t0000000000000000");
        assert!(status.contains(&line), "{status}");
    }
    eventually("it is spoken to", || run("rndc status").code == Some(0));
    ends();
    removed(&exported);
}

#[test]
#[ignore = "in the machine"]
fn debian_s_own_unit_is_confined_by_a_drop_in_and_a_profile() {
    named();
    let (before, told) = exposure("named.service");
    assert!(before > 9.0, "{told}");
    let exported = installed("named", "--drop-in named.service --host-files");
    let profile = "/etc/apparmor.d/usr.sbin.named";
    let debian_s = fs::read(profile).unwrap();
    done(&format!(
        "gaoler export named --to apparmor --host-files -o {OUT}"
    ));
    fs::copy(Path::new(OUT).join("usr.sbin.named"), profile).unwrap();
    done(&format!("apparmor_parser -r {profile}"));
    done("systemctl start named");
    answers_for_localhost("");
    eventually("it is spoken to", || {
        run("rndc dumpdb -cache").code == Some(0)
    });
    done("systemctl reload named");
    let main = property("named", "MainPID");
    let confined = fs::read_to_string(format!("/proc/{main}/attr/current")).unwrap();
    assert_eq!(confined.trim(), "named (enforce)");
    is_exposed_at_most("named.service", 1.5);
    ends();

    // What is outside of the policy is denied, and why has a patch for it.
    let outside = "/usr/share/common-licenses/GPL-3";
    let read = run(&format!(
        "aa-exec -p named -- /usr/sbin/named -f -c {outside}"
    ));
    assert_ne!(read.code, Some(0), "{read:?}");
    let log = "/var/log/audit/audit.log";
    let record = format!("name=\"{outside}\"");
    eventually("it is written down", || {
        let log = fs::read_to_string(log).unwrap();
        log.lines()
            .any(|line| line.contains("DENIED") && line.contains(&record))
    });
    let why = run(&format!("gaoler why named --log {log} --json"));
    let why: serde_json::Value = serde_json::from_str(&why.out).unwrap();
    let denials = why["denials"].as_array().unwrap();
    let is_it = |it: &&serde_json::Value| it["subject"].as_str().unwrap().contains(outside);
    let denial = denials
        .iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("{why:#}"));
    assert!(denial["patch"].to_string().contains(outside), "{denial:#}");
    fs::write(profile, debian_s).unwrap();
    done(&format!("apparmor_parser -r {profile}"));
    removed(&exported);
}

#[test]
#[ignore = "in the machine"]
fn memcached_works_as_a_unit_and_its_gaps_are_told() {
    memcached();
    let exported = installed("memcached", "");
    done("systemctl start memcached");
    eventually("it answers", answers);
    is_exposed_at_most("memcached.service", 1.1);
    done("systemctl stop memcached");
    assert!(!answers());
    removed(&exported);
    let refused = run("gaoler export memcached --to systemd --fail-on-gap");
    assert_eq!(refused.code, Some(3), "{refused:?}");
}
