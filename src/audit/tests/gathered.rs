//! What is gathered, from trees, places and processes that were planted.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::clean::{bind, clean};
use super::*;
use crate::audit::facts::{Around, Plant};
use crate::build::{Entry, EntryKind};
use crate::sys::copy::hash_bytes;

fn entry(path: &str, content: &[u8], source: &Path) -> Entry {
    Entry {
        path: path.into(),
        kind: EntryKind::File,
        source: Some(source.to_owned()),
        sha256: Some(hash_bytes(content)),
        uid: 0,
        gid: 0,
        mode: "0555".to_owned(),
        target: None,
        device: None,
        size: None,
        reason: "a test".to_owned(),
    }
}

/// A tree with a program, beside it what the program was copied from.
struct Planted {
    place: tempfile::TempDir,
    manifest: Manifest,
    spec: Spec,
}

impl Planted {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("root");
        fs::create_dir_all(tree.join("bin")).unwrap();
        let program = fs::read("/bin/true").unwrap();
        let source = place.path().join("source");
        fs::write(&source, &program).unwrap();
        fs::write(tree.join("bin/web"), &program).unwrap();
        let served = place.path().join("served");
        fs::create_dir(&served).unwrap();
        let mut spec = clean().spec;
        spec.binds = vec![bind(served.to_str().unwrap(), true)];
        let manifest = Manifest {
            entries: vec![entry("/bin/web", &program, &source)],
        };
        Self {
            place,
            manifest,
            spec,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.place.path().join(name)
    }

    fn gather(&self) -> Facts {
        // Whoever owns the files that are planted here.
        let uid = rustix::process::geteuid().as_raw();
        let tree = self.path("root");
        Facts::gather(&self.spec, &tree, &self.manifest, uid, Around::default()).unwrap()
    }
}

#[test]
fn a_tree_as_it_was_built_has_nothing_odd() {
    let planted = Planted::new();
    let facts = planted.gather();
    assert_eq!(facts.binaries.len(), 1);
    assert!(facts.files.is_empty() && facts.stale.is_empty() && facts.planted.is_empty());
}

#[test]
fn a_hard_link_that_leaves_the_tree() {
    let planted = Planted::new();
    // One inside is the tree's own affair.
    let (program, inside) = (planted.path("root/bin/web"), planted.path("root/bin/web2"));
    fs::hard_link(&program, &inside).unwrap();
    let mut manifest = planted.manifest.clone();
    let mut second = manifest.entries[0].clone();
    second.path = "/bin/web2".into();
    manifest.entries.push(second);
    let planted = Planted {
        manifest,
        ..planted
    };
    assert!(planted.gather().files.is_empty());
    fs::hard_link(&program, planted.path("outside")).unwrap();
    let files = planted.gather().files;
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|file| file.names_outside == 1));
}

#[test]
fn an_original_that_was_replaced_or_removed() {
    let planted = Planted::new();
    fs::write(planted.path("source"), "new").unwrap();
    let stale = planted.gather().stale;
    assert!(
        stale[0].code && stale[0].what.contains("another content"),
        "{stale:?}"
    );
    fs::remove_file(planted.path("source")).unwrap();
    assert!(planted.gather().stale[0].what.contains("gone"));
}

#[test]
fn what_is_planted_in_a_place_that_is_bound() {
    let planted = Planted::new();
    let served = planted.path("served");
    fs::write(served.join("page"), "plain").unwrap();
    symlink("page", served.join("inside")).unwrap();
    assert!(planted.gather().planted.is_empty());
    symlink("../../../etc/shadow", served.join("out")).unwrap();
    fs::write(served.join("program"), "#!/bin/sh").unwrap();
    let mode = fs::Permissions::from_mode;
    fs::set_permissions(served.join("program"), mode(0o755)).unwrap();
    fs::write(served.join("setuid"), "x").unwrap();
    fs::set_permissions(served.join("setuid"), mode(0o4755)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(served.join("socket")).unwrap();
    // A directory that is a link is not entered.
    symlink("/etc", served.join("etc")).unwrap();
    let mut found: Vec<(String, &'static str)> = planted
        .gather()
        .planted
        .iter()
        .map(|it| {
            let what = match it.what {
                Plant::Device => "device",
                Plant::Executable => "executable",
                Plant::Link(_) => "link",
                Plant::Setuid => "setuid",
                Plant::Socket => "socket",
            };
            let name = it.path.file_name().unwrap().to_str().unwrap();
            (name.to_owned(), what)
        })
        .collect();
    found.sort();
    let known = [
        ("etc", "link"),
        ("out", "link"),
        ("program", "executable"),
        ("setuid", "setuid"),
        ("socket", "socket"),
    ];
    assert_eq!(found, known.map(|(name, what)| (name.to_owned(), what)));
}

#[test]
fn a_process_outside_with_the_jail_s_user_is_seen() {
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // A number that nobody has.
    let uid = 1_900_000 + std::process::id() % 10_000;
    let planted = Planted::new();
    let tree = planted.path("root");
    let outside = |around: Around| {
        let facts = Facts::gather(&planted.spec, &tree, &planted.manifest, uid, around);
        facts.unwrap().outside
    };
    assert!(outside(Around::default()).is_empty());
    let mut child = Command::new("/bin/sleep")
        .arg("60")
        .uid(uid)
        .spawn()
        .unwrap();
    let pid = child.id().cast_signed();
    let seen = outside(Around::default());
    let jailed = outside(Around {
        jailed: [pid].into(),
        ..Around::default()
    });
    let forked_since = outside(Around {
        jailed: [std::process::id().cast_signed()].into(),
        ..Around::default()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].same_uid && !seen[0].is_copy && seen[0].pid == pid);
    assert!(jailed.is_empty(), "{jailed:?}");
    assert!(forked_since.is_empty(), "{forked_since:?}");
}
