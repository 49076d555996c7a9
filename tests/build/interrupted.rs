//! Builds by the real command that are killed in the middle, or run out of disk.

use std::ffi::CString;
use std::fs;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use gaoler::build::{drift, state_of};
use gaoler::sys::ptrace::{self, Change, Stop, SyscallInfo, Until};
use gaoler::sys::{calls, spawn_traced};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::Place;

const GAOLER: &str = env!("CARGO_BIN_EXE_gaoler");

/// How many places of a build, at equal distances, it is killed at.
const PLACES: usize = 64;

/// The calls that a build becomes visible by: it is killed before and after each of them, too.
const DECISIVE: [&str; 5] = ["renameat", "renameat2", "rename", "symlinkat", "syncfs"];

/// A jail for `/bin/true` and a data file, known to the real command.
struct Jail {
    place: Place,
}

impl Jail {
    fn new() -> Self {
        let place = Place::new();
        let data = place.path("data");
        fs::create_dir(place.path("etc")).unwrap();
        let spec = format!(
            "format = 1\nname = \"test\"\n[service]\ncommand = [\"/bin/true\"]\nuser = \"games\"\n\
             group = \"games\"\n[[tree.files]]\npath = {data:?}\nkind = \"data\"\nbecause = \"a test\"\n\
             [protections]\nseccomp = \"off\"\n"
        );
        fs::write(place.path("etc/test.toml"), spec).unwrap();
        let jail = Self { place };
        jail.change("first");
        jail
    }

    /// Gives the next build something to do.
    fn change(&self, content: &str) {
        fs::write(self.place.path("data"), content).unwrap();
    }

    fn words(&self, verb: &str) -> Vec<String> {
        let option = |name: &str| {
            let path = self.place.path(name).to_str().unwrap().to_owned();
            [format!("--{name}"), path]
        };
        let words = ["etc", "state", "run"].into_iter().flat_map(option);
        words.chain([verb.to_owned(), "test".to_owned()]).collect()
    }

    fn gaoler(&self, verb: &str) -> Output {
        let mut command = Command::new(GAOLER);
        command.args(self.words(verb)).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn must(&self, verb: &str) {
        let output = self.gaoler(verb);
        assert!(output.status.success(), "{verb}: {output:?}");
    }

    /// The current generation is as its manifest says, and can be started.
    fn is_whole(&self, when: &str) {
        let state = state_of(&self.place.state(), "test").unwrap().unwrap();
        let current = state.current().unwrap().unwrap();
        let manifest = state.manifest(current).unwrap();
        let differences = drift(&state.root(current), &manifest).unwrap();
        assert_eq!(differences, [], "{when}");
        let output = self.gaoler("run");
        assert!(output.status.success(), "{when}: {output:?}");
    }

    /// Builds under a tracer, which kills it at the system call of this number, before the
    /// kernel performs it. Answers with the calls until then, and whether it was killed.
    fn build_until(&self, last: Option<usize>) -> (Vec<u64>, bool) {
        let text = |text: &str| CString::new(text).unwrap();
        let words = self.words("build");
        let launched = spawn_traced::launch(&spawn_traced::Program {
            file: text(GAOLER),
            arguments: std::iter::once(GAOLER)
                .chain(words.iter().map(String::as_str))
                .map(text)
                .collect(),
            environment: Vec::new(),
            workdir: text("/"),
            input: OwnedFd::from(File::open("/dev/null").unwrap()),
            output: OwnedFd::from(File::create(self.place.path("output")).unwrap()),
        })
        .unwrap();
        let mut calls = Vec::new();
        loop {
            let Some(report) = ptrace::wait(true).unwrap() else {
                continue;
            };
            match report.change {
                Change::Exited(code) if report.tid == launched.pid => {
                    let output = fs::read_to_string(self.place.path("output")).unwrap();
                    assert_eq!(code, 0, "{output}");
                    return (calls, false);
                }
                Change::Killed(signal) if report.tid == launched.pid => {
                    assert_eq!(signal, 9);
                    return (calls, true);
                }
                Change::Stopped(stop) => {
                    if stop == Stop::Seccomp {
                        let asked = ptrace::syscall_info(report.tid);
                        if let Ok(SyscallInfo::Asked(call)) = asked {
                            calls.push(call.number);
                        }
                        if Some(calls.len()) == last {
                            let pid = Pid::from_raw(launched.pid).unwrap();
                            kill_process(pid, Signal::KILL).unwrap();
                            continue;
                        }
                    }
                    // A thread that is being killed cannot be resumed, and need not be.
                    drop(match stop {
                        Stop::Group(_) => ptrace::listen(report.tid),
                        Stop::Signal(signal) => ptrace::resume(report.tid, Until::Event, signal),
                        _ => ptrace::resume(report.tid, Until::Event, 0),
                    });
                }
                _ => {}
            }
        }
    }

    /// What is in the directory of the generations under a name that is no number.
    fn leftovers(&self) -> Vec<PathBuf> {
        let names = fs::read_dir(self.place.state().join("test/generations")).unwrap();
        names
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with('.'))
            .collect()
    }
}

#[test]
fn killed_at_any_call_the_last_generation_is_whole() {
    let jail = Jail::new();
    // The fourth and later builds also remove an old generation.
    for number in 0..4 {
        jail.change(&format!("generation {number}"));
        jail.must("build");
    }
    jail.change("the measure");
    let (calls, killed) = jail.build_until(None);
    assert!(!killed && calls.len() > PLACES, "{} calls", calls.len());

    let mut places: Vec<usize> = (1..=PLACES)
        .map(|part| part * calls.len() / (PLACES + 1))
        .collect();
    for (number, call) in calls.iter().enumerate() {
        let name = u32::try_from(*call).ok().and_then(calls::name);
        if name.is_some_and(|name| DECISIVE.contains(&name)) {
            // Numbers begin with 1: at the call, and at the one after it.
            places.extend([number + 1, number + 2]);
        }
    }
    places.sort_unstable();
    places.dedup();
    let mut count = 0;
    for place in &places {
        jail.change(&format!("killed at {place}"));
        let (_, killed) = jail.build_until(Some(*place));
        count += usize::from(killed);
        jail.is_whole(&format!("killed at call {place} of {}", calls.len()));
    }
    // How many calls a build needs depends a little on its threads: the last may have ended it.
    assert!(
        count >= PLACES - 4,
        "only {count} of {} were killed",
        places.len()
    );
    jail.change("the last");
    jail.must("build");
    jail.is_whole("at the end");
    assert_eq!(jail.leftovers(), Vec::<PathBuf>::new());
}

/// Builds in a mount namespace of its own, after `mount` in the place of the state directory.
/// Answers with what it said, and with what is there afterwards.
fn build_on(options: &str) -> String {
    let jail = Jail::new();
    let state = jail.place.state();
    fs::create_dir_all(&state).unwrap();
    let script = "mount -t tmpfs -o \"$1\" tmpfs \"$2\" || exit 99; state=$2; shift 2; \
                  \"$@\"; find \"$state\" ! -type d ! -name lock; find \"$state\" -name '.*'";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh", options])
        .arg(&state)
        .arg(GAOLER)
        .args(jail.words("build"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "",
        "something is left"
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_left() {
    for size in ["64k", "512k", "1m"] {
        let text = build_on(&format!("size={size},mode=755"));
        assert!(
            text.contains("No space left on device") && text.contains("hint: free some space"),
            "{text}"
        );
    }
}

#[test]
fn a_read_only_disk_is_an_error() {
    let text = build_on("ro,mode=755");
    assert!(text.contains("Read-only file system"), "{text}");
}
