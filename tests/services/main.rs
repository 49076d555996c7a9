//! Daemons that gaoler ships no knowledge of, each with a configuration of its own: `up` with one
//! exercise, a real client while it is jailed, `check --live`, `stop`, and nothing left behind.
//! Needs root and the packages that the rows name. Everything happens on the loopback.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod rows;

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use rows::{ROWS, Row};
use serde_json::Value;

/// Sends its second argument to a port and succeeds if the answer contains the third.
const CLIENT: &str = include_str!("client.sh");

/// The ports of the rows: these and those between them.
const FIRST_PORT: u16 = 21100;
const FIRST_UNUSABLE: u16 = 21900;

/// One row in its own directory, with its own places for gaoler. What it started ends with it.
struct Trial<'a> {
    row: &'a Row,
    directory: tempfile::TempDir,
    port: u16,
}

impl<'a> Trial<'a> {
    fn new(row: &'a Row) -> Self {
        for program in row.needs {
            assert!(
                Path::new(program).exists(),
                "{program} is missing: apt-get install --no-install-recommends {}",
                row.package
            );
        }
        // Not below /tmp: a service that makes a file there gets a private one.
        let directory = tempfile::Builder::new()
            .prefix("gaoler-")
            .tempdir_in("/srv")
            .unwrap();
        let port = free_port(row);
        let trial = Self {
            row,
            directory,
            port,
        };
        trial.prepare();
        trial
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, template: &str) -> String {
        template
            .replace("@DIR@", self.directory.path().to_str().unwrap())
            .replace("@PORT@", &self.port.to_string())
    }

    fn prepare(&self) {
        fs::set_permissions(self.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(self.path("www")).unwrap();
        fs::write(self.path("www/index.html"), "a page\n").unwrap();
        fs::write(self.path("client"), CLIENT).unwrap();
        // What the package makes for the service's user, as /var/lib/SERVICE.
        fs::create_dir(self.path("own")).unwrap();
        let user = user(self.row.user);
        chown(self.path("own"), Some(user.0), Some(user.1)).unwrap();
        // And what is root's: the log directory of most.
        fs::create_dir(self.path("log")).unwrap();
        for (name, template) in self.row.files {
            fs::write(self.path(name), self.text(template)).unwrap();
        }
        if let Some((source, program)) = self.row.compile {
            let source = self.text(source);
            let mut compiler = Command::new("gcc");
            let compiled = compiler
                .args(["-O2", "-o"])
                .arg(self.path(program))
                .arg(source);
            assert!(compiled.status().unwrap().success());
        }
        let prepare = self.text(self.row.prepare);
        let prepared = Command::new("sh").args(["-c", &prepare]).status();
        assert!(prepared.unwrap().success(), "{prepare}");
    }

    fn gaoler(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gaoler"));
        for place in ["etc", "state", "run"] {
            command.arg(format!("--{place}")).arg(self.path(place));
        }
        command.args(arguments).output().unwrap()
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.gaoler(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}{errors}");
        text
    }

    fn exercise(&self) -> Vec<String> {
        self.row.client.iter().map(|word| self.text(word)).collect()
    }

    /// Learns, builds, starts, uses, checks and stops it; gives the row of the table.
    fn run(&self) -> String {
        let name = self.row.name;
        let exercise: Vec<String> = self
            .exercise()
            .iter()
            .map(|word| format!("'{word}'"))
            .collect();
        let exercise = exercise.join(" ");
        let command: Vec<String> = self
            .row
            .command
            .iter()
            .map(|word| self.text(word))
            .collect();
        let mut arguments = vec!["up", name, "--json", "--exercise", &exercise];
        arguments.extend(self.row.options);
        arguments.push("--");
        arguments.extend(command.iter().map(String::as_str));
        let begun = Instant::now();
        let up: Value = serde_json::from_str(&self.succeed(&arguments)).unwrap();
        let seconds = begun.elapsed().as_secs_f32();
        self.use_it();
        let checked: Value =
            serde_json::from_str(&self.succeed(&["check", name, "--live", "--json"])).unwrap();
        let score = checked["score"].as_f64().unwrap();
        assert!(score < self.row.score_below, "{checked}");
        self.succeed(&["stop", name]);
        self.assert_ended_well();
        let spec = fs::read_to_string(self.path("etc").join(name).with_extension("toml")).unwrap();
        let count = |what: &str| spec.lines().filter(|line| line.contains(what)).count();
        format!(
            "{name:<12} {seconds:>7.1} {:>6} {:>6} {:>4} {score:>6.1}",
            count("{ call = "),
            up["files"],
            count("{ capability = "),
        )
    }

    /// The same client as while it was learned, twice.
    fn use_it(&self) {
        let exercise = self.exercise();
        for _ in 0..2 {
            let output = Command::new(&exercise[0])
                .args(&exercise[1..])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "in the jail: {text}");
        }
    }

    /// It was heard, and what it does at its end was done.
    fn assert_ended_well(&self) {
        for left in self.row.removes {
            assert!(!self.path(left).exists(), "it was not asked to end: {left}");
        }
        let log = PathBuf::from(format!("/var/log/gaoler-{}.log", self.row.name));
        // On a host with a log of its own the messages are there.
        if !Path::new("/dev/log").exists() && !Path::new("/run/systemd/journal").exists() {
            let words = fs::read_to_string(log).unwrap_or_default();
            assert!(words.contains(self.row.logs), "not logged: {words}");
        }
    }

    /// No process, no mount, no port and no state is left.
    fn assert_gone(&self) {
        let directory = self.directory.path().to_str().unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(directory), "{mounts}");
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            assert!(
                !words.contains(directory),
                "{:?} is left: {words}",
                entry.path()
            );
        }
        assert!(
            !self
                .path("run")
                .join(self.row.name)
                .join("state.json")
                .exists()
        );
        let port = self.port;
        let socket = TcpListener::bind(("127.0.0.1", port));
        assert!(socket.is_ok(), "port {port} is still taken");
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.path("etc").exists() {
            self.gaoler(&["stop", self.row.name]);
        }
        let log = format!("/var/log/gaoler-{}.log", self.row.name);
        // Made while it was learned, outside any jail.
        let pid_file = format!("/run/gaoler-{}-{}.pid", self.row.name, self.port);
        for left in [log, pid_file] {
            if Path::new(&left).exists() {
                fs::remove_file(left).unwrap();
            }
        }
    }
}

/// A port that nobody has, for the row alone: another run of the tests begins elsewhere. It is
/// below the ports that the kernel picks, which count as picked at random.
fn free_port(row: &Row) -> u16 {
    let rows = u16::try_from(ROWS.len()).unwrap();
    let place = ROWS
        .iter()
        .position(|other| other.name == row.name)
        .unwrap();
    let place = u16::try_from(place).unwrap();
    let turns = (FIRST_UNUSABLE - FIRST_PORT) / rows;
    let begin = u16::try_from(std::process::id() % u32::from(turns)).unwrap();
    (begin..turns)
        .chain(0..begin)
        .map(|turn| FIRST_PORT + turn * rows + place)
        .find(|port| {
            TcpListener::bind(("127.0.0.1", *port)).is_ok()
                && UdpSocket::bind(("127.0.0.1", *port)).is_ok()
        })
        .unwrap()
}

/// The numbers of a user of this host.
fn user(name: &str) -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name));
    let Some(line) = line else {
        panic!("no user {name} on this host: which package makes it says the row");
    };
    let number = |index| line.split(':').nth(index).unwrap().parse().unwrap();
    (number(2), number(3))
}

/// Runs one row of the table.
fn run(name: &str) {
    assert!(
        rustix::process::geteuid().is_root(),
        "the services are learned as root"
    );
    let row = ROWS.iter().find(|row| row.name == name).unwrap();
    let trial = Trial::new(row);
    let line = trial.run();
    trial.assert_gone();
    println!(
        "\n{:<12} {:>7} {:>6} {:>6} {:>4} {:>6}\n{line}",
        "service", "seconds", "calls", "files", "caps", "score"
    );
}

macro_rules! each {
    ($($test:ident = $name:literal,)*) => {
        $(#[test] fn $test() { run($name); })*

        #[test]
        fn every_row_is_a_test() {
            let tests = [$($name),*];
            assert!(ROWS.iter().all(|row| tests.contains(&row.name)));
        }
    };
}

each! {
    apache = "t-apache",
    dnsmasq = "t-dnsmasq",
    dnsmasq_as_its_own_user = "t-dnsmasq-own",
    double_fork = "t-fork",
    haproxy = "t-haproxy",
    httpd = "t-httpd",
    lighttpd = "t-lighttpd",
    memcached = "t-memcached",
    nineties = "t-nineties",
    nginx = "t-nginx",
    nginx_in_the_background = "t-nginx-bg",
    python = "t-python",
    redis = "t-redis",
    snmpd = "t-snmpd",
    tinyproxy = "t-tinyproxy",
    unbound = "t-unbound",
    waits_for_ever = "t-waits",
}
