//! What is done with a service to see that it works: the exercises of its spec.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gaoler::spec::Spec;

/// So long a service has to its first answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the exercises of a service that was just started, and answers how many passed; those that did not
/// are printed.
pub fn exercise(spec: &Spec) -> usize {
    let begun = Instant::now();
    let first = &spec.exercises[0];
    while !passes(&first.command_for(await_pid(spec, begun)), false) {
        assert!(begun.elapsed() < PATIENCE, "{} does not work", spec.name);
        std::thread::sleep(Duration::from_millis(100));
    }
    let passed = spec.exercises.iter().filter(|exercise| {
        let passed = passes(&exercise.command_for(await_pid(spec, begun)), true);
        // A signal is taken in its own time.
        std::thread::sleep(Duration::from_millis(500));
        passed
    });
    passed.count()
}

fn passes(command: &[String], says: bool) -> bool {
    let done = Command::new(&command[0])
        .args(&command[1..])
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if says && !done.status.success() {
        println!("{command:?}: {done:?}");
    }
    done.status.success()
}

fn await_pid(spec: &Spec, begun: Instant) -> i32 {
    loop {
        if let Some(pid) = pid(spec) {
            return pid;
        }
        assert!(begun.elapsed() < PATIENCE, "{} does not run", spec.name);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The service's first process: of those that run its program, the one whose parent does not.
pub fn pid(spec: &Spec) -> Option<i32> {
    let program = Path::new(&spec.service.command[0])
        .strip_prefix("/")
        .unwrap();
    let runs = |pid: i32| {
        let link = fs::read_link(format!("/proc/{pid}/exe"));
        link.is_ok_and(|path| path.ends_with(program))
    };
    let parent = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mut lines = status.lines().filter_map(|line| line.strip_prefix("PPid:"));
        lines
            .next()
            .and_then(|pid| pid.trim().parse().ok())
            .unwrap_or(0)
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| runs(*pid) && !runs(parent(*pid)))
}
