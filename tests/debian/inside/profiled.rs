//! The profiles of jails in the kernel, beside the distribution's.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{done, eventually, memcached, named, run};

/// Debian's own profile for its BIND, and the link that would disable it.
const DEBIAN_S: &str = "/etc/apparmor.d/usr.sbin.named";
const DISABLED: &str = "/etc/apparmor.d/disable/usr.sbin.named";

fn status(words: &str) -> (Option<i32>, Value) {
    let told = run(&format!("gaoler apparmor status {words} --json"));
    let status = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{told:?}"));
    (told.code, status)
}

/// The profile of named's process, as the kernel has it.
fn label() -> String {
    let status: Value = serde_json::from_str(&done("gaoler status named --json")).unwrap();
    fs::read_to_string(format!("/proc/{}/attr/current", status["pid"])).unwrap()
}

fn answers() {
    let asked = "dig @127.0.0.1 localhost A +short +tries=1 +time=2";
    eventually("it answers", || run(asked).out.trim() == "127.0.0.1");
}

/// Whether it is Debian's that is loaded: that one lets it read what is about places on earth.
fn is_debian_s() -> bool {
    let about = Path::new("/usr/share/GeoIP");
    fs::create_dir_all(about).unwrap();
    let file = about.join("test.conf");
    fs::write(&file, "nonsense;\n").unwrap();
    let line = format!(
        "aa-exec -p named -- /usr/sbin/named -g -c {}",
        file.display()
    );
    let told = run(&line).error;
    let (read, denied) = (
        told.contains("unknown option"),
        told.contains("permission denied"),
    );
    assert!(read != denied, "{told}");
    read
}

#[test]
#[ignore = "in the machine"]
fn a_profile_takes_the_place_of_debian_s_and_gives_it_back() {
    named();
    done("gaoler start named");
    assert_eq!(label().trim(), "named (enforce)");
    assert!(is_debian_s());
    done("gaoler apparmor complain named");
    assert_eq!(label().trim(), "named (complain)");
    done("gaoler apparmor enforce named");
    assert_eq!(label().trim(), "named (enforce)");
    done("gaoler restart named");
    answers();
    done("gaoler reload named");
    answers();
    // As at boot.
    done("systemctl restart apparmor");
    assert!(!is_debian_s());
    assert_eq!(fs::read_link(DISABLED).unwrap(), Path::new(DEBIAN_S));
    let (code, found) = status("named");
    let jail = &found["jails"][0];
    assert_eq!(jail["file"], "/etc/apparmor.d/gaoler.named");
    assert_eq!(jail["mode"], "enforce");
    assert_eq!(jail["problems"], serde_json::json!([]), "{found:#}");
    assert_eq!(code, Some(0), "{found:#}");

    done("gaoler apparmor disable named");
    assert!(!Path::new("/etc/apparmor.d/gaoler.named").exists());
    assert!(fs::symlink_metadata(DISABLED).is_err());
    assert_eq!(label().trim(), "named (enforce)");
    assert!(is_debian_s());
    done("gaoler apparmor disable named");
    done("gaoler stop named");
}

#[test]
#[ignore = "in the machine"]
fn what_a_profile_does_not_confine_is_told() {
    memcached();
    done("gaoler start memcached");
    done("gaoler apparmor enforce memcached");
    // It was started before.
    let (code, found) = status("memcached");
    let problems = found["jails"][0]["problems"].to_string();
    assert!(
        problems.contains("before the profile was loaded"),
        "{found:#}"
    );
    assert_eq!(code, Some(3));
    done("gaoler restart memcached");
    let (_, found) = status("");
    let jails = found["jails"].as_array().unwrap();
    let jail = jails.iter().find(|jail| jail["name"] == "memcached");
    assert_eq!(
        jail.unwrap()["problems"],
        serde_json::json!([]),
        "{found:#}"
    );

    // The same program somewhere else has no profile, nor has systemd's own.
    let elsewhere = "/usr/local/bin/memcached";
    fs::copy("/usr/bin/memcached", elsewhere).unwrap();
    let mut other = Command::new(elsewhere)
        .args(["-u", "nobody", "-l", "127.0.0.1", "-p", "11299"])
        .spawn()
        .unwrap();
    let mut found = Value::Null;
    eventually("it listens", || {
        found = status("memcached").1;
        let unconfined = found["unconfined"].as_array().unwrap();
        unconfined
            .iter()
            .any(|one| one["executable"] == elsewhere && one["instead"] == "/usr/bin/memcached")
    });
    other.kill().unwrap();
    other.wait().unwrap();
    fs::remove_file(elsewhere).unwrap();
    done("gaoler apparmor disable memcached");
    done("gaoler stop memcached");
    let (_, found) = status("");
    let jails = found["jails"].as_array().unwrap();
    assert!(
        !jails.iter().any(|jail| jail["name"] == "memcached"),
        "{found:#}"
    );
}
