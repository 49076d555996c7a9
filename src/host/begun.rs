//! When a service was started, and which of the files that are signs of its readiness were there
//! already: one that an earlier run has left says nothing of this one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, StatxFlags};

use crate::spec::Ready;

/// Which file is at a path, and when it was changed last: device, inode, ctime (`statx(2)`).
type Seen = (u32, u32, u64, i64, u32);

/// A start.
#[derive(Clone, Debug)]
pub struct Begun {
    at: Instant,
    there: BTreeMap<PathBuf, Seen>,
}

impl Begun {
    /// The start of a service with these signs, a moment before it is started.
    pub fn now(signs: &[Ready]) -> Self {
        let files = signs.iter().filter_map(|sign| match sign {
            Ready::File(path) => Some((path.clone(), look(path)?)),
            _ => None,
        });
        Self {
            at: Instant::now(),
            there: files.collect(),
        }
    }

    /// How long ago that was.
    pub fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }

    /// Whether a file is there that was not, or that was made anew or written since.
    pub fn has_shown(&self, path: &Path) -> bool {
        look(path).is_some_and(|now| self.there.get(path) != Some(&now))
    }

    /// Whether a file is there as it was before.
    pub fn is_left_over(&self, path: &Path) -> bool {
        self.there.contains_key(path) && !self.has_shown(path)
    }
}

fn look(path: &Path) -> Option<Seen> {
    let wanted = StatxFlags::INO | StatxFlags::CTIME;
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), wanted).ok()?;
    let changed = found.stx_ctime;
    Some((
        found.stx_dev_major,
        found.stx_dev_minor,
        found.stx_ino,
        changed.tv_sec,
        changed.tv_nsec,
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_of_an_earlier_run_is_no_sign_until_it_is_written_or_made_anew() {
        let place = tempfile::tempdir().unwrap();
        let [left, new] = ["left", "new"].map(|name| place.path().join(name));
        fs::write(&left, "1").unwrap();
        let begun = Begun::now(&[Ready::File(left.clone()), Ready::File(new.clone())]);
        assert!(begun.is_left_over(&left) && !begun.has_shown(&left));
        assert!(!begun.is_left_over(&new) && !begun.has_shown(&new));
        fs::write(&new, "").unwrap();
        assert!(begun.has_shown(&new));
        // ctime has the resolution of a clock tick (inode(7)): a write within one would not show.
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&left, "2").unwrap();
        assert!(begun.has_shown(&left) && !begun.is_left_over(&left));
        fs::remove_file(&left).unwrap();
        assert!(!begun.has_shown(&left));
    }
}
