//! Owners and modes in the places that a service writes to. The service may have put anything
//! there: no link is followed, and only so much is looked at.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Stat};

use super::{EXECUTE, Permission, SPECIAL, WRITE};
use crate::build::drift::word;
use crate::build::host_tree::file_type;
use crate::build::users::Account;
use crate::spec::{BindRule, Spec};
use crate::sys::beneath::Beneath;

/// The most that is listed, of all places together.
const MOST_NAMES: usize = 50_000;
/// How deep directories are entered.
const DEEPEST: usize = 32;
/// Owner and mode of a scratch directory's own are gaoler's.
const SCRATCH_MODE: u32 = 0o700;

/// What there is in the writable places of a jail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The places and what is in them, as they are now.
    pub found: Vec<Permission>,
    /// What could not be looked at, or only in part: it is gone, or there is too much of it.
    pub not_listed: Vec<PathBuf>,
}

/// The writable places of `spec`, as they are now.
pub fn places(spec: &Spec, account: &Account) -> Places {
    let mut walk = Walk {
        account,
        places: Places::default(),
    };
    for bind in spec.binds.iter().filter(|bind| bind.writable) {
        walk.place(bind);
    }
    for scratch in &spec.scratch {
        let uid = match spec.service.start_as_root {
            true => 0,
            false => account.user.uid,
        };
        walk.places.found.push(Permission {
            path: scratch.path.clone(),
            kind: "scratch",
            uid,
            gid: account.group.gid,
            mode: SCRATCH_MODE,
            because: scratch.because.clone(),
            looser: Some(
                "the service writes here: it is in memory, empty at each start".to_owned(),
            ),
        });
    }
    walk.places
}

struct Walk<'a> {
    account: &'a Account,
    places: Places,
}

impl Walk<'_> {
    fn place(&mut self, bind: &BindRule) {
        let Ok(stat) = rustix::fs::statat(CWD, &bind.path, AtFlags::SYMLINK_NOFOLLOW) else {
            self.places.not_listed.push(bind.path.clone());
            return;
        };
        self.note(bind, &bind.path, &stat);
        if file_type(&stat) != FileType::Directory {
            return;
        }
        match Beneath::open(&bind.path) {
            Ok(place) => self.enter(bind, &place, Path::new("/"), 0),
            Err(_) => self.places.not_listed.push(bind.path.clone()),
        }
    }

    /// What is in the directory `below` of `place`. What is gone meanwhile is not there.
    fn enter(&mut self, bind: &BindRule, place: &Beneath, below: &Path, depth: usize) {
        let left = MOST_NAMES.saturating_sub(self.places.found.len());
        let names = match place.names(below, left) {
            Ok(names) if depth < DEEPEST => names,
            Ok(_) | Err(_) => {
                let unseen = bind.path.join(below.strip_prefix("/").unwrap_or(below));
                self.places.not_listed.push(unseen);
                return;
            }
        };
        for name in names {
            let inside = below.join(name);
            let Ok(stat) = place.stat(&inside) else {
                continue;
            };
            if self.places.found.len() >= MOST_NAMES {
                self.places.not_listed.push(bind.path.clone());
                return;
            }
            let path = bind.path.join(inside.strip_prefix("/").unwrap_or(&inside));
            self.note(bind, &path, &stat);
            if file_type(&stat) == FileType::Directory {
                self.enter(bind, place, &inside, depth + 1);
            }
        }
    }

    fn note(&mut self, bind: &BindRule, path: &Path, stat: &Stat) {
        let because = match path == bind.path {
            true => bind.because.clone(),
            false => format!("lies in {} ({})", bind.path.display(), bind.because),
        };
        self.places.found.push(Permission {
            path: path.to_owned(),
            kind: word(file_type(stat)),
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
            because,
            looser: self.looser(stat),
        });
    }

    fn looser(&self, stat: &Stat) -> Option<String> {
        let mode = stat.st_mode & 0o7777;
        let kind = file_type(stat);
        let by_service = stat.st_uid == self.account.user.uid;
        let by_group = self.account.has_group(stat.st_gid);
        let has_mode = kind != FileType::Symlink;
        let mut reasons = Vec::new();
        if by_service {
            reasons.push("it is the service's own, which writes in this place".to_owned());
        } else if stat.st_uid != 0 {
            reasons.push(format!("on the host it belongs to uid {}", stat.st_uid));
        } else if has_mode && mode & 0o200 != 0 {
            reasons.push("root writes to it on the host".to_owned());
        }
        if has_mode && mode & 0o020 != 0 {
            reasons.push(match by_group {
                true => format!("the service writes to it by its group {}", stat.st_gid),
                false => format!("group {} may write to it on the host", stat.st_gid),
            });
        } else if stat.st_gid != 0 {
            reasons.push(match by_group {
                true => format!("it has the service's group {}", stat.st_gid),
                false => format!("on the host it has group {}", stat.st_gid),
            });
        }
        if has_mode && kind != FileType::Socket && mode & 0o002 != 0 {
            reasons.push("everybody may write to it: nothing in the jail needs that".to_owned());
        }
        if kind == FileType::RegularFile && mode & EXECUTE != 0 {
            reasons.push("it may be executed, though not in the jail: the mount is noexec".into());
        }
        if has_mode && mode & SPECIAL != 0 {
            reasons.push("it has set-user-id, set-group-id or the sticky bit on the host".into());
        }
        let socket = kind == FileType::Socket && mode & WRITE != 0;
        if socket && reasons.is_empty() {
            reasons.push("who may write to a socket may connect to it".to_owned());
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}
