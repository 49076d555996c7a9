//! `perms`: owner and mode of everything in a jail, with their reasons; and giving them back.

use std::path::PathBuf;

use serde::Serialize;

use super::{Event, Places, Report, jail, may_jail};
use crate::build::permissions::{self, Change, Permission};
use crate::build::{self, Account, Manifest, State};
use crate::spec::Spec;
use crate::{Error, Result};

/// What a jail's permissions are to be, and are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Permissions {
    /// The jail's name.
    pub name: String,
    /// The current generation.
    pub generation: u64,
    /// Its root tree.
    pub tree: PathBuf,
    /// What is in the tree, as it is to be.
    pub entries: Vec<Permission>,
    /// The places that the service writes to and what is in them, as they are.
    pub places: Vec<Permission>,
    /// Of these, what could not be looked at, or only in part.
    pub not_listed: Vec<String>,
    /// What was set.
    pub changed: Vec<Change>,
    /// What is different in the tree, after that.
    pub drift: Vec<Drifted>,
}

/// Something in a tree that is not as it was built.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drifted {
    /// Absolute path in the jail.
    pub path: String,
    /// What is different.
    pub what: String,
}

/// The permission plan of the current generation; with `fix`, owners and modes of its tree that
/// differ are set first. What differs otherwise is only reported.
///
/// # Errors
/// The jail has not been built; its state could be changed by others.
pub fn perms(places: &Places, name: &str, fix: bool, report: &Report<'_>) -> Result<Permissions> {
    let known = Known::of(places, name)?;
    let (tree, manifest) = (known.state.root(known.generation), &known.manifest);
    let mut drifts = build::drift(&tree, manifest)?;
    let mut changed = Vec::new();
    if fix {
        // No build removes the tree meanwhile.
        let _lock = known.state.lock(&|_| ())?;
        let (changes, failures) = permissions::repair(&tree, manifest, &drifts)?;
        changed = changes;
        for failure in failures {
            report(Event::Warning(failure.to_string()));
        }
        drifts = build::drift(&tree, manifest)?;
    }
    let found = permissions::places(&known.spec, &known.account);
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    Ok(Permissions {
        name: name.to_owned(),
        generation: known.generation,
        entries: permissions::tree(manifest),
        places: found.found,
        not_listed: found.not_listed.into_iter().map(text).collect(),
        changed,
        drift: drifts
            .into_iter()
            .map(|drift| Drifted {
                path: text(drift.path),
                what: drift.what.to_string(),
            })
            .collect(),
        tree,
    })
}

/// The same plan as a script for sh.
///
/// # Errors
/// As [`perms`].
pub fn perms_script(places: &Places, name: &str) -> Result<Vec<u8>> {
    let known = Known::of(places, name)?;
    let tree = known.state.root(known.generation);
    let found = permissions::places(&known.spec, &known.account).found;
    let is_top = |place: &Permission| {
        let mut binds = known.spec.binds.iter();
        binds.any(|bind| bind.writable && bind.path == place.path)
    };
    let tops: Vec<Permission> = found.into_iter().filter(is_top).collect();
    let title = format!(
        "Owner and mode of everything in the jail {name}, generation {}, made by gaoler perms \
         {name} --script",
        known.generation
    );
    Ok(permissions::script(&title, &tree, &known.manifest, &tops))
}

/// What the plan is made from.
struct Known {
    spec: Spec,
    account: Account,
    state: State,
    generation: u64,
    manifest: Manifest,
}

impl Known {
    fn of(places: &Places, name: &str) -> Result<Self> {
        let doing = || format!("look at the permissions of {name}");
        may_jail(&doing())?;
        let spec = jail::load_spec(places, name)?;
        let account = Account::of(&spec)?;
        let not_built = || {
            Error::new(doing(), "it has not been built")
                .hint(format!("build it: gaoler build {name}"))
        };
        let state = build::state_of(&places.state, name)?.ok_or_else(not_built)?;
        let generation = state.current()?.ok_or_else(not_built)?;
        let manifest = state.manifest(generation)?;
        Ok(Self {
            spec,
            account,
            state,
            generation,
            manifest,
        })
    }
}
