//! A service that an exported script has started.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::common::{DONE, GID, Place, UID, eventually};

/// A port that takes a capability, and that nobody else has in a network of the service's own.
pub const PORT: u16 = 80;

/// The script, running.
pub struct Started {
    child: Child,
    command: Vec<String>,
    output: PathBuf,
}

/// A place whose service looks around, with a file beside its binds that it has no business with, and
/// then serves on [`PORT`].
pub fn curious() -> Place {
    let mut place = Place::new(&[
        "ids",
        "limits",
        "environment",
        "signal-state",
        "processes",
        "open",
    ]);
    let data = place.bind("data", true);
    let fixed = place.bind("fixed", false);
    let scratch = place.path("scratch");
    fs::create_dir(&scratch).unwrap();
    let secret = place.path("secret");
    fs::write(&secret, "everybody may read it\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    place.text.tables += &format!(
        "[[tree.scratch]]\npath = {scratch:?}\nsize_kib = 64\nbecause = \"a test\"\n\
         [[allow.capabilities]]\ncapability = \"NET_BIND_SERVICE\"\nbecause = \"a test\"\n\
         [[tree.devices]]\npath = \"/dev/null\"\ndevice = \"null\"\nbecause = \"a test\"\n\
         [limits]\ndescriptors = 99\n"
    );
    place.text.service =
        "umask = \"0077\"\n[service.environment]\n\"odd name\" = \"it's $odd\"\n".into();
    let files = [
        ("read", secret),
        ("read", PathBuf::from("/etc/hostname")),
        ("read", PathBuf::from("/dev/null")),
        ("make", data.join("made")),
        ("make", fixed.join("made")),
        ("make", scratch.join("made")),
        ("make", PathBuf::from("/dev/made")),
    ];
    for (how, file) in files {
        place
            .text
            .command
            .extend([how.to_owned(), file.to_str().unwrap().to_owned()]);
    }
    // sethostname(2), and one that is newer than any filter.
    for number in ["170", "100000"] {
        place
            .text
            .command
            .extend(["try".to_owned(), number.to_owned()]);
    }
    place
        .text
        .command
        .extend(["serve".to_owned(), PORT.to_string()]);
    place
}

/// A place whose service starts as root with one capability, and sees the pids of the host.
pub fn of_root() -> Place {
    let mut place = Place::new(&["ids", "signals"]);
    place.text.service = "start_as_root = true\n".into();
    place.text.tables += "[protections]\npid_namespace = \"off\"\n\
        [[allow.capabilities]]\ncapability = \"CHOWN\"\nbecause = \"a test\"\n";
    place
}

/// Builds the jail and exports it; answers where to.
pub fn export(place: &Place, enforcer: &str) -> PathBuf {
    place.write();
    place.verb("build").is(DONE, &[]);
    let directory = place.path("exported");
    let words = [
        "export",
        &place.name,
        "--to",
        enforcer,
        "-o",
        directory.to_str().unwrap(),
    ];
    place.gaoler(&words).is(DONE, &["wrote", "gaps"]);
    directory
}

/// Exports it, and starts the script that was written.
pub fn start(place: &Place, enforcer: &str, script: &str) -> Started {
    let directory = export(place, enforcer);
    let script = directory.join(format!("{}.{script}.sh", place.name));
    launch(place, &[script.to_str().unwrap()])
}

/// Starts it by this command, in a network of its own.
pub fn launch(place: &Place, command: &[&str]) -> Started {
    let output = place.path("output");
    let written = File::create(&output).unwrap();
    let child = Command::new("unshare")
        .args([
            "--net",
            "sh",
            "-c",
            "ip link set lo up && exec \"$0\" \"$@\"",
        ])
        .args(command)
        .stdin(Stdio::null())
        .stdout(written.try_clone().unwrap())
        .stderr(written)
        .spawn()
        .unwrap();
    Started {
        child,
        command: place.text.command.clone(),
        output,
    }
}

impl Started {
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    /// Waits until it has said this.
    #[track_caller]
    pub fn says(&self, text: &str) {
        eventually(text, || self.output().contains(text));
    }

    /// Waits until it answers.
    #[track_caller]
    pub fn answers(&mut self) {
        let network = PathBuf::from(format!("/proc/{}/ns/net", self.child.id()));
        eventually("it answers", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}\n{}", self.output());
            let network = File::open(&network).unwrap();
            std::thread::spawn(move || hears(&network)).join().unwrap()
        });
    }

    /// The service's process.
    pub fn pid(&self) -> i32 {
        let wanted = self.command.join("\0") + "\0";
        let is_it = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line == wanted.as_bytes()
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.find(is_it)
            .unwrap_or_else(|| panic!("{}", self.output()))
    }

    /// Holds the rights of its process against the spec's: its user, no group, one capability, the filter.
    #[track_caller]
    pub fn is_confined(&self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let one = "0000000000000400";
        for (key, value) in [
            ("Uid", format!("{UID}\t{UID}\t{UID}\t{UID}")),
            ("Gid", format!("{GID}\t{GID}\t{GID}\t{GID}")),
            ("Groups", String::new()),
            ("Umask", "0077".to_owned()),
            ("NoNewPrivs", "1".to_owned()),
            ("Seccomp", "2".to_owned()),
            ("CapInh", one.to_owned()),
            ("CapPrm", one.to_owned()),
            ("CapEff", one.to_owned()),
            ("CapBnd", one.to_owned()),
            ("CapAmb", one.to_owned()),
        ] {
            let start = format!("{key}:");
            let mut lines = status.lines().filter_map(|line| line.strip_prefix(&start));
            assert_eq!(
                lines.next().map(str::trim),
                Some(value.as_str()),
                "{key}\n{status}"
            );
        }
    }

    /// Holds what the service of [`curious`] has seen and done against its spec.
    #[track_caller]
    pub fn has_seen_what_it_may(&self, place: &Place) {
        let output = self.output();
        let done = |how: &str, path: PathBuf| {
            let line = format!("{how} {}: done\n", path.display());
            output.contains(&line)
        };
        for name in ["data", "scratch"] {
            assert!(done("make", place.path(name).join("made")), "{output}");
        }
        assert!(done("read", "/dev/null".into()), "{output}");
        assert!(!done("make", place.path("fixed").join("made")), "{output}");
        assert!(!done("make", "/dev/made".into()), "{output}");
        assert!(!done("read", place.path("secret")), "{output}");
        assert!(!done("read", "/etc/hostname".into()), "{output}");
        for line in [
            "call 170: Operation not permitted",
            "core 0 0",
            "nofile 99 99",
            "umask 0077",
            "variable odd name=it's $odd",
            "groups 0",
        ] {
            assert!(output.lines().any(|it| it == line), "{line}\n{output}");
        }
        assert!(!output.contains("call 100000: done"), "{output}");
        // Nothing of the caller's is open, and no signal is ignored.
        let open = output.lines().filter_map(|line| line.strip_prefix("open "));
        for line in open {
            let number: i32 = line.split(' ').next().unwrap().parse().unwrap();
            assert!(number < 3, "{output}");
        }
        assert!(
            !output.contains("blocked ") && !output.contains("not default "),
            "{output}"
        );
        for name in ["data", "fixed", "scratch"] {
            assert!(
                self.mount_options(&place.path(name)).contains("noexec"),
                "{name}"
            );
        }
        let secret = format!(
            "/proc/{}/root{}",
            self.pid(),
            place.path("secret").display()
        );
        assert!(!fs::exists(secret).unwrap());
    }

    /// How what the service sees at a path is mounted.
    fn mount_options(&self, path: &std::path::Path) -> String {
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", self.pid())).unwrap();
        let mut lines = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        // The last is on top.
        let found = lines.rfind(|words| words[4] == path.to_str().unwrap());
        found.unwrap_or_else(|| panic!("{mounts}"))[5].to_owned()
    }

    /// Holds that its process is root's, with the capability of [`of_root`] alone.
    #[track_caller]
    pub fn is_roots(&self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        for line in [
            "Uid:\t0\t0\t0\t0",
            "Gid:\t0\t0\t0\t0",
            "CapEff:\t0000000000000001",
            "CapBnd:\t0000000000000001",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            assert!(status.lines().any(|it| it == line), "{line}\n{status}");
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub fn ends(mut self) -> ExitStatus {
        eventually("it ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Whether the service says hello, asked from within its network.
fn hears(network: &File) -> bool {
    move_into_link_name_space(
        std::os::fd::AsFd::as_fd(network),
        Some(LinkNameSpaceType::Network),
    )
    .unwrap();
    let mut text = String::new();
    TcpStream::connect(("127.0.0.1", PORT))
        .is_ok_and(|mut stream| stream.read_to_string(&mut text).is_ok() && text == "hello\n")
}
