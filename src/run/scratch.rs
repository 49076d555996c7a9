//! Empty places in memory, and in them the places for what is mounted there.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::plan::{Plan, Step};

/// An empty tmpfs that is mounted nowhere yet (`fsopen(2)`).
pub(super) fn make(size_kib: u32, uid: u32, gid: u32, mode: u32) -> Result<OwnedFd> {
    let context = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let options = [
        ("size", format!("{size_kib}k")),
        ("uid", uid.to_string()),
        ("gid", gid.to_string()),
        ("mode", format!("{mode:o}")),
    ];
    for (name, value) in options {
        rustix::mount::fsconfig_set_string(&context, name, value)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Makes the places in the new tmpfs of `path` for the host's files and directories that the plan
/// mounts below it. They and what is above them are root's: what is mounted decides what may be
/// done there.
pub(super) fn make_mount_points(plan: &Plan, path: &Path, scratch: impl AsFd) -> Result<()> {
    for planned in &plan.steps {
        let Step::Bind {
            path: target,
            source,
            ..
        } = &planned.step
        else {
            continue;
        };
        if let Ok(below) = target.strip_prefix(path)
            && !below.as_os_str().is_empty()
        {
            // What is missing is told by the bind's own step.
            let directory = source.metadata().is_ok_and(|data| data.is_dir());
            let above = rustix::io::fcntl_dupfd_cloexec(&scratch, 3)?;
            make_place(above, below, directory)?;
        }
    }
    Ok(())
}

/// Nobody else can reach this file system yet, so there is no link to be followed.
fn make_place(mut above: OwnedFd, below: &Path, directory: bool) -> Result<()> {
    let mut components = below.components().peekable();
    while let Some(Component::Normal(name)) = components.next() {
        if components.peek().is_none() && !directory {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(&above, name, flags, Mode::from_raw_mode(0o444))?;
            return Ok(());
        }
        match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        above = rustix::fs::openat(&above, name, flags, Mode::empty())?;
    }
    Ok(())
}
