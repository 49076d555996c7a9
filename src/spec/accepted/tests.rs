use proptest::prelude::*;

use super::*;
use crate::spec::parse;

const SPEC: &str = r#"
format = 1
name = "web"

[service]
command = ["/usr/sbin/web"]
user = "web"
group = "web"

[[accepted]]
check = "spec.root"
subject = "service.start_as_root"
because = "until it is rewritten"
until = "2027-01-31"
"#;

fn refusal(text: &str) -> String {
    let error = parse(text, "web.toml").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

fn date(text: &str) -> Date {
    Date::read(text).unwrap()
}

#[test]
fn days_are_read_and_others_refused() {
    assert_eq!(date("2026-02-28").to_string(), "2026-02-28");
    assert!(date("2024-02-29") > date("2024-02-28"));
    for bad in [
        "",
        "2026-2-28",
        "2026-02-29",
        "2100-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-01-00",
        "2026-01-32",
        "26-01-01",
        "2026-01-01T00:00",
        "2026-01-01-01",
        "+026-01-01",
        "1969-12-31",
        "2026/01/01",
        "tomorrow",
    ] {
        assert_eq!(Date::read(bad), None, "{bad}");
    }
}

#[test]
fn days_are_counted_from_1970() {
    assert_eq!(Date::of_days(0), date("1970-01-01"));
    assert_eq!(Date::of_days(59), date("1970-03-01"));
    assert_eq!(Date::of_days(11_016), date("2000-02-29"));
    assert_eq!(Date::of_days(20_454), date("2026-01-01"));
}

#[test]
fn it_covers_its_rule_and_its_subject() {
    let mut accepted = Accepted {
        check: "tree.shell".to_owned(),
        subject: "/usr/bin/perl".to_owned(),
        because: "CGI".to_owned(),
        until: date("2026-01-01"),
    };
    assert!(accepted.covers("tree.shell", "/usr/bin/perl"));
    assert!(!accepted.covers("tree.shell", "/usr/bin/perl5"));
    assert!(!accepted.covers("tree.mode", "/usr/bin/perl"));
    accepted.subject = "/usr/bin/*".to_owned();
    assert!(accepted.covers("tree.shell", "/usr/bin/perl5"));
    assert!(!accepted.covers("tree.shell", "/bin/sh"));
}

proptest! {
    #[test]
    fn each_day_follows_the_one_before(days in 0u64..200_000) {
        let (today, tomorrow) = (Date::of_days(days), Date::of_days(days + 1));
        prop_assert!(today < tomorrow);
        prop_assert_eq!(Date::read(&today.to_string()), Some(today));
    }

    #[test]
    fn any_text_is_survived(text in "[0-9-]{0,12}") {
        if let Some(date) = Date::read(&text) {
            prop_assert_eq!(date.to_string(), text);
        }
    }
}

#[test]
fn what_is_accepted_is_read_and_its_mistakes_are_shown() {
    let spec = parse(SPEC, "web.toml").unwrap();
    assert_eq!(spec.accepted.len(), 1);
    let risk = &spec.accepted[0];
    assert_eq!(
        (risk.check.as_str(), risk.until.to_string().as_str()),
        ("spec.root", "2027-01-31")
    );
    for (from, to, title, hint) in [
        (
            "2027-01-31",
            "2027-02-31",
            "`2027-02-31` is no day",
            "such as \"2027-01-31\"",
        ),
        ("2027-01-31", "soon", "`soon` is no day", ""),
        (
            "\"spec.root\"",
            "\"spec.rot\"",
            "unknown rule of check `spec.rot`",
            "did you mean `spec.root`?",
        ),
        (
            "\"service.start_as_root\"",
            "\"*\"",
            "every subject at once",
            "",
        ),
        ("until it is rewritten", "", "an empty reason", ""),
    ] {
        let text = SPEC.replacen(from, to, 1);
        let refused = refusal(&text);
        let line = text
            .lines()
            .position(|line| line.contains(to) && !to.is_empty());
        assert!(
            refused.contains(title) && refused.contains(hint),
            "{refused}"
        );
        if let Some(line) = line {
            assert!(
                refused.contains(&format!("web.toml:{}:", line + 1)),
                "{refused}"
            );
        }
    }
    let again = SPEC.split_once("[[accepted]]").unwrap().1;
    let twice = format!("{SPEC}\n[[accepted]]{again}");
    assert!(refusal(&twice).contains("is here twice"));
}
