//! What `check` says of risks that are accepted, of a machine on which things listen, and of what
//! changed behind its back.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Command};

use serde_json::Value;

use crate::common::{DONE, FINDINGS, Place, USAGE, answers, eventually, port};

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn found(place: &Place, more: &[&str]) -> Value {
    let words = [&["check", &place.name, "--json"], more].concat();
    serde_json::from_str(&place.gaoler(&words).out).unwrap()
}

/// The findings of a rule.
fn of<'a>(report: &'a Value, rule: &str) -> Vec<&'a Value> {
    let all = report["findings"].as_array().unwrap().iter();
    all.filter(|finding| finding["id"] == rule).collect()
}

#[test]
fn a_risk_is_accepted_until_it_expires() {
    let mut place = Place::new(&["serve", "20999"]);
    let plain = place.text.tables.clone();
    let packet = "[[allow.families]]\nfamily = \"AF_PACKET\"\nbecause = \"a test\"\n";
    let risk = |until: &str| {
        format!(
            "[[accepted]]\ncheck = \"spec.family\"\nsubject = \"AF_PACKET\"\n\
             because = \"a test \\u001b[2J\"\nuntil = \"{until}\"\n"
        )
    };
    let mut score = |tables: &str| {
        place.text.tables = format!("{plain}{packet}{tables}");
        place.write();
        place.verb("build").is(DONE, &[]);
        let report = found(&place, &[]);
        let family = of(&report, "spec.family")[0]["accepted"].clone();
        let expired = of(&report, "accepted.expired").len();
        (report["score"].as_f64().unwrap(), family, expired)
    };
    let (before, accepted, _) = score("");
    assert!(accepted.is_null() && before >= 0.2);
    let (with, accepted, expired) = score(&risk("2999-12-31"));
    assert_eq!(((before - with) * 10.0).round(), 2.0);
    assert_eq!((&accepted["until"], expired), (&"2999-12-31".into(), 0));
    let (after, accepted, expired) = score(&risk("2020-12-31"));
    assert_eq!(((after - before) * 10.0).round(), 2.0);
    assert!(accepted.is_null() && expired == 1);

    score(&risk("2999-12-31"));
    let shown = place.gaoler(&["check", &place.name]);
    shown.is(DONE, &[]);
    assert!(
        shown.out.contains("low, accepted until 2999-12-31: a test"),
        "{shown:#?}"
    );
    assert!(!shown.out.contains('\u{1b}'), "{shown:#?}");
}

#[test]
fn what_changed_on_the_host_since_the_build() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    place.verb("build").is(DONE, &[]);
    assert!(of(&found(&place, &[]), "tree.stale").is_empty());
    // A comment that no loader reads.
    let mut program = fs::read(place.program()).unwrap();
    program.extend(b"new");
    fs::remove_file(place.program()).unwrap();
    fs::write(place.program(), program).unwrap();
    let report = found(&place, &[]);
    assert_eq!(of(&report, "tree.stale").len(), 1, "{report:#}");
    let tree = place.inside(1, &place.program());
    fs::hard_link(&tree, place.path("outside")).unwrap();
    let report = found(&place, &[]);
    assert_eq!(of(&report, "tree.hard-link").len(), 1, "{report:#}");
}

#[test]
fn two_jails_that_share_a_place_and_a_user() {
    let mut place = Place::new(&["serve", "20999"]);
    let shared = place.bind("shared", true);
    place.write();
    place.verb("build").is(DONE, &[]);
    assert!(of(&found(&place, &[]), "shared.place").is_empty());
    let other = place.text.render("other");
    fs::write(place.etc().join("other.toml"), other).unwrap();
    let report = found(&place, &[]);
    let subject = format!("{}, jail other", shared.display());
    assert_eq!(of(&report, "shared.place")[0]["subject"], subject);
    assert_eq!(of(&report, "shared.uid")[0]["subject"], "jail other");
}

#[test]
fn what_listens_cannot_forge_the_report() {
    let place = Place::new(&[]);
    let port = port();
    // The kernel takes the name of a process from the name of its file.
    let name = b"\x1b[2J\xe2\x80\xaeevil".to_vec();
    let program = place.directory.path().join(OsString::from_vec(name));
    fs::copy(place.program(), &program).unwrap();
    let listener = Command::new(&program)
        .args(["serve", &port.to_string()])
        .spawn()
        .unwrap();
    let listener = Running(listener);
    eventually("it listens", || answers(port));
    let shown = place.gaoler(&["check"]);
    shown.is(DONE, &[]);
    let odd = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!shown.out.contains(odd), "{shown:#?}");
    let report = place.gaoler(&["check", "--json"]);
    let report: Value = serde_json::from_str(&report.out).unwrap();
    let listening = report["listening"].as_array().unwrap();
    let pid = listener.0.id();
    let one = listening.iter().find(|one| one["pid"] == pid).unwrap();
    assert_eq!(one["name"], "\u{1b}[2J\u{202e}evil");
    assert!(one["exposure"].as_f64().unwrap() >= 7.0, "{one:#}");
    let is_it = |finding: &&Value| {
        finding["subject"]
            .as_str()
            .unwrap()
            .contains(&format!("process {pid} "))
    };
    assert!(
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| is_it(&it))
    );
    place
        .gaoler(&["check", "--fail-above", "6.9"])
        .is(FINDINGS, &[]);
    let sarif = place.gaoler(&["check", "--sarif"]);
    let sarif: Value = serde_json::from_str(&sarif.out).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), report["findings"].as_array().unwrap().len());
}

#[test]
fn what_needs_a_name_is_refused_without_one() {
    let place = Place::new(&[]);
    place.gaoler(&["check", "--live"]).is(USAGE, &["required"]);
    place
        .gaoler(&["check", "x", "--unix"])
        .is(USAGE, &["cannot be used with"]);
    place
        .gaoler(&["check", "--sarif", "--json"])
        .is(USAGE, &["cannot be used with"]);
}
