//! `guard` on a machine with BIND as Debian has it. `/usr/sbin` is a private copy too: the real one
//! is never touched, which each test looks at first.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::machine::{Done, Machine, machine};

const NAMED: &str = "/usr/sbin/named";
const MASK: &str = "/etc/systemd/system/named.service";
const OVERRIDES: &str = "/var/lib/dpkg/statoverride";

/// Nothing was done before there was a jail, or what was refused.
const FAILED: i32 = 1;
const FINDINGS: i32 = 3;

/// Private copies of the programs: overlays in the machine's memory.
fn own_programs(m: &Machine) {
    let real = fs::metadata(NAMED).unwrap();
    fs::create_dir_all("/run/own").unwrap();
    m.run(&["mount", "-t", "tmpfs", "own", "/run/own"]).ok();
    fs::create_dir_all("/run/own/upper").unwrap();
    fs::create_dir_all("/run/own/work").unwrap();
    let layers = "lowerdir=/usr/sbin,upperdir=/run/own/upper,workdir=/run/own/work";
    m.run(&[
        "mount",
        "-t",
        "overlay",
        "overlay",
        "-o",
        layers,
        "/usr/sbin",
    ])
    .ok();
    let own = fs::metadata(NAMED).unwrap();
    assert_ne!(real.dev(), own.dev(), "the real /usr/sbin would be touched");
    let var = fs::metadata(OVERRIDES).unwrap().dev();
    assert_ne!(var, fs::metadata("/").unwrap().dev(), "the real /var");
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// dpkg writes its list in an order of its own.
fn overrides() -> Vec<String> {
    let text = fs::read_to_string(OVERRIDES).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// How the host's own program answers to being started.
fn starts(m: &Machine) -> bool {
    m.run(&["sh", "-c", "exec /usr/sbin/named -V"]).code == 0
}

fn is_masked() -> bool {
    fs::read_link(MASK).is_ok_and(|target| target == Path::new("/dev/null"))
}

#[track_caller]
fn says(done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{done:#?}");
    for word in words {
        assert!(
            done.out.contains(word) || done.err.contains(word),
            "{word}: {done:#?}"
        );
    }
}

#[test]
fn the_hosts_copy_is_guarded_and_everything_of_gaolers_works() {
    machine(|m| {
        own_programs(m);
        set_mode(NAMED, 0o751);
        let before = overrides();
        says(
            &m.gaoler(&["guard", "named"]),
            2,
            &["there is none", "gaoler up named"],
        );
        m.up();
        says(
            &m.gaoler(&["guard", "named", "--status"]),
            FINDINGS,
            &["not guarded"],
        );
        let done = m.gaoler(&["guard", "named"]);
        says(
            &done,
            0,
            &[
                "mode 0751 -> 0000",
                "masked named.service",
                "dpkg keeps /usr/sbin/named",
            ],
        );
        assert_eq!((mode(NAMED), is_masked(), starts(m)), (0, true, false));
        let line = m.run(&["dpkg-statoverride", "--list", NAMED]).ok();
        assert_eq!(line.trim(), "root root 0 /usr/sbin/named");
        says(
            &m.gaoler(&["guard", "named"]),
            0,
            &["cannot be started outside"],
        );
        let status = m.json(&["guard", "named", "--status"]);
        assert_eq!(
            (&status["holds"], &status["mode"]),
            (&true.into(), &"0751".into())
        );

        // Building takes the mode that was, and finds nothing new.
        m.gaoler(&["restart", "named"]).ok();
        m.gaoler(&["reload", "named"]).ok();
        let built = m.json(&["build", "named"]);
        assert_eq!(
            (&built["generation"], &built["changed"]),
            (&1.into(), &false.into())
        );
        m.gaoler(&["stop", "named"]).ok();
        // Learning executes the host's program.
        m.gaoler(&["up", "named", "--again"]).ok();
        m.sound("named");
        assert_eq!((mode(NAMED), starts(m)), (0, false));
        let tree = fs::read_link("/var/lib/gaoler/named/current").unwrap();
        let copy = Path::new("/var/lib/gaoler/named")
            .join(tree)
            .join("root/usr/sbin/named");
        // Whom the host lets execute and not read it, the jail does too.
        assert_eq!(mode(copy.to_str().unwrap()), 0o111);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains("gaoler "), "{mounts}");

        // The record is enough.
        fs::rename("/etc/gaoler/named.toml", "/etc/gaoler/away").unwrap();
        m.gaoler(&["guard", "named", "--undo"]).ok();
        fs::rename("/etc/gaoler/away", "/etc/gaoler/named.toml").unwrap();
        assert_eq!((mode(NAMED), is_masked(), starts(m)), (0o751, false, true));
        assert!(!Path::new(MASK).is_symlink());
        assert_eq!(overrides(), before);
        assert!(!Path::new("/var/lib/gaoler/named/guard.json").exists());
        says(
            &m.gaoler(&["guard", "named", "--undo"]),
            0,
            &["not guarded"],
        );
        m.gaoler(&["stop", "named"]).ok();
    });
}

#[test]
fn what_was_there_before_comes_back_and_an_upgrade_is_noticed() {
    machine(|m| {
        own_programs(m);
        m.up();
        // An override, and a mask, of the administrator's own.
        let add = [
            "dpkg-statoverride",
            "--update",
            "--add",
            "root",
            "bind",
            "2750",
            NAMED,
        ];
        m.run(&add).ok();
        symlink("/dev/null", MASK).unwrap();
        let before = overrides();
        let owner = fs::metadata(NAMED).unwrap().gid();
        m.gaoler(&["guard", "named"]).ok();
        let guarded = overrides();
        assert!(
            guarded.contains(&"root bind 0 /usr/sbin/named".to_owned()),
            "{guarded:?}"
        );
        assert_eq!(guarded.len(), before.len());
        assert_eq!(
            m.json(&["guard", "named", "--status"])["masks"],
            serde_json::json!([])
        );

        // An upgrade that knows nothing of it.
        set_mode(NAMED, 0o755);
        m.run(&["dpkg-statoverride", "--remove", NAMED]).ok();
        let words = ["0755 again", "the next upgrade"];
        says(&m.gaoler(&["guard", "named", "--status"]), FINDINGS, &words);
        says(
            &m.gaoler(&["check", "named"]),
            0,
            &["host.guard", "0755 again"],
        );
        m.gaoler(&["guard", "named"]).ok();
        assert_eq!(mode(NAMED), 0);
        assert!(!m.gaoler(&["check", "named"]).out.contains("host.guard"));

        set_mode(NAMED, 0o2750);
        m.gaoler(&["guard", "named"]).ok();
        m.gaoler(&["guard", "named", "--undo"]).ok();
        assert_eq!(
            (mode(NAMED), fs::metadata(NAMED).unwrap().gid()),
            (0o2750, owner)
        );
        assert_eq!(overrides(), before);
        assert!(is_masked(), "it was not gaoler's mask");
        m.gaoler(&["stop", "named"]).ok();
    });
}

/// Killed after every system call that it makes, it can be undone.
#[test]
fn killed_at_any_moment_it_can_be_undone() {
    machine(|m| {
        own_programs(m);
        m.up();
        let before = (mode(NAMED), overrides(), is_masked());
        let gaoler = env!("CARGO_BIN_EXE_gaoler");
        // strace counts each call by itself, and the call at which it kills is not made.
        let calls = [
            "fsync",
            "chmod,fchmodat,fchmodat2",
            "symlink,symlinkat",
            "rename,renameat,renameat2",
            "unlink,unlinkat",
            "vfork,clone,clone3",
        ];
        let mut halfway = 0;
        for (verb, call) in ["guard", "--undo"]
            .iter()
            .flat_map(|verb| calls.map(|it| (*verb, it)))
        {
            for number in 1..20 {
                if verb == "--undo" {
                    m.gaoler(&["guard", "named"]).ok();
                }
                let inject = format!("inject={call}:signal=KILL:when={number}");
                let mut command = vec!["strace", "-qq", "-o", "/dev/null", "-e", &inject];
                command.extend([gaoler, "guard", "named"]);
                command.extend(Some("--undo").filter(|_| verb == "--undo"));
                let done = m.run(&command);
                let now = (mode(NAMED), overrides(), is_masked());
                let record = Path::new("/var/lib/gaoler/named/guard.json").exists();
                assert!(
                    record || now == before,
                    "{call} {number}: changed and not recorded: {now:?}"
                );
                halfway += usize::from(record && now != before && done.code != 0);
                m.gaoler(&["guard", "named", "--undo"]).ok();
                let after = (mode(NAMED), overrides(), is_masked());
                assert_eq!(after, before, "{verb}, {call} {number}: {done:#?}");
                if done.code == 0 {
                    break;
                }
            }
        }
        assert!(starts(m));
        assert!(halfway > 4, "it was killed half-way {halfway} times only");
        m.gaoler(&["stop", "named"]).ok();
    });
}

/// `learn` that is killed leaves the guard as it was.
#[test]
fn learning_past_the_guard_leaves_nothing_when_it_is_killed() {
    machine(|m| {
        own_programs(m);
        m.up();
        m.gaoler(&["stop", "named"]).ok();
        m.gaoler(&["guard", "named"]).ok();
        let learning = m.background(&[
            env!("CARGO_BIN_EXE_gaoler"),
            "learn",
            "named",
            "--again",
            "--for",
            "60",
        ]);
        crate::machine::eventually(runs_outside, |runs| *runs);
        drop(learning);
        assert_eq!((mode(NAMED), starts(m)), (0, false));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains("gaoler "), "{mounts}");
        crate::machine::eventually(runs_outside, |runs| !*runs);
        m.gaoler(&["guard", "named", "--undo"]).ok();
        assert!(starts(m));
    });
}

/// Whether a process runs the program.
fn runs_outside() -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == Path::new(NAMED))
    })
}

#[test]
fn what_others_use_is_not_guarded() {
    machine(|m| {
        own_programs(m);
        let user = ["--user", "games"];
        let nap = [&["up", "nap"][..], &user, &["--", "/bin/sleep", "77777"]].concat();
        m.gaoler(&nap).ok();
        m.gaoler(&["stop", "nap"]).ok();
        let spec = fs::read_to_string("/etc/gaoler/nap.toml").unwrap();
        let with = |program: &str| {
            let text = spec.replace("\"/bin/sleep\"", &format!("{program:?}"));
            let text = text.replace("\"/usr/bin/sleep\"", &format!("{program:?}"));
            assert!(text.contains(&format!("{program:?}")), "{text}");
            fs::write("/etc/gaoler/nap.toml", text).unwrap();
            m.gaoler(&["guard", "nap"])
        };
        for shell in ["/bin/sh", "/usr/bin/perl"] {
            says(&with(shell), FAILED, &["a shell, an interpreter"]);
        }
        fs::copy(NAMED, "/usr/sbin/many").unwrap();
        symlink("many", "/usr/sbin/another").unwrap();
        says(&with("/usr/sbin/many"), FAILED, &["links to it: another"]);
        fs::remove_file("/usr/sbin/another").unwrap();
        fs::hard_link("/usr/sbin/many", "/usr/sbin/another").unwrap();
        says(&with("/usr/sbin/many"), FAILED, &["2 names"]);
        fs::remove_file("/usr/sbin/another").unwrap();
        for unit in ["one", "two"] {
            let path = format!("/run/systemd/system/{unit}.service");
            m.write(&path, "[Service]\nExecStart=-/usr/sbin/many -f\n");
        }
        says(
            &with("/usr/sbin/many"),
            FAILED,
            &["one.service, two.service"],
        );
        symlink("/dev/null", "/etc/systemd/system/two.service").unwrap();
        assert_eq!(mode("/usr/sbin/many"), mode(NAMED));
        assert!(!Path::new("/var/lib/gaoler/nap/guard.json").exists());

        // A file system that cannot be changed: nothing is.
        m.run(&["mount", "-o", "remount,ro", "/usr/sbin"]).ok();
        says(&with("/usr/sbin/many"), FAILED, &["Read-only file system"]);
        assert!(!Path::new("/var/lib/gaoler/nap/guard.json").exists());
        assert!(!Path::new("/etc/systemd/system/one.service").is_symlink());
        m.run(&["mount", "-o", "remount,rw", "/usr/sbin"]).ok();
        let done = with("/usr/sbin/many");
        says(
            &done,
            0,
            &["masked one.service", "no Debian package owns it"],
        );
        m.gaoler(&["guard", "nap", "--undo"]).ok();
        assert_eq!(mode("/usr/sbin/many"), mode(NAMED));
        assert!(Path::new("/etc/systemd/system/two.service").is_symlink());
        assert!(!Path::new("/etc/systemd/system/one.service").is_symlink());
    });
}
