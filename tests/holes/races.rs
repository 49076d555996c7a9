//! Holes that are open for a moment: somebody renames while gaoler builds and mounts.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::{DONE, FAILED, NOT_SET_UP, Place};
use crate::lab::{Precious, Room, WAYS, bind, builder, finish, jail, lines, run};

/// Renames that there must have been, as many as in the report of CVE-2021-30465.
const ROUNDS: usize = 10_000;

/// By then a race is over: on an idle machine it takes less than ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Renames the directory `place` away, puts a link to `target` there, and takes it back, again and
/// again while `race` goes on. That is told how often it was done so far.
fn swapping(
    place: impl Fn(usize) -> Option<PathBuf> + Sync,
    target: &Path,
    race: impl FnOnce(&AtomicUsize),
) {
    let (over, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0.. {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let Some(path) = place(turn) else { continue };
                let away = path.with_extension("away");
                if fs::rename(&path, &away).is_err() {
                    continue;
                }
                drop(symlink(target, &path));
                std::thread::yield_now();
                drop(fs::remove_file(&path));
                drop(fs::rename(&away, &path));
                // Now and then it stays for a moment, so that there is something to look at.
                if rounds.fetch_add(1, Ordering::Relaxed) % 64 == 0 {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        let _ends = Ends(&over);
        race(&rounds);
    });
}

/// Ends a race, also when a check in it fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does something until there were enough renames and `enough` says so too.
#[track_caller]
fn until(rounds: &AtomicUsize, mut again: impl FnMut(), enough: impl Fn() -> bool) {
    let begun = Instant::now();
    while rounds.load(Ordering::Relaxed) < ROUNDS || !enough() {
        let renames = rounds.load(Ordering::Relaxed);
        assert!(
            begun.elapsed() < PATIENCE,
            "only {renames} renames, or nobody in the way"
        );
        again();
    }
}

/// The directories of a tree, relative to it.
fn directories(tree: &Path, below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(tree.join(below)).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            let path = below.join(entry.file_name());
            found.extend(directories(tree, &path));
            found.push(path);
        }
    }
    found
}

#[test]
fn directories_that_are_renamed_during_a_build() {
    let mut place = Place::with("dynamic", &["ids"]);
    place.bind("data", true);
    place.write();
    place.verb("build").is(DONE, &[]);
    let directories = directories(&place.tree(1), Path::new(""));
    assert!(directories.len() > 5, "{directories:?}");
    let precious = Precious::new(place.path("precious"));
    let generations = place.state().join(&place.name).join("generations");
    let (built, failed) = (Cell::new(0), Cell::new(0));
    swapping(
        |turn| {
            let entries = fs::read_dir(&generations).ok()?.flatten();
            let mut names = entries.map(|entry| entry.file_name());
            let building = names.find(|name| name.as_encoded_bytes().starts_with(b".building-"))?;
            let tree = generations.join(building).join("root");
            Some(tree.join(&directories[turn % directories.len()]))
        },
        &precious.path,
        |rounds| {
            let build = || {
                drop(fs::remove_dir_all(&generations));
                let answer = place.verb("build");
                match answer.code {
                    Some(DONE) => built.set(built.get() + 1),
                    Some(FAILED) => failed.set(failed.get() + 1),
                    _ => panic!("{answer:#?}"),
                }
            };
            until(rounds, build, || failed.get() > 0);
        },
    );
    assert_eq!(precious.changes(), Vec::<String>::new());
    place.verb("build").is(DONE, &[]);
}

/// The same with a builder that looks first, and makes its file a moment later.
#[test]
fn the_same_race_against_a_builder_that_looks_first() {
    let room = Room::new();
    let precious = Precious::new(room.path("precious"));
    let data = room.root().join("data");
    fs::create_dir(&data).unwrap();
    swapping(
        |_| Some(data.clone()),
        &precious.path,
        |_| {
            let deadline = Instant::now() + PATIENCE;
            while precious.changes().is_empty() && Instant::now() < deadline {
                builder("race", &room.root());
            }
        },
    );
    assert_ne!(precious.changes(), Vec::<String>::new());
}

/// A place below a directory that the service may write to, which gives way to a link while jails
/// are started (CVE-2021-30465; with a terminal's directory, CVE-2025-52565).
#[test]
fn a_directory_that_becomes_a_link_while_it_is_mounted() {
    let mut place = jail(&["walk"]);
    let data = place.bind("data", true);
    let sub = data.join("sub");
    fs::create_dir(&sub).unwrap();
    place.text.tables += &bind(&sub, true);
    place.write();
    let precious = Precious::new(place.path("precious"));
    run(&place, &["run"], &[]).is(DONE, &["reached "]);
    let (ran, refused) = (Cell::new(0), Cell::new(0));
    swapping(
        |_| Some(sub.clone()),
        &precious.path,
        |rounds| {
            let both_ways = || {
                for way in WAYS {
                    let words = [way, &[place.name.as_str()]].concat();
                    let answer = place.gaoler(&words);
                    assert_eq!(treasure(&answer), Vec::<String>::new());
                    match answer.code {
                        Some(DONE) => ran.set(ran.get() + 1),
                        Some(NOT_SET_UP) => refused.set(refused.get() + 1),
                        _ => panic!("{answer:#?}"),
                    }
                }
            };
            until(rounds, both_ways, || ran.get() > 0 && refused.get() > 0);
        },
    );
    assert_eq!(precious.changes(), Vec::<String>::new());
    place.nothing_runs_after(&["--exec"]);

    let room = Room::new();
    let sub = room.path("data/sub");
    fs::create_dir_all(&sub).unwrap();
    fs::create_dir(room.root().join("sub")).unwrap();
    let mut found = Vec::new();
    swapping(
        |_| Some(sub.clone()),
        &precious.path,
        |_| {
            let begun = Instant::now();
            while found.is_empty() && begun.elapsed() < PATIENCE {
                let answer = finish(room.launcher("race", &["/payload", "walk"]));
                found = treasure(&answer);
            }
        },
    );
    assert_ne!(found, Vec::<String>::new());
}

/// What the payload could reach of what was never bound.
fn treasure(answer: &crate::common::Answer) -> Vec<String> {
    let all = lines(answer, &["reached ", "writable "]);
    all.into_iter()
        .filter(|line| line.ends_with("/treasure"))
        .collect()
}
