//! The short run of the fuzz targets (docs/fuzzing.md), without a fuzzer: every seed, and some
//! thousand inputs made of them, the same ones in each run. `GAOLER_FUZZ_SEED` makes others,
//! `GAOLER_FUZZ_INPUTS` more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a parser that does not hold what it promises fails the test"
)]

mod mutate;
#[path = "../../fuzz/parsers/mod.rs"]
mod parsers;

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};

use mutate::Mutator;
use parsers::{PARSERS, Parser};

/// How many inputs are made for each parser.
const INPUTS: u64 = 3000;
/// The longest of them, bytes, unless a seed is longer.
const LONGEST: usize = 8192;
/// An input that takes longer hangs whoever reads it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The address space of the whole test, bytes: what an input says of its own size must not count.
const MEMORY: u64 = 2 << 30;

#[test]
fn accounts() {
    holds("accounts");
}

#[test]
fn audit() {
    holds("audit");
}

#[test]
fn elf() {
    holds("elf");
}

#[test]
fn http() {
    holds("http");
}

#[test]
fn journal() {
    holds("journal");
}

#[test]
fn library_cache() {
    holds("library_cache");
}

#[test]
fn log() {
    holds("log");
}

#[test]
fn manifest() {
    holds("manifest");
}

#[test]
fn notify() {
    holds("notify");
}

#[test]
fn registry() {
    holds("registry");
}

#[test]
fn spec() {
    holds("spec");
}

#[test]
fn trace() {
    holds("trace");
}

#[test]
fn every_parser_has_a_target_and_seeds() {
    let names = |directory: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz().join(directory)).unwrap();
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        entries.map(|entry| stem(entry.unwrap().path())).collect()
    };
    let parsers: BTreeSet<String> = PARSERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("targets"), parsers);
    assert_eq!(names("corpus"), parsers);
    assert!(PARSERS.iter().all(|(name, _)| !seeds(name).is_empty()));
}

/// The parser takes every seed, and what is made of them.
fn holds(name: &str) {
    let limit = Rlimit {
        current: Some(MEMORY),
        maximum: None,
    };
    setrlimit(Resource::As, limit).unwrap();
    let (_, parser) = PARSERS.iter().find(|(known, _)| *known == name).unwrap();
    let seeds = seeds(name);
    for (path, bytes) in &seeds {
        takes(name, *parser, bytes, &path.display().to_string());
    }
    let seed = number("GAOLER_FUZZ_SEED").unwrap_or(1);
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, bytes)| bytes).collect();
    let longest = seeds.iter().map(Vec::len).max().unwrap_or(0).max(LONGEST);
    let mut mutator = Mutator::new(seed, seeds, longest);
    for count in 0..number("GAOLER_FUZZ_INPUTS").unwrap_or(INPUTS) {
        let input = mutator.input();
        takes(
            name,
            *parser,
            &input,
            &format!("input {count} of seed {seed}"),
        );
    }
}

/// Hands the bytes over. What fails is kept, to become a seed once it is understood.
fn takes(name: &str, parser: Parser, bytes: &[u8], what: &str) {
    let begun = Instant::now();
    let outcome = catch_unwind(|| parser(bytes));
    let taken = begun.elapsed();
    if outcome.is_err() || taken > PATIENCE {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        fs::write(&kept, bytes).unwrap();
        panic!(
            "{name}, {what}: failed after {taken:?}; its bytes are in {}",
            kept.display()
        );
    }
}

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = fuzz().join("corpus").join(name);
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap())
}
