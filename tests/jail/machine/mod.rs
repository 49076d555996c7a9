//! A machine of a test's own: mounts, network, processes and cgroups are private, so that
//! `gaoler up named` works on the real default paths and nothing of it outlives the test.

mod cgroups;
mod facts;

use std::any::type_name;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use cgroups::{Cgroups, HIERARCHIES};
pub use facts::{bind_ids, eventually, field, state_of, zone_file};

/// Set for the test that runs inside.
pub const INSIDE: &str = "GAOLER_TEST_MACHINE";

/// Longer than any scenario takes on a busy machine; what writes a page takes its time.
fn patience() -> Duration {
    match std::env::var_os("GAOLER_BLESS") {
        Some(_) => Duration::from_secs(3600),
        None => Duration::from_secs(600),
    }
}

/// The inside of a machine.
pub struct Machine;

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Done {
    /// Its standard output; fails the test if it did not succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }
}

/// Runs `scenario` in a machine of its own. Must be the whole body of a test.
pub fn machine<F: FnOnce(&Machine)>(scenario: F) {
    if std::env::var_os(INSIDE).is_some() {
        return scenario(&Machine);
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: it needs root");
        return;
    }
    // "jail::module::test::{{closure}}": the name that libtest knows, without the crate's.
    let name = type_name::<F>().trim_end_matches("::{{closure}}");
    let (_, name) = name.split_once("::").expect("a test is in a module");
    let scratch = tempfile::tempdir().expect("a directory");
    let cgroup = format!(
        "gaoler-test-{}-{}",
        std::process::id(),
        name.replace("::", "-")
    );
    let cgroups = Cgroups::make(&cgroup);
    let test = std::env::current_exe().expect("the test's own program");
    let mut child = Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--pid",
            "--uts",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args([
            "--propagation",
            "private",
            "sh",
            "-c",
            include_str!("../setup.sh"),
            "machine",
        ])
        .arg(scratch.path())
        .arg(&cgroup)
        .arg(test)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare");
    let out = read_in_background(child.stdout.take());
    let err = read_in_background(child.stderr.take());
    let ended = wait(&mut child, patience());
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    drop(cgroups);
    assert!(
        ended == Some(0) && out.contains("1 passed"),
        "{name} ended with {ended:?}\n{out}\n{err}"
    );
    // What the scenario printed, if somebody asked to see it.
    print!("{out}");
}

fn wait(child: &mut Child, patience: Duration) -> Option<i32> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

fn read_in_background(
    stream: Option<impl Read + Send + 'static>,
) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.unwrap().read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A process of the test's own, killed when the test is done with it.
pub struct Running(pub Child);

impl Running {
    pub fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            self.0.wait().ok();
        }
    }
}

impl Machine {
    /// Runs a command to its end.
    #[track_caller]
    pub fn run(&self, command: &[&str]) -> Done {
        self.run_with(command, "")
    }

    /// The same, with something to read.
    #[track_caller]
    pub fn run_with(&self, command: &[&str], input: &str) -> Done {
        use std::io::Write;
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let out = read_in_background(child.stdout.take());
        let err = read_in_background(child.stderr.take());
        let code = wait(&mut child, Duration::from_secs(120));
        Done {
            code: code.unwrap_or(-1),
            out: out.join().unwrap(),
            err: err.join().unwrap(),
        }
    }

    /// Leaves a command running.
    pub fn background(&self, command: &[&str]) -> Running {
        let child = Command::new(command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Running(child)
    }

    /// gaoler itself.
    #[track_caller]
    pub fn gaoler(&self, arguments: &[&str]) -> Done {
        let mut command = vec![env!("CARGO_BIN_EXE_gaoler")];
        command.extend(arguments);
        self.run(&command)
    }

    /// What a verb answers with `--json`.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        let done = self.gaoler(&arguments);
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:#?}"))
    }

    /// `gaoler up named`, which must work and find nothing of weight.
    #[track_caller]
    pub fn up(&self) -> i32 {
        self.gaoler(&["up", "named"]).ok();
        self.sound("named");
        self.pid("named")
    }

    /// The running jail has no finding above low.
    #[track_caller]
    pub fn sound(&self, name: &str) {
        let report = self.json(&["check", name, "--live"]);
        for finding in report["findings"].as_array().unwrap() {
            let severity = finding["severity"].as_str().unwrap();
            let counts = finding["accepted"].is_null();
            assert!(
                !counts || ["info", "low"].contains(&severity),
                "{finding:#}"
            );
        }
    }

    /// The pid of a running jail.
    #[track_caller]
    pub fn pid(&self, name: &str) -> i32 {
        let status = self.json(&["status", name]);
        assert_eq!(status["state"], "running", "{status:#}");
        i32::try_from(status["pid"].as_i64().unwrap()).unwrap()
    }

    /// `dig +short` at 127.0.0.1 with these words; empty if there is no answer.
    #[track_caller]
    pub fn dig(&self, words: &[&str]) -> String {
        let command = [
            &["dig", "@127.0.0.1", "+short", "+tries=1", "+time=3"],
            words,
        ]
        .concat();
        self.run(&command).out.trim().to_owned()
    }

    /// `dig` gets this answer, if need be after a while: ports are bound before zones are loaded.
    #[track_caller]
    pub fn answers(&self, words: &[&str], wanted: &str) {
        eventually(|| self.dig(words), |answer| answer == wanted);
    }

    /// `nsupdate`, which must work; a zone that is being loaded answers SERVFAIL.
    #[track_caller]
    pub fn nsupdate(&self, words: &[&str], update: &str) {
        let command = [&["nsupdate"], words].concat();
        let run = || self.run_with(&command, update);
        let still_loading = |done: &Done| done.err.contains("SERVFAIL");
        eventually(run, |done| !still_loading(done)).ok();
    }

    /// `rndc`, which must work.
    #[track_caller]
    pub fn rndc(&self, words: &[&str]) -> String {
        let done = self.run(&[&["rndc"], words].concat());
        assert_eq!(
            done.code,
            0,
            "{words:?}: {done:#?}\n{}",
            self.words("named")
        );
        done.out
    }

    /// What the service has said so far, wherever it went.
    pub fn words(&self, name: &str) -> String {
        fs::read_to_string(format!("/var/log/gaoler-{name}.log")).unwrap_or_default()
    }

    /// Writes a file, making its directory.
    pub fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Makes a directory that belongs to BIND's user.
    pub fn own_directory(&self, path: &str) {
        fs::create_dir_all(path).unwrap();
        let (uid, gid) = bind_ids();
        chown(path, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Debian's configuration with these options and these zones.
    pub fn configure(&self, options: &str, zones: &str) {
        self.write(
            "/etc/bind/named.conf.options",
            &format!(
                "options {{ directory \"/var/cache/bind\"; recursion no; dnssec-validation no;\n\
                 {options}\n}};\n"
            ),
        );
        self.write("/etc/bind/named.conf.local", zones);
    }

    /// Sets OPTIONS in `/etc/default/named`.
    pub fn set_options(&self, options: &str) {
        self.write(
            "/etc/default/named",
            &format!("RESOLVCONF=no\nOPTIONS=\"{options}\"\n"),
        );
    }

    /// Every living process but the machine's first, the test and what is in `own`.
    pub fn processes(&self, own: &[i32]) -> Vec<(i32, String)> {
        let this = std::process::id().cast_signed();
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .filter(|pid| ![1, this].contains(pid) && !own.contains(pid))
            .filter(|pid| !["Z", "X", ""].contains(&state_of(*pid).as_str()))
            .map(|pid| {
                let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                (pid, String::from_utf8_lossy(&words).replace('\0', " "))
            })
            .collect()
    }

    /// Nothing of the jail is left, but how it ended.
    #[track_caller]
    pub fn nothing_left(&self, name: &str, own: &[i32]) {
        assert_eq!(self.processes(own), []);
        let runtime = PathBuf::from("/run/gaoler").join(name);
        let left: Vec<String> = fs::read_dir(&runtime)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|file| {
                ![
                    "events.jsonl",
                    "last.json",
                    "lock",
                    "log.json",
                    "noticed.json",
                    "recent.log",
                    "recent.log.1",
                ]
                .contains(&file.as_str())
            })
            .collect();
        assert_eq!(left, [""; 0], "in {runtime:?}");
        for mount in HIERARCHIES {
            let directory = Path::new(mount).join("gaoler").join(name);
            assert!(!directory.exists(), "{directory:?} is left");
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains("gaoler/"), "{mounts}");
    }
}
