//! Generations: equal rebuilds, pruning, two builds at once, kill -9, a full disk.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gaoler::build::{Progress, Request, build, drift, state_of};
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

/// Builds in a process of its own: what the next tests start and kill.
#[test]
#[ignore = "started by other tests"]
fn helper_builds() {
    let Some(state) = std::env::var_os("GAOLER_TEST_STATE").map(PathBuf::from) else {
        return;
    };
    let (spec, account) = (spec_of("/usr/bin/openssl"), somebody());
    let request = Request {
        spec: &spec,
        account: &account,
        state: &state,
        in_use: &[],
    };
    if let Err(error) = build(&request, &quiet) {
        panic!("{error} | {}", error.next().unwrap_or_default());
    }
}

fn helper(command: &mut Command, state: &Path) -> std::process::Child {
    command
        .args([
            "--exact",
            "generations::helper_builds",
            "--ignored",
            "--nocapture",
        ])
        .env("GAOLER_TEST_STATE", state)
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn killed_at_any_instant_the_last_generation_is_whole() {
    let place = Place::new();
    let (mut spec, account) = (spec_of("/usr/bin/openssl"), somebody());
    let first = place.build(&spec, &account);
    // Another spec, so that the helper always has something to build.
    spec.service.workdir = "/srv".into();
    let other = place.build(&spec, &account);
    assert!(other.manifest != first.manifest);
    let exe = std::env::current_exe().unwrap();
    // How long one takes depends on the machine and on what else it does.
    let begun = std::time::Instant::now();
    let whole_run = helper(&mut Command::new(&exe), &place.state()).wait();
    assert!(whole_run.unwrap().success());
    let sixteenth = begun.elapsed() / 16;
    place.build(&spec, &account);
    let mut killed = 0;
    for instant in 0..16 {
        let mut child = helper(&mut Command::new(&exe), &place.state());
        thread::sleep(sixteenth * instant);
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        let state = state_of(&place.state(), "test").unwrap().unwrap();
        let current = state.current().unwrap().unwrap();
        let manifest = state.manifest(current).unwrap();
        assert_eq!(drift(&state.root(current), &manifest).unwrap(), []);
        // Back to the other spec, or the helper would find its tree there already.
        place.build(&spec, &account);
    }
    eprintln!("{killed} of 16 builds were killed");
    assert!(killed > 3, "no build was killed in the middle");
    let last = place.build(&spec, &account);
    assert!(last.manifest == other.manifest);
    let names = fs::read_dir(place.state().join("test/generations")).unwrap();
    let hidden = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
    assert_eq!(names.map(Result::unwrap).filter(hidden).count(), 0);
}

/// Runs the helper in a mount namespace of its own, after `mount`.
fn build_on(mount: &str, place: &Place) -> String {
    let exe = std::env::current_exe().unwrap();
    let state = place.state();
    fs::create_dir_all(&state).unwrap();
    let list = format!("ls -a '{}' >&2", state.join("test/generations").display());
    let script = format!("{mount} && \"$@\"; {list}").replace("DIR", state.to_str().unwrap());
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(exe);
    let output = helper(&mut unshare, &state).wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_left() {
    let place = Place::new();
    let text = build_on("mount -t tmpfs -o size=4m,mode=755 tmpfs DIR", &place);
    assert!(
        text.contains("No space left on device | free some space"),
        "{text}"
    );
    assert!(
        text.contains("..\n") && !text.contains(".building-"),
        "{text}"
    );
}

#[test]
fn a_read_only_disk_is_an_error() {
    let place = Place::new();
    let text = build_on("mount -t tmpfs -o ro,mode=755 tmpfs DIR", &place);
    assert!(text.contains("Read-only file system"), "{text}");
}
