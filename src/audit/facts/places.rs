//! What lies in the places of the host that are bound into a jail. Whoever has taken the service
//! over can have put it there: nothing is followed, and only so much is looked at.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use super::{Plant, Planted};
use crate::spec::{BindRule, Spec};

/// The most names that are looked at, in all places together.
const MOST_NAMES: usize = 50_000;
/// The most that is reported: whoever plants thousands shall not hide the rest of the report.
const MOST_PLANTED: usize = 100;
/// How deep directories are entered.
const DEEPEST: usize = 32;
/// The bits of a mode with which somebody may execute a file.
const EXECUTABLE: u32 = 0o111;
/// Set-user-id and set-group-id.
const SETUID: u32 = 0o6000;

/// What is more than a file or a directory in the places of the spec.
pub(super) fn planted(spec: &Spec, uid: u32) -> Vec<Planted> {
    let mut walk = Walk {
        spec,
        uid,
        left: MOST_NAMES,
        found: Vec::new(),
    };
    for bind in &spec.binds {
        walk.enter(bind, &bind.path, 0);
    }
    walk.found
}

struct Walk<'a> {
    spec: &'a Spec,
    uid: u32,
    left: usize,
    found: Vec<Planted>,
}

impl Walk<'_> {
    /// A place that cannot be read has nothing to show.
    fn enter(&mut self, bind: &BindRule, path: &Path, depth: usize) {
        if self.left == 0 || self.found.len() >= MOST_PLANTED {
            return;
        }
        self.left -= 1;
        let Ok(metadata) = std::fs::symlink_metadata(path) else {
            return;
        };
        if let Some(what) = self.plant(bind, path, &metadata) {
            self.found.push(Planted {
                path: path.to_owned(),
                what,
            });
        }
        if !metadata.is_dir() || depth >= DEEPEST {
            return;
        }
        // Not through a link that took the directory's place meanwhile.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(directory) = rustix::fs::openat(CWD, path, flags, Mode::empty()) else {
            return;
        };
        let Ok(entries) = rustix::fs::Dir::new(directory) else {
            return;
        };
        for entry in entries.map_while(Result::ok).take(MOST_NAMES) {
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                use std::os::unix::ffi::OsStrExt;
                let name = std::ffi::OsStr::from_bytes(name);
                self.enter(bind, &path.join(name), depth + 1);
            }
        }
    }

    fn plant(&self, bind: &BindRule, path: &Path, metadata: &std::fs::Metadata) -> Option<Plant> {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        let mode = metadata.permissions().mode();
        if kind.is_block_device() || kind.is_char_device() {
            return Some(Plant::Device);
        }
        if kind.is_socket() {
            return Some(Plant::Socket);
        }
        if kind.is_file() && mode & SETUID != 0 && mode & EXECUTABLE != 0 {
            return Some(Plant::Setuid);
        }
        // The rest is only of interest where the service can have made it.
        if !bind.writable || metadata.uid() != self.uid {
            return None;
        }
        if kind.is_symlink() {
            let target = std::fs::read_link(path).ok()?;
            return self.leads_out(path, &target).then_some(Plant::Link(target));
        }
        (kind.is_file() && mode & EXECUTABLE != 0).then_some(Plant::Executable)
    }

    /// Whether what the link says is in none of the jail's places, as text: what it means can
    /// change while it is looked at.
    fn leads_out(&self, link: &Path, target: &Path) -> bool {
        let from = link.parent().unwrap_or(Path::new("/"));
        let mut plain = PathBuf::new();
        for part in from.join(target).components() {
            match part {
                std::path::Component::ParentDir => {
                    plain.pop();
                }
                std::path::Component::CurDir => {}
                other => plain.push(other),
            }
        }
        let mut places = self.spec.binds.iter();
        !places.any(|bind| plain.starts_with(&bind.path))
    }
}

/// The writable places that can fill the volume of the host's root.
pub(super) fn on_root_volume(spec: &Spec) -> Vec<PathBuf> {
    let Ok(root) = std::fs::metadata("/") else {
        return Vec::new();
    };
    let same = |path: &Path| {
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.dev() == root.dev())
    };
    let writable = spec.binds.iter().filter(|bind| bind.writable);
    writable
        .map(|bind| bind.path.clone())
        .filter(|path| same(path))
        .collect()
}
