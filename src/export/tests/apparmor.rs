//! What a profile says is read back here by other code than what wrote it.

use std::path::Path;

use proptest::prelude::*;

use super::{accounted, built, subject, tame};
use crate::export::apparmor::{self, Options};
use crate::export::{Item, Root};
use crate::spec::{Spec, generate};
use crate::sys::{caps, families};

/// The rules of a profile, without what is a comment.
fn rules(text: &str) -> Vec<String> {
    let mut rules = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.trim() {
            line if line.starts_with("profile ") => {
                assert!(!inside && line.ends_with('{'), "{line}");
                inside = true;
            }
            "}" => inside = false,
            line if line.is_empty() || line.starts_with("# ") || line == "#" => {}
            line if line.starts_with("abi ") || line.starts_with("include if exists <local/") => {}
            line if line.starts_with("#include <local/") => assert!(inside),
            line => {
                let rule = line.strip_suffix(',').unwrap_or_else(|| panic!("{line:?}"));
                assert!(inside, "{line}");
                rules.push(rule.to_owned());
            }
        }
    }
    assert!(!inside);
    rules
}

/// What may be done with a path.
fn access<'a>(rules: &'a [String], path: &str) -> &'a str {
    let mut found = rules
        .iter()
        .filter_map(|rule| rule.strip_prefix(path)?.strip_prefix(' '));
    found.next().unwrap_or("")
}

fn says(rules: &[String], spec: &Spec, item: &Item) -> bool {
    let has = |text: &str| rules.iter().any(|rule| rule == text);
    let count = |start: &str| rules.iter().filter(|rule| rule.starts_with(start)).count();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    match item {
        Item::Capability(number) => {
            let name = caps::name(*number).unwrap().to_lowercase();
            has(&format!("capability {name}"))
        }
        Item::NoOtherCapability => count("capability ") == spec.capabilities.len(),
        Item::Family(number) => has(&format!("network {}", families::name(*number).unwrap())),
        Item::NoOtherFamily => count("network ") == spec.families.len(),
        Item::File(path) => {
            access(rules, &text(path)).contains('r')
                || access(rules, &format!("{}/", text(path))).contains('r')
        }
        Item::Bind(path, writable) => {
            let own = access(rules, &format!("{}/", text(path)));
            let below = access(rules, &format!("{}/**", text(path)));
            own.contains('r')
                && below.contains('r')
                && below.contains('w') == *writable
                && !below.contains(['m', 'x'])
        }
        Item::Device(path) => access(rules, &text(path)) == "rw",
        Item::NothingElse | Item::NoPassedDirectory => !has("/** r"),
        Item::Limit(name) => {
            let word = match *name {
                "core" => "core",
                "descriptors" => "nofile",
                _ => "fsize",
            };
            count(&format!("set rlimit {word} <= ")) == 1
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn each_item_is_said_or_a_gap(
        spec in generate::spec(),
        version in prop_oneof![Just((2, 13)), Just((3, 0)), Just((4, 1))],
        on_host in any::<bool>(),
        complain in any::<bool>(),
    ) {
        let spec = tame(spec);
        let manifest = built(&spec);
        let root = if on_host { Root::Host } else { Root::Tree };
        let options = Options {
            version,
            root,
            complain,
        };
        let exported = apparmor::export(subject(&spec, &manifest), &options).unwrap();
        let rules = rules(&exported.files[0].text);
        accounted(&spec, &exported, |item| says(&rules, &spec, item))?;
    }
}

#[test]
fn the_profile_of_an_example() {
    let (spec, manifest) = super::example();
    let options = Options {
        version: (3, 0),
        root: Root::Tree,
        complain: false,
    };
    let exported = apparmor::export(subject(&spec, &manifest), &options).unwrap();
    insta::assert_snapshot!(super::shown(&exported));
}
