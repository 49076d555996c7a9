//! What dpkg knows (dpkg(1), FILES; deb-control(5); dpkg-divert(1)).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::{Manager, Package, is_absent, text};
use crate::{Doing, Result};

/// Below the root of the system.
const DATABASE: &str = "var/lib/dpkg";
/// Where Debian has the licences of a package.
const DOCUMENTS: &str = "usr/share/doc";
/// What Debian merged into `/usr`: the lists of many packages do not say so.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// A file that a package has under another name, because a second one has it too.
struct Diversion<'a> {
    from: &'a str,
    to: &'a str,
    /// The package that may use the name; `:` for nobody.
    by: &'a str,
}

/// The packages of `files`, which are paths without links.
pub(super) fn owners<'a>(root: &Path, files: &[&'a Path]) -> Result<BTreeMap<&'a Path, Package>> {
    let database = root.join(DATABASE);
    let diverted = text(&database.join("diversions"))?.unwrap_or_default();
    let diversions = diversions(&diverted);
    // Every name that a list may have for a file.
    let mut names: HashMap<String, Vec<&'a Path>> = HashMap::new();
    for file in files {
        for name in names_of(file) {
            names.entry(name).or_default().push(file);
        }
    }
    for diversion in &diversions {
        // Two packages have the name, and so may two files.
        let moved = names.get(diversion.to).cloned().unwrap_or_default();
        let name = diversion.from.to_owned();
        names.entry(name).or_default().extend(moved);
    }
    let mut owners: BTreeMap<&'a Path, String> = BTreeMap::new();
    for list in lists(&database)? {
        let Some(package) = list.file_stem().and_then(|name| name.to_str()) else {
            continue;
        };
        let name = package.split(':').next().unwrap_or_default();
        for line in text(&list)?.unwrap_or_default().lines() {
            for file in names.get(line).into_iter().flatten() {
                if is_of(&diversions, line, file, name) {
                    owners.insert(file, package.to_owned());
                }
            }
        }
    }
    let wanted: BTreeSet<&str> = owners.values().map(String::as_str).collect();
    let installed = installed(root, &database, &wanted)?;
    Ok(owners
        .into_iter()
        .filter_map(|(file, package)| Some((file, installed.get(&package)?.clone())))
        .collect())
}

/// Whether the package that lists `line` has `file` by it, and not what a diversion has put there or
/// elsewhere.
fn is_of(diversions: &[Diversion<'_>], line: &str, file: &Path, package: &str) -> bool {
    let Some(diversion) = diversions.iter().find(|diversion| diversion.from == line) else {
        return true;
    };
    let is_moved = names_of(file).any(|name| name == diversion.to);
    is_moved != (diversion.by == package)
}

/// What a list may call a file: also by a name from before `/usr` was merged.
fn names_of(file: &Path) -> impl Iterator<Item = String> {
    let real = file.display().to_string();
    let unmerged = file
        .strip_prefix("/usr")
        .ok()
        .filter(|below| MERGED.iter().any(|merged| below.starts_with(merged)))
        .map(|below| format!("/{}", below.display()));
    std::iter::once(real).chain(unmerged)
}

/// Three lines each (dpkg's `lib/dpkg/db-fsys-divert.c`).
fn diversions(text: &str) -> Vec<Diversion<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunks_exact(3)
        .filter_map(|three| match three {
            [from, to, by] => Some(Diversion { from, to, by }),
            _ => None,
        })
        .collect()
}

fn lists(database: &Path) -> Result<Vec<PathBuf>> {
    let directory = database.join("info");
    let doing = || format!("list {}", directory.display());
    let entries = match fs::read_dir(&directory) {
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        opened => opened.doing(doing)?,
    };
    let mut lists = Vec::new();
    for entry in entries {
        let path = entry.doing(doing)?.path();
        if path.extension().is_some_and(|end| end == "list") {
            lists.push(path);
        }
    }
    lists.sort();
    Ok(lists)
}

/// The packages that are wanted, by the names of their lists: `bind9`, `libc6:amd64`.
fn installed(
    root: &Path,
    database: &Path,
    wanted: &BTreeSet<&str>,
) -> Result<HashMap<String, Package>> {
    let status = text(&database.join("status"))?.unwrap_or_default();
    let mut found = HashMap::new();
    for paragraph in status.split("\n\n") {
        let field = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else {
            continue;
        };
        let architecture = field("Architecture").unwrap_or_default();
        let both = [name.to_owned(), format!("{name}:{architecture}")];
        let Some(key) = both.iter().find(|key| wanted.contains(key.as_str())) else {
            continue;
        };
        // "bind9 (1:9.18)": the version of the source, where it is another one.
        let source = field("Source").and_then(|source| source.split_whitespace().next());
        let package = Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: architecture.to_owned(),
            manager: Manager::Dpkg,
            source: source.filter(|source| *source != name).map(str::to_owned),
            licence: licence(root, name)?,
        };
        found.insert(key.clone(), package);
    }
    Ok(found)
}

/// The licence of most of a package's files, if its copyright file is one for machines
/// (DEP 5: <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>).
fn licence(root: &Path, package: &str) -> Result<Option<String>> {
    let copyright = text(&root.join(DOCUMENTS).join(package).join("copyright"))?;
    Ok(copyright.and_then(|text| licence_in(&text)))
}

fn licence_in(text: &str) -> Option<String> {
    let header = text.lines().find(|line| !line.trim().is_empty())?;
    if !header.starts_with("Format:") || !header.contains("copyright-format") {
        return None;
    }
    let of_all = text.split("\n\n").find(|paragraph| {
        let mut lines = paragraph.lines();
        lines.any(|line| {
            line.strip_prefix("Files:")
                .is_some_and(|files| files.split_whitespace().any(|file| file == "*"))
        })
    })?;
    let mut lines = of_all.lines();
    let licence = lines.find_map(|line| line.strip_prefix("License:"))?.trim();
    (!licence.is_empty()).then(|| licence.to_owned())
}
