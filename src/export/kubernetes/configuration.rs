//! Files that belong to a person and not to the image: those that everybody may read as ConfigMaps, the
//! others by the name of a Secret. No key is ever copied into a manifest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::storage::Making;
use super::types::{ConfigMap, Document, KeyPath, Keys, Metadata, Source, Volume, VolumeSource};
use super::{labels, names, text};
use crate::Result;
use crate::export::sh;

/// As much text goes into one ConfigMap, bytes: `kubectl apply` keeps a copy of each object in an
/// annotation, and those of one object have 256 KiB.
pub const MOST_TEXT: usize = 128 * 1024;

/// Read by everybody in the pod, changed by nobody.
const EVERYBODY: u32 = 0o444;

/// Read by root and the service's group (`fsGroup`).
const GROUP: u32 = 0o440;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Everybody may read it.
    Text(String),
    /// Not everybody may read it: what is in it stays where it is.
    Secret,
}

/// What was found at a place that is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The files at and below it, by their paths.
    Files(BTreeMap<PathBuf, Content>),
    /// No ConfigMap can hold it, and why.
    Unfit(String),
}

/// Everything that a person configures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Places of the host that the service reads, by their paths.
    pub binds: BTreeMap<PathBuf, Held>,
    /// Files that the tree has of them.
    pub tree: BTreeMap<PathBuf, Content>,
}

/// Mounts what a place holds: a directory as a whole, so that a change is seen in the pod.
pub(super) fn of_a_bind(
    making: &mut Making<'_, '_>,
    place: &Path,
    files: &BTreeMap<PathBuf, Content>,
) -> Result<()> {
    if files.contains_key(place) {
        return each(making, place, files);
    }
    let held = hold(making, place, files, |path, _| {
        text(path.strip_prefix(place).unwrap_or(path))
    })?;
    making.mount(held.volume, place, None, true)
}

/// Mounts each file of the tree that a person configures over the image's.
pub(super) fn of_the_tree(
    making: &mut Making<'_, '_>,
    files: &BTreeMap<PathBuf, Content>,
) -> Result<()> {
    match files.is_empty() {
        true => Ok(()),
        false => each(making, Path::new("configuration"), files),
    }
}

/// Mounts each of these files for itself.
fn each(
    making: &mut Making<'_, '_>,
    place: &Path,
    files: &BTreeMap<PathBuf, Content>,
) -> Result<()> {
    let held = hold(making, place, files, |_, key| Ok(key.to_owned()))?;
    for (path, sub_path) in held.files {
        making.mount(held.volume.clone(), path, Some(sub_path), true)?;
    }
    Ok(())
}

/// A volume with files in it.
struct Holding<'f> {
    volume: String,
    /// Their paths, and where they lie in the volume.
    files: Vec<(&'f Path, String)>,
}

/// Makes a volume of these files, each where `below` puts it by its path and key, and the ConfigMap
/// behind it.
fn hold<'f>(
    making: &mut Making<'_, '_>,
    place: &Path,
    files: &'f BTreeMap<PathBuf, Content>,
    below: impl Fn(&Path, &str) -> Result<String>,
) -> Result<Holding<'f>> {
    let volume = making.names.name(place);
    let name = format!("{}-{volume}", making.name);
    let (mut data, mut open, mut secret) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut command = format!("kubectl create secret generic {name}");
    let mut where_ = Vec::new();
    for (path, content) in files {
        let key = unused(names::key(path), &open, &secret);
        let item = KeyPath {
            path: below(path, &key)?,
            key,
        };
        where_.push((path.as_path(), item.path.clone()));
        match content {
            Content::Text(text) => {
                data.insert(item.key.clone(), text.clone());
                open.push(item);
            }
            Content::Secret => {
                let file = sh::word(&format!("{}={}", item.key, text(path)?))?;
                command += &format!(" --from-file={file}");
                secret.push(item);
            }
        }
    }
    if !open.is_empty() {
        making.made.objects.push(Document::ConfigMap(ConfigMap {
            api_version: "v1",
            kind: "ConfigMap",
            metadata: Metadata::of(name.clone(), labels(making.name)),
            data,
        }));
    }
    if !secret.is_empty() {
        making.made.secrets.push(command);
    }
    making.made.volumes.push(Volume {
        name: volume.clone(),
        source: source(name, open, secret),
    });
    Ok(Holding {
        volume,
        files: where_,
    })
}

/// `/a/b` and `/a_b` are two files.
fn unused(key: String, open: &[KeyPath], secret: &[KeyPath]) -> String {
    let is_given = |key: &String| open.iter().chain(secret).any(|item| item.key == *key);
    let numbered = (2..).map(|number| format!("{key}.{number}"));
    let mut keys = std::iter::once(key.clone()).chain(numbered);
    keys.find(|key| !is_given(key)).unwrap_or_default()
}

fn source(name: String, open: Vec<KeyPath>, secret: Vec<KeyPath>) -> VolumeSource {
    if secret.is_empty() {
        return VolumeSource::ConfigMap {
            name,
            default_mode: EVERYBODY,
            items: open,
        };
    }
    let mut sources = Vec::new();
    if !open.is_empty() {
        let name = name.clone();
        sources.push(Source::ConfigMap(Keys { name, items: open }));
    }
    sources.push(Source::Secret(Keys {
        name,
        items: secret,
    }));
    VolumeSource::Projected {
        default_mode: GROUP,
        sources,
    }
}
