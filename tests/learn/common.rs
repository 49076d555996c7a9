//! What the tests of learning share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gaoler::learn::trace::{CapabilitySource, PathSeen};
use gaoler::learn::{Request, Trace, learn};
use gaoler::spec::Ready;

pub fn request(command: &[&str], directory: &Path) -> Request {
    let output = fs::File::options()
        .create(true)
        .append(true)
        .open(directory.join("output"))
        .unwrap();
    Request {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        environment: BTreeMap::from([("PATH".to_owned(), "/usr/sbin:/usr/bin:/bin".to_owned())]),
        workdir: directory.to_owned(),
        ids: None,
        ready: vec![Ready::Quiet(300)],
        ready_timeout: Duration::from_secs(20),
        exercises: Vec::new(),
        serve_for: Duration::ZERO,
        stop_command: Vec::new(),
        stop_timeout: Duration::from_secs(10),
        output: output.into(),
        passes: 1,
        capabilities: CapabilitySource::KernelEvent,
        unfinished: None,
        notifications: None,
    }
}

pub fn compile(directory: &Path, source: &str) -> PathBuf {
    let (code, program) = (directory.join("program.c"), directory.join("program"));
    fs::write(&code, source).unwrap();
    let done = Command::new("gcc")
        .args(["-pthread", "-O1", "-o"])
        .arg(&program)
        .arg(&code)
        .status();
    assert!(done.unwrap().success());
    program
}

pub fn learned(request: Request) -> Trace {
    learn(request, &|_| {}).unwrap()
}

pub fn learn_source(source: &str) -> Trace {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), source);
    learned(request(&[program.to_str().unwrap()], directory.path()))
}

pub fn count(trace: &Trace, name: &str) -> u64 {
    trace
        .calls
        .iter()
        .filter(|seen| seen.name == name)
        .map(|seen| seen.count)
        .sum()
}

pub fn path(trace: &Trace, host: impl AsRef<Path>) -> &PathSeen {
    let host = host.as_ref();
    trace
        .paths
        .iter()
        .find(|seen| seen.host == host)
        .unwrap_or_else(|| {
            let all: Vec<_> = trace.paths.iter().map(|seen| &seen.host).collect();
            panic!("{host:?} not in {all:?}")
        })
}

pub fn assert_complete(trace: &Trace) {
    let certificate = &trace.certificate;
    assert_eq!(certificate.stops, certificate.records);
    assert!(certificate.complete, "{:?}", certificate.gaps);
    let sum: u64 = trace.calls.iter().map(|seen| seen.count).sum();
    assert_eq!(sum + trace.foreign_calls.len() as u64, certificate.records);
}

/// No process runs `program` any more, or is stopped in it.
pub fn assert_gone(program: &Path) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let exe = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        assert_ne!(exe, program, "{:?} is left", entry.path());
    }
}
