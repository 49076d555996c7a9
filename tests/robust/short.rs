//! Too little room, too few descriptors, too few processes, at each amount until it is enough.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gaoler::sys::fork::{Namespaces, unshare};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, mount_remount, unmount,
};

use crate::common::{Answer, DONE, FAILED, GAOLER, NOT_SET_UP, Place};
use crate::lab::Lab;

/// It is told, with one of the exit codes for that, and without a panic.
#[track_caller]
fn is_told(answer: &Answer, when: &str) {
    let code = answer
        .code
        .is_some_and(|code| [FAILED, NOT_SET_UP].contains(&code));
    let told = answer.error.starts_with("gaoler: cannot ");
    assert!(
        code && told && !answer.error.contains("panicked"),
        "{when}: {answer:?}"
    );
}

/// Runs gaoler under another program that makes something scarce.
fn under(place: &Place, words: &[&str], verb: &str) -> Answer {
    let (program, arguments) = words.split_first().unwrap();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(GAOLER)
        .args(place.arguments(&[verb, &place.name]));
    Answer::of(command.output().unwrap())
}

/// With more and more of something, until a build and a start have all that they need. What was
/// refused left nothing.
fn until_enough(lab: &Lab, amounts: &[u64], limited: impl Fn(u64, &str) -> Answer) {
    let (mut built, mut started) = (0, 0);
    for amount in amounts {
        let when = format!("with {amount}");
        lab.change(&when);
        let answer = limited(*amount, "build");
        match answer.code {
            Some(DONE) => built += 1,
            _ => is_told(&answer, &format!("build {when}")),
        }
        lab.is_whole(&when);
        // What it takes to remove half a tree can be lacking, too.
        if !lab.leftovers().is_empty() {
            let ways = ["could not be removed", "cannot remove generation"];
            let told = ways.iter().any(|way| answer.error.contains(way));
            assert!(told, "build {when}: {answer:?}");
            lab.must("build");
        }
        assert_eq!(lab.leftovers(), Vec::<PathBuf>::new(), "build {when}");
        let answer = limited(*amount, "start");
        match answer.code {
            Some(DONE) => {
                assert_eq!(lab.hello(), "hello\n", "{when}: {answer:?}");
                started += 1;
            }
            _ => is_told(&answer, &format!("start {when}")),
        }
        if answer.code != Some(NOT_SET_UP) {
            lab.must("stop");
        }
        lab.nothing_is_up(&when);
        lab.place.nothing_runs();
        assert_eq!(lab.leftovers(), Vec::<PathBuf>::new(), "start {when}");
    }
    let count = amounts.len();
    assert!(built > 1, "{built} of {count} builds");
    assert!((2..count).contains(&started), "{started} of {count} starts");
    lab.works("at the end");
    println!("of {count} amounts, {built} builds and {started} starts had enough");
}

#[test]
fn few_descriptors() {
    let lab = Lab::new();
    // None of gaoler's own has a number between.
    let amounts: Vec<u64> = (3..=24).chain(60..=80).collect();
    until_enough(&lab, &amounts, |amount, verb| {
        under(
            &lab.place,
            &["prlimit", &format!("--nofile={amount}")],
            verb,
        )
    });
}

/// A cgroup in which there can be so many processes and threads.
struct Group(PathBuf);

impl Group {
    fn new() -> Self {
        let first = Path::new("/sys/fs/cgroup/pids");
        let parent = if first.is_dir() {
            first
        } else {
            Path::new("/sys/fs/cgroup")
        };
        let path = parent.join(format!("gaoler-robust-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        crate::common::eventually("the cgroup is empty", || fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn few_processes() {
    let lab = Lab::new();
    let group = Group::new();
    let script = "echo $$ >\"$0/cgroup.procs\" && exec \"$@\"";
    let amounts: Vec<u64> = (1..=24).collect();
    until_enough(&lab, &amounts, |amount, verb| {
        fs::write(group.0.join("pids.max"), amount.to_string()).unwrap();
        under(
            &lab.place,
            &["sh", "-c", script, group.0.to_str().unwrap()],
            verb,
        )
    });
}

/// Gives this thread, and what it starts, mounts of its own.
fn own_mounts() {
    let only = |kind| Namespaces {
        mount: kind,
        pid: false,
        ipc: false,
        uts: false,
    };
    unshare(only(true)).unwrap();
    mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )
    .unwrap();
}

/// A disk of its own, for as long as this lives.
struct Disk(PathBuf);

impl Disk {
    fn new(path: PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let options = c"size=16m,mode=755";
        mount("none", &path, "tmpfs", MountFlags::empty(), options).unwrap();
        Self(path)
    }

    fn change(&self, flags: MountFlags) {
        mount_remount(&self.0, flags, c"").unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

/// Leaves so many bytes free on the disk.
fn fill(disk: &Path, free: u64) {
    let file = disk.join("filler");
    drop(fs::remove_file(&file));
    let file = fs::File::create(file).unwrap();
    loop {
        let stat = rustix::fs::statvfs(disk).unwrap();
        let size = (stat.f_bavail * stat.f_frsize).saturating_sub(free);
        if size == 0 {
            return;
        }
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size) {
            // A supervisor has written something since it was asked how much there is.
            Err(rustix::io::Errno::NOSPC) => {}
            filled => return filled.unwrap(),
        }
    }
}

#[test]
fn a_disk_with_little_room() {
    let lab = Lab::unbuilt();
    own_mounts();
    let disk = Disk::new(lab.place.state());
    lab.first_builds();
    // A page more each time at first, then in larger steps up to what a whole tree takes.
    let pages = (0..24).chain((24..400).step_by(24));
    let (mut built, mut refused) = (0, 0);
    for free in pages.map(|pages| pages * 4096) {
        let when = format!("{free} bytes free");
        fill(&disk.0, free);
        lab.change(&when);
        let answer = lab.place.verb("build");
        if answer.code == Some(DONE) {
            built += 1;
        } else {
            refused += 1;
            is_told(&answer, &when);
            assert!(
                answer.error.contains("No space left on device"),
                "{when}: {answer:?}"
            );
        }
        lab.is_whole(&when);
        assert_eq!(lab.leftovers(), Vec::<PathBuf>::new(), "{when}");
        // Full or not, the last good one starts.
        let started = lab.place.verb("start");
        assert_eq!(started.code, Some(DONE), "{when}: {started:?}");
        assert_eq!(lab.hello(), "hello\n", "{when}");
        lab.must("stop");
    }
    assert!(built > 1 && refused > 20, "{built} {refused}");
}

#[test]
fn a_run_directory_with_little_room() {
    let lab = Lab::new();
    own_mounts();
    let disk = Disk::new(lab.place.run());
    let mut started = 0;
    for free in (0..12).map(|pages| pages * 4096) {
        let when = format!("{free} bytes free");
        fill(&disk.0, free);
        let answer = lab.place.verb("start");
        if answer.code == Some(DONE) {
            started += 1;
            assert_eq!(lab.hello(), "hello\n", "{when}");
            lab.must("stop");
        } else {
            is_told(&answer, &when);
            assert!(
                answer.error.contains("No space left on device"),
                "{when}: {answer:?}"
            );
        }
        fs::remove_file(disk.0.join("filler")).unwrap();
        lab.place.nothing_runs();
    }
    assert!((1..12).contains(&started), "{started}");
}

#[test]
fn a_stop_without_room_leaves_nobody() {
    let place = Place::new(&["child", "pause"]);
    own_mounts();
    let disk = Disk::new(place.run());
    place.start();
    fill(&disk.0, 0);
    let stopped = place.verb("stop");
    fs::remove_file(disk.0.join("filler")).unwrap();
    assert_eq!(stopped.code, Some(DONE), "{stopped:?}");
    place.nothing_runs();
}

#[test]
fn a_read_only_disk() {
    let lab = Lab::unbuilt();
    own_mounts();
    let disks = [Disk::new(lab.place.state()), Disk::new(lab.place.run())];
    lab.first_builds();
    for disk in &disks {
        disk.change(MountFlags::RDONLY);
    }
    lab.change("read-only");
    for verb in ["build", "start"] {
        let answer = lab.place.verb(verb);
        is_told(&answer, verb);
        assert!(
            answer.error.contains("Read-only file system"),
            "{verb}: {answer:?}"
        );
        lab.is_whole(verb);
    }
    for disk in &disks {
        disk.change(MountFlags::empty());
    }
    lab.works("writable again");
    lab.must("build");
}
