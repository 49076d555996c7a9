//! A service that starts as root makes its logs and the like as root before it becomes its user.
//! In the jail it is that user from the start, so what it made while it was learned is handed
//! over to the user: what a package's postinst or a unit's LogsDirectory (`systemd.exec(5)`)
//! does. What was there before is left as it is.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Statx, StatxFlags, Uid};

use super::user::Identity;
use crate::learn::Trace;
use crate::learn::trace::{PathKind, PathSeen, Use};
use crate::{Doing, Result};

/// The mode of a file that is made ahead: for the service alone.
const MODE: Mode = Mode::from_raw_mode(0o640);

/// Everybody may make files there, so nothing in it is handed over (`inode(7)`).
const STICKY: u16 = 0o1000;

/// More names of one directory than these are told in one sentence.
const FEW: usize = 3;

/// Files that a service makes anew at every start, under the same name.
const MADE_ANEW: [&str; 2] = ["pid", "lock"];

/// The beginning of a run: what was born since may have been made by it. The kernel's file times
/// lag behind the clock by some milliseconds, so this is the second before.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(i64::MAX, |since| since.as_secs().cast_signed())
}

/// Hands over what the traced service made as root since `began`. Answers with what was done and
/// with what its user still may not do, one sentence each.
///
/// # Errors
/// If a file cannot be looked at, made or given away.
pub(super) fn hand_over(trace: &Trace, identity: &Identity, began: i64) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let mut given: BTreeMap<Option<&Path>, Vec<&Path>> = BTreeMap::new();
    for seen in &trace.paths {
        let found = match seen.kind {
            PathKind::File | PathKind::Directory | PathKind::Fifo | PathKind::Socket => {
                existing(seen, identity, began)?
            }
            PathKind::Missing => missing(seen, identity)?.map(Found::Note),
            _ => None,
        };
        match found {
            Some(Found::Given) => given
                .entry(seen.host.parent())
                .or_default()
                .push(&seen.host),
            Some(Found::Note(note)) => notes.push(note),
            None => {}
        }
    }
    let user = &identity.user.name;
    let given = given.into_iter();
    notes.extend(given.flat_map(|(directory, paths)| given_in_words(directory, &paths, user)));
    Ok(notes)
}

/// What became of a path.
enum Found {
    /// It was made by root, and is the user's now.
    Given,
    /// What a person should know.
    Note(String),
}

/// What was given away in one directory: a few by name, many in one sentence.
fn given_in_words(directory: Option<&Path>, paths: &[&Path], user: &str) -> Vec<String> {
    let (Some(directory), Some(first)) = (directory, paths.first().filter(|_| paths.len() > FEW))
    else {
        let one = |path: &&Path| {
            let path = path.display();
            format!("{path} was made by root during learning: it belongs to {user} now")
        };
        return paths.iter().map(one).collect();
    };
    let (count, directory) = (paths.len(), directory.display());
    let first = first.file_name().unwrap_or_default().display();
    vec![format!(
        "{count} names in {directory} ({first}...) were made by root during learning: they belong to \
         {user} now"
    )]
}

/// A file, directory, FIFO or socket that the service has used.
fn existing(seen: &PathSeen, identity: &Identity, began: i64) -> Result<Option<Found>> {
    let path = seen.host.as_path();
    let made = seen.uses.contains(&Use::Create);
    let written = made || seen.uses.contains(&Use::Write);
    let is_file = seen.kind != PathKind::Directory;
    if !(written || is_file && seen.uses.contains(&Use::Read)) {
        return Ok(None);
    }
    // What lies behind a link that somebody planted is not what was seen.
    let Some((file, stat)) = look(path) else {
        return Ok(None);
    };
    let born_since =
        stat.stx_mask & StatxFlags::BTIME.bits() != 0 && stat.stx_btime.tv_sec >= began;
    let single = !is_file || stat.stx_nlink == 1;
    let user = &identity.user.name;
    if made && born_since && single && stat.stx_uid == 0 && !is_in_sticky(path) {
        give(&file, path, identity)?;
        return Ok(Some(Found::Given));
    }
    let may = |bits| bits_for(identity, &stat) & bits == bits;
    if is_file && seen.uses.contains(&Use::Write) && !may(2) && !is_in_sticky(path) {
        return Ok(Some(Found::Note(format!(
            "{} is not {user}'s to write: chown it if the service shall write there",
            path.display()
        ))));
    }
    if is_file && seen.uses.contains(&Use::Read) && !may(4) {
        return Ok(Some(Found::Note(format!(
            "{} was read by root and is not {user}'s to read: let a group of {user}'s read it",
            path.display()
        ))));
    }
    Ok(None)
}

/// A pid file that has gone with the service, in a directory where its user may not make it.
fn missing(seen: &PathSeen, identity: &Identity) -> Result<Option<String>> {
    let path = seen.host.as_path();
    let made = seen.uses.contains(&Use::Create) && seen.uses.contains(&Use::Write);
    let is_made_anew = path
        .extension()
        .is_some_and(|extension| MADE_ANEW.iter().any(|known| extension == *known));
    let Some((directory, name)) = path.parent().zip(path.file_name()) else {
        return Ok(None);
    };
    let Some((parent, stat)) = look(directory).filter(|_| made) else {
        return Ok(None);
    };
    let user = &identity.user.name;
    if directory == Path::new("/run")
        || stat.stx_mode & STICKY != 0
        || bits_for(identity, &stat) & 3 == 3
    {
        return Ok(None);
    }
    if !is_made_anew {
        return Ok(Some(format!(
            "{} was made by root, and {user} may make nothing there: chown {} if it shall",
            path.display(),
            directory.display()
        )));
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&parent, name, flags, MODE)
        .doing(|| format!("make {}", path.display()))?;
    give(&file, path, identity)?;
    Ok(Some(format!(
        "{} was made for {user}, who may not make it there",
        path.display()
    )))
}

/// Opens a path for looking at it, following no link.
fn look(path: &Path) -> Option<(OwnedFd, Statx)> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve).ok()?;
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let stat = rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, wanted).ok()?;
    let kind = FileType::from_raw_mode(stat.stx_mode.into());
    let has_an_owner = matches!(
        kind,
        FileType::RegularFile | FileType::Directory | FileType::Fifo | FileType::Socket
    );
    has_an_owner.then_some((file, stat))
}

fn is_in_sticky(path: &Path) -> bool {
    path.parent()
        .and_then(look)
        .is_some_and(|(_, stat)| stat.stx_mode & STICKY != 0)
}

fn give(file: &OwnedFd, path: &Path, identity: &Identity) -> Result<()> {
    let owner = Some(Uid::from_raw(identity.user.uid));
    let group = Some(Gid::from_raw(identity.group.gid));
    rustix::fs::chownat(file, "", owner, group, AtFlags::EMPTY_PATH)
        .doing(|| format!("give {} to {}", path.display(), identity.user.name))
}

/// The three mode bits that hold for the user (`path_resolution(7)`).
fn bits_for(identity: &Identity, stat: &Statx) -> u16 {
    let is_member = identity.group.gid == stat.stx_gid
        || identity
            .groups
            .iter()
            .any(|group| group.gid == stat.stx_gid);
    let shift = if stat.stx_uid == identity.user.uid {
        6
    } else if is_member {
        3
    } else {
        0
    };
    (stat.stx_mode >> shift) & 0o7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_of_a_directory_are_one_sentence() {
        let paths = ["/run/x/a.1", "/run/x/a.2", "/run/x/a.3", "/run/x/a.4"].map(Path::new);
        let directory = Some(Path::new("/run/x"));
        let few = given_in_words(directory, &paths[..3], "web");
        assert_eq!(few.len(), 3);
        assert!(few[0].starts_with("/run/x/a.1 was made"), "{few:?}");
        let many = given_in_words(directory, &paths, "web");
        assert!(
            many[0].starts_with("4 names in /run/x (a.1...)"),
            "{many:?}"
        );
        assert_eq!(many.len(), 1);
    }
}
