//! A jail of its own for a small C program: spec, directories, and what `why` says of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::lab::Lab;

/// The command under test.
pub const GAOLER: &str = env!("CARGO_BIN_EXE_gaoler");

/// A user and group that every Debian has and nothing runs as.
pub const USER: &str = "games";
pub const UID: u32 = 5;
pub const GID: u32 = 60;

/// What the C library of such programs calls from its start to its end.
const CALLS: &str = "access arch_prctl brk clone clone3 close dup2 execve exit_group fcntl fstat \
    futex getdents64 getpid getrandom getuid ioctl lseek madvise mmap mprotect munmap newfstatat nanosleep \
    clock_nanosleep open openat pause pread64 prlimit64 read readlink rseq rt_sigaction rt_sigprocmask \
    rt_sigreturn set_robust_list set_tid_address socket tgkill gettid umask wait4 write mkdir unlink \
    fork vfork getppid statfs";

static NEXT: AtomicU32 = AtomicU32::new(0);

pub struct Jail {
    pub lab: Lab,
    pub name: String,
    /// The words after the program.
    pub words: Vec<String>,
    /// More lines of `[service]`.
    pub service: String,
    /// Whole tables.
    pub tables: String,
    pub calls: Vec<&'static str>,
}

impl Jail {
    /// For a program that is compiled with `linking`.
    pub fn new(source: &str, linking: &[&str]) -> Self {
        let lab = Lab::new();
        fs::set_permissions(lab.path("."), fs::Permissions::from_mode(0o755)).unwrap();
        let source = format!(
            "#define _GNU_SOURCE\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
             #include <errno.h>\n#include <fcntl.h>\n#include <unistd.h>\n{source}"
        );
        lab.gcc(&source, "service", linking);
        for directory in ["etc", "data"] {
            fs::create_dir(lab.path(directory)).unwrap();
        }
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        Self {
            lab,
            name: format!("whytest-{}-{number}", std::process::id()),
            words: Vec::new(),
            service: String::new(),
            tables: String::new(),
            calls: CALLS.split_whitespace().collect(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.lab.path(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn program(&self) -> String {
        self.text("service")
    }

    pub fn spec(&self) -> PathBuf {
        self.path("etc").join(format!("{}.toml", self.name))
    }

    pub fn table(&mut self, header: &str, lines: &str) -> &mut Self {
        self.tables += &format!("[[{header}]]\n{lines}\nbecause = \"a test\"\n");
        self
    }

    /// A bind of the directory `data`, which the service owns.
    pub fn data(&mut self, writable: bool) -> PathBuf {
        let path = self.path("data");
        std::os::unix::fs::chown(&path, Some(UID), Some(GID)).unwrap();
        let lines = format!("path = {path:?}\nwritable = {writable}");
        self.table("tree.binds", &lines);
        path
    }

    pub fn write(&self) {
        let command: Vec<String> = [self.program()]
            .into_iter()
            .chain(self.words.clone())
            .collect();
        // A string of JSON is one of TOML.
        let command = serde_json::to_string(&command).unwrap();
        let calls: String = self
            .calls
            .iter()
            .map(|call| format!("[[allow.calls]]\ncall = \"{call}\"\nbecause = \"a test\"\n"))
            .collect();
        let text = format!(
            "format = 1\nname = \"{}\"\n[service]\ncommand = {command}\nuser = \"{USER}\"\n\
             group = \"{USER}\"\n{}\n{}\n{calls}",
            self.name, self.service, self.tables
        );
        fs::write(self.spec(), text).unwrap();
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(GAOLER);
        for (option, place) in [("--etc", "etc"), ("--state", "state"), ("--run", "run")] {
            command.arg(option).arg(self.path(place));
        }
        command.args(words).stdin(Stdio::null());
        command
    }

    pub fn gaoler(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// `why NAME WORDS --json`.
    #[track_caller]
    pub fn why(&self, words: &[&str]) -> Found {
        let output = self.gaoler(&[&["why", &self.name, "--json"], words].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!error.contains("panicked"), "{error}");
        Found(serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{error}")))
    }

    /// The root tree of the first generation.
    pub fn tree(&self) -> PathBuf {
        self.path("state")
            .join(&self.name)
            .join("generations/1/root")
    }

    pub fn inside(&self, path: &Path) -> PathBuf {
        self.tree().join(path.strip_prefix("/").unwrap())
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        if self
            .path("run")
            .join(&self.name)
            .join("state.json")
            .exists()
        {
            drop(self.gaoler(&["stop", &self.name]));
        }
        drop(fs::remove_file(format!(
            "/var/log/gaoler-{}.log",
            self.name
        )));
    }
}

/// What `why` found.
#[derive(Debug)]
pub struct Found(pub Value);

impl Found {
    pub fn denials(&self) -> &[Value] {
        self.0["denials"].as_array().unwrap()
    }

    /// The only denial with this subject.
    #[track_caller]
    pub fn about(&self, subject: &str) -> &Value {
        let mut found = self
            .denials()
            .iter()
            .filter(|one| one["subject"] == subject);
        let first = found.next();
        assert!(found.next().is_none(), "{subject} twice: {self:#?}");
        first.unwrap_or_else(|| panic!("nothing about {subject}: {self:#?}"))
    }

    /// Holds that the cause of what is about `subject` has all these words.
    #[track_caller]
    pub fn says(&self, subject: &str, words: &[&str]) -> &Value {
        let denial = self.about(subject);
        let text = format!("{} {}", denial["cause"], denial["advice"]);
        for word in words {
            assert!(text.contains(word), "no {word:?} in {denial:#?}");
        }
        denial
    }
}
