//! A jail of the service of these tests, in any of its versions.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::common::programs::compile;
use crate::common::{DONE, Place, port};

/// What every version calls.
const CALLS: &str = "\
    accept arch_prctl bind brk close exit_group futex getrandom listen mprotect newfstatat \
    prlimit64 read readlinkat readlink rseq rt_sigaction rt_sigprocmask set_robust_list \
    set_tid_address setsockopt socket write";

/// A jail, its port and its client.
pub struct Subject {
    pub place: Place,
    pub port: u16,
    client: PathBuf,
}

/// A jail of the first version, with an exercise, that has not been built.
pub fn subject() -> Subject {
    let mut place = Place::new(&[]);
    let port = port();
    let client = place.path("client");
    compile(include_str!("service.c"), &client, &["-static"]);
    let program = place.path("server");
    place.text.command = vec![program.to_str().unwrap().to_owned(), port.to_string()];
    place.text.calls = CALLS.split_whitespace().collect();
    place.text.service = format!("ready = [\"tcp:{port}\"]\n");
    place.text.tables = format!(
        "[[allow.families]]\nfamily = \"INET\"\nbecause = \"a test\"\n\
         [[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\nbecause = \"a test\"\n\
         [[exercise]]\nname = \"work\"\ncommand = [{client:?}, \"{port}\", \"work\", \"yes\"]\nbecause = \"a test\"\n"
    );
    let subject = Subject {
        place,
        port,
        client,
    };
    subject.install(&["-DVERSION=\"1\""]);
    subject.place.write();
    subject
}

impl Subject {
    /// Puts another version in the place of the host's program, as a package manager does.
    pub fn install(&self, flags: &[&str]) {
        let new = self.place.path("server.new");
        compile(
            include_str!("service.c"),
            &new,
            &[flags, &["-static"]].concat(),
        );
        fs::rename(new, self.place.path("server")).unwrap();
    }

    /// The version that answers.
    #[track_caller]
    pub fn version(&self) -> String {
        let output = Command::new(&self.client)
            .args([&self.port.to_string(), "version", ""])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// `gaoler VERB NAME WORDS --json`, which must work.
    #[track_caller]
    pub fn json(&self, verb: &str, words: &[&str]) -> Value {
        let all = [&[verb, &self.place.name], words, &["--json"]].concat();
        let answer = self.place.gaoler(&all);
        answer.is(DONE, &[]);
        serde_json::from_str(&answer.out).unwrap()
    }

    /// The generations, newest first, with the number that `current` leads to.
    pub fn generations(&self) -> (Vec<u64>, Option<u64>) {
        let found = self.json("generations", &[]);
        let all = found["generations"].as_array().unwrap();
        let numbers = all.iter().map(|it| it["number"].as_u64().unwrap());
        (numbers.collect(), found["current"].as_u64())
    }

    /// The generation that runs.
    pub fn status_generation(&self) -> u64 {
        self.place.status()["generation"].as_u64().unwrap()
    }

    /// Changes the spec by something harmless, so that it is another one.
    pub fn change_spec(&self, umask: &str) {
        let spec = self.place.spec();
        let text = fs::read_to_string(&spec).unwrap();
        let changed = text.replace("ready = ", &format!("umask = \"{umask}\"\nready = "));
        assert_ne!(text, changed);
        fs::write(&spec, changed).unwrap();
    }

    /// The spec as it is now.
    pub fn spec(&self) -> String {
        fs::read_to_string(self.place.spec()).unwrap()
    }
}
