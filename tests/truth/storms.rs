//! A program of our own whose calls are known beforehand, in twenty runs each: the trace has
//! exactly those calls, processes and threads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use gaoler::learn::Trace;
use gaoler::learn::trace::Use;

use crate::compare;
use crate::learner::{self, EVERY_CALL, Subject};
use crate::machine::machine;
use crate::witness::witnessed;

/// Each storm runs so often.
const RUNS: usize = 20;

/// Threads of a storm that has many.
const THREADS: u64 = 8;

/// What must be seen.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    calls: BTreeMap<String, u64>,
    processes: u64,
    threads: u64,
}

impl Expected {
    /// What every storm does: its start, and its end in `serve` of raw.h.
    fn frame() -> Self {
        let mut frame = Self {
            processes: 1,
            threads: 1,
            ..Self::default()
        };
        frame.add(1, &["execve", "rt_sigprocmask", "openat", "close"]);
        frame.add(1, &["rt_sigtimedwait", "exit_group"]);
        frame
    }

    fn add(&mut self, count: u64, names: &[&str]) {
        for name in names {
            *self.calls.entry((*name).to_owned()).or_default() += count;
        }
    }

    /// The threads of `threads` of raw.h.
    fn many_threads(mut self) -> Self {
        self.add(1, &["pipe2"]);
        self.add(THREADS, &["clone", "read", "write", "exit"]);
        self.threads += THREADS;
        self
    }

    fn of(trace: &Trace) -> Self {
        let mut calls = BTreeMap::new();
        for seen in &trace.calls {
            *calls.entry(seen.name.clone()).or_default() += seen.count;
        }
        Self {
            calls,
            processes: trace.certificate.processes,
            threads: trace.certificate.threads,
        }
    }
}

/// How often a path was used, how, and how not.
type Used = (u64, BTreeSet<Use>, BTreeSet<(Use, i32)>);

/// The program in a directory of its own.
struct Storm {
    directory: tempfile::TempDir,
    program: PathBuf,
}

impl Storm {
    fn compile() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("gaoler-storm-")
            .tempdir_in("/srv")
            .unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = directory.path().join("storm");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/truth/storm.c");
        let done = Command::new("gcc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-nostdlib", "-static"])
            .args(["-ffreestanding", "-fno-stack-protector", "-o"])
            .arg(&program)
            .arg(source)
            .status()
            .expect("gcc is missing: apt-get install gcc libc6-dev");
        assert!(done.success());
        Self { directory, program }
    }

    fn learn(&self, way: &[&str], what: &str, rounds: u64, paths: &[&str]) -> Trace {
        let ready = self.directory.path().join("ready");
        if ready.exists() {
            fs::remove_file(&ready).unwrap();
        }
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let mut command = vec![text(&self.program), what.to_owned(), text(&ready)];
        command.push(rounds.to_string());
        command.extend(paths.iter().map(|path| (*path).to_owned()));
        let ready = format!("file:{}", ready.display());
        let options =
            ["--user", "www-data", "--for", "0", "--ready", &ready].map(|word| word.to_owned());
        let subject = Subject {
            name: "storm",
            options: &options,
            command: &command,
        };
        learner::learn(&subject, way, self.directory.path())
    }
}

/// All calls were stops, and all stops were recorded.
fn assert_all_recorded(trace: &Trace, expected: &Expected) {
    learner::assert_certified(trace);
    let calls: u64 = expected.calls.values().sum();
    assert_eq!(trace.certificate.records, calls);
}

/// Twenty runs of a storm in every way of learning, each held to `expected` and to `check`.
fn runs(what: &str, rounds: u64, paths: &[&str], expected: &Expected, check: impl Fn(&Trace)) {
    let storm = Storm::compile();
    let begun = Instant::now();
    for way in EVERY_CALL {
        for run in 1..=RUNS {
            let trace = storm.learn(way, what, rounds, paths);
            let seen = Expected::of(&trace);
            assert_eq!(&seen, expected, "{what}, run {run} of {RUNS}, {way:?}");
            assert_all_recorded(&trace, expected);
            check(&trace);
        }
    }
    let calls: u64 = expected.calls.values().sum();
    let seconds = begun.elapsed().as_secs_f32();
    println!("{what:<10} {RUNS} runs of {calls} calls: {seconds:.1} s");
}

#[test]
fn a_million_calls() {
    const ROUNDS: u64 = 41_667;
    let mut expected = Expected::frame().many_threads();
    expected.add(THREADS * ROUNDS, &["getppid", "getuid", "umask"]);
    let storm = Storm::compile();
    for way in EVERY_CALL {
        let begun = Instant::now();
        let trace = storm.learn(way, "calls", ROUNDS, &[]);
        assert_eq!(Expected::of(&trace), expected, "{way:?}");
        assert_all_recorded(&trace, &expected);
        let seconds = begun.elapsed().as_secs_f64();
        let stops = trace.certificate.stops;
        println!("calls      one run of {stops} calls: {seconds:.1} s");
    }
}

#[test]
fn calls_of_many_threads() {
    const ROUNDS: u64 = 200;
    let mut expected = Expected::frame().many_threads();
    expected.add(THREADS * ROUNDS, &["getppid", "getuid", "umask"]);
    runs("calls", ROUNDS, &[], &expected, |_| {});
}

#[test]
fn forks_of_many_threads() {
    const ROUNDS: u64 = 50;
    let mut expected = Expected::frame().many_threads();
    expected.add(THREADS * ROUNDS, &["clone", "exit_group", "wait4"]);
    expected.processes += THREADS * ROUNDS;
    expected.threads += THREADS * ROUNDS;
    runs("fork", ROUNDS, &[], &expected, |_| {});
}

#[test]
fn programs_executed_by_many_threads() {
    const ROUNDS: u64 = 4;
    let mut expected = Expected::frame().many_threads();
    expected.add(THREADS * ROUNDS, &["vfork", "clone", "clone3", "fork"]);
    expected.add(4 * THREADS * ROUNDS, &["execve", "exit_group", "wait4"]);
    expected.processes += 4 * THREADS * ROUNDS;
    expected.threads += 4 * THREADS * ROUNDS;
    runs("exec", ROUNDS, &[], &expected, |trace| {
        let executed: Vec<_> = (trace.paths.iter())
            .filter(|seen| seen.uses.contains(&Use::Execute))
            .collect();
        assert_eq!(executed.len(), 1, "{executed:?}");
        assert_eq!(executed[0].count, 1 + 4 * THREADS * ROUNDS);
    });
}

#[test]
fn files_opened_by_many_threads() {
    const ROUNDS: u64 = 30;
    let directory = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(directory.path()).unwrap();
    fs::write(base.join("file"), "x").unwrap();
    fs::create_dir(base.join("directory")).unwrap();
    symlink("file", base.join("link")).unwrap();
    symlink("nowhere", base.join("dangling")).unwrap();
    symlink("loop", base.join("loop")).unwrap();
    // Each path, what it leads to, what is done with it, and the errno.
    let cases = [
        ("file", "file", Use::Read, None),
        ("directory", "directory", Use::List, None),
        ("link", "file", Use::Read, None),
        ("directory/../file", "file", Use::Read, None),
        ("missing", "missing", Use::Read, Some(2)),
        ("dangling", "nowhere", Use::Read, Some(2)),
        ("file/below", "file/below", Use::Read, Some(20)),
        ("loop", "loop", Use::Read, Some(40)),
    ];
    let all = THREADS * ROUNDS;
    let mut expected = Expected::frame().many_threads();
    for (_, _, _, failure) in &cases {
        expected.add(all, &["openat"]);
        expected.add(if failure.is_none() { all } else { 0 }, &["close"]);
    }
    let paths: Vec<String> = (cases.iter())
        .map(|(asked, ..)| base.join(asked).to_str().unwrap().to_owned())
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    runs("open", ROUNDS, &paths, &expected, |trace| {
        let mut wanted: BTreeMap<PathBuf, Used> = BTreeMap::new();
        for (_, host, used, failure) in &cases {
            let entry = wanted.entry(base.join(host)).or_default();
            entry.0 += all;
            match failure {
                None => entry.1.extend([*used]),
                Some(errno) => entry.2.extend([(*used, *errno)]),
            }
        }
        let seen = (trace.paths.iter())
            .filter(|seen| seen.host.starts_with(&base))
            .map(|seen| {
                let how = (seen.count, seen.uses.clone(), seen.failures.clone());
                (seen.host.clone(), how)
            });
        assert_eq!(seen.collect::<BTreeMap<_, _>>(), wanted);
    });
}

#[test]
fn children_that_outlive_their_parents() {
    const ROUNDS: u64 = 60;
    let mut expected = Expected::frame();
    expected.add(1, &["pipe2"]);
    expected.add(2 * ROUNDS, &["clone", "exit_group"]);
    expected.add(ROUNDS, &["setsid", "wait4", "write", "read"]);
    expected.add(10 * ROUNDS, &["getppid"]);
    expected.processes += 2 * ROUNDS;
    expected.threads += 2 * ROUNDS;
    runs("orphans", ROUNDS, &[], &expected, |_| {});
}

#[test]
fn signals_while_in_calls() {
    const ROUNDS: u64 = 60;
    let mut expected = Expected::frame();
    expected.add(2, &["rt_sigaction", "rt_sigprocmask"]);
    // One thread takes its signals with rt_sigtimedwait, without a handler.
    expected.add(3 * ROUNDS, &["rt_sigreturn", "read", "write"]);
    expected.add(4 * ROUNDS, &["tgkill"]);
    expected.add(ROUNDS, &["rt_sigsuspend", "ppoll", "rt_sigtimedwait"]);
    expected.add(ROUNDS, &["getppid"]);
    expected.add(5, &["pipe2"]);
    expected.add(1, &["getpid"]);
    // Each thread says that it begins, and that it ends.
    expected.add(4, &["clone", "gettid", "exit"]);
    expected.add(8, &["write", "read"]);
    expected.threads += 4;
    runs("signals", ROUNDS, &[], &expected, |_| {});
}

#[test]
fn stopped_and_continued() {
    const ROUNDS: u64 = 400;
    const STOPS: u64 = 20;
    let mut expected = Expected::frame();
    expected.add(2, &["pipe2", "read", "write"]);
    expected.add(3, &["clone"]);
    expected.add(2 * STOPS + 1, &["kill"]);
    expected.add(STOPS + 1, &["wait4"]);
    expected.add(3 * ROUNDS, &["getppid"]);
    expected.processes += 1;
    expected.threads += 3;
    runs("stops", ROUNDS, &[], &expected, |_| {});
}

#[test]
fn execve_by_a_thread_that_is_not_the_first() {
    const ROUNDS: u64 = 15;
    let mut expected = Expected::frame();
    expected.add(2 * ROUNDS, &["clone", "execve", "exit_group", "wait4"]);
    // While the others make no call.
    expected.add(2 * ROUNDS, &["clone"]);
    expected.add(ROUNDS, &["gettid"]);
    // While the first is in vfork, whose child outlives the program.
    expected.add(2 * ROUNDS, &["clone"]);
    expected.add(ROUNDS, &["pipe2", "close", "read", "exit_group"]);
    expected.processes += 3 * ROUNDS;
    expected.threads += 6 * ROUNDS;
    runs("leader", ROUNDS, &[], &expected, |_| {});
}

#[test]
fn threads_that_are_killed_as_they_ask_for_a_call() {
    const ROUNDS: u64 = 10;
    // How many calls they make before their process ends is not known beforehand, so the kernel
    // counts them.
    machine(|_| {
        let storm = Storm::compile();
        let tracefs = storm.directory.path().join("tracefs");
        fs::create_dir(&tracefs).unwrap();
        for way in EVERY_CALL {
            for _ in 0..RUNS {
                let program = storm.program.to_str().unwrap();
                let (trace, kernel) = witnessed(&tracefs, "storm", program, || {
                    storm.learn(way, "end", ROUNDS, &[])
                });
                learner::assert_certified(&trace);
                compare::with_kernel(&trace, &kernel);
                assert_eq!(trace.certificate.threads, 1 + 9 * ROUNDS);
            }
        }
    });
}
