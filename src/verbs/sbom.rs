//! `sbom`: a bill of materials of a generation's tree, in the two formats that tools read.

mod cyclonedx;
mod licences;
mod spdx;

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha1::{Digest, Sha1};

use super::{Event, Places, Report, attest, jail, may_jail, valid_name};
use crate::build::{self, EntryKind, Manifest};
use crate::host::packages::{Manager, Package, Packages};
use crate::sys::beneath::Beneath;
use crate::sys::copy;
use crate::{Doing, Error, Result};

/// The file beside a manifest that says which package of the host each file came from.
const PACKAGES: &str = "packages.json";
/// Instead of the time of the build (reproducible-builds.org).
const EPOCH: &str = "SOURCE_DATE_EPOCH";
/// Bytes that are hashed at once.
const CHUNK: usize = 64 * 1024;

/// In which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SbomFormat {
    /// CycloneDX 1.6 as JSON.
    CycloneDx,
    /// SPDX 2.3 as JSON.
    Spdx,
}

/// What both formats say.
struct Bill {
    /// The jail's name.
    name: String,
    /// The generation's number.
    generation: u64,
    /// As `2026-11-22T11:40:20Z`.
    time: String,
    /// Follows from what is in the tree and which jail it is of: a UUID of version 8 (RFC 9562).
    uuid: String,
    packages: Packages,
    files: Vec<Material>,
}

/// One file of the tree.
struct Material {
    /// Its path in the jail.
    path: String,
    sha256: String,
    /// SPDX 2.3 asks for it (clause 8.4); nothing relies on it.
    sha1: String,
    /// The package it came from, by its place.
    package: Option<usize>,
    /// Where on the host it came from; `None` for what gaoler wrote itself.
    source: Option<PathBuf>,
}

/// The bill of materials of a generation: of the current one, if none is named.
///
/// # Errors
/// There is no such generation; its tree is not as it was built.
pub fn sbom(
    places: &Places,
    name: &str,
    generation: Option<u64>,
    format: SbomFormat,
    report: &Report<'_>,
) -> Result<Value> {
    valid_name(name)?;
    let doing = format!("list what is in the jail {name}");
    may_jail(&doing)?;
    let state = build::state_of(&places.state, name)?.ok_or_else(|| not_built(&doing, name))?;
    let generation = match generation {
        Some(generation) => generation,
        None => state.current()?.ok_or_else(|| not_built(&doing, name))?,
    };
    report(Event::Doing(format!(
        "reading generation {generation} of {name}"
    )));
    let manifest = state.manifest(generation)?;
    let tree = state.root(generation);
    let packages = kept(&tree)?.map_or_else(
        || {
            report(Event::Note(format!(
                "generation {generation} was built before packages were noted: their versions are \
                 those that the host has now"
            )));
            of_host(&manifest)
        },
        Ok,
    )?;
    let bill = Bill {
        name: name.to_owned(),
        generation,
        time: attest::time(
            epoch()?.unwrap_or(state.written(generation)?.0.try_into().unwrap_or(0)),
        ),
        uuid: uuid(name, &manifest)?,
        files: materials(&tree, &manifest, &packages)?,
        packages,
    };
    Ok(match format {
        SbomFormat::CycloneDx => cyclonedx::document(&bill),
        SbomFormat::Spdx => spdx::document(&bill),
    })
}

/// Writes what [`sbom`] answers into a file, in place of what is there.
///
/// # Errors
/// It cannot be written.
pub fn sbom_write(path: &Path, text: &str) -> Result<()> {
    jail::replace(path, text)
}

/// The file to lie beside the manifest of a new generation: its name and text.
///
/// # Errors
/// A path is not UTF-8, which JSON cannot hold.
pub(super) fn beside(manifest: &Manifest) -> Result<(&'static str, String)> {
    let packages = of_host(manifest)?;
    let text = serde_json::to_string(&packages)
        .map_err(|error| Error::new("note the packages of the tree", error))?;
    Ok((PACKAGES, text))
}

/// What was noted of a generation's packages when it was built; `None` if nothing was.
///
/// # Errors
/// It cannot be read.
pub(super) fn kept(tree: &Path) -> Result<Option<Packages>> {
    let path = tree.with_file_name(PACKAGES);
    let doing = || format!("read {}", path.display());
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).doing(doing),
    };
    let packages = serde_json::from_str(&text);
    packages
        .map(Some)
        .map_err(|error| Error::new(doing(), error))
}

/// What the host knows now of the packages of what was copied from it.
///
/// # Errors
/// As [`Packages::of`].
pub(super) fn of_host(manifest: &Manifest) -> Result<Packages> {
    let files = manifest.entries.iter();
    let sources = files
        .filter(|entry| entry.kind == EntryKind::File)
        .filter_map(|entry| entry.source.as_deref());
    Packages::of(Path::new("/"), sources)
}

fn not_built(doing: &str, name: &str) -> Error {
    Error::usage(doing, "it has not been built").hint(format!("build it: gaoler build {name}"))
}

/// The time that the environment asks for.
fn epoch() -> Result<Option<u64>> {
    let Some(text) = std::env::var_os(EPOCH) else {
        return Ok(None);
    };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    seconds.map(Some).ok_or_else(|| {
        let text = text.to_string_lossy();
        Error::usage(
            format!("use {EPOCH}={text:?}"),
            "it is no number of seconds since 1970",
        )
    })
}

/// The first half of a hash, marked as a UUID of the kind whose content is its maker's matter.
fn uuid(name: &str, manifest: &Manifest) -> Result<String> {
    let digest = copy::hash_bytes(format!("{name}\n{}", manifest.digest()?).as_bytes());
    let part = |from: usize, to: usize| digest.get(from..to).unwrap_or_default();
    Ok(format!(
        "{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    ))
}

/// The regular files, each read once more: a bill of a tree that somebody has changed would be wrong.
fn materials(tree: &Path, manifest: &Manifest, packages: &Packages) -> Result<Vec<Material>> {
    let root = Beneath::open(tree).doing(|| format!("open {}", tree.display()))?;
    let files = manifest.entries.iter();
    let files = files.filter(|entry| entry.kind == EntryKind::File);
    files
        .map(|entry| {
            let doing = || format!("read {} in the tree", entry.path.display());
            let mut file = File::from(root.file(&entry.path).doing(doing)?);
            let sha256 = copy::hash(&mut file).doing(doing)?;
            if entry.sha256.as_ref() != Some(&sha256) {
                return Err(Error::new(doing(), "it is not as it was built").hint(
                    "see what else is not: gaoler check NAME; build it anew: gaoler build NAME",
                ));
            }
            Ok(Material {
                path: entry.path.display().to_string(),
                sha256,
                sha1: sha1(&mut file).doing(doing)?,
                package: entry
                    .source
                    .as_ref()
                    .and_then(|source| packages.owners.get(source).copied()),
                source: entry.source.clone(),
            })
        })
        .collect()
}

fn sha1(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut digest = Sha1::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            read => digest.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Bill {
    /// The files that came from one package, or from none.
    fn files_of(&self, package: Option<usize>) -> impl Iterator<Item = &Material> {
        self.files
            .iter()
            .filter(move |file| file.package == package)
    }

    /// A package URL (<https://github.com/package-url/purl-spec>).
    fn url(&self, package: &Package) -> String {
        let kind = match package.manager {
            Manager::Dpkg => "deb",
            Manager::Rpm => "rpm",
        };
        let mut url = format!("pkg:{kind}");
        if !self.packages.distribution.is_empty() {
            url += &format!("/{}", encoded(&self.packages.distribution));
        }
        url += &format!("/{}@{}", encoded(&package.name), encoded(&package.version));
        let distro = match (&*self.packages.distribution, &*self.packages.release) {
            ("", _) => String::new(),
            (distribution, "") => distribution.to_owned(),
            (distribution, release) => format!("{distribution}-{release}"),
        };
        let qualifiers = [
            ("arch", package.architecture.clone()),
            ("distro", distro),
            ("upstream", package.source.clone().unwrap_or_default()),
        ];
        let mut mark = '?';
        for (key, value) in qualifiers {
            if !value.is_empty() {
                url += &format!("{mark}{key}={}", encoded(&value));
                mark = '&';
            }
        }
        url
    }
}

/// Percent-encoding, as of RFC 3986, of all but what that never asks to encode.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
