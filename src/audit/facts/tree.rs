//! What is looked at in a tree beside what the manifest says of it. No link is followed out of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use rustix::io::Errno;

use super::{Binary, OddFile, Stale};
use crate::build::elf::{Inspected, Resolver};
use crate::build::{Entry, EntryKind, Manifest};
use crate::sys::beneath::Beneath;
use crate::sys::copy;
use crate::{Doing, Result};

/// How a file is told apart that executes with capabilities of its own (`capabilities(7)`).
const CAPABILITIES: &str = "security.capability";

fn regular_files(manifest: &Manifest) -> impl Iterator<Item = &Entry> {
    let all = manifest.entries.iter();
    all.filter(|entry| entry.kind == EntryKind::File)
}

/// The ELF files that the tree holds by its manifest. One that cannot be read, or is damaged, is
/// none: drift says what is wrong with it.
pub(super) fn binaries(tree: &Path, manifest: &Manifest) -> Result<Vec<Binary>> {
    let mut resolver = Resolver::new(tree)?;
    Ok(regular_files(manifest)
        .filter_map(|entry| match resolver.inspect(&entry.path) {
            Ok(Inspected::Elf(elf)) => Some(Binary {
                path: entry.path.clone(),
                elf,
            }),
            Ok(_) | Err(_) => None,
        })
        .collect())
}

/// The files that have names outside of the tree, or capabilities.
pub(super) fn odd_files(tree: &Path, manifest: &Manifest) -> Result<Vec<OddFile>> {
    let root = Beneath::open(tree).doing(|| format!("open {}", tree.display()))?;
    let mut names: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut seen = Vec::new();
    for entry in regular_files(manifest) {
        // What is missing is drift.
        let Ok(file) = root.file(&entry.path) else {
            continue;
        };
        let stat =
            rustix::fs::fstat(&file).doing(|| format!("look at {}", entry.path.display()))?;
        let identity = (stat.st_dev, stat.st_ino);
        *names.entry(identity).or_default() += 1;
        let mut value = [0; 64];
        let capabilities = rustix::fs::fgetxattr(&file, CAPABILITIES, &mut value[..]).is_ok();
        seen.push((entry, identity, stat.st_nlink, capabilities));
    }
    Ok(seen
        .into_iter()
        .map(|(entry, identity, links, capabilities)| OddFile {
            path: entry.path.clone(),
            names_outside: links.saturating_sub(names.get(&identity).copied().unwrap_or(1)),
            capabilities,
        })
        .filter(|file| file.names_outside > 0 || file.capabilities)
        .collect())
}

/// The copies whose original is not what was copied any more.
pub(super) fn stale(manifest: &Manifest) -> Vec<Stale> {
    regular_files(manifest)
        .filter_map(|entry| {
            let (source, wanted) = (entry.source.as_ref()?, entry.sha256.as_ref()?);
            let what = match File::open(source).map_err(|error| error.raw_os_error()) {
                Ok(mut file) => match copy::hash(&mut file) {
                    Ok(found) if found == *wanted => return None,
                    Ok(_) => "has another content now".to_owned(),
                    Err(errno) => format!("cannot be read any more: {errno}"),
                },
                Err(Some(code)) if code == Errno::NOENT.raw_os_error() => {
                    "is gone from the host".to_owned()
                }
                Err(_) => "cannot be opened any more".to_owned(),
            };
            Some(Stale {
                path: entry.path.clone(),
                what: format!("{} {what}", source.display()),
                code: is_code(entry),
            })
        })
        .collect()
}

/// Programs may be executed; libraries have names.
fn is_code(entry: &Entry) -> bool {
    let executable = entry.mode_bits().unwrap_or(0) & 0o111 != 0;
    let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
    executable || name.ends_with(".so") || name.contains(".so.")
}
