//! What happened to a jail, as lines of JSON in its directory below `/run/gaoler`, and what differs
//! in it now from what was started.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::log::write_time;
use crate::{Doing, Error, Result};

/// The events, the oldest first. They stay when the jail has ended.
pub const EVENTS: &str = "events.jsonl";

/// Those before, once there were too many.
pub const OLD: &str = "events.jsonl.old";

/// How large the file may become before it is put aside, bytes.
const LARGEST: u64 = 1 << 20;

/// What differs now.
const DRIFT: &str = "drift.json";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, as `2026-11-22T11:40:20Z`.
    pub time: String,
    /// The jail's name.
    pub jail: String,
    /// What: `start`, `ready`, `exit`, `restart`, `limit`, `takeover`; `drift`, and `drift-over` when
    /// that has gone away.
    pub event: String,
    /// The process on the host that it is about, if it is about one.
    pub pid: Option<i32>,
    /// The rule, what it is about, and what was seen.
    pub detail: String,
}

/// A time in seconds since 1970 as `2026-11-22T11:40:20Z` (RFC 3339).
pub fn timestamp(seconds: u64) -> String {
    let mut text = Vec::new();
    write_time(seconds, None, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Adds events to those of a jail.
///
/// # Errors
/// The directory is not writable.
pub fn append(directory: &Path, events: &[Event]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let path = directory.join(EVENTS);
    let doing = || format!("write {}", path.display());
    if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.len() > LARGEST) {
        fs::rename(&path, directory.join(OLD)).doing(doing)?;
    }
    let mut lines = String::new();
    for event in events {
        lines += &serde_json::to_string(event).map_err(|error| Error::new(doing(), error))?;
        lines.push('\n');
    }
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .doing(doing)?;
    // In one write: whoever reads along sees whole lines.
    file.write_all(lines.as_bytes()).doing(doing)
}

/// Something that is not as it was started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Drift {
    /// The rule, as of `check`.
    pub id: String,
    /// What it is about.
    pub subject: String,
    /// What was seen.
    pub evidence: String,
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.id, self.subject, self.evidence)
    }
}

/// The last comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// When it was made.
    pub time: String,
    /// What differed.
    pub drift: Vec<Drift>,
}

impl Compared {
    /// Reads it, if one was made and is whole.
    pub fn load(directory: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(directory.join(DRIFT)).ok()?).ok()
    }

    /// Writes it in one rename.
    ///
    /// # Errors
    /// The directory is not writable.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(DRIFT);
        let beside = directory.join(".drift.json.new");
        let doing = || format!("write {}", path.display());
        let text = serde_json::to_string(self).map_err(|error| Error::new(doing(), error))?;
        fs::write(&beside, text).doing(doing)?;
        fs::rename(&beside, &path).doing(doing)
    }

    /// Forgets it.
    pub(super) fn remove(directory: &Path) -> Result<()> {
        let path = directory.join(DRIFT);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).doing(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_and_their_file_does_not_grow_for_ever() {
        let place = tempfile::tempdir().unwrap();
        let event = Event {
            time: "2026-11-22T11:40:20Z".to_owned(),
            jail: "web".to_owned(),
            event: "drift".to_owned(),
            pid: Some(7),
            detail: "x\n".repeat(300_000),
        };
        for _ in 0..5 {
            append(place.path(), &[event.clone(), event.clone()]).unwrap();
        }
        let size = |name| fs::metadata(place.path().join(name)).unwrap().len();
        assert!(size(EVENTS) < 4 << 20 && size(OLD) < 4 << 20);
        let text = fs::read_to_string(place.path().join(EVENTS)).unwrap();
        let read: Vec<Event> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, [event.clone(), event]);
    }

    #[test]
    fn a_link_in_the_place_of_the_events_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let precious = place.path().join("precious");
        fs::write(&precious, "").unwrap();
        std::os::unix::fs::symlink(&precious, place.path().join(EVENTS)).unwrap();
        let event = Event {
            time: String::new(),
            jail: String::new(),
            event: String::new(),
            pid: None,
            detail: String::new(),
        };
        assert!(append(place.path(), &[event]).is_err());
        assert_eq!(fs::read_to_string(&precious).unwrap(), "");
    }
}
