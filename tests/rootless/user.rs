//! The ordinary user of a test's machine.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use serde_json::Value;

use crate::machine::{Done, Machine, field};

pub const NAME: &str = "keeper";
pub const UID: u32 = 4711;
/// Another group that the user is in, if a test has it so.
pub const CROWD: u32 = 4712;
pub const HOME: &str = "/srv/keeper";
const RUNTIME: &str = "/run/user/4711";
/// The program, where everybody can get at it.
pub const GAOLER: &str = "/srv/gaoler";

/// Who can do nothing that others cannot.
pub struct User<'a> {
    m: &'a Machine,
    groups: String,
}

impl<'a> User<'a> {
    /// In no group but the own one.
    pub fn new(m: &'a Machine) -> Self {
        let add = |path: &str, line: String| {
            let text = fs::read_to_string(path).unwrap();
            fs::write(path, text + &line).unwrap();
        };
        add(
            "/etc/passwd",
            format!("{NAME}:x:{UID}:{UID}::{HOME}:/bin/sh\n"),
        );
        add("/etc/group", format!("{NAME}:x:{UID}:\ncrowd:x:{CROWD}:\n"));
        for directory in [HOME, RUNTIME] {
            fs::create_dir_all(directory).unwrap();
            chown(directory, Some(UID), Some(UID)).unwrap();
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_gaoler"), GAOLER).unwrap();
        fs::set_permissions(GAOLER, fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            m,
            groups: "--clear-groups".to_owned(),
        }
    }

    /// The same, who is in another group too.
    pub fn in_the_crowd(self) -> Self {
        Self {
            groups: format!("--groups={CROWD}"),
            ..self
        }
    }

    /// The words that run a command as this user.
    pub fn words<'w>(&'w self, command: &[&'w str]) -> Vec<&'w str> {
        let who = [
            "setpriv",
            "--reuid=4711",
            "--regid=4711",
            &self.groups,
            "env",
            "HOME=/srv/keeper",
            "XDG_RUNTIME_DIR=/run/user/4711",
        ];
        [&who, command].concat()
    }

    #[track_caller]
    pub fn run(&self, command: &[&str]) -> Done {
        self.m.run(&self.words(command))
    }

    #[track_caller]
    pub fn gaoler(&self, arguments: &[&str]) -> Done {
        self.run(&[&[GAOLER], arguments].concat())
    }

    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let done = self.gaoler(&[arguments, &["--json"]].concat());
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:#?}"))
    }

    /// Makes a directory or file in the home, which belongs to the user.
    pub fn file(&self, name: &str, text: Option<&str>) -> String {
        let path = Path::new(HOME).join(name);
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::create_dir(&path).unwrap(),
        }
        chown(&path, Some(UID), Some(UID)).unwrap();
        path.display().to_string()
    }

    /// The pid of a running jail.
    #[track_caller]
    pub fn pid(&self, name: &str) -> i32 {
        let status = self.json(&["status", name]);
        assert_eq!(status["state"], "running", "{status:#}");
        i32::try_from(status["pid"].as_i64().unwrap()).unwrap()
    }

    /// The ids of what `check --live` finds above info.
    #[track_caller]
    pub fn findings(&self, name: &str) -> BTreeSet<String> {
        let report = self.json(&["check", name, "--live"]);
        let findings = report["findings"].as_array().unwrap().iter();
        let counts = findings.filter(|one| one["severity"] != "info");
        counts
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A running jail is confined as root's would be, and nothing gets out of it.
    #[track_caller]
    pub fn holds(&self, name: &str) {
        let pid = self.pid(name);
        for (line, wanted) in [
            ("Uid", "4711 4711 4711 4711"),
            ("Gid", "4711 4711 4711 4711"),
            ("CapInh", "0000000000000000"),
            ("CapPrm", "0000000000000000"),
            ("CapEff", "0000000000000000"),
            ("CapBnd", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
            // The same inside and outside.
            ("NSpid", &format!("{pid} {pid}")),
        ] {
            assert_eq!(field(pid, line), wanted, "{line}");
        }
        let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
        let map: Vec<&str> = map.split_whitespace().collect();
        assert_eq!(map, ["4711", "4711", "1"]);
        let groups = fs::read_to_string(format!("/proc/{pid}/setgroups")).unwrap();
        assert_eq!(groups, "deny\n");

        let attack = self.json(&["attack", name]);
        let probes = attack["probes"].as_array().unwrap();
        let got_out: Vec<&Value> = probes
            .iter()
            .filter(|probe| probe["outcome"] == "escaped")
            .collect();
        assert_eq!(got_out, [&Value::Null; 0], "{name}");
        for phase in ["start", "serve"] {
            let stopped = probes
                .iter()
                .filter(|probe| probe["phase"] == phase && probe["outcome"] == "blocked");
            let stopped = stopped.count();
            assert!(stopped >= 70, "{name}, {phase}: only {stopped} stopped");
        }
        assert_eq!(self.pid(name), pid, "the attack left it alone");
    }

    /// Stops a jail, of which nothing is left then but how it ended.
    #[track_caller]
    pub fn stop(&self, name: &str) {
        self.gaoler(&["stop", name]).ok();
        assert_eq!(self.m.processes(&[]), []);
        let runtime = Path::new(RUNTIME).join("gaoler").join(name);
        let left: BTreeSet<String> = fs::read_dir(&runtime)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let kept = [
            "events.jsonl",
            "last.json",
            "lock",
            "log.json",
            "recent.log",
            "recent.log.1",
        ];
        let other = left.iter().find(|name| !kept.contains(&name.as_str()));
        assert_eq!(other, None);
        let state = Path::new(HOME).join(".local/state/gaoler");
        let attacks = fs::read_dir(&state).unwrap().flatten();
        let attacks = attacks.filter(|entry| entry.file_name().as_encoded_bytes()[0] == b'.');
        assert_eq!(attacks.count(), 0);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains("gaoler/"), "{mounts}");
        for place in ["/etc/gaoler", "/var/lib/gaoler", "/run/gaoler"] {
            assert!(!Path::new(place).exists(), "{place}");
        }
    }
}
