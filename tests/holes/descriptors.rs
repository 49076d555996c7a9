//! What is left open, and where a jail begins.

use std::path::Path;
use std::process::Command;

use crate::common::{Answer, DONE, FAILED, NOT_SET_UP, USAGE};
use crate::lab::{Room, WAYS, finish, jail, lines, odd, rig, run, tells_apart};

/// Descriptors that the jail has, what can be read through one, and a working directory that is
/// not below the root.
fn leaks(answer: &Answer) -> Vec<String> {
    let mut leaks = lines(answer, &["descriptor ", "climbed ", "directory ("]);
    let read = lines(answer, &["read "]);
    leaks.extend(read.into_iter().filter(|line| !line.ends_with(": EBADF")));
    leaks
}

const LOOK: [&str; 3] = ["descriptors", "directory", "read=7"];

/// The payload in the root of a launcher that is wrong.
fn in_room<'a>(words: &[&'a str]) -> Vec<&'a str> {
    ["/payload"].iter().chain(words).copied().collect()
}

#[test]
fn a_directory_descriptor_and_a_working_directory_outside() {
    let caller = [odd::descriptor(7)];
    let place = jail(&LOOK);
    place.write();
    let room = Room::new();
    let words = in_room(&LOOK);
    let right = WAYS.map(|way| run(&place, way, &caller));
    for answer in &right {
        answer.is(DONE, &["directory /\n"]);
    }
    let [supervised, exec] = &right;
    let other = room.wrong("none", &caller, &words);
    for mistake in ["descriptors", "directory", "chroot,directory"] {
        let wrong = room.wrong(mistake, &caller, &words);
        tells_apart(leaks, &[supervised, exec, &other], &wrong);
    }
}

#[test]
fn a_working_directory_that_is_a_descriptor() {
    for directory in ["/proc/self/fd/7", "/proc/self/fd/7/..", "//proc/self/fd/7"] {
        let mut place = jail(&LOOK);
        place.text.service = format!("workdir = \"{directory}\"");
        place.write();
        for verb in ["build", "start", "run"] {
            place.verb(verb).is(USAGE, &["CVE-2024-21626"]);
        }
        place.nothing_was_done();
    }
    // A name that the host has for the same: gaoler's own descriptors, while it builds.
    for directory in ["/dev/fd/7", "/dev/fd/7/..", "/dev/stdin"] {
        let mut place = jail(&LOOK);
        place.text.service = format!("workdir = \"{directory}\"");
        place.write();
        for (verb, code) in [
            ("build", FAILED),
            ("start", NOT_SET_UP),
            ("run", NOT_SET_UP),
        ] {
            let answer = finish(rig(
                &[odd::descriptor(7)],
                &place.command(&[verb, &place.name]),
            ));
            let refused = answer.error.contains("has open") || answer.error.contains("`..`");
            assert!(refused, "{answer:#?}");
            assert!(
                [Some(code), Some(USAGE)].contains(&answer.code),
                "{answer:#?}"
            );
        }
        place.nothing_was_done();
    }
}

#[test]
fn close_range_that_is_refused() {
    let place = jail(&["descriptors", "read=2048"]);
    place.write();
    let room = Room::new();
    for errno in [libc::EPERM, libc::ENOSYS] {
        let host = [
            odd::descriptor(2048),
            odd::answer(libc::SYS_close_range, errno),
            odd::hide("/proc"),
        ];
        let right = WAYS.map(|way| run(&place, way, &host));
        for answer in &right {
            answer.is(NOT_SET_UP, &["close the inherited descriptors"]);
        }
        let [supervised, exec] = &right;
        let words = in_room(&["descriptors", "read=2048"]);
        let other = room.wrong("none", &host, &words);
        let wrong = room.wrong("first-thousand", &host, &words);
        tells_apart(leaks, &[supervised, exec, &other], &wrong);
    }
}

/// firejail 0.9.68: `--private-cwd` left the working directory where it was, with everything
/// above it.
#[test]
fn from_the_callers_working_directory_nothing_can_be_reached() {
    let place = jail(&["directory"]);
    place.write();
    let room = Room::new();
    let from_etc = |mut command: Command| {
        finish({
            command.current_dir(Path::new("/etc"));
            command
        })
    };
    let right = WAYS.map(|way| {
        let words: Vec<&str> = way.iter().copied().chain([place.name.as_str()]).collect();
        let answer = from_etc(place.command(&words));
        answer.is(DONE, &["directory /\n"]);
        place.nothing_runs_after(way);
        answer
    });
    let [supervised, exec] = &right;
    let words = in_room(&["directory"]);
    let other = from_etc(room.launcher("none", &words));
    let wrong = from_etc(room.launcher("chroot,directory", &words));
    tells_apart(leaks, &[supervised, exec, &other], &wrong);
}
