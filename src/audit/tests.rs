//! The score and the parsers of the audit.

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
