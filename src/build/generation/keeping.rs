//! Which generations are kept, and which are known to have worked.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{GENERATIONS, Lock, REMOVING, State};
use crate::error::{Doing, Result};

/// So many of the newest generations are kept by themselves: the current one, the one to roll back
/// to, and one before.
pub const KEPT: usize = 3;
/// Beside the manifest, once a service that was started from the generation was ready: since when.
const READY: &str = "ready";
/// More than a time needs, bytes.
const LONGEST_TIME: u64 = 64;

impl State {
    /// Notes that a service was ready that was started from this generation, at `time` (RFC 3339).
    /// Only the first time is kept.
    ///
    /// # Errors
    /// There is no such generation any more; the disk is full.
    pub fn note_ready(&self, generation: u64, time: &str) -> Result<()> {
        let relative = ready(generation);
        let doing = || format!("write {}", self.path.join(&relative).display());
        match self.directory.create(&relative, 0o444) {
            Ok(file) => File::from(file).write_all(time.as_bytes()).doing(doing),
            Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno).doing(doing),
        }
    }

    /// When a service that was started from this generation was ready for the first time; `None` if
    /// none ever was, as far as is known.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn ready_since(&self, generation: u64) -> Result<Option<String>> {
        let relative = ready(generation);
        let doing = || format!("read {}", self.path.join(&relative).display());
        let file = match self.directory.file(&relative) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno).doing(doing),
        };
        let mut time = String::new();
        file.take(LONGEST_TIME)
            .read_to_string(&mut time)
            .doing(doing)?;
        Ok(Some(time))
    }

    /// The newest generation beside the current one that a service was ready from.
    ///
    /// # Errors
    /// As [`State::current`] and [`State::ready_since`].
    pub fn last_good(&self) -> Result<Option<u64>> {
        let current = self.current()?;
        for generation in self.generations()?.into_iter().rev() {
            if Some(generation) != current && self.ready_since(generation)?.is_some() {
                return Ok(Some(generation));
            }
        }
        Ok(None)
    }
}

impl Lock<'_> {
    /// Removes all but the `keep` newest generations, the current one, the last good one, and those
    /// of `in_use`. Answers which.
    ///
    /// # Errors
    /// `unlink(2)`'s: something is mounted in one, say.
    pub fn prune(&self, keep: usize, in_use: &[u64]) -> Result<Vec<u64>> {
        let spared = [self.state.current()?, self.state.last_good()?];
        let generations = self.state.generations()?;
        let old = generations.len().saturating_sub(keep);
        let mut removed = Vec::new();
        for generation in generations.into_iter().take(old) {
            if spared.contains(&Some(generation)) || in_use.contains(&generation) {
                continue;
            }
            let doing = || format!("remove generation {generation}");
            let path = Path::new(GENERATIONS).join(generation.to_string());
            // First out of sight: half a generation must not be taken for a whole one.
            let removing = Path::new(GENERATIONS).join(format!("{REMOVING}{generation}"));
            self.state.directory.rename(&path, &removing).doing(doing)?;
            self.state.directory.remove_tree(&removing).doing(doing)?;
            removed.push(generation);
        }
        Ok(removed)
    }
}

fn ready(generation: u64) -> PathBuf {
    Path::new(GENERATIONS)
        .join(generation.to_string())
        .join(READY)
}
