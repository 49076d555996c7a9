//! What differs between a jail's current generation and what would be built now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::super::{Places, jail, sbom};
use super::{UpgradeOutcome, Upgraded, behind};
use crate::build::elf::Resolver;
use crate::build::{self, Alteration, Altered, EntryKind, Manifest, altered};
use crate::host::packages::Packages;
use crate::spec::Spec;
use crate::{Error, Result};

/// A package whose version is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// The version that it had; `None` if nothing came from it.
    pub from: Option<String>,
    /// The version that it has; `None` if nothing comes from it any more.
    pub to: Option<String>,
}

/// Compares, and changes nothing.
pub(super) fn compare(places: &Places, spec: &Spec) -> Result<Upgraded> {
    let name = &spec.name;
    let none = || {
        Error::usage(format!("upgrade {name}"), "it has not been built")
            .hint(format!("build it: gaoler up {name}"))
    };
    let state = build::state_of(&places.state, name)?.ok_or_else(none)?;
    let current = state.current()?.ok_or_else(none)?;
    let stale = behind(places, name)?;
    let mut done = Upgraded {
        name: name.clone(),
        outcome: UpgradeOutcome::Current,
        why: None,
        hint: None,
        from: current,
        to: current,
        pid: None,
        stale,
        packages: Vec::new(),
        altered: Vec::new(),
        imports: Vec::new(),
        grown: Vec::new(),
        asked: Vec::new(),
    };
    let manifest = state.manifest(current)?;
    let new = match jail::foresee(places, spec) {
        Ok(new) => new,
        // A library that is gone, say: it is behind, and cannot follow.
        Err(error) => {
            done.outcome = UpgradeOutcome::Stale;
            done.hint = error.next().map(str::to_owned);
            done.why = Some(error.to_string());
            return Ok(done);
        }
    };
    done.altered = altered(&manifest, &new);
    if !done.altered.is_empty() {
        let tree = state.root(current);
        let before = sbom::kept(&tree)?.unwrap_or_default();
        done.packages = package_changes(&before, &sbom::of_host(&new)?);
        done.imports = imports(&tree, &manifest, &new, &done.altered)?;
    }
    if !done.altered.is_empty() || !done.stale.is_empty() {
        done.outcome = UpgradeOutcome::Stale;
    }
    Ok(done)
}

/// The packages whose versions differ, by name; nothing if it was not noted what there was before.
pub(in crate::verbs) fn package_changes(before: &Packages, now: &Packages) -> Vec<PackageChange> {
    if before.packages.is_empty() {
        return Vec::new();
    }
    let versions = |packages: &Packages| -> BTreeMap<(String, String), String> {
        let all = packages.packages.iter().cloned();
        all.map(|it| ((it.name, it.architecture), it.version))
            .collect()
    };
    let (old, new) = (versions(before), versions(now));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .map(|key| PackageChange {
            name: key.0.clone(),
            from: old.get(key).cloned(),
            to: new.get(key).cloned(),
        })
        .filter(|change| change.from != change.to)
        .collect()
}

/// What the altered programs and libraries import, and nothing in the tree imports yet. A file that
/// cannot be read as one imports nothing.
fn imports(
    tree: &Path,
    old: &Manifest,
    new: &Manifest,
    altered: &[Altered],
) -> Result<Vec<String>> {
    let mut resolver = Resolver::new(tree)?;
    let files = old.entries.iter();
    let files = files.filter(|entry| entry.kind == EntryKind::File);
    let known: BTreeSet<String> = files
        .flat_map(|entry| resolver.imports(&entry.path).unwrap_or_default())
        .collect();
    let mut resolver = Resolver::new(Path::new("/"))?;
    let sources = altered
        .iter()
        .filter(|it| it.change != Alteration::Removed)
        .filter_map(|it| new.entry(&it.path)?.source.as_deref());
    let now: BTreeSet<String> = sources
        .flat_map(|source| resolver.imports(source).unwrap_or_default())
        .collect();
    Ok(now.difference(&known).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::packages::{Manager, Package};

    fn packages(all: &[(&str, &str)]) -> Packages {
        let package = |(name, version): &(&str, &str)| Package {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            architecture: "amd64".to_owned(),
            manager: Manager::Dpkg,
            source: None,
            licence: None,
        };
        Packages {
            packages: all.iter().map(package).collect(),
            ..Packages::default()
        }
    }

    #[test]
    fn packages_that_moved() {
        let old = packages(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let new = packages(&[("a", "1"), ("b", "2"), ("d", "1")]);
        let found: Vec<_> = package_changes(&old, &new)
            .into_iter()
            .map(|it| (it.name, it.from, it.to))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        let expected = [
            ("b".to_owned(), some("1"), some("2")),
            ("c".to_owned(), some("1"), None),
            ("d".to_owned(), None, some("1")),
        ];
        assert_eq!(found, expected);
        assert_eq!(package_changes(&Packages::default(), &new), []);
    }
}
