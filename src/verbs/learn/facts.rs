//! What the spec of a service depends on beside its trace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::super::closure;
use super::super::is_ordinary;
use super::super::user::Identity;
use super::Beginning;
use super::service::Service;
use crate::Result;
use crate::host::Host;
use crate::learn::Trace;
use crate::spec::{self, DirectoryFacts, Facts};

impl Service {
    /// What the spec depends on beside the trace.
    pub(super) fn facts(&self, trace: &Trace, identity: &Identity) -> Result<Facts> {
        let config_paths = self.config_paths();
        let mut paths: BTreeSet<PathBuf> =
            trace.paths.iter().map(|seen| seen.host.clone()).collect();
        paths.extend(config_paths.iter().map(|(path, _)| path.clone()));
        paths.extend(
            self.knowledge()
                .into_iter()
                .flat_map(|known| known.places.iter().map(|place| place.path.clone())),
        );
        Ok(Facts {
            name: self.name.clone(),
            user: identity.user.name.clone(),
            group: identity.group.name.clone(),
            start_as_root: identity.user.uid == 0,
            refuses_root: self.beginning == Beginning::AsUser,
            unaided: self.unaided,
            accounts: identity
                .others
                .iter()
                .map(|user| user.name.clone())
                .collect(),
            groups: identity
                .groups
                .iter()
                .map(|group| group.name.clone())
                .collect(),
            uid: identity.user.uid,
            gid: identity.group.gid,
            group_ids: identity.groups.iter().map(|group| group.gid).collect(),
            directories: directories(&paths),
            config_paths,
            unprivileged_port_start: Host::probe()?.unprivileged_port_start,
            workdir: PathBuf::from("/"),
            environment: self.environment(),
            closure: closure::of(trace)?,
            withheld: self.withheld(identity),
            exercises: self.exercises.clone(),
        })
    }

    /// What it does not get whole: as a service of root's it has a user of its own, whose home may
    /// be its data.
    fn withheld(&self, identity: &Identity) -> Vec<PathBuf> {
        let mut withheld = self.places.clone();
        if is_ordinary() {
            withheld.push(PathBuf::from(&identity.user.home));
            withheld.extend(std::env::var_os("HOME").map(PathBuf::from));
        }
        withheld.retain(|place| place.has_root());
        withheld
    }

    /// The paths that the service's configuration names, as the host sees them.
    fn config_paths(&self) -> Vec<(PathBuf, bool)> {
        let Some(known) = &self.known else {
            return Vec::new();
        };
        let Some(config) = &known.knowledge.config_paths else {
            return Vec::new();
        };
        let root = known.root.clone().unwrap_or_else(|| PathBuf::from("/"));
        spec::config_paths(&self.configuration, config)
            .into_iter()
            .map(|(path, is_directory)| {
                let below = root.join(path.strip_prefix("/").unwrap_or(&path));
                (fs::canonicalize(&below).unwrap_or(below), is_directory)
            })
            .collect()
    }
}

/// Every directory among the paths and above them.
fn directories(paths: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, DirectoryFacts> {
    paths
        .iter()
        .flat_map(|path| path.ancestors())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter_map(|path| {
            let metadata = fs::symlink_metadata(path)
                .ok()
                .filter(fs::Metadata::is_dir)?;
            let facts = DirectoryFacts {
                uid: metadata.uid(),
                gid: metadata.gid(),
                mode: metadata.mode() & 0o7777,
            };
            Some((path.to_owned(), facts))
        })
        .collect()
}
