//! The score of the last check, kept beside the generation that was checked: `list` has no time to
//! check a thousand jails.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attest::now;
use super::stamp::FileStamp;
use super::{Jail, Places, jail};
use crate::build::GENERATIONS;

/// The file, beside the manifest.
const FILE: &str = "score.json";

/// A score, and what says that it is still that of this jail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Scored {
    /// As of `check`: 0 is best, 10 is worst.
    pub score: f64,
    /// When it was checked.
    pub time: String,
    /// Whom the service runs as.
    pub user: String,
    /// The spec that was checked.
    spec: FileStamp,
}

/// The spec as it is before it is read and checked; `None` if there is none.
pub(super) fn stamp(places: &Places, name: &str) -> Option<FileStamp> {
    FileStamp::of(&places.spec(name)).ok()
}

/// Keeps what a check of `jail` has found.
pub(super) fn keep(jail: &Jail, score: f64, spec: FileStamp) {
    let scored = Scored {
        score,
        time: now(),
        user: jail.account.user.name.clone(),
        spec,
    };
    let (Some(directory), Ok(text)) = (jail.tree.parent(), serde_json::to_string(&scored)) else {
        return;
    };
    // What was found is told all the same; without it `list` shows no score.
    match jail::replace(&directory.join(FILE), &text) {
        Ok(()) | Err(_) => {}
    }
}

/// What the last check of this generation found, if its spec has not been changed since.
pub(super) fn load(places: &Places, name: &str, generation: u64) -> Option<Scored> {
    let text = fs::read_to_string(path(&places.state, name, generation)).ok()?;
    let scored: Scored = serde_json::from_str(&text).ok()?;
    (stamp(places, name)? == scored.spec).then_some(scored)
}

fn path(state: &Path, name: &str, generation: u64) -> PathBuf {
    let generations = state.join(name).join(GENERATIONS);
    generations.join(generation.to_string()).join(FILE)
}
