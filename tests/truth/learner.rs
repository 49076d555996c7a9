//! `gaoler learn` with places of its own, and the ways of learning that are held to the truth.

use std::path::{Path, PathBuf};
use std::process::Command;

use gaoler::learn::{Trace, load};

/// Every call stops, so that each is counted: what storms are tried with, which are known call by
/// call.
pub const EVERY_CALL: &[&[&str]] = &[&["--passes", "1"]];

/// The ways of learning that every daemon is tried with: further options of `learn`.
pub const WAYS: &[&[&str]] = &[&["--passes", "1"], &["--passes", "2"]];

/// What is learned, beside the options of the way.
pub struct Subject<'a> {
    /// The jail's name.
    pub name: &'a str,
    /// Options of `learn`.
    pub options: &'a [String],
    /// The service's command.
    pub command: &'a [String],
}

/// Learns a service, with gaoler's own files below `places`, which exists.
///
/// # Panics
/// With gaoler's own words, if it refuses.
pub fn learn(subject: &Subject<'_>, way: &[&str], places: &Path) -> Trace {
    let place = |name: &str| -> PathBuf { places.join(name) };
    let mut command = Command::new(env!("CARGO_BIN_EXE_gaoler"));
    for name in ["etc", "state", "run"] {
        command.arg(format!("--{name}")).arg(place(name));
    }
    command.arg("learn").arg(subject.name).args(["--again"]);
    command.args(way).args(subject.options);
    command.arg("--").args(subject.command);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        subject.name,
        String::from_utf8_lossy(&output.stderr)
    );
    load(&place("state").join(subject.name).join("trace.json")).unwrap()
}

/// Nothing was lost, by the trace's own account.
pub fn assert_certified(trace: &Trace) {
    let certificate = &trace.certificate;
    assert!(certificate.complete, "{:?}", certificate.gaps);
    assert_eq!(certificate.stops, certificate.records);
    assert_eq!(trace.foreign_calls, []);
}
