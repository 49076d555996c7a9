use super::*;

fn entry(path: &str, kind: EntryKind, mode: &str) -> Entry {
    Entry {
        path: path.into(),
        kind,
        source: None,
        sha256: None,
        uid: 0,
        gid: 0,
        mode: mode.into(),
        target: None,
        device: None,
        size: (kind == EntryKind::File).then_some(1),
        reason: "a test".into(),
    }
}

fn reason(entry: &Entry) -> String {
    of(entry).looser.unwrap_or_default()
}

#[test]
fn what_is_tightest_needs_no_reason() {
    for (path, kind, mode) in [
        ("/etc/data", EntryKind::File, "0444"),
        ("/bin/program", EntryKind::File, "0555"),
        ("/etc/less", EntryKind::File, "0400"),
        ("/etc", EntryKind::Directory, "0555"),
        ("/dev", EntryKind::Directory, "0111"),
        ("/dev/log", EntryKind::Symlink, "0777"),
    ] {
        assert_eq!(of(&entry(path, kind, mode)).looser, None, "{path}");
    }
}

#[test]
fn each_way_of_being_looser_has_its_reason() {
    for (path, kind, mode, word) in [
        ("/etc", EntryKind::Directory, "0755", "its owner may write"),
        ("/etc", EntryKind::Directory, "0575", "can be written to"),
        ("/etc", EntryKind::Directory, "1555", "sticky"),
        ("/dev", EntryKind::Directory, "0555", "can be listed"),
        ("/dev/gaoler", EntryKind::Mountpoint, "0755", "hidden"),
        ("/dev/null", EntryKind::Device, "0666", "writes to it too"),
        ("/etc/data", EntryKind::File, "0644", "can be written to"),
        ("/bin/program", EntryKind::File, "4555", "set-user-id"),
    ] {
        let said = reason(&entry(path, kind, mode));
        assert!(said.contains(word), "{path} {mode}: {said}");
    }
    let mut group = entry("/etc/key", EntryKind::File, "0440");
    group.gid = 7;
    assert!(reason(&group).contains("group 7 reads it"));
    group.uid = 8;
    assert!(reason(&group).contains("belongs to uid 8"));
}

/// Every bit, owner and kind: what is looser than the tightest says why, and nothing else does.
#[test]
fn there_is_a_reason_exactly_where_it_is_looser() {
    for (path, kind) in [
        ("/etc", EntryKind::Directory),
        ("/dev/a", EntryKind::Directory),
        ("/dev/b", EntryKind::Mountpoint),
        ("/dev/null", EntryKind::Device),
        ("/etc/data", EntryKind::File),
    ] {
        for mode in 0..0o10000u32 {
            let entry = entry(path, kind, &format!("{mode:04o}"));
            let looser = mode & !tightest(&entry, mode) != 0;
            assert_eq!(of(&entry).looser.is_some(), looser, "{path} {mode:04o}");
        }
    }
}

#[test]
fn names_and_reasons_stay_names_and_reasons_in_the_script() {
    let mut file = entry("/a'\n; echo pwned >&2; '/b\nc", EntryKind::File, "0444");
    file.reason = "one\necho pwned\u{2028}".into();
    let manifest = Manifest {
        entries: vec![entry("/", EntryKind::Directory, "0755"), file],
    };
    let root = Path::new("/tree's\nroot");
    let text = script("a\nexit 0", root, &manifest, &[]);
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("begin \"${1-}\" '/tree'\\''s\nroot'\n"),
        "{text}"
    );
    assert!(text.contains("enter '/a'\\''\n; echo pwned >&2; '\\'''\n"));
    assert!(text.contains("set_one '-' 0:0 00444 'b\nc'\n"), "{text}");
    assert!(text.contains("# one\u{fffd}echo pwned\u{fffd}\n"));
    assert!(text.starts_with("#!/bin/sh\n# a\u{fffd}exit 0\n"));
}
