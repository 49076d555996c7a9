//! Generations: equal rebuilds, pruning, two builds at once, kill -9, a full disk.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gaoler::Error;
use gaoler::build::{Beside, Manifest, Progress, Request, build, state_of};
use gaoler::spec::{FileKind, Spec};

use crate::common::{Place, file, quiet, somebody, spec_of};

fn with_data(place: &Place, content: &str) -> Spec {
    fs::write(place.path("data"), content).unwrap();
    let mut spec = spec_of("/bin/true");
    spec.files = vec![file(place.path("data"), FileKind::Data)];
    spec
}

#[test]
fn an_equal_rebuild_is_no_new_generation_unless_the_tree_was_touched() {
    let place = Place::new();
    let spec = with_data(&place, "one");
    let first = place.build(&spec, &somebody());
    assert_eq!((first.built.generation, first.built.changed), (1, true));
    let second = place.build(&spec, &somebody());
    assert_eq!((second.built.generation, second.built.changed), (1, false));
    fs::write(first.root.join("usr/bin/true"), "tampered with").unwrap();
    let third = place.build(&spec, &somebody());
    assert_eq!((third.built.generation, third.built.changed), (2, true));
    let fourth = place.build(&with_data(&place, "two"), &somebody());
    assert_eq!(fourth.built.generation, 3);
}

#[test]
fn three_generations_are_kept_and_those_in_use() {
    let place = Place::new();
    for number in 1..=6 {
        let spec = with_data(&place, &number.to_string());
        let (account, state) = (somebody(), place.state());
        let in_use = [2];
        let request = Request {
            spec: &spec,
            account: &account,
            state: &state,
            in_use: &in_use,
            modes: &[],
            beside: &|_, _| Ok(Vec::new()),
            current: true,
        };
        build(&request, &quiet).unwrap();
    }
    let state = state_of(&place.state(), "test").unwrap().unwrap();
    assert_eq!(state.generations().unwrap(), [2, 4, 5, 6]);
    assert_eq!(state.current().unwrap(), Some(6));
    let lock = state.lock(&quiet).unwrap();
    lock.switch(4).unwrap();
    assert_eq!(state.current().unwrap(), Some(4));
    assert!(lock.switch(3).is_err());
    assert_eq!(state.current().unwrap(), Some(4));
}

#[test]
fn leftovers_of_a_killed_build_go_and_their_links_lead_nowhere() {
    let place = Place::new();
    let spec = with_data(&place, "one");
    place.build(&spec, &somebody());
    let leftover = place.state().join("test/generations/.building-4242");
    fs::create_dir_all(leftover.join("root/etc")).unwrap();
    fs::write(place.path("precious"), "").unwrap();
    symlink(place.directory.path(), leftover.join("root/link")).unwrap();
    fs::hard_link(place.path("precious"), leftover.join("root/hard")).unwrap();
    place.build(&spec, &somebody());
    assert!(!leftover.exists());
    assert!(place.path("precious").exists());
}

#[test]
fn the_second_of_two_builds_waits() {
    let place = Place::new();
    let spec = with_data(&place, "one");
    place.build(&spec, &somebody());
    let state = state_of(&place.state(), "test").unwrap().unwrap();
    let lock = state.lock(&quiet).unwrap();
    let waited = AtomicUsize::new(0);
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            let (account, state) = (somebody(), place.state());
            let request = Request {
                spec: &spec,
                account: &account,
                state: &state,
                in_use: &[],
                modes: &[],
                beside: &|_, _| Ok(Vec::new()),
                current: true,
            };
            build(&request, &|progress| {
                if let Progress::Waiting(pid) = progress {
                    assert_eq!(pid, std::process::id());
                    waited.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        thread::sleep(Duration::from_millis(300));
        assert!(!second.is_finished());
        drop(lock);
        assert!(!second.join().unwrap().unwrap().changed);
    });
    assert!(waited.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_build_that_waits_too_long_says_for_whom() {
    let place = Place::new();
    let spec = with_data(&place, "one");
    place.build(&spec, &somebody());
    let state = state_of(&place.state(), "test").unwrap().unwrap();
    let _lock = state.lock(&quiet).unwrap();
    let error = place.try_build(&spec, &somebody()).unwrap_err().to_string();
    assert!(
        error.contains(&format!("process {}", std::process::id())),
        "{error}"
    );
}

#[test]
fn what_lies_beside_the_manifest_comes_with_its_generation_or_not_at_all() {
    let place = Place::new();
    let (account, state) = (somebody(), place.state());
    let build_with = |spec: &Spec, beside: &Beside<'_>| {
        let request = Request {
            spec,
            account: &account,
            state: &state,
            in_use: &[],
            modes: &[],
            beside,
            current: true,
        };
        build(&request, &quiet)
    };
    let directory = state.join("test/generations");
    let told = |generation: u64, manifest: &Manifest| {
        assert!(!directory.join(generation.to_string()).exists());
        Ok(vec![("note", format!("{generation} {}", manifest.files()))])
    };
    let first = build_with(&with_data(&place, "one"), &told).unwrap();
    let note = fs::read_to_string(directory.join("1/note")).unwrap();
    assert_eq!(note, format!("1 {}", first.files));
    let failing = |_, _: &Manifest| Err(Error::new("make a note", "there is no paper"));
    let failed = build_with(&with_data(&place, "two"), &failing).unwrap_err();
    assert_eq!(failed.why(), "there is no paper");
    let names: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["1"]);
    let again = build_with(&with_data(&place, "one"), &failing).unwrap();
    assert!(!again.changed);
}
