//! The mounts that a child makes. As everything between fork and execve, without allocating.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};
use rustix::mount::{MoveMountFlags, OpenTreeFlags};
use rustix::path::Arg;

use crate::sys;
use crate::sys::mount::MountAttributes;

/// A mount of the tree on itself: `pivot_root` wants a mount point, and this one can be
/// read-only while the tree on the host is not.
pub(super) fn mount_root(tree: &CStr) -> Result<OwnedFd> {
    let attributes = MountAttributes {
        read_only: true,
        no_suid: true,
        ..Default::default()
    };
    let mount = clone_tree(tree, attributes)?;
    rustix::mount::move_mount(
        &mount,
        c"",
        CWD,
        tree,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )?;
    Ok(mount)
}

/// Mounts what is at `source` on the host at `target` in the root.
pub(super) fn bind(
    source: &CStr,
    root: &OwnedFd,
    target: &CStr,
    attributes: MountAttributes,
) -> Result<()> {
    let mount = clone_tree(source, attributes)?;
    attach(&mount, root, target)
}

/// Mounts the host's device at `source`, and nothing else in its place (CVE-2025-31133).
pub(super) fn bind_device(
    source: &CStr,
    root: &OwnedFd,
    target: &CStr,
    (major, minor): (u32, u32),
    attributes: MountAttributes,
) -> Result<()> {
    let found = open_source(source)?;
    let stat = rustix::fs::fstat(&found)?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if !is_device || stat.st_rdev != rustix::fs::makedev(major, minor) {
        return Err(Errno::NODEV);
    }
    attach(&clone_found(&found, attributes)?, root, target)
}

/// A copy of the mount at `path`, with tighter attributes, mounted nowhere yet. A symbolic link
/// anywhere in the path is refused: what the host binds may lie in a place that a jailed
/// service can write to.
fn clone_tree(path: &CStr, attributes: MountAttributes) -> Result<OwnedFd> {
    clone_found(&open_source(path)?, attributes)
}

/// The same of what has been opened.
fn clone_found(found: &OwnedFd, attributes: MountAttributes) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let mount = rustix::mount::open_tree(found, c"", flags)?;
    sys::mount::set_attributes(&mount, attributes)?;
    Ok(mount)
}

/// Opens what is to be bound. Without `O_NOFOLLOW`: with it and `O_PATH`, a link at the end of
/// the path is opened itself, whatever `RESOLVE_NO_SYMLINKS` says (`openat2(2)`).
pub(super) fn open_source(path: impl Arg) -> Result<OwnedFd> {
    rustix::fs::openat2(
        CWD,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
}

/// Mounts on `target`, found beneath the jail's root and never looked up again. A symbolic link
/// at its end is refused (CVE-2025-52565); on the way it is followed inside the root, so that
/// an ordinary `/var/run -> /run` works.
pub(super) fn attach(mount: &OwnedFd, root: &OwnedFd, target: &CStr) -> Result<()> {
    let found = rustix::fs::openat2(
        root,
        target,
        OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )?;
    if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", &found, c"", flags)
}
