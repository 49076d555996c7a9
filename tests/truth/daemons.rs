//! Each daemon twice in a machine of its own: under the learner, with the kernel as a witness, and
//! under strace, with the same exercises.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use gaoler::host::command::PATH;
use gaoler::learn::Trace;
use gaoler::learn::trace::ExerciseRun;

use crate::compare::Varying;
use crate::daemon_rows::{Row, row, text};
use crate::learner::{self, Subject, WAYS};
use crate::machine::{Machine, eventually, machine};
use crate::oracle::{self, Seen};
use crate::rows::{self, DAEMONS};
use crate::witness::witnessed;
use crate::{compare, strace};

/// Where gaoler puts what it writes.
const PLACES: &str = "/opt/truth";
/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// As long as `learn` looks on after the exercises.
const SERVE: Duration = Duration::from_secs(1);

fn learn(machine: &Machine, row: &Row, way: &[&str]) -> Trace {
    let places = Path::new(PLACES);
    let tracefs = places.join("tracefs");
    fs::create_dir_all(&tracefs).unwrap();
    let mut options = vec!["--unaided".to_owned()];
    options.extend(row.options.iter().map(|word| (*word).to_owned()));
    for exercise in row.exercises {
        options.extend(["--exercise".to_owned(), text(exercise)]);
    }
    let command = row.words();
    let subject = Subject {
        name: row.name,
        options: &options,
        command: &command,
    };
    let (trace, kernel) = witnessed(&tracefs, row.name, &command[0], || {
        let beside = row.prepare(machine);
        let trace = learner::learn(&subject, way, places);
        drop(beside);
        trace
    });
    learner::assert_certified(&trace);
    if trace.certificate.passes == 1 {
        compare::with_kernel(&trace, &kernel);
    } else {
        // What had been seen ran without a stop.
        compare::names_with_kernel(&trace, &kernel);
    }
    trace
}

/// The same under strace: readiness by its port, the exercises that the trace ran, the same end.
fn straced(machine: &Machine, row: &Row, exercises: &[ExerciseRun]) -> Seen {
    let (log, output) = (
        Path::new(PLACES).join("strace"),
        Path::new(PLACES).join("output"),
    );
    let file = fs::File::create(&output).unwrap();
    let mut strace = Command::new("strace")
        .args(strace::OPTIONS)
        .arg("-o")
        .arg(&log)
        .args(row.words())
        .env_clear()
        .envs([("PATH", PATH), ("LC_ALL", "C.UTF-8")])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .expect("strace is missing");
    let words = || fs::read_to_string(&output).unwrap();
    let signs: Vec<&str> = (row.options.iter().copied())
        .filter(|option| option.contains(':'))
        .collect();
    eventually(words, |_| signs.iter().all(|sign| has(sign)));
    for run in exercises {
        let command: Vec<&str> = run.command.iter().map(String::as_str).collect();
        let done = machine.run(&command);
        assert_eq!(
            Some(done.code),
            run.exit,
            "{command:?}: {done:?} {}",
            words()
        );
    }
    sleep(SERVE);
    let daemon = child_of(strace.id()).to_string();
    machine.run(&["kill", &daemon]).ok();
    wait(&mut strace);
    let log = fs::read(&log).unwrap();
    oracle::read(&strace::lines(&String::from_utf8_lossy(&log)))
}

/// Does something of this network have the port?
fn has(sign: &str) -> bool {
    let (protocol, port) = sign.split_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    let suffix = format!(":{port:04X}");
    ["", "6"].iter().any(|version| {
        let table = fs::read_to_string(format!("/proc/net/{protocol}{version}"));
        table.unwrap_or_default().lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            // 0A: it listens.
            words.len() > 3
                && words[1].ends_with(&suffix)
                && (protocol == "udp" || words[3] == "0A")
        })
    })
}

fn child_of(parent: u32) -> u32 {
    let line = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(&line).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

fn wait(strace: &mut Child) {
    let deadline = Instant::now() + PATIENCE;
    while strace.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            strace.kill().unwrap();
            strace.wait().unwrap();
            panic!("the daemon does not end under strace");
        }
        sleep(Duration::from_millis(20));
    }
}

/// A path whose made up names are as the row has them.
fn plain(varying: &rows::Varying, path: &Path) -> PathBuf {
    let name = |part: &OsStr| -> OsString {
        let text = part.to_string_lossy();
        let pattern = varying.made_up.iter().find(|pattern| {
            let (begin, end) = pattern.split_once('*').unwrap();
            let middle = text
                .strip_prefix(begin)
                .and_then(|rest| rest.strip_suffix(end));
            middle.is_some_and(|middle| !middle.is_empty())
        });
        pattern.map_or(part.to_owned(), OsString::from)
    };
    path.iter().map(name).collect()
}

/// Runs one row of the table.
fn run(machine: &Machine, name: &str) {
    let row = row(name);
    let known = DAEMONS.iter().find(|daemon| daemon.name == name).unwrap();
    let varying = Varying {
        timing: known.timing,
        plain: &|path| plain(known, path),
    };
    for way in WAYS {
        let begun = Instant::now();
        let trace = learn(machine, row, way);
        let exercises = &trace.certificate.exercises;
        let failed: Vec<_> = exercises.iter().filter(|run| !run.passed).collect();
        assert!(failed.is_empty(), "{failed:?}");
        let once: Vec<ExerciseRun> = exercises
            .iter()
            .filter(|run| run.pass == 1)
            .cloned()
            .collect();
        let beside = row.prepare(machine);
        let mut theirs = straced(machine, row, &once);
        // The second pass finds what the first has left behind, and so must strace.
        for _ in 1..trace.certificate.passes {
            theirs.add(straced(machine, row, &once));
        }
        drop(beside);
        let compared = compare::with_strace(&trace, &theirs, &varying);
        let seconds = begun.elapsed().as_secs_f32();
        println!(
            "{name:<10} {} stops, {} calls, {} paths, {} sockets: {seconds:.1} s",
            trace.certificate.stops, compared.calls, compared.paths, compared.sockets
        );
    }
}

macro_rules! each {
    ($($name:ident,)*) => {
        $(#[test] fn $name() { machine(|machine| run(machine, stringify!($name))); })*

        #[test]
        fn every_row_is_a_test() {
            let tests = [$(stringify!($name)),*];
            assert!(DAEMONS.iter().all(|daemon| tests.contains(&daemon.name)));
        }
    };
}

each! {
    apache,
    bind,
    chrony,
    dnsmasq,
    memcached,
    nginx,
    nsd,
    redis,
    sshd,
    unbound,
}
