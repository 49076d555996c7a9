//! The tree of a real service.

use std::process::Command;

use gaoler::build::{Account, EntryKind};

use crate::common::{Place, listing, named};

const MIB: u64 = 1 << 20;

#[test]
fn named_runs_in_a_small_tree_where_nothing_is_writable() {
    let place = Place::new();
    let spec = named();
    let account = Account::of(&spec).unwrap();
    let tree = place.build(&spec, &account);
    let output = Command::new("chroot")
        .arg(&tree.root)
        .args(["/usr/sbin/named", "-V"])
        .output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("BIND 9"));
    eprintln!(
        "named: {} files, {} bytes",
        tree.built.files, tree.built.bytes
    );
    assert!(
        tree.built.bytes <= 56 * MIB && tree.built.files <= 60,
        "{:?}",
        tree.built
    );
    for entry in &tree.manifest.entries {
        let mode = entry.mode_bits().unwrap();
        let (device, link) = (
            entry.kind == EntryKind::Device,
            entry.kind == EntryKind::Symlink,
        );
        assert_eq!(entry.uid, 0, "{entry:?}");
        assert!(mode & 0o7022 == 0 || device || link, "{entry:?}");
        assert!(!entry.reason.is_empty());
    }
}

#[test]
fn the_tree_looks_like_the_host() {
    let place = Place::new();
    let spec = named();
    let tree = place.build(&spec, &Account::of(&spec).unwrap());
    assert_eq!(
        std::fs::read_link(tree.root.join("lib64"))
            .unwrap()
            .to_str(),
        Some("usr/lib64")
    );
    assert!(tree.root.join("etc/localtime").is_symlink());
    assert_eq!(tree.permission("/dev"), (0, 0, 0o111));
    assert_eq!(tree.permission("/dev/null"), (0, 0, 0o666));
    assert_eq!(tree.permission("/usr/sbin/named"), (0, 0, 0o555));
    assert_eq!(
        tree.permission("/usr/lib/x86_64-linux-gnu/libc.so.6"),
        (0, 0, 0o444)
    );
    assert!(
        !tree.has("/etc/ld.so.cache"),
        "Debian's linker finds all of this by itself"
    );
    assert!(!tree.has("/etc/bind/named.conf"), "it comes with the bind");
    let passwd = tree.text("/etc/passwd");
    assert!(
        passwd.starts_with("bind:*:") && passwd.lines().count() == 1,
        "{passwd}"
    );
    let mount = |path: &str| tree.manifest.entry(path.as_ref()).unwrap().kind;
    for path in ["/etc/bind", "/var/cache/bind", "/run/named", "/dev/gaoler"] {
        assert_eq!(mount(path), EntryKind::Mountpoint, "{path}");
    }
    assert_eq!(mount("/dev/log"), EntryKind::Symlink);
    let log = std::fs::read_link(tree.root.join("dev/log")).unwrap();
    assert_eq!(log.to_str(), Some("gaoler/log"));
    let libc = tree
        .manifest
        .entry("/usr/lib/x86_64-linux-gnu/libc.so.6".as_ref())
        .unwrap();
    assert!(libc.reason.contains("needed by"), "{}", libc.reason);
}

#[test]
fn equal_inputs_give_an_equal_tree() {
    let (first, second) = (Place::new(), Place::new());
    let spec = named();
    let account = Account::of(&spec).unwrap();
    let (first, second) = (first.build(&spec, &account), second.build(&spec, &account));
    assert_eq!(
        first.manifest.digest().unwrap(),
        second.manifest.digest().unwrap()
    );
    assert!(listing(&first.root) == listing(&second.root));
}
