//! Jails of `busy.c`.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;

use crate::common::programs::compile;
use crate::common::{DONE, Place};

static BUSY: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("watch");
    std::fs::create_dir_all(&directory).unwrap();
    let program = directory.join("busy");
    compile(include_str!("busy.c"), &program, &["-static"]);
    program
});

/// Beyond what other services of these tests call.
const CALLS: [&str; 2] = ["rt_sigtimedwait", "exit"];

/// A jail whose service does these things.
pub fn busy(words: &[&str]) -> Place {
    let mut place = Place::of(&BUSY, words);
    place.text.calls.extend(CALLS);
    place.text.tables += "[[allow.families]]\nfamily = \"AF_UNIX\"\nbecause = \"a test\"\n";
    place
}

/// Allows a TCP or UDP port.
pub fn allow(place: &mut Place, direction: &str, protocol: &str, port: u16) {
    place.text.tables += &format!(
        "[[allow.ports]]\ndirection = \"{direction}\"\nprotocol = \"{protocol}\"\nport = {port}\n\
         because = \"a test\"\n"
    );
}

/// What a verb prints, which succeeds and prints these too.
#[track_caller]
pub fn text(place: &Place, words: &[&str], has: &[&str]) -> String {
    let answer = place.gaoler(words);
    answer.is(DONE, has);
    answer.out
}

/// What a verb prints as JSON.
#[track_caller]
pub fn json(place: &Place, words: &[&str]) -> Value {
    serde_json::from_str(&text(place, &[words, &["--json"]].concat(), &[])).unwrap()
}

/// Nothing that a terminal would act upon, but for line ends.
#[track_caller]
pub fn is_harmless(text: &str) {
    let odd = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(odd, None, "{text:?}");
}
