//! Hostile services: each attempt is refused inside and succeeds outside, where the same program
//! has nobody around it.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::{Answer, DONE, Place, program};

/// The classic set, with what the filter, Landlock and the rest answer together, and what is
/// left to the other layers without the filter.
const ATTEMPTS: &[(&str, &str, &str)] = &[
    ("breakout=SCRATCH", "EPERM", "EPERM"),
    ("climb", "ENOENT", "ENOENT"),
    ("setuid", "EPERM", "EPERM"),
    ("setresuid", "EPERM", "EPERM"),
    ("saved-uid", "EPERM", "EPERM"),
    ("setgid", "EPERM", "EPERM"),
    ("setgroups", "EPERM", "EPERM"),
    ("mknod=SCRATCH/node", "EPERM", "EACCES"),
    ("mount=SCRATCH", "EPERM", "EPERM"),
    ("umount=/", "EPERM", "EPERM"),
    ("unshare", "EPERM", ""),
    ("clone", "EPERM", ""),
    ("clone3", "ENOSYS", ""),
    ("ptrace=1", "EPERM", "EPERM"),
    ("kill", "ESRCH", "ESRCH"),
    ("open=/proc/self/status", "ENOENT", "ENOENT"),
    ("open=/proc/self/root", "ENOENT", "ENOENT"),
    ("open=/etc/shadow", "ENOENT", "ENOENT"),
    ("packet", "EAFNOSUPPORT", "EPERM"),
    ("netlink", "EAFNOSUPPORT", ""),
    ("netlink-high", "EAFNOSUPPORT", ""),
    ("execute=DATA/program", "EACCES", "EACCES"),
    ("execute=SCRATCH/program", "EACCES", "EACCES"),
    ("mmap", "EPERM", ""),
    ("handle=/etc/passwd", "EPERM", "EPERM"),
    ("own", "EACCES", "EACCES"),
    ("bind=20996", "EACCES", "EACCES"),
    ("connect=PORT", "EACCES", "EACCES"),
];

/// A jail with one writable bind, one scratch place and one port that is allowed.
fn jail(words: &[String], filtered: bool) -> Place {
    let mut place = Place::with("hostile", &[]);
    let data = place.bind("data", true);
    place.bind("read-only", false);
    fs::write(place.path("read-only/file"), "untouched").unwrap();
    place.text.command.extend(words.iter().map(|word| {
        word.replace("DATA", data.to_str().unwrap())
            .replace("PLACE", place.directory.path().to_str().unwrap())
    }));
    place.text.tables += "[[tree.scratch]]\npath = \"/srv/scratch\"\nsize_kib = 2048\nbecause = \"a test\"\n\
        [[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = 20995\nbecause = \"a test\"\n\
        [[tree.devices]]\npath = \"/dev/null\"\ndevice = \"null\"\nbecause = \"a test\"\n";
    // What only these attempts use; everything else that they try is not allowed.
    place.text.calls.extend(["mkdir", "mkdirat"]);
    if !filtered {
        place.text.tables += "[protections]\nseccomp = \"off\"\n";
    }
    place
}

fn outside(words: &[String]) -> Answer {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--"])
        .arg(program("hostile"))
        .args(words)
        .stdin(Stdio::null());
    Answer::of(command.output().unwrap())
}

#[test]
fn every_attempt_is_refused_inside() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let words: Vec<String> = ATTEMPTS
        .iter()
        .map(|(word, ..)| {
            word.replace("SCRATCH", "/srv/scratch")
                .replace("PORT", &port)
        })
        .collect();
    // Whatever `kill -1` could reach outside: a process of the same user.
    let mut victim = {
        use std::os::unix::process::CommandExt;
        Command::new("sleep")
            .arg("600")
            .uid(crate::common::UID)
            .spawn()
            .unwrap()
    };
    for filtered in [true, false] {
        let wanted = |row: &(&str, &str, &str)| {
            if filtered {
                row.1.to_owned()
            } else {
                row.2.to_owned()
            }
        };
        let (words, expected): (Vec<String>, Vec<String>) = words
            .iter()
            .zip(ATTEMPTS)
            .filter(|(_, row)| !wanted(row).is_empty())
            .map(|(word, row)| {
                let name = row.0.split('=').next().unwrap();
                (word.clone(), format!("{name}: {}", wanted(row)))
            })
            .unzip();
        let place = jail(&words, filtered);
        place.write();
        let answer = place.verb("run");
        answer.is(DONE, &[]);
        let found: Vec<&str> = answer.out.lines().collect();
        assert_eq!(found, expected, "filtered: {filtered}");
        assert_eq!(
            fs::read_to_string(place.path("read-only/file")).unwrap(),
            "untouched"
        );
        place.nothing_runs();
    }
    assert!(
        victim.try_wait().unwrap().is_none(),
        "kill -1 reached a process outside"
    );
    victim.kill().unwrap();
    victim.wait().unwrap();
}

#[test]
fn every_attempt_succeeds_outside() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_str().unwrap();
    let mut victim = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = victim.id().to_string();
    for (word, ..) in ATTEMPTS {
        let word = match *word {
            // Out of a plain chroot, as root: this is what the jail is for.
            "breakout=SCRATCH" | "climb" => continue,
            "ptrace=1" => continue,
            // Below, as a user of its own.
            "kill" => continue,
            "umount=/" => continue,
            "own" => continue,
            other => other
                .replace("SCRATCH", place)
                .replace("DATA", place)
                .replace("PORT", &port),
        };
        let name = word.split('=').next().unwrap().to_owned();
        let answer = outside(&[word]);
        assert_eq!(answer.out, format!("{name}: done\n"), "{answer:#?}");
    }
    let direct =
        |word: String| Answer::of(Command::new(program("hostile")).arg(word).output().unwrap());
    direct(format!("ptrace={pid}")).is(DONE, &["ptrace: done"]);
    victim.kill().unwrap();
    victim.wait().unwrap();

    let copy = directory.path().join("hostile");
    fs::copy(program("hostile"), &copy).unwrap();
    let chroot = |words: &[&str]| {
        let output = Command::new("chroot")
            .arg(directory.path())
            .arg("/hostile")
            .args(words)
            .output();
        Answer::of(output.unwrap())
    };
    chroot(&["breakout=/"]).is(DONE, &["breakout: done"]);
    chroot(&["open=/etc/shadow"]).is(DONE, &["open: ENOENT"]);

    // As an unprivileged user of its own, which nothing else here has.
    let mut other = {
        use std::os::unix::process::CommandExt;
        Command::new("sleep")
            .arg("600")
            .uid(47_123)
            .gid(47_123)
            .spawn()
            .unwrap()
    };
    let killer = {
        use std::os::unix::process::CommandExt;
        fs::set_permissions(
            directory.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        Command::new(&copy)
            .arg("kill")
            .uid(47_123)
            .gid(47_123)
            .output()
            .unwrap()
    };
    Answer::of(killer).is(DONE, &["kill: done"]);
    assert!(!other.wait().unwrap().success());
}

/// Everything in the tree and every read-only bind, in every way that changes something.
#[test]
fn nothing_that_is_read_only_can_be_changed() {
    for filtered in [true, false] {
        let first = jail(&[], filtered);
        first.write();
        first.verb("build").is(DONE, &[]);
        let manifest = fs::read_to_string(first.tree(1).with_file_name("manifest.json")).unwrap();
        let entries = manifest
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let entries: Vec<serde_json::Value> = entries.collect();
        let own = first.directory.path().to_str().unwrap();
        let mut words: Vec<String> = Vec::new();
        for entry in &entries {
            let path = entry["path"].as_str().unwrap().replace(own, "PLACE");
            if path.ends_with("/data") || path == "/srv/scratch" || path == "/dev/null" {
                continue;
            }
            if entry["kind"] == "file" {
                words.extend(["write", "truncate"].map(|verb| format!("{verb}={path}")));
            }
            words.extend(["create", "unlink", "rename", "chmod"].map(|verb| {
                let below = if ["file", "symlink"].contains(&entry["kind"].as_str().unwrap())
                    || verb != "create"
                {
                    ""
                } else {
                    "/new"
                };
                format!("{verb}={path}{below}")
            }));
        }
        words.extend(
            ["write", "truncate", "unlink", "rename", "chmod"]
                .map(|verb| format!("{verb}=PLACE/read-only/file")),
        );
        words.push("create=PLACE/read-only/new".into());
        let mut place = jail(&words, filtered);
        place
            .text
            .calls
            .extend(["truncate", "unlink", "rename", "chmod"]);
        place.write();
        let answer = place.verb("run");
        answer.is(DONE, &[]);
        let done: Vec<&str> = answer
            .out
            .lines()
            .filter(|line| line.ends_with("done"))
            .collect();
        assert_eq!(done, Vec::<&str>::new());
        assert_eq!(answer.out.lines().count(), words.len());
        // Everything failed as it should, and not by a mistake in this test.
        for line in answer.out.lines() {
            let errno = line.split(": ").nth(1).unwrap();
            assert!(
                [
                    "EACCES", "EPERM", "EROFS", "EISDIR", "EBUSY", "ETXTBSY", "EXDEV"
                ]
                .contains(&errno),
                "{line}"
            );
        }
        assert_eq!(
            fs::read_to_string(place.path("read-only/file")).unwrap(),
            "untouched"
        );
        let check = place.gaoler(&["check", &place.name]);
        assert!(!check.out.contains("drift"), "{check:#?}");
        place.nothing_runs();
    }
}

/// The test above must be able to fail: what is writable can be changed.
#[test]
fn what_is_writable_can_be_changed() {
    let words = ["create", "write", "truncate", "rename"].map(|verb| format!("{verb}=DATA/file"));
    let mut place = jail(&words, true);
    place
        .text
        .calls
        .extend(["truncate", "unlink", "rename", "chmod"]);
    place.write();
    let answer = place.verb("run");
    answer.is(DONE, &[]);
    assert_eq!(
        answer.out,
        "create: done\nwrite: done\ntruncate: done\nrename: done\n"
    );
    assert!(place.path("data/file-away").exists());
}
