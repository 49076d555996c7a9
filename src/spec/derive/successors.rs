//! Calls of which one takes another's place from one version of a C library or a kernel to the next.

use std::collections::BTreeMap;

use crate::spec::{CallRule, Evidence};
use crate::sys::calls;

/// Within a row, libraries have gone from one to the other and back (`fstat` became `newfstatat` in
/// glibc 2.33 and later `fstat` again), and none opens a file that the others cannot open: Landlock
/// and the mounts decide that (`open(2)`, `openat2(2)`, `stat(2)`, `statx(2)`, `access(2)`). Filters
/// that knew only some of a row have stopped services on the day of an upgrade (moby issues 42680
/// and 42871).
const FAMILIES: [&[&str]; 3] = [
    &["open", "openat", "openat2"],
    &["stat", "lstat", "fstat", "newfstatat", "statx"],
    &["access", "faccessat", "faccessat2"],
];

/// The others of the families of those that are allowed, for as long as any of them is.
pub(super) fn successors(rules: &BTreeMap<u32, CallRule>) -> Vec<CallRule> {
    FAMILIES
        .iter()
        .flat_map(|family| others(family, rules))
        .collect()
}

fn others(family: &[&str], rules: &BTreeMap<u32, CallRule>) -> Vec<CallRule> {
    let numbers = || family.iter().filter_map(|name| calls::number(name));
    let allowed: Vec<&CallRule> = numbers().filter_map(|call| rules.get(&call)).collect();
    let Some(first) = allowed.first().and_then(|rule| calls::name(rule.number)) else {
        return Vec::new();
    };
    let start_only = allowed.iter().all(|rule| rule.start_only);
    numbers()
        .filter(|call| !rules.contains_key(call))
        .map(|number| CallRule {
            number,
            start_only,
            because: format!("another C library makes this call in the place of {first}"),
            evidence: Evidence::Closure(first.to_owned()),
        })
        .collect()
}
