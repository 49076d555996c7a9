//! The kernel's own account of a run: `raw_syscalls:sys_enter` of tracefs (Documentation/trace/
//! ftrace.rst), which knows nothing of ptrace. A tracing instance of its own is told to follow
//! whatever the calling thread starts.
//!
//! The list that it follows is one of pids, and a pid is struck off when the kernel frees a task
//! that had it, some milliseconds after the task's end. Two things follow. Where pids are taken
//! again at once (clone3 with `set_tid` anywhere on the machine makes that happen), a task may be
//! lost from sight; then its end is not seen either, so that is noticed and the run is repeated.
//! And execve by a thread that is not the first, which takes over a pid, cannot be followed at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gaoler::learn::calls;

/// So often a run is repeated whose account has a hole.
const ATTEMPTS: usize = 5;

/// Enough for several hundred thousand events on each CPU.
const BUFFER_KB: &str = "32768";

/// A thread's number as the kernel counts, whatever its pid namespace.
type Tid = u32;

/// An account that is being kept.
struct Witness {
    mount: PathBuf,
    instance: PathBuf,
}

/// What one event says.
#[derive(Debug, PartialEq)]
enum Event<'a> {
    Call(u64),
    Forked(Tid),
    Executed { file: &'a str, former: Tid },
    Ended,
    Other,
}

/// What `run` returns, and how often the first process that executed `program` in it and all that
/// came of that made each call, by name. `mount` is an empty directory, where tracefs goes; the
/// mount namespace must be the test's own.
pub fn witnessed<T>(
    mount: &Path,
    name: &str,
    program: &str,
    run: impl Fn() -> T,
) -> (T, BTreeMap<String, u64>) {
    for _ in 0..ATTEMPTS {
        let witness = Witness::start(mount, name);
        let result = run();
        if let Some(counts) = witness.finish(program) {
            return (result, counts);
        }
    }
    panic!("the kernel lost tasks from sight in each of {ATTEMPTS} runs");
}

impl Witness {
    /// Follows everything that this thread starts from now on.
    fn start(mount: &Path, name: &str) -> Self {
        // Instances belong to the whole kernel: another run of the tests has its own.
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let name = format!("gaoler-{name}-{}", now.as_nanos());
        let mounted = Command::new("mount")
            .args(["-t", "tracefs", "tracefs"])
            .arg(mount)
            .status();
        assert!(mounted.unwrap().success(), "this kernel has no tracefs");
        let instance = mount.join("instances").join(name);
        fs::create_dir(&instance).unwrap();
        let mount = mount.to_owned();
        let witness = Self { mount, instance };
        witness.set("buffer_size_kb", BUFFER_KB);
        witness.set("trace_clock", "global");
        witness.set("options/event-fork", "1");
        // The tracer's own calls are many and of no interest. A thread's name is its maker's until
        // it executes something.
        witness.set("events/raw_syscalls/sys_enter/filter", "comm != \"gaoler\"");
        witness.set("set_event_pid", &witness.this_thread().to_string());
        for event in [
            "raw_syscalls/sys_enter",
            "sched/sched_process_exec",
            "sched/sched_process_exit",
            "sched/sched_process_fork",
        ] {
            witness.set(&format!("events/{event}/enable"), "1");
        }
        witness
    }

    fn set(&self, file: &str, value: &str) {
        let path = self.instance.join(file);
        fs::write(&path, value).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    }

    /// Its number outside of its pid namespace, as an event of its own shows.
    fn this_thread(&self) -> Tid {
        self.set("trace_marker", "here");
        let trace = self.read();
        let line = trace.lines().find(|line| line.contains("here")).unwrap();
        parse(line).unwrap().0
    }

    fn read(&self) -> String {
        let bytes = fs::read(self.instance.join("trace")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The counts; `None` if a task was lost from sight.
    fn finish(self, program: &str) -> Option<BTreeMap<String, u64>> {
        self.set("tracing_on", "0");
        self.assert_nothing_lost();
        add_up(&self.read(), program)
    }

    fn assert_nothing_lost(&self) {
        for cpu in fs::read_dir(self.instance.join("per_cpu")).unwrap() {
            let stats = fs::read_to_string(cpu.unwrap().path().join("stats")).unwrap();
            for what in ["overrun", "commit overrun", "dropped events"] {
                let line = stats
                    .lines()
                    .find_map(|line| line.strip_prefix(what)?.strip_prefix(": "));
                assert_eq!(line, Some("0"), "the kernel lost events: {stats}");
            }
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // Of the whole kernel, not of the mount.
        fs::remove_dir(&self.instance).unwrap();
        let unmounted = Command::new("umount").arg(&self.mount).status();
        assert!(unmounted.unwrap().success());
    }
}

/// All of the service must have ended; `None` if something was not seen to end.
fn add_up(trace: &str, program: &str) -> Option<BTreeMap<String, u64>> {
    let mut service: BTreeSet<Tid> = BTreeSet::new();
    let mut begun = false;
    let mut counts = BTreeMap::new();
    let mut count = |name: String| *counts.entry(name).or_default() += 1;
    for (tid, event) in trace.lines().filter_map(parse) {
        let of_service = service.contains(&tid);
        match event {
            Event::Executed { file, .. } if !begun && file == program => {
                begun = true;
                service.insert(tid);
                // It was entered under the tracer's name.
                count("execve".to_owned());
            }
            Event::Executed { former, .. } if service.contains(&former) => {
                assert_eq!(tid, former, "execve by a thread that is not the first");
            }
            Event::Call(number) if of_service => count(calls::name(number)),
            Event::Forked(child) if of_service => {
                service.insert(child);
            }
            Event::Ended => {
                service.remove(&tid);
            }
            _ => {}
        }
    }
    assert!(begun, "the kernel did not see {program} executed");
    service.is_empty().then_some(counts)
}

/// A line such as `  named-123   [001] .....  12.345678: sys_enter: NR 3 (0, ...)`; the name may
/// hold anything.
fn parse(line: &str) -> Option<(Tid, Event<'_>)> {
    if line.starts_with('#') {
        return None;
    }
    let (task, rest) = line.match_indices(" [").find_map(|(at, _)| {
        let (cpu, rest) = line.get(at + 2..)?.split_once("] ")?;
        let is_number = cpu.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then_some((&line[..at], rest))
    })?;
    let tid = task.trim_end().rsplit_once('-')?.1.parse().ok()?;
    let (_, event) = rest.split_once(": ")?;
    let (name, what) = event.split_once(": ").unwrap_or((event, ""));
    let field = |name: &str| {
        let value = what.rsplit_once(name)?.1;
        value.split(' ').next()?.parse().ok()
    };
    let event = match name {
        "sys_enter" => {
            let number = what.strip_prefix("NR ")?.split(' ').next()?;
            Event::Call(number.parse().ok()?)
        }
        "sched_process_fork" => Event::Forked(field(" child_pid=")?),
        "sched_process_exit" => Event::Ended,
        "sched_process_exec" => Event::Executed {
            file: what.strip_prefix("filename=")?.rsplit_once(" pid=")?.0,
            former: field(" old_pid=")?,
        },
        _ => Event::Other,
    };
    Some((tid, event))
}

#[test]
fn the_account_is_read() {
    let trace = "# tracer: nop\n\
        #           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n\
          gaoler-9     [000] .....     1.000001: sched_process_fork: comm=gaoler pid=9 child_comm=gaoler child_pid=10\n\
          a b-10    [001] .....     1.000002: sched_process_exec: filename=/bin/a b pid=10 old_pid=10\n\
          a b-10    [001] .....     1.000003: sys_enter: NR 39 (0, 0, 0, 0, 0, 0)\n\
          a b-10    [001] .....     1.000004: sched_process_fork: comm=a b pid=10 child_comm=a b child_pid=11\n\
          x: 1 [2-11    [001] .....     1.000005: sys_enter: NR 39 (0, 0, 0, 0, 0, 0)\n\
          dig-12    [000] .....     1.000006: sys_enter: NR 39 (0, 0, 0, 0, 0, 0)\n\
          a b-11    [001] .....     1.000007: sched_process_exit: comm=a b pid=11 prio=120 group_dead=true\n\
          a b-11    [001] .....     1.000008: sys_enter: NR 39 (0, 0, 0, 0, 0, 0)\n";
    assert_eq!(add_up(trace, "/bin/a b"), None, "10 has not ended");
    let end = "a b-10    [001] .....     1.000009: sched_process_exit: comm=a b pid=10 prio=120\n";
    let counts = add_up(&(trace.to_owned() + end), "/bin/a b").unwrap();
    let counts: Vec<(&str, u64)> = counts.iter().map(|(n, c)| (n.as_str(), *c)).collect();
    assert_eq!(counts, [("execve", 1), ("getpid", 2)]);
}
