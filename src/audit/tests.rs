//! The score and the parsers of the audit.

mod cases;
mod clean;
mod gathered;
mod loosened;

use proptest::prelude::*;

use super::*;

fn finding(severity: Severity) -> Finding {
    Finding::new(severity, "subject", "evidence", "remedy")
}

fn severity() -> impl Strategy<Value = Severity> {
    prop_oneof![
        Just(Severity::Info),
        Just(Severity::Low),
        Just(Severity::Medium),
        Just(Severity::High),
        Just(Severity::Critical),
    ]
}

proptest! {
    #[test]
    fn one_more_finding_never_lowers_the_score(
        found in prop::collection::vec(severity(), 0..30),
        more in severity(),
    ) {
        let mut findings: Vec<Finding> = found.into_iter().map(finding).collect();
        let before = score(&findings);
        findings.push(finding(more));
        let after = score(&findings);
        prop_assert!(after >= before);
        prop_assert!((0.0..=10.0).contains(&after));
    }
}

#[test]
fn no_finding_is_zero_and_a_critical_one_is_the_worst() {
    assert_eq!(score(&[]), 0.0);
    assert_eq!(score(&[finding(Severity::Critical)]), 10.0);
}

#[test]
fn every_check_has_an_id_of_its_own_and_says_what_it_is_about() {
    let mut ids: Vec<&str> = checks().map(|check| check.id).collect();
    assert!(checks().all(|check| !check.about.is_empty()));
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn a_mount_table_is_read_with_its_escapes() {
    let text = "412 380 254:0 /x /with\\040blank ro,nosuid shared:1 - ext4 /dev/vda rw\n";
    let mounts = live::parse_mounts(text);
    assert_eq!(mounts.len(), 1);
    let mount = mounts.first().expect("one line");
    assert_eq!((mount.id, mount.path.to_str()), (412, Some("/with blank")));
    assert_eq!(mount.options, ["ro", "nosuid"]);
}

#[test]
fn specs_know_the_rules_by_name() {
    let mut ids: Vec<&str> = checks().map(|check| check.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, crate::spec::CHECKS);
}

#[test]
fn every_rule_says_where_it_comes_from_and_what_to_do() {
    for check in checks() {
        let sources = principles::sources(check.id);
        assert!(
            !check.from.is_empty() || !sources.is_empty(),
            "{}",
            check.id
        );
        assert!(!check.remedy.is_empty(), "{}", check.id);
    }
}

#[test]
fn every_principle_is_answered() {
    for document in principles::Document::ALL {
        let all = principles::of(document);
        assert!(all.len() >= 10, "{}", document.title());
        for principle in all {
            let known =
                |rule: &&str| *rule == scan::RULE || checks().any(|check| check.id == *rule);
            assert!(principle.rules.iter().all(known), "{principle:?}");
            let shown = principle.test.is_some() && !principle.built_in.is_empty();
            assert!(shown || !principle.rules.is_empty(), "{principle:?}");
        }
    }
}

#[test]
fn descriptors_that_can_write_are_told_from_others() {
    use std::os::fd::AsRawFd;
    let own = std::process::id().cast_signed();
    let place = tempfile::NamedTempFile::new().unwrap();
    let null = std::fs::File::create("/dev/null").unwrap();
    let read = std::fs::File::open(place.path()).unwrap();
    let can =
        |file: &std::fs::File| live::is_open_for_writing(own, file.as_raw_fd().cast_unsigned());
    assert!(can(place.as_file()));
    assert!(!can(&read) && !can(&null));
}

#[test]
fn units_that_start_a_jail_and_confine_it_are_read() {
    let unit = "[Service]\nExecStart=/usr/sbin/gaoler run web\nProtectSystem=strict\n\
                PrivateTmp=no\nRestrictNamespaces=yes\nRestart=always\n";
    let found = facts::confines(unit, "web").unwrap();
    assert_eq!(found, ["ProtectSystem=strict", "RestrictNamespaces=yes"]);
    assert_eq!(facts::confines(unit, "other"), None);
    assert_eq!(
        facts::confines(&unit.replace("gaoler", "other"), "web"),
        None
    );
}
