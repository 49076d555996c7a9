//! A system call that fails: once for each that changes something, with each error that it can have
//! for want of room, descriptors, processes or memory, or because the disk is read-only or broken.
//!
//! Either gaoler says what it could not do, with the exit code of the manual's table, and nothing
//! has been started or left; or it did all that was asked for without that call.

use std::collections::BTreeMap;

use crate::common::{DONE, FAILED, NOT_SET_UP};
use crate::lab::{Call, Lab, Nth, Traced, What, assert_most, each, exhaustive};

const EIO: i32 = 5;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EMFILE: i32 = 24;
const EPERM: i32 = 1;

/// The errors of a call; none if it cannot fail or nothing depends on it.
fn errors(name: &str) -> &'static [i32] {
    match name {
        "open" | "openat" | "openat2" => &[EMFILE, ENOSPC, EROFS],
        "pipe2"
        | "socket"
        | "socketpair"
        | "dup"
        | "dup2"
        | "dup3"
        | "memfd_create"
        | "eventfd2"
        | "signalfd4"
        | "pidfd_open"
        | "epoll_create1"
        | "fsopen"
        | "fsmount"
        | "open_tree"
        | "landlock_create_ruleset" => &[EMFILE, ENOMEM],
        "clone" | "clone3" | "fork" | "vfork" => &[EAGAIN, ENOMEM],
        "fsync" | "syncfs" | "fdatasync" => &[EIO, ENOSPC],
        "write" | "pwrite64" | "writev" | "copy_file_range" | "sendfile" | "ftruncate"
        | "fallocate" => &[ENOSPC, EIO],
        "mkdir" | "mkdirat" | "mknod" | "mknodat" | "symlink" | "symlinkat" | "link" | "linkat"
        | "rename" | "renameat" | "renameat2" => &[ENOSPC, EROFS, EIO],
        "unlink" | "unlinkat" | "rmdir" | "chmod" | "fchmod" | "fchmodat" | "chown" | "fchown"
        | "fchownat" | "lchown" | "utimensat" => &[EROFS, EIO],
        "mount" | "move_mount" | "mount_setattr" | "fsconfig" | "pivot_root" | "umount2"
        | "unshare" | "setns" | "execve" | "execveat" => &[ENOMEM, EPERM],
        "bind" | "listen" | "connect" | "flock" | "chroot" | "chdir" | "fchdir" | "setsid" => {
            &[ENOMEM, EPERM]
        }
        "setresuid"
        | "setresgid"
        | "setgroups"
        | "capset"
        | "seccomp"
        | "landlock_add_rule"
        | "landlock_restrict_self" => &[ENOMEM, EPERM],
        _ => &[],
    }
}

/// Calls that may only read but need a descriptor, which is what they can lack; as in `tracer.c`.
const TAKING: [&str; 7] = [
    "open",
    "openat",
    "openat2",
    "pipe2",
    "socket",
    "pidfd_open",
    "memfd_create",
];

/// The places at which a command's calls fail, and how.
fn places(calls: &[Call]) -> Vec<(Nth, i32, &'static str)> {
    let mut found = Vec::new();
    let (mut changing, mut taking) = (0, 0);
    let mut reading: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        if call.changes {
            changing += 1;
            let all = errors(call.name);
            let some = if exhaustive() {
                all
            } else {
                all.get(changing % all.len().max(1)..).unwrap_or_default()
            };
            let taken = some.iter().take(if exhaustive() { some.len() } else { 1 });
            found.extend(taken.map(|errno| (Nth::Changing(changing), *errno, call.name)));
            continue;
        }
        if TAKING.contains(&call.name) {
            taking += 1;
            let count = reading.entry(call.name).or_default();
            *count += 1;
            if exhaustive() || *count % 24 == 1 {
                found.push((Nth::Taking(taking), EMFILE, call.name));
            }
        }
    }
    found
}

/// It says what it could not do, and why.
fn is_told(lab: &Lab, traced: &Traced, codes: &[i32], when: &str) {
    let answer = &traced.answer;
    let code = answer.code.is_some_and(|code| codes.contains(&code));
    assert!(code, "{when}: {traced:?}");
    let first = answer
        .error
        .lines()
        .find(|line| line.starts_with("gaoler: "));
    let words = first.unwrap_or_else(|| panic!("{when}: no word: {traced:?}"));
    assert!(
        words.starts_with("gaoler: cannot ") && words.contains(": "),
        "{when}: {words}"
    );
    assert!(!answer.error.contains("panicked"), "{when}: {traced:?}");
    assert!(
        !answer.out.contains(&format!("{} started", lab.place.name)),
        "{when}: {traced:?}"
    );
}

#[test]
fn a_build_whose_calls_fail_changes_nothing_or_all() {
    let lab = Lab::new();
    lab.change("the measure");
    let measure = lab.traced("build", None);
    let places = places(&measure.calls);
    assert!(places.len() > 60, "{places:?}");
    let (mut reached, mut refused) = (0, 0);
    each(&places, |_, (nth, errno, call)| {
        let when = format!("build, {call} {nth:?} fails with {errno}");
        lab.change(&when);
        let traced = lab.traced("build", Some((*nth, What::Error(*errno))));
        reached += usize::from(traced.hit);
        lab.is_whole(&when);
        if traced.answer.code == Some(DONE) {
            // What it answered is true: there is nothing left to do.
            lab.place.verb("build").is(DONE, &["(unchanged)"]);
        } else {
            refused += 1;
            is_told(&lab, &traced, &[FAILED, NOT_SET_UP], &when);
            lab.must("build");
        }
        assert_eq!(lab.leftovers(), Vec::<std::path::PathBuf>::new(), "{when}");
    });
    assert_most(reached, places.len());
    lab.works("at the end");
    println!("build: {reached} calls failed, {refused} builds were refused");
    assert!(refused * 2 > reached, "{refused} of {reached}");
}

#[test]
fn a_start_whose_calls_fail_starts_nothing_or_all() {
    fails("start");
}

fn fails(verb: &str) {
    let lab = Lab::new();
    let places = places(&lab.calls_of_start(verb));
    assert!(places.len() > 60, "{places:?}");
    let (mut reached, mut refused) = (0, 0);
    each(&places, |_, (nth, errno, call)| {
        let when = format!("{verb}, {call} {nth:?} fails with {errno}");
        let mut traced = lab.traced(verb, Some((*nth, What::Error(*errno))));
        if !traced.hit {
            lab.must("stop");
            traced = lab.traced(verb, Some((*nth, What::Error(*errno))));
        }
        reached += usize::from(traced.hit);
        if traced.answer.code == Some(DONE) {
            assert_eq!(lab.hello(), "hello\n", "{when}: {traced:?}");
            lab.must("stop");
        } else {
            refused += 1;
            is_told(&lab, &traced, &[FAILED, NOT_SET_UP], &when);
            // It runs, and could not be waited for, or nobody could be told.
            if traced.answer.code == Some(FAILED) {
                lab.must("stop");
            }
        }
        lab.nothing_is_up(&when);
        lab.place.nothing_runs();
        lab.is_whole(&when);
        if refused % 4 == 1 || exhaustive() {
            lab.works(&when);
        }
    });
    assert_most(reached, places.len());
    lab.works("at the end");
    println!("{verb}: {reached} calls failed, {refused} starts were refused");
    assert!(refused * 2 > reached, "{refused} of {reached}");
}
