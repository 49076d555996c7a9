//! The files of a tree that gaoler writes itself: accounts, name service, linker cache.

use std::path::{Path, PathBuf};

use super::inventory::{Planner, Wanted, What};
use super::{ldcache, users};
use crate::error::{Doing, Result};

/// Files that are written, never copied: the host's hold all of its users and libraries.
const GENERATED: [&str; 4] = ["/etc/group", LD_CACHE, "/etc/nsswitch.conf", "/etc/passwd"];
const LD_CACHE: &str = "/etc/ld.so.cache";

/// Whether gaoler writes the file at `path` itself.
pub(super) fn is_generated(path: &Path) -> bool {
    GENERATED
        .iter()
        .any(|generated| path == Path::new(generated))
}

/// Adds what the entries so far need.
pub(super) fn add(planner: &mut Planner<'_>) -> Result<()> {
    let libc = planner
        .objects
        .get("libc.so.6")
        .and_then(|paths| paths.first().cloned());
    let listed = planner
        .spec
        .files
        .iter()
        .any(|rule| is_generated(&rule.path));
    if libc.is_some() || listed {
        add_accounts(planner)?;
    }
    if let Some(libc) = libc {
        add_modules(planner, &libc)?;
    }
    add_cache(planner)
}

fn add_accounts(planner: &mut Planner<'_>) -> Result<()> {
    let passwd = users::passwd(planner.spec, planner.account);
    let group = users::group(planner.spec, planner.account);
    let nsswitch = users::nsswitch(|path| has(planner, path));
    generate(
        planner,
        "/etc/passwd",
        passwd.into(),
        "the service's user and nobody else",
    )?;
    generate(
        planner,
        "/etc/group",
        group.into(),
        "the service's groups and no others",
    )?;
    generate(
        planner,
        "/etc/nsswitch.conf",
        nsswitch.into(),
        "the C library looks names up in files",
    )
}

/// Whether `path` is in the jail, copied or by a mount.
fn has(planner: &Planner<'_>, path: &str) -> bool {
    let path = Path::new(path);
    planner.inventory.wanted.contains_key(path)
        || planner
            .spec
            .binds
            .iter()
            .any(|bind| path.starts_with(&bind.path))
}

/// The modules of a C library that does not have them inside, from the directory it is in.
fn add_modules(planner: &mut Planner<'_>, libc: &Path) -> Result<()> {
    let real = planner.host.find(libc, planner.account)?.real;
    let version = real
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(users::libc_version);
    for module in users::modules(version, has(planner, "/etc/resolv.conf")) {
        let path = libc.with_file_name(module);
        if planner.host.find(&path, planner.account)?.stat.is_some() {
            planner.library(&path, "the C library loads it to look names up")?;
        }
    }
    Ok(())
}

/// A cache for the objects that the dynamic linker would not find by itself, if there are any.
/// What an RPATH leads to is in it as well, which does no harm: ld.so looks there first. A name
/// that one program finds in a default directory and another by its RPATH is left out, or the
/// cache would give the first one the other's library.
fn add_cache(planner: &mut Planner<'_>) -> Result<()> {
    let Some(interpreter) = planner.interpreter.clone() else {
        return Ok(());
    };
    let linker = planner.host.root().file(&interpreter);
    let linker = linker.doing(|| format!("read {}", interpreter.display()))?;
    let own = ldcache::DefaultDirectories::of(linker.into());
    let own = own.doing(|| format!("read {}", interpreter.display()))?;
    let elsewhere: Vec<(String, PathBuf)> = planner
        .objects
        .iter()
        .filter(|(name, paths)| !name.contains('/') && !paths.iter().any(|path| own.has(path)))
        .filter_map(|(name, paths)| Some((name.clone(), paths.first()?.clone())))
        .collect();
    if elsewhere.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = elsewhere.iter().map(|(name, _)| name.as_str()).collect();
    let reason = format!("the dynamic linker finds by it: {}", names.join(", "));
    let cache = ldcache::cache(&elsewhere)?;
    generate(planner, LD_CACHE, cache, &reason)
}

fn generate(planner: &mut Planner<'_>, path: &str, content: Vec<u8>, reason: &str) -> Result<()> {
    let path = Path::new(path);
    if planner.comes_with_a_mount(path) {
        return Ok(());
    }
    planner.add(
        Path::new("/etc"),
        Wanted::of_root(
            What::Directory,
            0o755,
            format!("leads to {}", path.display()),
        ),
    )?;
    planner.add(
        path,
        Wanted::of_root(What::Generated(content), 0o444, reason),
    )
}
