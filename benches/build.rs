//! How long it takes to build the root tree of named. Run it as root:
//!
//! ```text
//! cargo bench --bench build [-- ROUNDS]
//! ```
//!
//! **Compared:** `gaoler build` into a fresh state directory; the same again when nothing has
//! changed; jailkit's `jk_cp -j DIR /usr/sbin/named`, the usual tool for this; and the same with
//! `sync --file-system DIR` after it, so that its copy, too, is on the disk when it is done.
//!
//! **Why it is fair:** both copy named and the shared objects that it needs from the same,
//! cached files to the same file system, in turn; `sync` comes before each run, outside of its
//! time, and the old tree is removed outside of it too. gaoler does more: it hashes what it has
//! copied, sets modes and owners, writes a manifest and a compiled plan, and waits until all of
//! it is on the disk, which jk_cp leaves to the kernel.
//!
//! **How to read it:** files and bytes first: a tool that copies less has less to do. Then the
//! ratios of the medians. No build that waits for the disk is faster than the disk: the last
//! row says how long that takes for as many bytes, with nothing else to do.

mod shared;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shared::named::{Named, PROGRAM};
use shared::{Account, Contender, Place, Result, checked, time};

/// Names in the table.
const SYNCED: &str = "jk_cp, sync";
const DISK: &str = "that sync alone";

fn main() -> Result<()> {
    if shared::enter_namespaces(&["--mount"])? {
        return Ok(());
    }
    shared::facts(&[&["jk_cp", "--version"], &["named", "-v"]])?;
    if !Path::new(PROGRAM).exists() {
        return shared::say("named is not installed: nothing to build (package bind9)\n");
    }
    let place = Place::new()?;
    let account = Account::find()?;
    let named = Named::new(&place, &account)?;
    place.build("bench", &named.spec("bench", &account))?;
    let fresh = place.path().join("fresh");
    let copied = place.path().join("jailkit");
    let mut contenders = vec![
        Contender::new("gaoler build", || {
            empty(&fresh)?;
            let mut command = place.gaoler_with(&fresh);
            time(
                command
                    .args(["build", "bench"])
                    .stdout(std::process::Stdio::null()),
            )
        }),
        Contender::new("gaoler build, unchanged", || {
            checked(&mut Command::new("sync"))?;
            let mut command = place.gaoler();
            time(
                command
                    .args(["build", "bench"])
                    .stdout(std::process::Stdio::null()),
            )
        }),
        Contender::of("jk_cp", "jk_cp", || {
            empty(&copied)?;
            jk_cp(&copied)
        }),
        Contender::of("jk_cp", SYNCED, || {
            empty(&copied)?;
            Ok(jk_cp(&copied)? + sync(&copied)?)
        }),
        Contender::of("jk_cp", DISK, || {
            empty(&copied)?;
            jk_cp(&copied)?;
            sync(&copied)
        }),
    ];
    shared::race(&mut contenders, shared::rounds(15));
    shared::table(
        &contenders,
        &[("jk_cp", "x jk_cp"), (SYNCED, "x jk_cp, sync")],
    )?;
    for (name, tree) in [
        ("gaoler", fresh.join("bench/generations/1/root")),
        ("jk_cp", copied.clone()),
    ] {
        let (files, bytes) = size(&tree)?;
        shared::say(&format!("{name}: {files} files, {bytes} bytes\n"))?;
    }
    let ratio = shared::ratio(&contenders, "gaoler build", "jk_cp");
    shared::requirement("gaoler build <= 0.5 x jk_cp", ratio, |r| r <= 0.5)?;
    drop(contenders);
    place.remove()
}

/// One run of jk_cp.
fn jk_cp(tree: &Path) -> Result<Duration> {
    time(shared::quiet("jk_cp").arg("-j").arg(tree).arg(PROGRAM))
}

/// Waits until everything of the file system of `tree` is on the disk.
fn sync(tree: &Path) -> Result<Duration> {
    time(shared::quiet("sync").arg("--file-system").arg(tree))
}

/// Makes an empty directory, and the disk quiet.
fn empty(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir(directory)?;
    checked(&mut Command::new("sync")).map(drop)
}

/// Regular files below a directory, and their bytes.
fn size(directory: &Path) -> Result<(usize, u64)> {
    let mut sum = (0, 0);
    if !directory.exists() {
        return Ok(sum);
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = fs::symlink_metadata(entry.path())?;
        if metadata.is_dir() {
            let (files, bytes) = size(&entry.path())?;
            sum = (sum.0 + files, sum.1 + bytes);
        } else if metadata.is_file() {
            sum = (sum.0 + 1, sum.1 + metadata.len());
        }
    }
    Ok(sum)
}
