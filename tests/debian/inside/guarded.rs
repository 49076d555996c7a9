//! The host's own copy, where systemd and AppArmor would start or confine it.

use super::{done, named, property, run};

#[test]
#[ignore = "in the machine"]
fn the_host_s_own_copy_is_not_started_beside_the_jail() {
    named();
    done("gaoler guard named");
    let started = run("systemctl start named");
    assert!(started.error.contains("masked"), "{started:#?}");
    let executed = std::process::Command::new("/usr/sbin/named")
        .arg("-v")
        .status();
    assert_eq!(
        executed.unwrap_err().kind(),
        std::io::ErrorKind::PermissionDenied
    );
    let guarded = done("gaoler guard named --status");
    assert!(
        guarded.contains("/etc/systemd/system/named.service"),
        "{guarded}"
    );
    // The jail has a copy of its own.
    done("gaoler start named");
    done("dig @127.0.0.1 localhost A +short +tries=2 +time=5");
    done("gaoler stop named");
    done("gaoler guard named --undo");
    done("systemctl start named");
    assert_eq!(property("named.service", "ActiveState"), "active");
    // While it runs, the port is taken, and it is said by whom.
    let refused = run("gaoler start named");
    assert!(refused.error.contains("named"), "{refused:#?}");
    assert_eq!(refused.code, Some(125), "{refused:#?}");
    done("systemctl stop named");
}

#[test]
#[ignore = "in the machine"]
fn the_distribution_s_profile_of_apparmor_holds_in_the_jail_too() {
    named();
    done("gaoler start named");
    let pid = super::status("named")["pid"].as_i64().unwrap();
    let label = std::fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap();
    assert_eq!(label.trim(), "named (enforce)");
    let check = done("gaoler check named --live");
    assert!(check.contains("AppArmor: named (enforce)"), "{check}");
    // A denial is explained from auditd's file.
    let denied = run("aa-exec -p named -- /bin/cat /etc/shadow");
    assert_ne!(denied.code, Some(0));
    done("gaoler stop named");
}
