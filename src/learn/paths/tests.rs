use super::*;
use std::fs;
use std::os::unix::fs::symlink;

fn view(root: &Path) -> View {
    let own = i32::try_from(std::process::id()).unwrap();
    View {
        process: own,
        thread: own,
        root: root.to_owned(),
        jailed: false,
    }
}

fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path();
    fs::create_dir_all(root.join("usr/lib")).unwrap();
    fs::create_dir_all(root.join("etc/deep")).unwrap();
    fs::write(root.join("usr/lib/real"), "x").unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    symlink("/lib/real", root.join("etc/absolute")).unwrap();
    symlink("../../etc/absolute", root.join("etc/deep/chain")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("../../../../../../usr/lib", root.join("out")).unwrap();
    tree
}

#[test]
fn every_link_of_a_chain_is_kept_and_absolute_ones_restart_at_the_root() {
    let tree = tree();
    let root = tree.path();
    let found = resolve(
        &view(root),
        Path::new("/"),
        b"/etc/deep/chain",
        Last::Follow,
    );
    assert_eq!(found.host, root.join("usr/lib/real"));
    assert_eq!(found.asked, Path::new("/etc/deep/chain"));
    let links: Vec<_> = found
        .links
        .iter()
        .map(|(at, text)| (at.clone(), text.to_str().unwrap()))
        .collect();
    assert_eq!(
        links,
        [
            (root.join("etc/deep/chain"), "../../etc/absolute"),
            (root.join("etc/absolute"), "/lib/real"),
            (root.join("lib"), "usr/lib"),
        ]
    );
    assert!(found.target.is_some());
}

#[test]
fn relative_paths_start_at_the_base() {
    let tree = tree();
    let root = tree.path();
    let found = resolve(
        &view(root),
        &root.join("etc"),
        b"../lib/./real",
        Last::Follow,
    );
    assert_eq!(found.host, root.join("usr/lib/real"));
    assert_eq!(
        found.asked,
        Path::new("/usr/lib/real"),
        "`..` is resolved away"
    );
    let found = resolve(&view(root), &root.join("etc"), b"deep//chain", Last::Keep);
    assert_eq!(found.asked, Path::new("/etc/deep/chain"));
    assert_eq!(found.host, root.join("etc/deep/chain"));
    assert_eq!(found.links, []);
}

#[test]
fn nothing_leads_out_of_the_root() {
    let tree = tree();
    let root = tree.path();
    for text in [
        b"/out/real".as_slice(),
        b"/../../../usr/lib/real",
        b"/etc/../../lib/real",
    ] {
        let found = resolve(&view(root), Path::new("/"), text, Last::Follow);
        assert_eq!(found.host, root.join("usr/lib/real"), "{text:?}");
    }
}

#[test]
fn missing_things_keep_the_rest_of_their_name() {
    let tree = tree();
    let root = tree.path();
    let found = resolve(
        &view(root),
        Path::new("/"),
        b"/lib/none/../other",
        Last::Follow,
    );
    assert_eq!(found.host, root.join("usr/lib/other"));
    assert_eq!(found.target, None);
    let found = resolve(
        &view(root),
        Path::new("/"),
        b"/lib/real/below",
        Last::Follow,
    );
    assert_eq!(found.host, root.join("usr/lib/real/below"));
    assert_eq!(found.target, None);
}

#[test]
fn loops_end() {
    let tree = tree();
    let found = resolve(&view(tree.path()), Path::new("/"), b"/loop", Last::Follow);
    assert_eq!(found.links.len(), MOST_LINKS);
    assert_eq!(found.target, None);
}

#[test]
fn the_process_itself_is_called_self() {
    let whole = view(Path::new("/"));
    for text in [
        format!("/proc/{}/status", whole.process),
        "/proc/self/status".to_owned(),
    ] {
        let found = resolve(&whole, Path::new("/"), text.as_bytes(), Last::Follow);
        assert_eq!(found.host, Path::new("/proc/self/status"));
        assert_eq!(found.asked, Path::new("/proc/self/status"));
        assert!(found.target.is_some());
    }
}

#[test]
fn threads_have_no_number() {
    let whole = view(Path::new("/"));
    let text = format!("/proc/self/task/{}/comm", whole.thread);
    let found = resolve(&whole, Path::new("/"), text.as_bytes(), Last::Follow);
    assert_eq!(found.host, Path::new("/proc/thread-self/comm"));
    assert_eq!(found.asked, Path::new("/proc/thread-self/comm"));
    assert!(found.target.is_some());
}

#[test]
fn magic_links_lead_to_the_open_thing() {
    let tree = tree();
    let open = fs::File::open(tree.path().join("usr/lib/real")).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&open);
    let text = format!("/dev/fd/{number}");
    let found = resolve(
        &view(Path::new("/")),
        Path::new("/"),
        text.as_bytes(),
        Last::Follow,
    );
    assert_eq!(
        found.host,
        tree.path().join("usr/lib/real").canonicalize().unwrap()
    );
    assert!(is_magic(Path::new("/proc/12/task/13/fd/4")));
    assert!(!is_magic(Path::new("/proc/12/task/13/status")));
}

proptest::proptest! {
    #[test]
    fn any_bytes_resolve_inside_the_root(text in proptest::collection::vec(1u8..=255, 0..60)) {
        let tree = tree();
        let found = resolve(&view(tree.path()), tree.path(), &text, Last::Follow);
        proptest::prop_assert!(found.host.starts_with(tree.path()));
        proptest::prop_assert!(found.asked.is_absolute());
    }
}
