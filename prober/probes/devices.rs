//! Disks and memory as files.

use super::Probes;
use crate::raw;
use crate::scene::{HERE, Path, READ, Scene, open, remove};
use crate::{At, Stop, Tried, numbers};

pub const PROBES: Probes = &[
    ("device-mknod-disk", mknod_disk),
    ("device-mknod-memory", mknod_memory),
    ("device-open", open_one),
    ("device-tree", mknod_in_tree),
];

const BLOCK: usize = 0o060_000;
const CHARACTER: usize = 0o020_000;

fn make(directory: &[u8], kind: usize, number: usize) -> Tried {
    let path = Path::new().with(directory).with(b"/.gaoler-node");
    let words = [
        HERE.into(),
        path.text().into(),
        (kind | 0o600).into(),
        number.into(),
    ];
    raw::call(numbers::MKNODAT, words).at("make a device node")?;
    let opened = open(path.text(), READ);
    remove(&path);
    // What is not there behind the node says ENXIO, ENODEV or EIO; the way to it was free.
    crate::past(
        opened,
        &[5, 6, 19],
        "open the device node",
        "opened a device node of its own",
    )
}

fn mknod_disk(scene: Scene) -> Tried {
    make(
        scene.text("writable")?.to_bytes(),
        BLOCK,
        scene.number("disk")?,
    )
}

/// `/dev/mem` is 1:1 (`mem(4)`); the kernel wants CAP_SYS_RAWIO besides.
fn mknod_memory(scene: Scene) -> Tried {
    make(scene.text("writable")?.to_bytes(), CHARACTER, 0x101)
}

fn mknod_in_tree(scene: Scene) -> Tried {
    make(scene.text("tree")?.to_bytes(), CHARACTER, 0x105)
}

fn open_one(_: Scene) -> Tried {
    let paths = [
        c"/dev/mem",
        c"/dev/kmem",
        c"/dev/port",
        c"/dev/kmsg",
        c"/dev/sda",
        c"/dev/vda",
        c"/dev/nvme0n1",
        c"/dev/xvda",
        c"/dev/kvm",
        c"/dev/fuse",
        c"/dev/net/tun",
        c"/dev/loop0",
        c"/dev/loop-control",
        c"/dev/mapper/control",
        c"/dev/uinput",
        c"/dev/cpu/0/msr",
    ];
    let mut last = Err(Stop::Nothing("there is no device of the host"));
    for path in paths {
        match open(path, READ) {
            Ok(_) => return Ok("opened a device of the host"),
            refused => last = refused.at("open a device of the host").map(|_| ""),
        }
    }
    last
}
