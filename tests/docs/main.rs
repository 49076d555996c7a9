//! The documents that state what gaoler does are generated from it or compared with it.
//! `GAOLER_BLESS=1 cargo test --test docs` writes the generated ones anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod checks;
mod holes;
mod json;
mod learning;
mod pages;
mod rootless;
mod services;
mod why;

use std::path::PathBuf;
use std::process::Command;

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Fails if the file is not exactly this text, or writes it if asked to.
fn same(path: &str, text: &str) {
    let file = repository(path);
    if std::env::var_os("GAOLER_BLESS").is_some() {
        std::fs::write(&file, text).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == text,
        "{path} is stale; write it anew with: GAOLER_BLESS=1 cargo test --test docs\n{text}"
    );
}

/// The program that is tested.
fn gaoler() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gaoler"))
}
