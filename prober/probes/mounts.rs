//! Mounts: who may change them has left the jail.

use super::Probes;
use crate::raw::{self, Word};
use crate::scene::{DIRECTORY, HERE, Path, READ, Scene, open};
use crate::{At, Tried, numbers};

pub const PROBES: Probes = &[
    ("mount-tmpfs", tmpfs),
    ("mount-proc", proc),
    ("mount-bind", bind),
    ("mount-root-writable", root_writable),
    ("mount-umount", umount),
    ("mount-pivot-root", pivot_root),
    ("mount-open-tree", open_tree),
    ("mount-move-mount", move_mount),
    ("mount-fsopen", fsopen),
    ("mount-setattr", setattr),
    ("mount-user-namespace", user_namespace),
];

const BIND: usize = 0x1000;
const REMOUNT: usize = 0x20;
const EMPTY_PATH: usize = 0x1000;
const NEW_USER: usize = 0x1000_0000;
const NEW_MOUNTS: usize = 0x0002_0000;

fn mount(
    source: &core::ffi::CStr,
    target: &core::ffi::CStr,
    kind: &core::ffi::CStr,
    flags: usize,
) -> Result<usize, raw::Refused> {
    let words = [
        source.into(),
        target.into(),
        kind.into(),
        flags.into(),
        0.into(),
    ];
    raw::call(numbers::MOUNT, words)
}

fn tmpfs(_: Scene) -> Tried {
    mount(c"none", c"/", c"tmpfs", 0).at("mount a tmpfs")?;
    Ok("mounted a tmpfs over /")
}

/// A new proc shows the processes outside, if it is that of their pid namespace.
fn proc(scene: Scene) -> Tried {
    let place = scene.text("directory")?;
    mount(c"none", place, c"proc", 0).at("mount a proc")?;
    let path = Path::new().with(place.to_bytes()).with(b"/1/root");
    open(path.text(), DIRECTORY).at("open the root of the first process")?;
    Ok("mounted a proc")
}

fn bind(scene: Scene) -> Tried {
    mount(c"/", scene.text("directory")?, c"", BIND).at("bind / elsewhere")?;
    Ok("bound / elsewhere")
}

fn root_writable(_: Scene) -> Tried {
    mount(c"none", c"/", c"", BIND | REMOUNT).at("mount / writable again")?;
    Ok("made / writable")
}

fn umount(scene: Scene) -> Tried {
    const DETACH: usize = 2;
    let place = scene.text("mounted")?;
    raw::call(numbers::UMOUNT2, [place.into(), DETACH.into()]).at("unmount what is mounted")?;
    Ok("unmounted what is mounted")
}

fn pivot_root(_: Scene) -> Tried {
    // EINVAL and EBUSY come from what the two directories are, after the permission was checked
    // (pivot_root(2)).
    let answer = raw::call(numbers::PIVOT_ROOT, [c".".into(), c".".into()]);
    crate::past(answer, &[22, 16], "change the root", "may change the root")
}

fn tree_of_root() -> Result<usize, raw::Refused> {
    const CLONE: usize = 1;
    raw::call(numbers::OPEN_TREE, [HERE.into(), c"/".into(), CLONE.into()])
}

fn open_tree(_: Scene) -> Tried {
    tree_of_root().at("make a copy of a mount")?;
    Ok("made a copy of a mount")
}

fn move_mount(scene: Scene) -> Tried {
    const FROM_EMPTY_PATH: usize = 4;
    let place = scene.text("directory")?;
    // Without a mount to move, the permission is checked all the same.
    let tree = tree_of_root().map_or(-1, |tree| tree as i32);
    let words: [Word<'_>; 5] = [
        tree.into(),
        c"".into(),
        HERE.into(),
        place.into(),
        FROM_EMPTY_PATH.into(),
    ];
    let answer = raw::call(numbers::MOVE_MOUNT, words);
    crate::past(answer, &[9, 22], "move a mount", "may move mounts")
}

fn fsopen(_: Scene) -> Tried {
    raw::call(numbers::FSOPEN, [c"tmpfs".into(), 0.into()]).at("make a file system")?;
    Ok("may make file systems")
}

/// Takes read-only off the root, as `mount_setattr(2)`.
fn setattr(_: Scene) -> Tried {
    const READ_ONLY: u64 = 1;
    let mut attributes = [0, READ_ONLY, 0, 0_u64];
    let size = size_of_val(&attributes);
    let attributes = Word::Room(raw::bytes_of(&mut attributes));
    let root = open(c"/", READ).at("open /")?;
    let words: [Word<'_>; 5] = [
        root.into(),
        c"".into(),
        EMPTY_PATH.into(),
        attributes,
        size.into(),
    ];
    raw::call(numbers::MOUNT_SETATTR, words).at("take read-only off /")?;
    Ok("took read-only off /")
}

/// Whoever is root in a user namespace of his own may mount.
fn user_namespace(_: Scene) -> Tried {
    raw::call(numbers::UNSHARE, [(NEW_USER | NEW_MOUNTS).into()])
        .at("make a user and a mount namespace")?;
    mount(c"none", c"/", c"tmpfs", 0).at("mount a tmpfs")?;
    Ok("mounted in a user namespace")
}
