//! What became of a jail's messages, for the other commands.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{Doing, Error, Result};

/// The file's name in the jail's directory. It stays when the jail has ended.
const FILE: &str = "log.json";

/// How often it is written while something changes.
const PAUSE: Duration = Duration::from_secs(1);

/// What a relay has seen. `received` is `forwarded`, `dropped` and what is on its way together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Messages that came from the jail.
    pub received: u64,
    /// Messages that the log took; over TCP, that the collector's host has acknowledged.
    pub forwarded: u64,
    /// Messages that it did not take, because it was full or away, or that could not be read.
    pub dropped: u64,
    /// Messages that were too long and were cut; they are among the others.
    pub truncated: u64,
}

impl Counts {
    /// Messages that are on their way.
    pub fn waiting(&self) -> u64 {
        let known = self.forwarded.saturating_add(self.dropped);
        self.received.saturating_sub(known)
    }
}

/// The counts, and where the messages are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// Where they go, for people.
    pub to: String,
    /// The file in which the last of them can be read.
    pub file: PathBuf,
    /// The counts of this run.
    #[serde(flatten)]
    pub counts: Counts,
}

impl Logged {
    /// Reads it, if it is there and whole.
    pub fn load(directory: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(directory.join(FILE)).ok()?).ok()
    }

    fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let beside = directory.join(".log.json.new");
        let doing = || format!("write {}", path.display());
        let text = serde_json::to_string(self).map_err(|error| Error::new(doing(), error))?;
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path));
        if written.is_err() {
            // What went wrong first is what counts.
            match fs::remove_file(&beside) {
                Ok(()) | Err(_) => {}
            }
        }
        written.doing(doing)
    }
}

/// Keeps the counts of a running jail in its directory.
#[derive(Debug)]
pub(super) struct Keeper {
    directory: PathBuf,
    logged: Logged,
    /// Not before this.
    next: Instant,
    saved: bool,
}

impl Keeper {
    pub fn new(directory: &Path, to: String, file: PathBuf) -> Self {
        Self {
            directory: directory.to_owned(),
            logged: Logged {
                to,
                file,
                counts: Counts::default(),
            },
            next: Instant::now(),
            saved: false,
        }
    }

    /// Writes them down if they have changed, and not just before.
    pub fn keep(&mut self, counts: Counts) {
        if self.is_due(counts) && Instant::now() >= self.next {
            self.save(counts);
        }
    }

    /// Writes them down in any case. What cannot be written now, on a full disk, is tried again.
    pub fn save(&mut self, counts: Counts) {
        self.logged.counts = counts;
        self.saved = self.logged.save(&self.directory).is_ok();
        self.next = Instant::now() + PAUSE;
    }

    /// When that is to be done.
    pub fn wakes_at(&self, counts: Counts) -> Option<Instant> {
        self.is_due(counts).then_some(self.next)
    }

    fn is_due(&self, counts: Counts) -> bool {
        !self.saved || self.logged.counts != counts
    }
}
