//! The pid file of a daemon that goes to the background: it wrote the number that it has
//! inside, and the host's tools need the one outside. And one that is gaoler's own.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use super::state::State;
use crate::host::process;
use crate::{Doing, Error, Result};

/// More than any pid file holds.
const MOST_BYTES: u64 = 64;

/// Writes the pid outside of the process whose pid inside is in the file, into the pid file on the
/// host; the service's, if no process has that one.
///
/// The directory may be the jailed user's own, so nothing in it is followed, and the new file
/// takes the old one's place by a rename.
///
/// # Errors
/// The directory has a symbolic link in its path, or cannot be written.
pub fn translate(path: &Path, state: &State) -> Result<()> {
    let doing = || format!("write the pid file {}", path.display());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new(doing(), "it is no path of a file"));
    };
    let directory = match open_directory(parent) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno).doing(doing),
    };
    let text = match content(&directory, Path::new(name)) {
        Ok(text) => text,
        // A link has no number: the new file takes its place, as it would any other's.
        Err(Errno::NOENT | Errno::LOOP) => String::new(),
        Err(errno) => return Err(errno).doing(doing),
    };
    let writer = text
        .trim()
        .parse()
        .ok()
        .and_then(|inside| writer(inside, state));
    let pid = writer.unwrap_or(state.service.pid).to_string();
    if text.trim() == pid {
        return Ok(());
    }
    // It replaces the service's own, which the service must be able to write the next time.
    let status = process::status(state.service.pid)?;
    let ([uid, ..], [gid, ..]) = (status.uids, status.gids);
    let owner = (Uid::from_raw(uid), Gid::from_raw(gid));
    replace(&directory, Path::new(name), &pid, Some(owner)).doing(doing)
}

/// Writes a service's pid where the host's own tools look for it, and the service itself cannot
/// write: it is its user from the start. The directory is made if it is not there.
///
/// # Errors
/// Somebody else than root could put another number there; it cannot be written.
pub fn publish(path: &Path, pid: i32) -> Result<()> {
    let doing = || format!("write the pid file {}", path.display());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new(doing(), "it is no path of a file"));
    };
    let directory = match open_directory(parent) {
        Err(Errno::NOENT) => {
            rustix::fs::mkdir(parent, Mode::from_raw_mode(0o755)).doing(doing)?;
            open_directory(parent)
        }
        opened => opened,
    };
    let directory = directory.doing(doing)?;
    let stat = rustix::fs::fstat(&directory).doing(doing)?;
    if stat.st_uid != 0 || stat.st_mode & 0o022 != 0 {
        let why = format!("others than root can write in {}", parent.display());
        return Err(Error::new(doing(), why).hint(
            "what reads it signals as root whatever it names: give service.host_pid_file a \
             directory of root's, or leave it out of the spec",
        ));
    }
    replace(&directory, Path::new(name), &pid.to_string(), None).doing(doing)
}

/// Removes what [`publish`] wrote, unless another pid stands there by now.
///
/// # Errors
/// It cannot be removed.
pub fn withdraw(path: &Path, pid: i32) -> Result<()> {
    if number(path) != Some(pid) {
        return Ok(());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.doing(|| format!("remove the pid file {}", path.display())),
    }
}

/// Puts a file with this number in the place of what is there, whatever it is.
fn replace(
    directory: &OwnedFd,
    name: &Path,
    number: &str,
    owner: Option<(Uid, Gid)>,
) -> rustix::io::Result<()> {
    let beside = format!(".{}.gaoler", name.to_string_lossy());
    match rustix::fs::unlinkat(directory, beside.as_str(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let file = rustix::fs::openat(directory, beside.as_str(), flags, mode)?;
    rustix::io::write(file.as_fd(), format!("{number}\n").as_bytes())?;
    if let Some((uid, gid)) = owner {
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    rustix::fs::renameat(directory, beside.as_str(), directory, name)
}

/// The pid outside of the jail's process that has this one inside; `None` if there is none.
pub fn writer(inside: i32, state: &State) -> Option<i32> {
    let has_it =
        |pid: &i32| process::status(*pid).is_ok_and(|status| status.pids.last() == Some(&inside));
    let companions = process::companions(state.init?.pid).ok()?;
    companions.into_iter().find(has_it)
}

/// The number in a pid file; `None` if there is no such file, or no number in it.
pub fn number(path: &Path) -> Option<i32> {
    let directory = open_directory(path.parent()?).ok()?;
    let text = content(&directory, Path::new(path.file_name()?)).ok()?;
    text.trim().parse().ok()
}

fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve)
}

fn content(directory: &OwnedFd, name: &Path) -> rustix::io::Result<String> {
    // Not blocking: in the place of the file there could be a FIFO.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?);
    let mut text = Vec::new();
    match file.take(MOST_BYTES).read_to_end(&mut text) {
        Ok(_) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::state::ProcessName;
    use super::*;
    use crate::plan::Managed;

    /// A jail that this process is the service of.
    fn state() -> State {
        State {
            name: "web".to_owned(),
            generation: 1,
            service: ProcessName::of(std::process::id().cast_signed()).unwrap(),
            init: None,
            supervisor: None,
            cgroups: Vec::new(),
            counting: Vec::new(),
            sockets: Vec::new(),
            managed: Managed::default(),
            serving: true,
            complaining: false,
            notified: false,
            waits_for: None,
            ready: false,
            restarting: false,
            restarts: 0,
        }
    }

    #[test]
    fn what_is_in_the_place_of_a_pid_file_is_neither_followed_nor_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.pid");
        let outside = directory.path().join("outside");
        fs::write(&outside, "1\n").unwrap();
        let own = std::process::id().cast_signed();
        let plant: [&dyn Fn(); 6] = [
            &|| symlink(&outside, &path).unwrap(),
            &|| symlink(&outside, directory.path().join(".web.pid.gaoler")).unwrap(),
            &|| fs::hard_link(&outside, &path).unwrap(),
            &|| fs::write(&path, "1\n").unwrap(),
            &|| fs::write(&path, "-1\n").unwrap(),
            &|| fs::write(&path, "7".repeat(100_000)).unwrap(),
        ];
        for plant in plant {
            plant();
            translate(&path, &state()).unwrap();
            assert!(fs::symlink_metadata(&path).unwrap().is_file());
            assert_eq!(number(&path), Some(own));
            assert_eq!(fs::read_to_string(&outside).unwrap(), "1\n");
            fs::remove_file(&path).unwrap();
        }
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(number(&path), None);
        translate(&path, &state()).unwrap();
        assert_eq!(number(&path), Some(own));
    }
}
