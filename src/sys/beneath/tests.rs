use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

fn beneath() -> (tempfile::TempDir, Beneath) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("root")).unwrap();
    fs::create_dir(directory.path().join("outside")).unwrap();
    let beneath = Beneath::open(&directory.path().join("root")).unwrap();
    (directory, beneath)
}

#[test]
fn a_planted_link_on_the_way_is_refused_and_the_outside_is_untouched() {
    let (directory, beneath) = beneath();
    symlink("../outside", directory.path().join("root/etc")).unwrap();
    symlink("/", directory.path().join("root/all")).unwrap();
    let target = Path::new("/etc/passwd");
    assert_eq!(beneath.create(target, 0o644).unwrap_err(), Errno::LOOP);
    assert_eq!(
        beneath.make_directory(target, 0o755).unwrap_err(),
        Errno::LOOP
    );
    assert_eq!(
        beneath.make_symlink(target, Path::new("x")).unwrap_err(),
        Errno::LOOP
    );
    assert_eq!(
        beneath.make_device(target, (1, 3), 0o666).unwrap_err(),
        Errno::LOOP
    );
    assert_eq!(
        beneath.file(Path::new("all/etc/passwd")).unwrap_err(),
        Errno::LOOP
    );
    assert_eq!(
        beneath.rename(Path::new("all/etc"), target).unwrap_err(),
        Errno::LOOP
    );
    assert_eq!(
        fs::read_dir(directory.path().join("outside"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_link_as_the_last_component_is_never_followed() {
    let (directory, beneath) = beneath();
    let victim = directory.path().join("outside/victim");
    fs::write(&victim, "as it was").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&victim, directory.path().join("root/link")).unwrap();
    symlink(
        directory.path().join("outside/new"),
        directory.path().join("root/dangling"),
    )
    .unwrap();
    assert_eq!(
        beneath.create(Path::new("link"), 0o644).unwrap_err(),
        Errno::EXIST
    );
    assert_eq!(
        beneath.create(Path::new("dangling"), 0o644).unwrap_err(),
        Errno::EXIST
    );
    assert_eq!(beneath.file(Path::new("link")).unwrap_err(), Errno::LOOP);
    assert_eq!(
        beneath.chmod(Path::new("link"), 0o777).unwrap_err(),
        Errno::LOOP
    );
    assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
}

#[test]
fn dot_dot_is_refused() {
    let (_directory, beneath) = beneath();
    assert_eq!(
        beneath.file(Path::new("../outside")).unwrap_err(),
        Errno::XDEV
    );
    assert_eq!(
        beneath.create(Path::new("a/../../x"), 0o644).unwrap_err(),
        Errno::XDEV
    );
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    let (directory, beneath) = beneath();
    beneath.make_directory(Path::new("/d"), 0o111).unwrap();
    beneath.create(Path::new("/d/f"), 0o666).unwrap();
    let mode = |path: &str| {
        fs::metadata(directory.path().join("root").join(path))
            .unwrap()
            .mode()
    };
    assert_eq!(mode("d") & 0o7777, 0o111);
    assert_eq!(mode("d/f") & 0o7777, 0o666);
}

#[test]
fn removing_a_tree_leaves_what_its_links_point_to() {
    let (directory, beneath) = beneath();
    fs::write(directory.path().join("outside/kept"), "").unwrap();
    fs::create_dir_all(directory.path().join("root/a/b/c")).unwrap();
    fs::write(directory.path().join("root/a/b/c/f"), "").unwrap();
    symlink("../../../outside", directory.path().join("root/a/b/link")).unwrap();
    beneath.remove_tree(Path::new("a")).unwrap();
    beneath.remove_tree(Path::new("a")).unwrap();
    assert!(!directory.path().join("root/a").exists());
    assert!(directory.path().join("outside/kept").exists());
}

#[test]
fn names_are_sorted_and_counted() {
    let (directory, beneath) = beneath();
    for name in ["b", "a", "c"] {
        fs::write(directory.path().join("root").join(name), "").unwrap();
    }
    assert_eq!(beneath.names(Path::new("/"), 3).unwrap(), ["a", "b", "c"]);
    assert_eq!(
        beneath.names(Path::new("/"), 2).unwrap_err(),
        Errno::OVERFLOW
    );
}
