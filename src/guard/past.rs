//! Executing what is guarded, for gaoler itself: `learn` runs the host's program, and a test of a
//! configuration may be that program too.
//!
//! The guard stays as it is. The work is done in a mount namespace of its own in which a copy with
//! the recorded mode is mounted over the program, from a tmpfs that ends with it: whenever gaoler
//! is killed, nothing is left to put back.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use rustix::thread::LinkNameSpaceType;

use super::{NOTHING, Program, Record, record};
use crate::sys::isolation;
use crate::{Doing, Error, Result};

/// A file's own capabilities (`capabilities(7)`), which a copy must have too.
const CAPABILITIES: &str = "security.capability";

/// Does `work` where every guarded program of the jails below `state` can be executed. Where none
/// is guarded, that is here.
///
/// # Errors
/// Those of `work`; no mounts are to be had.
pub fn past<T>(state: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let guarded: Vec<(Record, Program)> = record::all(state)?
        .into_iter()
        .filter_map(|record| {
            let program = Program::open(&record.program).ok()?;
            (program.mode() == NOTHING).then_some((record, program))
        })
        .collect();
    if guarded.is_empty() {
        return work();
    }
    let here = Here::leave()?;
    let mounted = guarded
        .iter()
        .try_for_each(|(record, _)| lift(state, record));
    let done = mounted.and_then(|()| work());
    let back = here.come_back();
    let done = done?;
    back.map(|()| done)
}

/// Where this process was: its mount namespace and its directory.
struct Here {
    namespace: OwnedFd,
    directory: OwnedFd,
}

impl Here {
    fn leave() -> Result<Self> {
        let doing = || "get past the guard";
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace =
            rustix::fs::open("/proc/thread-self/ns/mnt", flags, Mode::empty()).doing(doing)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(".", flags, Mode::empty()).doing(doing)?;
        let no_mounts = |error: Error| {
            error.hint("lift it for as long as this takes: gaoler guard NAME --undo")
        };
        isolation::leave(isolation::Isolation {
            mount: true,
            ..Default::default()
        })
        .doing(doing)
        .map_err(no_mounts)?;
        let here = Self {
            namespace,
            directory,
        };
        // Before anything is mounted: it must not reach the host. What the host mounts is seen.
        let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        match rustix::mount::mount_change("/", flags) {
            Ok(()) => Ok(here),
            Err(errno) => {
                here.come_back()?;
                Err(errno).doing(doing).map_err(no_mounts)
            }
        }
    }

    fn come_back(self) -> Result<()> {
        let doing = || "come back from past the guard";
        // setns(2) refuses who shares its root and directory with other threads, which whatever
        // was started meanwhile may do.
        isolation::own_directory().doing(doing)?;
        let kind = Some(LinkNameSpaceType::Mount);
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&self.namespace), kind)
            .doing(doing)?;
        rustix::process::fchdir(self.directory).doing(doing)
    }
}

/// Mounts a copy over the program.
fn lift(state: &Path, record: &Record) -> Result<()> {
    let doing = || format!("get past the guard of {}", record.program.display());
    // Any directory does: nothing looks at it while the tmpfs lies on it.
    let place = state.join(&record.name);
    let flags = MountFlags::NODEV;
    rustix::mount::mount("gaoler", &place, "tmpfs", flags, Some(c"mode=700")).doing(doing)?;
    let copied = copy(record, &place.join("program"));
    rustix::mount::unmount(&place, UnmountFlags::DETACH).doing(doing)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(copied?, "", CWD, &record.program, flags).doing(doing)
}

/// The program as it was, as a mount that is nowhere yet.
fn copy(record: &Record, to: &Path) -> Result<OwnedFd> {
    let doing = || format!("copy {}", record.program.display());
    let mut from = File::open(&record.program).doing(doing)?;
    let mut copy = File::create_new(to).doing(doing)?;
    std::io::copy(&mut from, &mut copy).doing(doing)?;
    let (uid, gid) = (Uid::from_raw(record.uid), Gid::from_raw(record.gid));
    rustix::fs::fchown(&copy, Some(uid), Some(gid)).doing(doing)?;
    // After the owner, whose change takes the set-user-ID bit away.
    rustix::fs::fchmod(&copy, Mode::from_raw_mode(record.mode_bits()?)).doing(doing)?;
    let mut value = [0; 64];
    match rustix::fs::fgetxattr(&from, CAPABILITIES, &mut value[..]) {
        Ok(length) => {
            let value = value.get(..length).unwrap_or_default();
            rustix::fs::fsetxattr(&copy, CAPABILITIES, value, XattrFlags::empty()).doing(doing)?;
        }
        Err(Errno::NODATA | Errno::NOTSUP) => {}
        Err(errno) => return Err(errno).doing(doing),
    }
    let modified = fs::metadata(&record.program)
        .and_then(|it| it.modified())
        .doing(doing)?;
    copy.set_modified(modified).doing(doing)?;
    // A program that is open for writing cannot be executed (ETXTBSY).
    drop(copy);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(CWD, to, flags).doing(doing)
}
