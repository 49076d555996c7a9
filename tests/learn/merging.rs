//! `learn --merge` and `--accept-incomplete`, with Redis, through the real binary.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use gaoler::learn::load;

/// A user that every Debian has and nothing runs as.
const USER: &str = "games";

/// Directories of its own, and a port.
struct Place {
    directory: tempfile::TempDir,
    name: String,
    port: String,
}

/// What the command answered: its exit code, and all that it said.
struct Answer {
    code: Option<i32>,
    text: String,
}

impl Answer {
    #[track_caller]
    fn is(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "no {word:?} in {}", self.text);
        }
    }
}

impl Place {
    fn new(port: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["etc", "state", "run", "data"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        Self {
            directory,
            name: format!("redis-{}-{port}", std::process::id()),
            port: port.to_string(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn gaoler(&self, words: &[&str]) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaoler"));
        for place in ["etc", "state", "run"] {
            command.arg(format!("--{place}")).arg(self.path(place));
        }
        let output = command.args(words).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        Answer {
            code: output.status.code(),
            text: String::from_utf8(text).unwrap(),
        }
    }

    /// Learns, with an exercise that asks Redis something.
    fn learn(&self, options: &[&str], ask: &str, command: &[&str]) -> Answer {
        let exercise = format!("redis-cli -p {} {ask}", self.port);
        let ready = format!("tcp:{}", self.port);
        let mut words = vec!["learn", &self.name, "--for", "0", "--exercise", &exercise];
        words.extend(options);
        if !command.is_empty() {
            words.extend(["--unaided", "--user", USER, "--ready", &ready, "--"]);
            words.extend(command);
        }
        self.gaoler(&words)
    }

    fn spec(&self) -> PathBuf {
        self.path("etc").join(format!("{}.toml", self.name))
    }

    fn state(&self, file: &str) -> PathBuf {
        self.path("state").join(&self.name).join(file)
    }
}

#[test]
fn learned_twice_and_united() {
    let place = Place::new(15_355);
    let data = place.path("data");
    let data = data.to_str().unwrap();
    let command = [
        "/usr/bin/redis-server",
        "--bind",
        "127.0.0.1",
        "--port",
        &place.port,
        "--save",
        "",
        "--dir",
        data,
    ];
    place.learn(&[], "ping", &command).is(0, &["learned redis"]);
    let first = fs::read_to_string(place.spec()).unwrap();
    assert!(first.contains("evidence = \"observed: start "), "{first}");
    // Debian's redis-server is a link to another of its programs.
    assert!(first.contains(", by redis-"), "{first}");
    assert!(first.contains(", in exercise-1\""), "{first}");
    assert!(!first.contains(", runs "), "one run is no number: {first}");
    assert!(!first.contains("call = \"rename\""), "{first}");

    // What a person does to the spec: takes a call out, and adds one.
    let is_taken_out = |line: &&str| line.contains("call = \"epoll_ctl\"");
    assert_eq!(first.lines().filter(is_taken_out).count(), 1);
    let mut edited: String = first
        .lines()
        .filter(|line| !is_taken_out(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let own = "  { call = \"acct\", because = \"my own\" },";
    edited = edited.replace("calls = [\n", &format!("calls = [\n{own}\n"));
    fs::write(place.spec(), &edited).unwrap();

    // Neither the command nor the user nor the port need be said again.
    place.learn(&["--merge"], "save", &[]).is(
        0,
        &[
            "learned redis",
            "call epoll_ctl, not given: it was taken out",
        ],
    );
    let trace = load(&place.state("trace.json")).unwrap();
    assert_eq!(trace.certificate.runs, 2);
    assert!(trace.certificate.complete, "{:?}", trace.certificate);
    let names: Vec<&str> = trace
        .certificate
        .exercises
        .iter()
        .map(|run| run.name.as_str())
        .collect();
    assert!(names.contains(&"exercise-2"), "{names:?}");
    assert_eq!(
        names.iter().filter(|name| **name == "exercise-1").count(),
        names.len() / 3 * 2,
        "in both runs: {names:?}"
    );
    let united = fs::read_to_string(place.spec()).unwrap();
    assert!(united.contains("name = \"exercise-2\""), "{united}");
    let line = |call: &str| {
        let start = format!("  {{ call = \"{call}\",");
        let line = united.lines().find(|line| line.starts_with(&start));
        line.unwrap_or_else(|| panic!("no {call} in {united}"))
    };
    assert!(line("bind").contains("runs 2 of 2"), "{}", line("bind"));
    assert!(line("rename").contains("runs 1 of 2"), "{}", line("rename"));
    assert!(
        line("rename").contains("in exercise-2"),
        "{}",
        line("rename")
    );
    assert_eq!(line("acct"), own);
    assert!(!united.contains("epoll_ctl"), "{united}");
    let old = place.spec().with_extension("toml.old");
    assert_eq!(fs::read_to_string(old).unwrap(), edited);

    place.gaoler(&["spec", "diff", &place.name]).is(
        1,
        &["+ call rename: phase always\n", "+ exercise exercise-2"],
    );
    place
        .gaoler(&["spec", "diff", &place.name, &place.name])
        .is(0, &[]);
    place
        .gaoler(&["spec", "diff", &place.name, "no-such-jail"])
        .is(2, &["no-such-jail"]);
    place
        .learn(
            &["--merge"],
            "ping",
            &["/usr/bin/redis-server", "--dir", data],
        )
        .is(2, &["different commands", "--again"]);
    assert_eq!(fs::read_to_string(place.spec()).unwrap(), united);
}

#[test]
fn an_incomplete_trace_makes_a_spec_only_if_that_is_accepted() {
    let place = Place::new(15_356);
    let data = place.path("data");
    let command = [
        "/usr/bin/redis-server",
        "--bind",
        "127.0.0.1",
        "--port",
        &place.port,
        "--save",
        "",
        "--dir",
        data.to_str().unwrap(),
    ];
    // Redis ends by itself, before it was stopped: how it serves on was not seen.
    let ends = "shutdown nosave";
    let refused = place.learn(&[], ends, &command);
    refused.is(125, &["the trace is incomplete", "--accept-incomplete"]);
    assert!(!place.spec().exists());
    let kept = load(&place.state("trace.json")).unwrap();
    assert!(!kept.certificate.complete);

    place
        .learn(&["--accept-incomplete"], ends, &command)
        .is(0, &["learned redis", "the trace is incomplete"]);
    let spec = fs::read_to_string(place.spec()).unwrap();
    assert!(
        spec.contains("\nincomplete = \"the service ended"),
        "{spec}"
    );
    for verb in ["build", "start"] {
        place
            .gaoler(&[verb, &place.name])
            .is(125, &["incomplete trace", "--accept-incomplete"]);
    }
    assert!(!place.state("current").exists());
    place
        .gaoler(&["build", &place.name, "--accept-incomplete"])
        .is(0, &["generation 1"]);
    place
        .gaoler(&["check", &place.name])
        .is(0, &["spec.incomplete", "--again"]);

    // A trace that is the evidence of a spec is not lost to one that is not whole.
    place
        .learn(&["--again"], "ping", &command)
        .is(0, &["learned redis"]);
    let spec = fs::read_to_string(place.spec()).unwrap();
    assert!(!spec.contains("\nincomplete = "), "{spec}");
    place
        .learn(&["--again"], ends, &command)
        .is(125, &["trace-incomplete.json"]);
    assert_eq!(fs::read_to_string(place.spec()).unwrap(), spec);
    assert!(
        load(&place.state("trace.json"))
            .unwrap()
            .certificate
            .complete
    );
    let kept = load(&place.state("trace-incomplete.json")).unwrap();
    assert!(!kept.certificate.complete);
}
