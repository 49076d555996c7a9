//! Specs and directories for the tests.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gaoler::build::{Account, Built, Manifest, Request, build, drift, state_of};
use gaoler::host::users::{Group, User};
use gaoler::spec::{BindRule, Device, DeviceRule, FileKind, FileRule, ScratchRule, Spec};

pub fn quiet(_: gaoler::build::Progress) {}

pub fn file(path: impl Into<PathBuf>, kind: FileKind) -> FileRule {
    FileRule {
        path: path.into(),
        kind,
        because: "a test".into(),
        evidence: gaoler::spec::Evidence::Person,
    }
}

pub fn bind(path: impl Into<PathBuf>, writable: bool) -> BindRule {
    BindRule {
        path: path.into(),
        writable,
        because: "a test".into(),
        evidence: gaoler::spec::Evidence::Person,
    }
}

/// A spec for `program`, run by a user with no files of its own.
pub fn spec_of(program: impl Into<PathBuf>) -> Spec {
    let mut spec = Spec {
        name: "test".into(),
        ..Spec::default()
    };
    spec.service.command = vec![program.into().to_str().unwrap().to_owned()];
    spec.service.workdir = "/".into();
    spec
}

/// What learning of named gives, short: its program, its place in memory, its data.
pub fn named() -> Spec {
    let mut spec = spec_of("/usr/sbin/named");
    spec.name = "named".into();
    spec.service.user = "bind".into();
    spec.service.group = "bind".into();
    spec.service.workdir = "/var/cache/bind".into();
    spec.files = vec![
        file("/etc/localtime", FileKind::Data),
        file("/usr/lib/ssl/openssl.cnf", FileKind::Data),
        file(
            "/usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so",
            FileKind::Library,
        ),
        file("/etc/protocols", FileKind::Data),
        file("/etc/services", FileKind::Data),
    ];
    spec.binds = vec![bind("/etc/bind", false), bind("/var/cache/bind", true)];
    spec.scratch = vec![ScratchRule {
        path: "/run/named".into(),
        size_kib: 64,
        because: "its pid file".into(),
        evidence: gaoler::spec::Evidence::Person,
    }];
    for (path, device) in [
        ("/dev/null", Device::Null),
        ("/dev/urandom", Device::Urandom),
    ] {
        spec.devices.push(DeviceRule {
            path: path.into(),
            device,
            because: "a test".into(),
            evidence: gaoler::spec::Evidence::Person,
        });
    }
    spec
}

/// An account that need not be on the host.
pub fn account(uid: u32, gid: u32) -> Account {
    let user = User {
        name: "jailed".into(),
        uid,
        gid,
        gecos: String::new(),
        home: "/".into(),
        shell: String::new(),
    };
    let group = Group {
        name: "jailed".into(),
        gid,
        members: Vec::new(),
    };
    Account {
        user,
        group,
        groups: Vec::new(),
        others: Vec::new(),
    }
}

pub fn somebody() -> Account {
    account(47_011, 47_012)
}

/// A directory that is root's, with a state directory in it.
pub struct Place {
    pub directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn try_build(&self, spec: &Spec, account: &Account) -> gaoler::Result<Built> {
        let state = self.state();
        build(
            &Request {
                spec,
                account,
                state: &state,
                in_use: &[],
                modes: &[],
                beside: &|_, _| Ok(Vec::new()),
                current: true,
            },
            &quiet,
        )
    }

    pub fn build(&self, spec: &Spec, account: &Account) -> Tree {
        let built = self.try_build(spec, account).unwrap();
        let state = state_of(&self.state(), &spec.name).unwrap().unwrap();
        assert_eq!(state.current().unwrap(), Some(built.generation));
        let tree = Tree {
            root: state.root(built.generation),
            manifest: state.manifest(built.generation).unwrap(),
            built,
        };
        assert_eq!(drift(&tree.root, &tree.manifest).unwrap(), []);
        tree
    }

    pub fn refused(&self, spec: &Spec, account: &Account) -> String {
        let error = self.try_build(spec, account).unwrap_err();
        let generations = self.state().join(&spec.name).join("generations");
        let left = fs::read_dir(generations).map_or(0, Iterator::count);
        assert_eq!(left, 0, "something was left behind");
        format!("{error} | {}", error.next().unwrap_or_default())
    }
}

pub struct Tree {
    pub root: PathBuf,
    pub manifest: Manifest,
    pub built: Built,
}

impl Tree {
    pub fn has(&self, path: &str) -> bool {
        self.manifest.entry(Path::new(path)).is_some()
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path.trim_start_matches('/'))).unwrap()
    }

    /// Owner, group and mode.
    pub fn permission(&self, path: &str) -> (u32, u32, u32) {
        permission(&self.root.join(path.trim_start_matches('/')))
    }
}

pub fn permission(path: &Path) -> (u32, u32, u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

/// Every path below `root`, with what is there: a listing to compare two trees by.
pub fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut queue = vec![root.to_owned()];
    while let Some(path) = queue.pop() {
        let m = fs::symlink_metadata(&path).unwrap();
        let content = if m.is_file() {
            format!("{:?}", fs::read(&path).unwrap())
        } else if m.is_symlink() {
            format!("{:?}", fs::read_link(&path).unwrap())
        } else {
            format!("{}", m.rdev())
        };
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let (uid, gid, mode, time) = (m.uid(), m.gid(), m.mode(), m.mtime());
        lines.push(format!(
            "{name} {uid} {gid} {mode:o} {time} {} {content}",
            m.mtime_nsec()
        ));
        if m.is_dir() {
            queue.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    lines.sort();
    lines
}

/// Compiles `source` with gcc.
pub fn compile(source: &str, output: &Path, arguments: &[&str]) {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut gcc = Command::new("gcc")
        .args(["-x", "c", "-", "-o"])
        .arg(output)
        .args(["-x", "none"])
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    gcc.stdin
        .take()
        .unwrap()
        .write_all(source.as_bytes())
        .unwrap();
    assert!(gcc.wait().unwrap().success());
}
