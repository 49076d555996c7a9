//! Builds by the real command that are killed in the middle, or run out of disk.

use std::ffi::CString;
use std::fs;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use gaoler::build::{drift, state_of};
use gaoler::sys::ptrace::{self, Change, Stop, SyscallInfo, Until};
use gaoler::sys::seccomp::{Instruction, answers};
use gaoler::sys::{calls, spawn_traced};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::Place;

const GAOLER: &str = env!("CARGO_BIN_EXE_gaoler");

/// `return SECCOMP_RET_TRACE`.
const TRACE_EVERY_CALL: Instruction = Instruction {
    code: 6,
    jt: 0,
    jf: 0,
    k: answers::TRACE,
};

/// How many places of a build, at equal distances, it is killed at. `tests/robust` kills it at each call that
/// changes something.
const PLACES: usize = 24;

/// The calls that a build becomes visible by: it is killed before and after each of them, too.
const DECISIVE: [&str; 6] = [
    "fsync",
    "rename",
    "renameat",
    "renameat2",
    "symlinkat",
    "syncfs",
];

/// Where a build is killed: before the kernel performs a call.
#[derive(Clone, Copy, Debug)]
enum At {
    /// At its end, which is not killed.
    End,
    /// At the call of this number, from 1. Threads make the count differ a little each time.
    Call(usize),
    /// At the decisive call of this number, from 1: their order does not depend on threads.
    Decisive(usize),
    /// At the next call of any thread after that one.
    After(usize),
}

/// What the tracer has seen of a build.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    calls: usize,
    decisive: usize,
    /// The decisive call has been performed: a call came after it in the same thread.
    decided_by: Option<i32>,
}

impl Seen {
    /// Counts a call that a thread has asked for. Answers whether it is the one to be killed at.
    fn reaches(&mut self, at: At, thread: i32, call: u64) -> bool {
        self.calls += 1;
        let name = u32::try_from(call).ok().and_then(calls::name);
        if let At::After(number) = at
            && self.decisive == number
            && self.decided_by == Some(thread)
        {
            return true;
        }
        if name.is_some_and(|name| DECISIVE.contains(&name)) {
            self.decisive += 1;
            self.decided_by = Some(thread);
            if matches!(at, At::Decisive(number) if number == self.decisive) {
                return true;
            }
        }
        matches!(at, At::Call(number) if number == self.calls)
    }
}

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

    /// Builds under a tracer, which kills it. Answers with what it has seen until then, and
    /// whether it was killed.
    fn build_until(&self, at: At) -> (Seen, bool) {
        let text = |text: &str| CString::new(text).unwrap();
        let words = self.words("build");
        let program = spawn_traced::Program {
            no_new_privs: false,
            file: text(GAOLER),
            arguments: std::iter::once(GAOLER)
                .chain(words.iter().map(String::as_str))
                .map(text)
                .collect(),
            environment: Vec::new(),
            workdir: text("/"),
            ids: None,
            input: OwnedFd::from(File::open("/dev/null").unwrap()),
            output: OwnedFd::from(File::create(self.place.path("output")).unwrap()),
        };
        let launched = spawn_traced::launch(&program, &[TRACE_EVERY_CALL], |_| {}).unwrap();
        let mut seen = Seen::default();
        loop {
            let Some(report) = ptrace::wait(true).unwrap() else {
                continue;
            };
            match report.change {
                Change::Exited(code) if report.tid == launched.pid => {
                    let output = fs::read_to_string(self.place.path("output")).unwrap();
                    assert_eq!(code, 0, "{output}");
                    return (seen, false);
                }
                Change::Killed(signal) if report.tid == launched.pid => {
                    assert_eq!(signal, 9);
                    return (seen, true);
                }
                Change::Stopped(stop) => {
                    if stop == Stop::Seccomp
                        && let Ok(SyscallInfo::Asked(call)) = ptrace::syscall_info(report.tid)
                        && seen.reaches(at, report.tid, call.number)
                    {
                        let pid = Pid::from_raw(launched.pid).unwrap();
                        kill_process(pid, Signal::KILL).unwrap();
                        continue;
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

impl Drop for Jail {
    fn drop(&mut self) {
        // Where the host has no /dev/log, the supervisor writes here.
        drop(fs::remove_file("/var/log/gaoler-test.log"));
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
    let (measure, killed) = jail.build_until(At::End);
    assert!(
        !killed && measure.calls > PLACES && measure.decisive > 10,
        "{measure:?}"
    );

    let spread = (1..=PLACES).map(|part| At::Call(part * measure.calls / (PLACES + 1)));
    let decisive =
        (1..=measure.decisive).flat_map(|number| [At::Decisive(number), At::After(number)]);
    for at in spread.chain(decisive) {
        jail.change(&format!("killed at {at:?}"));
        let (seen, killed) = jail.build_until(at);
        let when = format!("{at:?} of {measure:?}: {seen:?}");
        assert!(killed, "{when}");
        jail.is_whole(&when);
        // Also removes what was left, so that the next one needs as many calls as the measure.
        jail.must("build");
    }
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
