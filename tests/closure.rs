//! The ELF closure against the dynamic linker itself: ldd(1) runs it on every program and library
//! of the directories below, which hold nothing but what the distribution ships.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use gaoler::build::elf::{Inspected, Resolver};

const DIRECTORIES: [&str; 4] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib/apache2",
    "/usr/lib/x86_64-linux-gnu",
];
const THREADS: usize = 2;
const ENOUGH: usize = 100;

/// What ldd says of a file.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    paths: BTreeSet<String>,
    missing: Vec<String>,
}

#[test]
fn every_closure_is_what_ldd_prints() {
    let files = dynamic_files();
    let start = Instant::now();
    let share = files.len().div_ceil(THREADS).max(1);
    let mismatches: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = files
            .chunks(share)
            .map(|files| scope.spawn(|| compare_all(files)))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    println!(
        "compared {} files with ldd in {:?}",
        files.len(),
        start.elapsed()
    );
    assert!(
        mismatches.is_empty(),
        "{} differ:\n{}",
        mismatches.len(),
        mismatches.join("\n")
    );
    assert!(
        files.len() >= ENOUGH,
        "only {} dynamic files to compare",
        files.len()
    );
}

/// The regular files of the directories that have an interpreter or ask for a library.
fn dynamic_files() -> Vec<PathBuf> {
    let mut resolver = Resolver::new(Path::new("/")).unwrap();
    let mut pending: Vec<PathBuf> = DIRECTORIES.iter().map(PathBuf::from).collect();
    let mut files = Vec::new();
    while let Some(directory) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                pending.push(entry.path());
            } else if kind.is_file() && is_dynamic(&mut resolver, &entry.path()) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

fn is_dynamic(resolver: &mut Resolver, path: &Path) -> bool {
    match resolver.inspect(path).unwrap() {
        Inspected::Elf(info) => info.interpreter.is_some() || !info.needed.is_empty(),
        _ => false,
    }
}

fn compare_all(files: &[PathBuf]) -> Vec<String> {
    let mut resolver = Resolver::new(Path::new("/")).unwrap();
    files
        .iter()
        .filter_map(|file| compare(&mut resolver, file).err())
        .collect()
}

fn compare(resolver: &mut Resolver, file: &Path) -> Result<(), String> {
    let expected = ldd(file)?;
    match resolver.closure(file) {
        Ok(objects) => {
            let paths: BTreeSet<String> = objects
                .iter()
                .map(|object| object.path.to_str().unwrap().to_owned())
                .collect();
            if paths == expected.paths
                && paths.len() == objects.len()
                && expected.missing.is_empty()
            {
                return Ok(());
            }
            let ours: Vec<_> = paths.difference(&expected.paths).collect();
            let theirs: Vec<_> = expected.paths.difference(&paths).collect();
            let missing = expected.missing;
            Err(format!(
                "{}: only ours {ours:?}, only ldd's {theirs:?}, missing {missing:?}",
                file.display()
            ))
        }
        Err(error)
            if expected
                .missing
                .iter()
                .any(|name| error.to_string().contains(name)) =>
        {
            Ok(())
        }
        Err(error) => Err(format!("{}: {error}; ldd: {expected:?}", file.display())),
    }
}

fn ldd(file: &Path) -> Result<Expected, String> {
    let output = Command::new("ldd")
        .arg(file)
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if !output.status.success() {
        return Err(format!("{}: ldd failed: {text}", file.display()));
    }
    let mut expected = Expected::default();
    for line in text.lines().map(str::trim) {
        let found = line.split_once(" => ").map_or(line, |(_, found)| found);
        if found == "not found" {
            let name = line.split(" => ").next().unwrap();
            expected.missing.push(name.to_owned());
        } else if let Some((path, _)) = found.split_once(" (0x")
            && path.starts_with('/')
        {
            expected.paths.insert(path.to_owned());
        }
    }
    Ok(expected)
}
