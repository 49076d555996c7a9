//! Which package of the host a file comes from, by what dpkg and rpm know. dpkg's files are read
//! directly, because nothing of dpkg is needed to read them; rpm's are a database, so rpm is asked.

mod dpkg;
mod rpm;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Doing, Result};

/// The largest file of a package manager that is read, bytes.
const LARGEST: u64 = 64 << 20;

/// What a host knows of the packages of some files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// `ID` of os-release(5): `debian`; empty if it is not known.
    pub distribution: String,
    /// `VERSION_ID` of os-release(5): `13`; empty if it has none.
    pub release: String,
    /// The packages, sorted.
    pub packages: Vec<Package>,
    /// The files that belong to one, and its place among [`packages`](Self::packages).
    pub owners: BTreeMap<PathBuf, usize>,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, whole: with epoch and revision.
    pub version: String,
    /// Its architecture: `amd64`, `x86_64`, `all`, `noarch`.
    pub architecture: String,
    /// Who installed it.
    pub manager: Manager,
    /// The source package that it was built from, where that is called otherwise.
    pub source: Option<String>,
    /// Its licence as the package names it, if it does.
    pub licence: Option<String>,
}

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manager {
    /// dpkg(1).
    Dpkg,
    /// rpm(8).
    Rpm,
}

impl Packages {
    /// The packages of `files` on the system at `root`, normally `/`. The files are absolute paths
    /// beneath it; links in them are resolved.
    ///
    /// # Errors
    /// Something that a package manager knows is there and cannot be read.
    pub fn of<'a>(root: &Path, files: impl IntoIterator<Item = &'a Path>) -> Result<Self> {
        let files: Vec<(PathBuf, &Path)> = files
            .into_iter()
            .map(|path| (real(root, path), path))
            .collect();
        let mut found: BTreeMap<&Path, Package> = BTreeMap::new();
        let reals: Vec<&Path> = files.iter().map(|(real, _)| real.as_path()).collect();
        let of_dpkg = dpkg::owners(root, &reals)?;
        for (real, asked) in &files {
            let package = match of_dpkg.get(real.as_path()) {
                Some(package) => Some(package.clone()),
                None => rpm::owner(root, real)?,
            };
            if let Some(package) = package {
                found.insert(asked, package);
            }
        }
        let mut packages: Vec<Package> = found.values().cloned().collect();
        packages.sort();
        packages.dedup();
        let owners = found
            .into_iter()
            .filter_map(|(path, package)| {
                let place = packages.binary_search(&package).ok()?;
                Some((path.to_owned(), place))
            })
            .collect();
        let release = match text(&root.join("etc/os-release"))? {
            None => text(&root.join("usr/lib/os-release"))?,
            found => found,
        };
        let release = release.unwrap_or_default();
        Ok(Self {
            distribution: setting(&release, "ID"),
            release: setting(&release, "VERSION_ID"),
            packages,
            owners,
        })
    }

    /// The package that a file comes from.
    pub fn owner(&self, path: &Path) -> Option<&Package> {
        self.packages.get(*self.owners.get(path)?)
    }
}

/// The path without links, beneath the root; as it was if it leads nowhere.
fn real(root: &Path, path: &Path) -> PathBuf {
    let Ok(below) = path.strip_prefix("/") else {
        return path.to_owned();
    };
    let (Ok(root), Ok(real)) = (fs::canonicalize(root), fs::canonicalize(root.join(below))) else {
        return path.to_owned();
    };
    real.strip_prefix(&root)
        .map_or_else(|_| path.to_owned(), |below| Path::new("/").join(below))
}

/// A text of the host's, if it is there.
fn text(path: &Path) -> Result<Option<String>> {
    let doing = || format!("read {}", path.display());
    let file = match File::open(path) {
        Err(error) if is_absent(&error) => return Ok(None),
        opened => opened.doing(doing)?,
    };
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).doing(doing)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn is_absent(error: &io::Error) -> bool {
    [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind())
}

/// A value of os-release(5), without its quotes.
fn setting(text: &str, key: &str) -> String {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value
        .unwrap_or_default()
        .trim()
        .trim_matches(['"', '\''])
        .to_owned()
}

#[cfg(test)]
mod tests;
