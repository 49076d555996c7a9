//! Which names are known, and the filter that tells them from others.

use super::*;
use crate::learn::paths::Resolved;
use crate::learn::record::{Event, When};
use crate::learn::trace::{Phase, Use};
use crate::sys::calls::number;
use crate::sys::perf::Watch;
use crate::sys::tracefs;

fn openat() -> u32 {
    number("openat").unwrap()
}

fn recorder(uses: &[(&str, u64, &str, u64)]) -> Recorder {
    let mut recorder = Recorder::default();
    for (call, flags, path, count) in uses {
        for _ in 0..*count {
            recorder.named(number(call).unwrap(), *flags, Path::new(path));
        }
    }
    recorder
}

fn filters(recorder: &Recorder) -> Vec<String> {
    let text = |one: &Watched| one.filter.to_str().unwrap().to_owned();
    watched(recorder).iter().map(text).collect()
}

#[test]
fn names_stand_by_their_flags_and_the_most_used_first() {
    let seen = recorder(&[
        ("openat", 2048, "/b", 16),
        ("openat", 2048, "/a", 40),
        ("openat", 0, "/c", 20),
        ("openat", 0, "/rare", 15),
        ("access", 0, "/d", 16),
    ]);
    let expected = [
        "!(filename.ustring==\"/d\")",
        "(flags==2048&&!(filename.ustring==\"/a\"||filename.ustring==\"/b\"))\
         ||(flags==0&&!(filename.ustring==\"/c\"))",
    ];
    let mut filters = filters(&seen);
    filters.sort();
    assert_eq!(filters, expected);
    let calls = watched(&seen);
    let open = calls.iter().find(|one| one.call == openat()).unwrap();
    assert_eq!(open.flags, [2048, 0]);
}

#[test]
fn what_the_kernel_would_read_otherwise_is_not_known() {
    let long = format!("/{}", "x".repeat(255));
    for name in [
        "/a*",
        "/a?",
        "/a[b]",
        "/a\\b",
        "/a\"b",
        "/a'b",
        "/a\nb",
        "/\u{e9}",
        "a",
        &long,
        "/proc/self/stat",
    ] {
        assert_eq!(
            filters(&recorder(&[("openat", 0, name, 99)])),
            [""; 0],
            "{name}"
        );
    }
}

#[test]
fn a_filter_is_never_too_long_for_the_kernel() {
    let names: Vec<String> = (0..100)
        .map(|number| format!("/{number:03}/{}", "x".repeat(200)))
        .collect();
    let uses: Vec<_> = names
        .iter()
        .map(|name| ("openat", 0, name.as_str(), 99))
        .collect();
    let calls = watched(&recorder(&uses));
    let [one] = calls.as_slice() else {
        panic!("{calls:?}")
    };
    assert!(one.filter.as_bytes_with_nul().len() <= LONGEST_FILTER);
    assert!(one.names.len() > 10, "{}", one.names.len());
}

/// Needs root and a kernel with tracepoints for system calls.
#[test]
fn the_kernel_takes_every_filter() {
    let names: Vec<String> = (0..MOST).map(|number| format!("/some/{number}")).collect();
    for named in calls::named::NAMED {
        let uses: Vec<_> = names
            .iter()
            .zip(0..)
            .map(|(name, index)| (named.call, index % 3 * 256, name.as_str(), 20))
            .collect();
        let [one] = &watched(&recorder(&uses))[..] else {
            panic!("{}", named.call)
        };
        assert_eq!(one.names.len(), MOST, "{}", named.call);
        let event = tracefs::event("syscalls", &named.event()).unwrap();
        Watch::check(event.id, &one.filter).unwrap();
    }
}

#[test]
fn a_service_that_changes_its_root_or_takes_the_signal_has_none() {
    let when = When {
        phase: Phase::Serve,
        exercise: 0,
        program: 0,
    };
    let uses = [("openat", 0, "/a", 99)];
    let mut root = recorder(&uses);
    let jail = Resolved {
        host: "/jail".into(),
        ..Resolved::default()
    };
    root.record(
        when,
        Event::Path {
            found: jail,
            uses: vec![Use::Root],
            failure: None,
        },
    );
    assert_eq!(filters(&root), [""; 0]);
    let mut signal = recorder(&uses);
    signal.record(
        when,
        Event::Handler {
            process: 1,
            signal: abi::SIGTRAP,
        },
    );
    assert_eq!(filters(&signal), [""; 0]);
    assert_eq!(filters(&recorder(&uses)).len(), 1);
}
