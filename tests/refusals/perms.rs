//! `perms` sets what it may, says what it did, and only reports the rest.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use crate::common::{DONE, FAILED, FINDINGS, GID, NOT_SET_UP, Place, UID, USAGE, mode};

#[test]
fn drift_of_owner_and_mode_is_repaired_and_nothing_else() {
    let mut place = Place::with("dynamic", &["serve", "20999"]);
    let own = place.bind("own", true);
    fs::write(own.join("a\u{1b}[2J\nb"), "").unwrap();
    place.write();
    place
        .verb("perms")
        .is(FAILED, &["has not been built", "gaoler build"]);
    place.verb("build").is(DONE, &[]);
    let all = place.verb("perms");
    all.is(
        DONE,
        &["looser because", "its owner may write", "the service's own"],
    );
    assert!(!all.out.contains('\u{1b}'), "{all:#?}");

    let program = place.inside(1, &place.program());
    let etc = place.inside(1, Path::new("/etc"));
    chown(&program, Some(UID), Some(GID)).unwrap();
    mode(&program, 0o4777);
    mode(&etc, 0o777);
    let words = [
        "DIFFERENT",
        "mode is 4777, not 0555",
        "owner is 5:60, not 0:0",
    ];
    place.verb("perms").is(FINDINGS, &words);
    let answer = place.gaoler(&["perms", &place.name, "--fix"]);
    answer.is(
        DONE,
        &["5:60 4777 -> 0:0 0555", "/etc: 0:0 0777 -> 0:0 0755"],
    );
    let metadata = fs::metadata(&program).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o555));
    let again = place.gaoler(&["perms", &place.name, "--fix"]);
    again.is(DONE, &[]);
    assert!(!again.out.contains(" -> "), "{again:#?}");

    // A link and a second name, content, something more: reported, and left as they are.
    let (precious, hard) = (place.path("precious"), place.path("hard"));
    let (passwd, group) = (etc.join("passwd"), etc.join("group"));
    fs::copy(&group, &hard).unwrap();
    fs::write(&precious, "untouched").unwrap();
    for path in [&precious, &hard] {
        mode(path, 0o606);
    }
    fs::remove_file(&passwd).unwrap();
    symlink(&precious, &passwd).unwrap();
    fs::remove_file(&group).unwrap();
    fs::hard_link(&hard, &group).unwrap();
    fs::write(&program, "changed").unwrap();
    mode(&program, 0o777);
    fs::write(etc.join("more"), "").unwrap();
    mode(&etc, 0o777);
    let answer = place.gaoler(&["perms", &place.name, "--fix"]);
    let words = [
        "/etc: 0:0 0777 -> 0:0 0755",
        "/etc/passwd is a symlink, not a file",
        "/etc/group has 2 names (hard links), not 1",
        "/etc/more is not in the manifest",
        "content is 7 bytes",
    ];
    answer.is(FINDINGS, &words);
    for path in [&precious, &hard] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o606);
    }
    assert_eq!(fs::metadata(&program).unwrap().mode() & 0o7777, 0o777);
    assert_eq!(fs::read_to_string(&program).unwrap(), "changed");
    // `check` sees the same.
    let check = place.gaoler(&["check", &place.name, "--fail-above", "0"]);
    let findings = [
        "is a symlink, not a file",
        "has 2 names (hard links), not 1",
        "is not in the manifest",
        "content is 7 bytes",
    ];
    check.is(FINDINGS, &findings);
    place.verb("build").is(DONE, &["generation 2 (new)"]);
    place.verb("perms").is(DONE, &[]);
}

#[test]
fn the_script_of_a_jail() {
    let place = Place::with("dynamic", &["serve", "20999"]);
    place.write();
    place.verb("build").is(DONE, &[]);
    let answer = place.gaoler(&["perms", &place.name, "--script"]);
    answer.is(DONE, &["#!/bin/sh", "in the jail it is mounted read-only"]);
    let script = place.path("perms.sh");
    fs::write(&script, &answer.out).unwrap();
    mode(&place.inside(1, Path::new("/etc/passwd")), 0o666);
    place
        .verb("perms")
        .is(FINDINGS, &["mode is 0666, not 0444"]);
    let done = Command::new("sh").arg(&script).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    place.verb("perms").is(DONE, &[]);

    for other in ["--fix", "--json"] {
        place
            .gaoler(&["perms", &place.name, "--script", other])
            .is(USAGE, &[]);
    }
    // Nobody else's state.
    let generations = place.state().join(&place.name).join("generations");
    fs::set_permissions(generations, fs::Permissions::from_mode(0o777)).unwrap();
    for words in [&["--fix"][..], &["--script"], &[]] {
        let words = [&["perms", place.name.as_str()], words].concat();
        place
            .gaoler(&words)
            .is(FAILED, &["everybody can write to it"]);
    }
    let other = place.gaoler(&["perms", "../x"]);
    assert!(
        other.code == Some(USAGE) || other.code == Some(NOT_SET_UP),
        "{other:#?}"
    );
}
