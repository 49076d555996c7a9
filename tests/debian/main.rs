//! A real Debian, booted in a virtual machine: systemd, journald, auditd and AppArmor as they are
//! there, on the kernel that belongs to them. The tests of `inside` are run by this same program in
//! the machine; here they are ignored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of a test fails the test"
)]

mod equivalence_rows;
mod image;
mod inside;
mod machine;
#[path = "../refusals"]
#[allow(dead_code, unused_imports, reason = "other tests need more of it")]
mod refusals {
    pub mod common;
}

#[path = "../exported/equivalence"]
#[allow(dead_code, reason = "other tests need more of it")]
mod equivalence {
    pub mod announced;
    pub mod exercised;
    pub mod prober;
    pub mod table;
}

use std::collections::BTreeMap;
use std::time::Duration;

use image::Image;
use machine::Inside;
use refusals::common;

#[test]
fn what_is_tried_inside_holds() {
    let inside = Inside {
        image: Image::get(),
        tests: "inside::",
        longest: Duration::from_secs(30 * 60),
    };
    let told = machine::run(&inside);
    let mut results = BTreeMap::new();
    for line in told.lines() {
        // As libtest writes: test NAME ... ok
        let Some(rest) = line.strip_prefix("test inside::") else {
            continue;
        };
        if let Some((name, result)) = rest.split_once(" ... ") {
            results.insert(name.to_owned(), result.trim().to_owned());
        }
    }
    let expected = machine::listed(inside.tests);
    assert!(!expected.is_empty());
    let failed: Vec<&String> = expected
        .iter()
        .filter(|name| results.get(*name).is_none_or(|result| result != "ok"))
        .collect();
    assert!(failed.is_empty(), "{failed:#?} of\n{told}");
    assert!(told.contains("\nend: 0\n"), "{told}");
    println!("{} tests inside", expected.len());
}
