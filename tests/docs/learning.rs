//! The page on what learners get wrong: every test that it names is there.

use std::fs;

use crate::repository;

const PAGE: &str = "docs/learning.md";

/// The rows of its table: complaint, remedy, tests.
fn rows(page: &str) -> Vec<[String; 3]> {
    let lines = page.lines().filter(|line| line.starts_with("| "));
    // The first is the heading.
    lines
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
            let cells: [&str; 3] = cells.try_into().unwrap_or_else(|_| panic!("{line}"));
            cells.map(|cell| cell.trim().to_owned())
        })
        .collect()
}

/// Whether a file has a test of that name: a function after `#[test]`, or in a proptest.
fn has_test(text: &str, name: &str) -> bool {
    let begin = format!("fn {name}(");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(index, line)| {
        let above = lines[..index].iter().rev();
        let mut attributes =
            above.take_while(|line| line.starts_with("#[") || line.starts_with("///"));
        line.starts_with(&begin) && attributes.any(|line| *line == "#[test]")
    })
}

#[test]
fn every_test_that_is_named_is_there() {
    let page = fs::read_to_string(repository(PAGE)).unwrap();
    let rows = rows(&page);
    assert_eq!(rows.len(), 12, "a row for each complaint");
    let mut missing = Vec::new();
    for [complaint, _, tests] in &rows {
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {complaint}");
        for test in named {
            let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{test}"));
            let text = fs::read_to_string(repository(file)).unwrap_or_default();
            if !has_test(&text, name) {
                missing.push(test.to_owned());
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn a_test_that_is_not_there_is_missed() {
    let text = "#[test]\nfn one() {}\n/// It.\nfn two() {}\n// fn three() {}\n";
    assert!(has_test(text, "one"));
    assert!(!has_test(text, "two") && !has_test(text, "three") && !has_test(text, "on"));
}
