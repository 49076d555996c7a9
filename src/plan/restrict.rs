//! The Landlock rules of a plan.

use std::path::{Component, Path, PathBuf};

use super::assemble::Inputs;
use super::step::{Grant, LandlockRules, Object};
use crate::Result;
use crate::build::{Entry, EntryKind, Manifest};
use crate::spec::{Direction, PortRule, Protocol};

/// The newest ABI whose every access right the plan knows how to grant.
const NEWEST_ABI: u32 = 6;

/// The first ABI that knows TCP ports.
const NETWORK_ABI: u32 = 4;

/// How many symbolic links a path may lead through (`path_resolution(7)`).
const LINK_LIMIT: usize = 40;

/// The rules: read what is in the tree, execute its programs, write where the spec says.
pub fn landlock(inputs: &Inputs<'_>) -> Result<LandlockRules> {
    let spec = inputs.spec;
    let mut files = vec![(Object::Path(inputs.tree.to_owned()), Grant::Read)];
    for entry in &inputs.manifest.entries {
        let inside = entry.path.strip_prefix("/").unwrap_or(&entry.path);
        let on_host = inputs.tree.join(inside);
        match (entry.kind, &entry.device) {
            (EntryKind::Device, Some(number)) => {
                files.push((Object::Device(on_host, number.clone()), Grant::Write));
            }
            (EntryKind::File, _) if is_executable(entry) => {
                files.push((Object::Path(on_host), Grant::Execute));
            }
            _ => {}
        }
    }
    // Mounted rather than made: in the tree there is an empty file in its place.
    let mounted = spec.devices.iter().filter(|_| inputs.host.user.is_some());
    files.extend(mounted.map(|rule| {
        let (major, minor) = rule.device.number();
        let node = Object::Device(rule.device.path().to_owned(), format!("{major}:{minor}"));
        (node, Grant::Write)
    }));
    for bind in &spec.binds {
        let grant = match (
            bind.writable,
            is_file_mountpoint(inputs.manifest, &bind.path),
        ) {
            (false, _) => Grant::Read,
            (true, true) => Grant::Write,
            (true, false) => Grant::Change,
        };
        files.push((Object::Path(bind.path.clone()), grant));
    }
    for scratch in &spec.scratch {
        files.push((Object::Scratch(scratch.path.clone()), Grant::Change));
    }
    let abi = inputs.host.landlock_abi.min(NEWEST_ABI);
    let network = abi >= NETWORK_ABI;
    Ok(LandlockRules {
        abi,
        files,
        bind_tcp: network.then(|| tcp(&spec.ports, Direction::Bind)),
        connect_tcp: network
            .then(|| tcp(&spec.ports, Direction::Connect))
            .filter(|ports| !ports.contains(&0)),
    })
}

fn tcp(rules: &[PortRule], direction: Direction) -> Vec<u16> {
    let mut ports: Vec<u16> = rules
        .iter()
        .filter(|rule| rule.direction == direction && rule.protocol == Protocol::Tcp)
        .map(|rule| rule.port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn is_executable(entry: &Entry) -> bool {
    u32::from_str_radix(&entry.mode, 8).is_ok_and(|mode| mode & 0o111 != 0)
}

/// A mountpoint that is a file has a size; one that is a directory has none.
fn is_file_mountpoint(manifest: &Manifest, path: &Path) -> bool {
    manifest.entries.iter().any(|entry| {
        entry.path == path && entry.kind == EntryKind::Mountpoint && entry.size.is_some()
    })
}

/// What `path` leads to in the tree, through its symbolic links. `None` if nothing is there.
pub fn resolve<'a>(manifest: &'a Manifest, path: &Path) -> Option<&'a Entry> {
    let mut rest: Vec<PathBuf> = components(path);
    let mut here = PathBuf::from("/");
    let mut links = 0;
    while let Some(next) = rest.pop() {
        if next == Path::new("..") {
            here.pop();
            continue;
        }
        let candidate = here.join(&next);
        let entry = find(manifest, &candidate)?;
        match &entry.target {
            Some(target) if entry.kind == EntryKind::Symlink => {
                links += 1;
                if links > LINK_LIMIT {
                    return None;
                }
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                rest.extend(components(target));
            }
            _ => here = candidate,
        }
    }
    find(manifest, &here)
}

fn find<'a>(manifest: &'a Manifest, path: &Path) -> Option<&'a Entry> {
    manifest.entries.iter().find(|entry| entry.path == path)
}

/// The components of a path, last first, without the root.
fn components(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}
