//! Empty places in memory, and in them the places for what is mounted there.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::{Errno, Result};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::plan::{Content, Plan, Step};

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

/// Puts one thing of the tree into the new tmpfs, at `below`. It is as it is in the tree, root's; where the
/// service may write beside it, it can take it away.
pub(super) fn fill(
    scratch: impl AsFd,
    below: &Path,
    content: &Content,
    source: &Path,
) -> Result<()> {
    let above = |place: Option<&Path>| {
        let scratch = rustix::io::fcntl_dupfd_cloexec(&scratch, 3)?;
        match place.filter(|place| !place.as_os_str().is_empty()) {
            Some(place) => directory_at(scratch, place),
            None => Ok(scratch),
        }
    };
    let name = below.file_name().unwrap_or_default();
    match content {
        Content::Directory => directory_at(above(None)?, below).map(drop),
        Content::Link(target) => rustix::fs::symlinkat(target, above(below.parent())?, name),
        Content::File => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let from = rustix::fs::open(source, flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&from)?;
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let to = rustix::fs::openat(above(below.parent())?, name, flags, Mode::RUSR)?;
            copy(File::from(from), File::from(to), &stat)
        }
    }
}

fn copy(mut from: File, mut to: File, stat: &Stat) -> Result<()> {
    let copied = std::io::copy(&mut from, &mut to);
    copied.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    if stat.st_gid != 0 && rustix::process::geteuid().is_root() {
        let group = rustix::fs::Gid::from_raw(stat.st_gid);
        rustix::fs::fchown(&to, None, Some(group))?;
    }
    rustix::fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o777))
}

/// Nobody else can reach this file system yet, so there is no link to be followed.
fn make_place(scratch: OwnedFd, below: &Path, directory: bool) -> Result<()> {
    if directory {
        return directory_at(scratch, below).map(drop);
    }
    let above = directory_at(scratch, below.parent().unwrap_or(Path::new("")))?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = below.file_name().unwrap_or_default();
    rustix::fs::openat(&above, name, flags, Mode::from_raw_mode(0o444)).map(drop)
}

/// The directory `below`, which is made with those above it if it is not there.
fn directory_at(mut above: OwnedFd, below: &Path) -> Result<OwnedFd> {
    for component in below.components() {
        let Component::Normal(name) = component else {
            return Err(Errno::INVAL);
        };
        match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        above = rustix::fs::openat(&above, name, flags, Mode::empty())?;
    }
    Ok(above)
}
