//! What is known of a spec that is being minimized, kept beside its trace: a command that was
//! interrupted goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::{Places, jail, must_be_ours};
use crate::spec::{self, Spec};
use crate::sys::copy::hash_bytes;
use crate::{Doing, Error, Result};

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Of what it is known: the SHA-256 of the spec.
    spec: String,
    /// Items by name, with what fails without them.
    pub needed: BTreeMap<String, String>,
    /// Items that nothing misses.
    pub removed: BTreeSet<String>,
    /// How many trials that took.
    pub trials: usize,
    /// How many seconds.
    pub seconds: u64,
}

impl Progress {
    /// What is kept of this spec; nothing if it has changed since.
    ///
    /// # Errors
    /// Others could have written it.
    pub(super) fn load(places: &Places, spec: &Spec) -> Result<Self> {
        let path = places.minimizing(&spec.name);
        let new = Self {
            spec: hash_bytes(spec::to_toml(spec).as_bytes()),
            ..Self::default()
        };
        if !path.exists() {
            return Ok(new);
        }
        let doing = || format!("read {}", path.display());
        must_be_ours(&path, &doing())?;
        let text = std::fs::read_to_string(&path).doing(doing)?;
        let kept = serde_json::from_str::<Self>(&text).ok();
        Ok(kept.filter(|kept| kept.spec == new.spec).unwrap_or(new))
    }

    /// Whether anything is known.
    pub(super) fn is_empty(&self) -> bool {
        self.needed.is_empty() && self.removed.is_empty()
    }

    /// Forgets what is known, but not of what.
    pub(super) fn clear(&mut self) {
        *self = Self {
            spec: std::mem::take(&mut self.spec),
            ..Self::default()
        };
    }

    /// Keeps it.
    ///
    /// # Errors
    /// The disk is full.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let doing = || format!("write {}", path.display());
        let text = serde_json::to_string(self).map_err(|error| Error::new(doing(), error))?;
        jail::replace(path, &text)
    }

    /// Removes the file: it is done.
    ///
    /// # Errors
    /// `unlink(2)`'s.
    pub(super) fn forget(path: &PathBuf) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).doing(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}
