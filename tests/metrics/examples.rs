//! `examples/metrics`: what its rules and its dashboard name is there, and promtool takes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{DONE, eventually};
use crate::exporter::{Exporter, promtool};
use crate::scraped::Jails;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/metrics")
}

fn read(name: &str) -> String {
    fs::read_to_string(examples().join(name)).unwrap()
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let of_gaoler = words.filter(|word| word.starts_with("gaoler_"));
    of_gaoler.map(str::to_owned).collect()
}

/// What the panels of the dashboard ask for.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|it| it["targets"].as_array().unwrap());
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn promtool_takes_the_rules_and_what_they_are_to_answer() {
    let said = promtool(&["check", "rules", "gaoler.rules.yml"], "", &examples());
    assert!(said.contains("SUCCESS"), "{said}");
    let said = promtool(&["test", "rules", "gaoler.rules.test.yml"], "", &examples());
    assert!(said.contains("SUCCESS"), "{said}");
    // Each alert is among those that are tried.
    let (rules, tests) = (read("gaoler.rules.yml"), read("gaoler.rules.test.yml"));
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let untried: Vec<&str> = alerts
        .filter(|alert| !tests.contains(&format!("alertname: {alert}\n")))
        .collect();
    assert!(untried.is_empty(), "{untried:?}");
}

#[test]
fn promtool_takes_what_the_dashboard_asks() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 20, "{expressions:#?}");
    let rule = |(number, expression): (usize, &String)| {
        let expression = expression
            .replace("$__rate_interval", "5m")
            .replace("$instance", ".+")
            .replace("$jail", ".+");
        assert!(!expression.contains('$'), "{expression}");
        serde_json::json!({ "record": format!("panel:{number}"), "expr": expression })
    };
    let rules: Vec<Value> = expressions.iter().enumerate().map(rule).collect();
    let rules = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("dashboard.yml"), rules.to_string()).unwrap();
    promtool(&["check", "rules", "dashboard.yml"], "", place.path());
}

#[test]
fn each_metric_that_the_examples_name_is_there() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let mut wanted = named(&read("gaoler.rules.yml"));
    wanted.extend(named(&read("gaoler.rules.test.yml")));
    wanted.extend(named(&dashboard.to_string()));
    assert!(wanted.len() > 20, "{wanted:?}");
    let jails = Jails::start();
    // The dashboard shows scores, of jails that were checked.
    let checked = jails.place.verb("check");
    assert_eq!(checked.code, Some(DONE), "{checked:?}");
    let exporter = Exporter::at(&jails.place, "127.0.0.1:0");
    let mut missing = BTreeSet::new();
    // It is compared with what was started once a second.
    eventually("a comparison", || {
        let there = exporter.scrape().names();
        missing = wanted.difference(&there).cloned().collect();
        missing.is_empty() || missing.contains("gaoler_denials_total") && missing.len() == 1
    });
    if !missing.is_empty() {
        println!("skipped: this kernel does not tell what it denies");
    }
}
