//! Launchers that are wrong on purpose, roots for them, and odd hosts and callers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::Duration;

use crate::common::{self, Answer, Place};

/// Where the compiled programs are.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("holes");
    fs::create_dir_all(&directory).unwrap();
    let mark = format!("-DMARK=\"{}\"", mark().display());
    for (name, source, arguments) in [
        ("rig", include_str!("rig.c"), &["-static"][..]),
        ("payload", include_str!("payload.c"), &["-static"]),
        // Dynamic, so that it has name services to load.
        ("wrong", include_str!("wrong.c"), &[]),
        ("builder", include_str!("builder.c"), &["-static"]),
        ("attacker", include_str!("attacker.c"), &["-static"]),
        ("evil.so", include_str!("evil.c"), &["-shared", "-fPIC"]),
        ("shell", include_str!("shell.c"), &["-static", &mark]),
    ] {
        common::programs::compile(source, &directory.join(name), arguments);
    }
    directory
});

/// One of the compiled programs.
pub fn program(name: &str) -> PathBuf {
    PROGRAMS.join(name)
}

/// The file that a shell in the place of all shells makes.
pub fn mark() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("a-shell-ran-{}", std::process::id()))
}

/// Both ways to run in the foreground.
pub const WAYS: [&[&str]; 2] = [&["run"], &["run", "--exec"]];

/// The calls of the payload that a jail for the other tests does not allow.
const CALLS: [&str; 9] = [
    "getcwd",
    "getdents64",
    "capset",
    "recvmsg",
    "sendmsg",
    "setfsgid",
    "setfsuid",
    "mkdir",
    "readlink",
];

/// A jail for the payload.
pub fn jail(words: &[&str]) -> Place {
    let mut place = Place::of(&program("payload"), words);
    place.text.calls.extend(CALLS);
    place
}

/// A jail for the attempts of `tests/refusals`.
pub fn hostile(words: &[&str]) -> Place {
    let mut place = Place::with("hostile", words);
    place.text.calls.extend(["mkdir", "mkdirat"]);
    place.text.tables += &scratch("/srv/scratch");
    place
}

/// A scratch place of a spec.
pub fn scratch(path: &str) -> String {
    format!("[[tree.scratch]]\npath = \"{path}\"\nsize_kib = 2048\nbecause = \"a test\"\n")
}

/// A bind of a spec.
pub fn bind(path: &Path, writable: bool) -> String {
    format!("[[tree.binds]]\npath = {path:?}\nwritable = {writable}\nbecause = \"a test\"\n")
}

/// The null device of a spec.
pub const NULL: &str =
    "[[tree.devices]]\npath = \"/dev/null\"\ndevice = \"null\"\nbecause = \"a test\"\n";

/// Runs the jail of `place`, which was written, in one of the [`WAYS`], on an odd host.
pub fn run(place: &Place, way: &[&str], odd: &[String]) -> Answer {
    let words: Vec<&str> = way.iter().copied().chain([place.name.as_str()]).collect();
    let answer = finish(rig(odd, &place.command(&words)));
    place.nothing_runs_after(way);
    answer
}

/// The command on an odd host, or by an odd caller.
pub fn rig(odd: &[String], command: &Command) -> Command {
    let mut rigged = Command::new(program("rig"));
    rigged
        .args(odd)
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    rigged
}

/// Runs a command to its end. One that a signal ended has the code that a shell would give it.
pub fn finish(mut command: Command) -> Answer {
    let output = loop {
        match command.output() {
            // Another test's child still holds what was open for writing when it was forked.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                sleep(Duration::from_millis(10));
            }
            output => break output.unwrap(),
        }
    };
    let code = output.status.signal().map(|signal| 128 + signal);
    let mut answer = Answer::of(output);
    answer.code = answer.code.or(code);
    answer
}

/// A root directory for launchers that are wrong.
pub struct Room {
    directory: tempfile::TempDir,
}

impl Room {
    /// With the payload, the hostile program, and an empty place that everybody may write to.
    pub fn new() -> Self {
        let room = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        common::mode(room.directory.path(), 0o755);
        for name in ["dev", "etc", "lib", "srv/scratch"] {
            fs::create_dir_all(room.root().join(name)).unwrap();
        }
        common::mode(&room.root().join("srv/scratch"), 0o777);
        for program in [program("payload"), common::program("hostile")] {
            let name = program.file_name().unwrap();
            fs::copy(&program, room.root().join(name)).unwrap();
        }
        room
    }

    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The launcher that makes these mistakes, about to run a program of the root.
    pub fn launcher(&self, mistakes: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program("wrong"));
        command
            .args([OsString::from(mistakes), self.root().into()])
            .args(words)
            .stdin(Stdio::null());
        command
    }

    /// The same, run to its end on an odd host.
    pub fn wrong(&self, mistakes: &str, odd: &[String], words: &[&str]) -> Answer {
        finish(rig(odd, &self.launcher(mistakes, words)))
    }
}

/// Runs the builder that makes this mistake.
pub fn builder(mistake: &str, tree: &Path) -> Answer {
    let mut command = Command::new(program("builder"));
    command.arg(mistake).arg(tree);
    finish(command)
}

/// Holds that a check finds nothing in the answers that are right, and something in the wrong one.
#[track_caller]
pub fn tells_apart(check: impl Fn(&Answer) -> Vec<String>, right: &[&Answer], wrong: &Answer) {
    for answer in right {
        assert_eq!(check(answer), Vec::<String>::new(), "{answer:#?}");
    }
    assert_ne!(check(wrong), Vec::<String>::new(), "not found: {wrong:#?}");
}

/// The lines that begin so.
pub fn lines(answer: &Answer, beginnings: &[&str]) -> Vec<String> {
    let begins = |line: &&str| beginnings.iter().any(|start| line.starts_with(start));
    let lines = answer.out.lines().filter(begins);
    lines.map(str::to_owned).collect()
}

/// The attempts that succeeded.
pub fn done(answer: &Answer) -> Vec<String> {
    let lines = answer.out.lines().filter(|line| line.ends_with(": done"));
    lines.map(str::to_owned).collect()
}

/// A directory of the host with something in it, and what it must still be in the end.
pub struct Precious {
    pub path: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Precious {
    /// Makes it. Everybody may write there: what keeps it as it is must be the jail.
    pub fn new(path: PathBuf) -> Self {
        fs::create_dir_all(path.join("below")).unwrap();
        for name in ["passwd", "treasure", "below/config"] {
            fs::write(path.join(name), "precious").unwrap();
            common::mode(&path.join(name), 0o666);
        }
        for name in ["", "below"] {
            common::mode(&path.join(name), 0o777);
        }
        let before = look(&path);
        Self { path, before }
    }

    /// What is not as it was.
    pub fn changes(&self) -> Vec<String> {
        let after = look(&self.path);
        let all = self.before.keys().chain(after.keys());
        let differs = |path: &&PathBuf| self.before.get(*path) != after.get(*path);
        all.filter(differs)
            .map(|path| format!("{}: {:?}", path.display(), after.get(path)))
            .collect()
    }
}

/// Everything below a path: kind, mode, owner, number, content.
fn look(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut queue = vec![path.to_owned()];
    while let Some(path) = queue.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        let kind = stat.file_type();
        let content = kind.is_file().then(|| fs::read(&path).unwrap());
        if kind.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            queue.extend(entries.map(|entry| entry.unwrap().path()));
        }
        let number = kind.is_char_device().then(|| stat.rdev());
        let text = format!(
            "{:o} {}:{} {number:?} {content:?}",
            stat.permissions().mode(),
            stat.uid(),
            stat.gid()
        );
        found.insert(path, text);
    }
    found
}

/// What makes a host or a caller odd, as `rig` has it.
pub mod odd {
    use std::path::Path;

    /// The caller has the root directory open under this number.
    pub fn descriptor(number: u32) -> String {
        format!("descriptor={number}")
    }

    /// The system call answers this errno and does nothing; 0 is success.
    pub fn answer(call: libc::c_long, errno: i32) -> String {
        format!("answer={call}:{errno}")
    }

    /// The directory is hidden by an empty one.
    pub fn hide(path: &str) -> String {
        format!("hide={path}")
    }

    /// One path is mounted over another one.
    pub fn over(source: &Path, target: &Path) -> String {
        format!("over={}:{}", source.display(), target.display())
    }
}
