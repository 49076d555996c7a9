//! A jail of its own for each test: directories, spec, programs, and the proof that nothing is
//! left of it.

mod answer;
pub mod programs;
mod text;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use answer::Answer;
pub use programs::program;
use text::CALLS;
pub use text::Text;

/// The command under test.
pub const GAOLER: &str = env!("CARGO_BIN_EXE_gaoler");

/// Exit codes of the manual's table.
pub const DONE: i32 = 0;
pub const FAILED: i32 = 1;
pub const USAGE: i32 = 2;
pub const FINDINGS: i32 = 3;
pub const NOT_SET_UP: i32 = 125;

/// A user and group that every Debian has and nothing runs as.
pub const USER: &str = "games";
pub const UID: u32 = 5;
pub const GID: u32 = 60;

/// The ports of these tests.
static NEXT_PORT: LazyLock<AtomicU32> =
    LazyLock::new(|| AtomicU32::new(20_000 + std::process::id() % 9 * 100));

/// A port that no other of these tests uses, and nothing else at this moment.
pub fn port() -> u16 {
    loop {
        let port = u16::try_from(NEXT_PORT.fetch_add(1, Ordering::SeqCst)).unwrap();
        let free = std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
            && std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if free {
            return port;
        }
    }
}

/// One jail with directories of its own.
pub struct Place {
    pub directory: tempfile::TempDir,
    pub name: String,
    pub text: Text,
}

static NEXT_NAME: AtomicU32 = AtomicU32::new(0);

impl Place {
    /// A jail for the static service, which is to do `words`.
    pub fn new(words: &[&str]) -> Self {
        Self::with("service", words)
    }

    /// The same for another program.
    pub fn with(program_name: &str, words: &[&str]) -> Self {
        Self::of(&program(program_name), words)
    }

    /// The same for the program at this path.
    pub fn of(program: &Path, words: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let number = NEXT_NAME.fetch_add(1, Ordering::SeqCst);
        let own = directory.path().join(program.file_name().unwrap());
        fs::copy(program, &own).unwrap();
        let mut command = vec![own.to_str().unwrap().to_owned()];
        command.extend(words.iter().map(|&word| word.to_owned()));
        let place = Self {
            directory,
            name: format!("refusal-{}-{number}", std::process::id()),
            text: Text {
                command,
                user: USER.into(),
                group: USER.into(),
                service: String::new(),
                tables: "[[allow.families]]\nfamily = \"AF_INET\"\nbecause = \"a test\"\n".into(),
                calls: CALLS.split(' ').collect(),
                start_calls: Vec::new(),
            },
        };
        fs::create_dir(place.etc()).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn etc(&self) -> PathBuf {
        self.path("etc")
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn run(&self) -> PathBuf {
        self.path("run")
    }

    pub fn spec(&self) -> PathBuf {
        self.etc().join(format!("{}.toml", self.name))
    }

    pub fn program(&self) -> PathBuf {
        PathBuf::from(&self.text.command[0])
    }

    /// The root tree of a generation.
    pub fn tree(&self, generation: u32) -> PathBuf {
        self.state()
            .join(&self.name)
            .join(format!("generations/{generation}/root"))
    }

    /// Where a path of the jail is in the tree of a generation.
    pub fn inside(&self, generation: u32, path: &Path) -> PathBuf {
        self.tree(generation).join(path.strip_prefix("/").unwrap())
    }

    /// Adds a bind of a new directory below the place.
    pub fn bind(&mut self, name: &str, writable: bool) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(UID), Some(GID)).unwrap();
        self.text.tables += &format!(
            "[[tree.binds]]\npath = {path:?}\nwritable = {writable}\nbecause = \"a test\"\n"
        );
        path
    }

    /// Allows what a service calls beside the usual that speaks with its manager.
    pub fn allow_managed(&mut self) {
        self.text.tables += "[[allow.families]]\nfamily = \"AF_UNIX\"\nbecause = \"a test\"\n";
        self.text.calls.extend([
            "sendmsg",
            "sendto",
            "recvfrom",
            "poll",
            "ppoll",
            "pipe",
            "pipe2",
            "rt_sigreturn",
        ]);
    }

    pub fn write(&self) {
        fs::write(self.spec(), self.text.render(&self.name)).unwrap();
        fs::set_permissions(self.spec(), fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// The command with this place's directories.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(GAOLER);
        command.args(self.arguments(words)).stdin(Stdio::null());
        command
    }

    /// The words after `gaoler`.
    pub fn arguments(&self, words: &[&str]) -> Vec<String> {
        let mut all = Vec::new();
        for (option, path) in [
            ("--etc", self.etc()),
            ("--state", self.state()),
            ("--run", self.run()),
        ] {
            all.extend([option.to_owned(), path.to_str().unwrap().to_owned()]);
        }
        all.extend(words.iter().map(|&word| word.to_owned()));
        all
    }

    /// Runs the command to its end.
    pub fn gaoler(&self, words: &[&str]) -> Answer {
        Answer::of(self.command(words).output().unwrap())
    }

    /// `gaoler VERB NAME`.
    pub fn verb(&self, verb: &str) -> Answer {
        self.gaoler(&[verb, &self.name])
    }

    /// Runs it through the careless caller.
    pub fn careless(&self, how: &[&str], words: &[&str]) -> Command {
        let mut command = Command::new(program("caller"));
        command
            .args(how)
            .args(["--", GAOLER])
            .args(self.arguments(words))
            .stdin(Stdio::null());
        command
    }

    /// Writes the spec and starts the jail.
    pub fn start(&self) {
        self.write();
        self.verb("start").is(DONE, &["started"]);
    }

    pub fn status(&self) -> serde_json::Value {
        let answer = self.gaoler(&["status", &self.name, "--json"]);
        serde_json::from_str(&answer.out).unwrap()
    }

    /// The service's pid on the host.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.status()["pid"].as_i64().unwrap()).unwrap()
    }

    /// Holds that nothing of the jail runs, is mounted, or lies about, but for what the last
    /// run has left on purpose.
    #[track_caller]
    pub fn nothing_runs(&self) {
        self.processes_end();
        let own = self.directory.path().to_str().unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(own), "mounts are left: {mounts}");
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new());
        let left: Vec<PathBuf> = files(&self.run())
            .into_iter()
            .filter(|path| {
                ![
                    "last.json",
                    "lock",
                    "events.jsonl",
                    "log.json",
                    "noticed.json",
                    "recent.log",
                    "recent.log.1",
                ]
                .iter()
                .any(|name| path.ends_with(name))
            })
            .collect();
        assert_eq!(left, Vec::<PathBuf>::new(), "files are left");
    }

    /// The same after `run --exec`: nobody was left to remove its state but whoever looks.
    #[track_caller]
    pub fn nothing_runs_after(&self, way: &[&str]) {
        if way.contains(&"--exec") {
            self.processes_end();
            self.verb("status").is(FINDINGS, &["is stopped"]);
        }
        self.nothing_runs();
    }

    /// The same, for what was refused before there was anything: no run directory, no state
    /// of this jail.
    #[track_caller]
    pub fn nothing_was_done(&self) {
        self.nothing_runs();
        assert_eq!(files(&self.run()), Vec::<PathBuf>::new());
        let trees: Vec<PathBuf> = files(&self.state())
            .into_iter()
            .filter(|path| !path.ends_with("lock"))
            .collect();
        assert_eq!(trees, Vec::<PathBuf>::new());
    }

    /// A killed process is there until it is reaped, which is not ours to wait for.
    #[track_caller]
    fn processes_end(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "processes are left: {left:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Processes whose command line names this place.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let own = self.directory.path().to_str().unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(own) {
                found.push((pid, line));
            }
        }
        found
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
        let mut parents: Vec<PathBuf> = hierarchies.map(|entry| entry.path()).collect();
        parents.push("/sys/fs/cgroup".into());
        let children = parents
            .into_iter()
            .filter_map(|hierarchy| fs::read_dir(hierarchy.join("gaoler")).ok());
        let paths = children.flatten().flatten().map(|entry| entry.path());
        // One that only counts has more behind the name.
        let own = format!("{}@", self.name);
        let is_own = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name == self.name || name.starts_with(&own)
        };
        paths.filter(is_own).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.run().join(&self.name).join("state.json").exists() {
            drop(self.verb("stop"));
        }
        // Where the host has no /dev/log, the supervisor writes here.
        drop(fs::remove_file(format!(
            "/var/log/gaoler-{}.log",
            self.name
        )));
    }
}

/// Every file below a directory, directories themselves left out.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![directory.to_owned()];
    while let Some(path) = queue.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                queue.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Waits for something that takes a moment.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether something answers on a port of this host.
pub fn answers(port: u16) -> bool {
    use std::io::Read;
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut text = String::new();
    stream.read_to_string(&mut text).is_ok() && text == "hello\n"
}

pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
