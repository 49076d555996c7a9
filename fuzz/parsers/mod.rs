//! A function for each parser that reads what others chose: it hands bytes to what gaoler itself
//! calls for them, and asserts what must hold of the outcome. The fuzz targets and `tests/fuzz`
//! both call these and nothing else.

mod files;
mod messages;
mod texts;

pub use files::{elf, library_cache, manifest, trace};
pub use messages::{http, journal, log, notify};
pub use texts::{accounts, audit, registry, spec};

/// A function that takes any bytes.
pub type Parser = fn(&[u8]);

/// All of them, by the name of their fuzz target and of their directory in `fuzz/corpus`.
pub const PARSERS: [(&str, Parser); 12] = [
    ("accounts", accounts),
    ("audit", audit),
    ("elf", elf),
    ("http", http),
    ("journal", journal),
    ("library_cache", library_cache),
    ("log", log),
    ("manifest", manifest),
    ("notify", notify),
    ("registry", registry),
    ("spec", spec),
    ("trace", trace),
];
