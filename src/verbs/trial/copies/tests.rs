use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;

use super::*;

/// A copy of `source` in `to`, and what was copied.
fn copied(source: &Path, to: &Path, budget: u64) -> std::result::Result<Copied, Why> {
    let mut budget = Budget {
        copied: Copied {
            bytes: MOST_BYTES - budget,
            ..Copied::default()
        },
    };
    let source = open_place(source).unwrap().unwrap();
    copy_place(&source, to, "0", &mut budget).map(|()| budget.copied)
}

/// A directory with one of everything.
fn zoo(directory: &Path) -> PathBuf {
    let zoo = directory.join("zoo");
    fs::create_dir_all(zoo.join("inner")).unwrap();
    fs::write(zoo.join("inner/file"), "text").unwrap();
    fs::set_permissions(zoo.join("inner/file"), fs::Permissions::from_mode(0o4640)).unwrap();
    symlink("/etc/shadow", zoo.join("link")).unwrap();
    let mode = Mode::from_raw_mode(0o620);
    rustix::fs::mknodat(CWD, zoo.join("fifo"), FileType::Fifo, mode, 0).unwrap();
    drop(UnixListener::bind(zoo.join("socket")).unwrap());
    zoo
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn everything_but_sockets_and_devices_is_copied_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let zoo = zoo(directory.path());
    if is_root() {
        chown(zoo.join("inner/file"), Some(5), Some(60)).unwrap();
        fs::set_permissions(zoo.join("inner/file"), fs::Permissions::from_mode(0o4640)).unwrap();
        let name = c"trusted.note";
        let file = zoo.join("inner/file");
        rustix::fs::setxattr(&file, name, b"kept", XattrFlags::empty()).unwrap();
    }
    let copied = copied(&zoo, directory.path(), 100).unwrap();
    let copy = directory.path().join("0");
    assert_eq!(
        (
            copied.files,
            copied.bytes - (MOST_BYTES - 100),
            copied.skipped
        ),
        (5, 4, 1)
    );
    assert!(!copy.join("socket").exists());
    assert_eq!(
        fs::read_link(copy.join("link")).unwrap(),
        Path::new("/etc/shadow")
    );
    let of = |path: &Path| {
        let metadata = fs::symlink_metadata(path).unwrap();
        (
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.mtime(),
        )
    };
    for name in ["", "inner", "inner/file"] {
        assert_eq!(of(&zoo.join(name)), of(&copy.join(name)), "{name}");
    }
    let fifo = of(&copy.join("fifo"));
    assert_eq!(fifo.0, of(&zoo.join("fifo")).0);
    if is_root() {
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(copy.join("inner/file"), c"trusted.note", &mut value);
        assert_eq!(&value[..length.unwrap()], b"kept");
    }
}

#[test]
fn more_than_the_bound_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let zoo = zoo(directory.path());
    let why = copied(&zoo, directory.path(), 3).unwrap_err();
    assert!(why.contains("more to copy than 256 MiB"), "{why}");
}

#[test]
fn a_link_in_the_path_of_a_place_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    zoo(directory.path());
    symlink(directory.path(), directory.path().join("other")).unwrap();
    assert!(open_place(&directory.path().join("other/zoo")).is_err());
    assert!(
        open_place(&directory.path().join("nothing"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_a_trial_did_is_undone_in_the_same_directory() {
    let directory = tempfile::tempdir().unwrap();
    let zoo = zoo(directory.path());
    copied(&zoo, directory.path(), 100).unwrap();
    let copy = directory.path().join("0");
    let inode = fs::metadata(&copy).unwrap().ino();
    fs::write(copy.join("inner/file"), "changed").unwrap();
    fs::create_dir_all(copy.join("new/deep")).unwrap();
    symlink(&zoo, copy.join("new/out")).unwrap();
    fs::remove_file(copy.join("link")).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).unwrap();
    refill(&zoo, &copy).unwrap();
    assert_eq!(fs::read_to_string(copy.join("inner/file")).unwrap(), "text");
    assert!(!copy.join("new").exists() && copy.join("link").symlink_metadata().is_ok());
    assert!(zoo.join("inner/file").exists(), "through no link");
    let metadata = fs::metadata(&copy).unwrap();
    assert_eq!(metadata.ino(), inode);
    assert_eq!(metadata.mode(), fs::metadata(&zoo).unwrap().mode());
}

#[test]
fn a_file_is_filled_again_without_being_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "text").unwrap();
    copied(&file, directory.path(), 100).unwrap();
    let copy = directory.path().join("0");
    let inode = fs::metadata(&copy).unwrap().ino();
    fs::write(&copy, "longer than before").unwrap();
    refill(&file, &copy).unwrap();
    assert_eq!(fs::read_to_string(&copy).unwrap(), "text");
    assert_eq!(fs::metadata(&copy).unwrap().ino(), inode);
}

#[test]
fn those_above_others_come_first() {
    let paths = |words: &[&str]| words.iter().map(PathBuf::from).collect::<Vec<_>>();
    let (required, optional) = (paths(&["/a/b/c", "/x"]), paths(&["/a/b", "/x"]));
    let order: Vec<(&Path, bool)> = outermost(&required, &optional);
    let expected = [
        ("/x", true),
        ("/x", false),
        ("/a/b", false),
        ("/a/b/c", true),
    ];
    assert_eq!(order, expected.map(|(path, must)| (Path::new(path), must)));
}
