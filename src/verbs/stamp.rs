//! A compiled plan, and what says that it still holds (docs/decisions/0006-compiled-plan.md).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Places;
use crate::plan::Plan;
use crate::spec::Spec;
use crate::{Doing, Error, Result};

/// What a compiled plan depends on: if none of it has changed, the plan holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stamp {
    spec: FileStamp,
    passwd: FileStamp,
    group: FileStamp,
    kernel: String,
}

/// A file as it was: one that was changed since has another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FileStamp {
    inode: u64,
    size: u64,
    modified_ns: i128,
}

/// A plan as it lies beside the manifest.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Compiled {
    pub stamp: Stamp,
    pub plan: Plan,
}

impl FileStamp {
    /// As it is now.
    ///
    /// # Errors
    /// It is not there.
    pub fn of(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).doing(|| format!("look at {}", path.display()))?;
        Ok(Self {
            inode: metadata.ino(),
            size: metadata.len(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000
                + i128::from(metadata.mtime_nsec()),
        })
    }
}

impl Stamp {
    /// As it is now.
    ///
    /// # Errors
    /// There is no spec.
    pub fn now(places: &Places, name: &str) -> Result<Self> {
        Ok(Self {
            spec: FileStamp::of(&places.spec(name))?,
            passwd: FileStamp::of(Path::new("/etc/passwd"))?,
            group: FileStamp::of(Path::new("/etc/group"))?,
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
        })
    }

    /// The text of a compiled plan, and the plan.
    ///
    /// # Errors
    /// A path in it is not UTF-8, which JSON cannot hold.
    pub fn compile(&self, spec: &Spec, plan: Plan) -> Result<(String, Plan)> {
        let compiled = Compiled {
            stamp: self.clone(),
            plan,
        };
        let text = serde_json::to_string(&compiled)
            .map_err(|error| Error::new(format!("write the plan of {}", spec.name), error))?;
        Ok((text, compiled.plan))
    }
}
