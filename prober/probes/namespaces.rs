//! New namespaces, and those of others.

use super::Probes;
use crate::raw::{self, Word};
use crate::scene::{Path, READ, Scene, open};
use crate::{At, Tried, numbers};

pub const PROBES: Probes = &[
    ("namespace-user", user),
    ("namespace-mount", mount),
    ("namespace-pid", pid),
    ("namespace-net", net),
    ("namespace-ipc", ipc),
    ("namespace-uts", uts),
    ("namespace-cgroup", cgroup),
    ("namespace-time", time),
    ("namespace-clone-user", clone_user),
    ("namespace-clone3-user", clone3_user),
    ("namespace-join", join),
    ("namespace-join-pidfd", join_pidfd),
];

const USER: usize = 0x1000_0000;
const MOUNT: usize = 0x0002_0000;

fn unshare(kind: usize) -> Tried {
    raw::call(numbers::UNSHARE, [kind.into()]).at("make a namespace")?;
    Ok("made a namespace of its own")
}

fn user(_: Scene) -> Tried {
    unshare(USER)
}

fn mount(_: Scene) -> Tried {
    unshare(MOUNT)
}

fn pid(_: Scene) -> Tried {
    unshare(0x2000_0000)
}

fn net(_: Scene) -> Tried {
    unshare(0x4000_0000)
}

fn ipc(_: Scene) -> Tried {
    unshare(0x0800_0000)
}

fn uts(_: Scene) -> Tried {
    unshare(0x0400_0000)
}

fn cgroup(_: Scene) -> Tried {
    unshare(0x0200_0000)
}

fn time(_: Scene) -> Tried {
    unshare(0x80)
}

fn clone_user(_: Scene) -> Tried {
    match raw::fork(USER).at("clone into a user namespace")? {
        0 => raw::end(0),
        _ => Ok("cloned into a user namespace"),
    }
}

/// The flags of `clone3(2)` are behind a pointer, where no filter sees them.
fn clone3_user(_: Scene) -> Tried {
    const SIGCHLD: u64 = 17;
    let mut wanted = [USER as u64, 0, 0, 0, SIGCHLD, 0, 0, 0];
    let size = size_of_val(&wanted);
    let wanted = Word::Room(raw::bytes_of(&mut wanted));
    match raw::call(numbers::CLONE3, [wanted, size.into()]).at("clone3 into a user namespace")? {
        0 => raw::end(0),
        _ => Ok("cloned into a user namespace"),
    }
}

fn join(scene: Scene) -> Tried {
    let path = Path::new()
        .with(b"/proc/")
        .with_number(scene.number("victim")?)
        .with(b"/ns/mnt");
    let namespace = open(path.text(), READ).at("open a mount namespace outside")?;
    raw::call(numbers::SETNS, [namespace.into(), 0.into()]).at("join it")?;
    Ok("joined a mount namespace outside")
}

fn join_pidfd(scene: Scene) -> Tried {
    let victim = scene.number("victim")?;
    let process =
        raw::call(numbers::PIDFD_OPEN, [victim.into(), 0.into()]).at("open a process outside")?;
    raw::call(numbers::SETNS, [process.into(), MOUNT.into()]).at("join its mount namespace")?;
    Ok("joined a mount namespace outside")
}
