//! What Kubernetes takes for a name: labels of RFC 1123 and RFC 1035.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{Error, Result};

/// The longest name of a jail here, bytes: a label has 63, and others are made of it.
const LONGEST: usize = 40;

/// The longest name of a volume: what is left for a number (RFC 1123: 63).
const LONGEST_VOLUME: usize = 56;

/// The name of a jail as that of its objects.
///
/// # Errors
/// It cannot be one: it does not begin with a letter, or is too long.
pub fn of(jail: &str) -> Result<String> {
    let name = label(jail);
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    match begins && name.len() <= LONGEST {
        true => Ok(name),
        false => Err(Error::usage(
            format!("call an object of Kubernetes {jail}"),
            format!("a name there begins with a letter, and this one can have {LONGEST}"),
        )
        .hint("give the jail another name: it is that of its spec")),
    }
}

/// Lower case, digits and `-` within.
fn label(text: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    };
    let text: String = text.chars().map(plain).collect();
    text.trim_matches('-').to_owned()
}

/// Names of volumes, each once.
#[derive(Debug, Default)]
pub struct Volumes {
    given: BTreeSet<String>,
}

impl Volumes {
    /// One for what is mounted at `path`.
    pub fn name(&mut self, path: &Path) -> String {
        let mut start = label(&path.to_string_lossy());
        start.truncate(LONGEST_VOLUME);
        let start = match start.trim_end_matches('-') {
            "" => "place",
            start => start,
        };
        let numbered = (2..).map(|number| format!("{start}-{number}"));
        let mut names = std::iter::once(start.to_owned()).chain(numbered);
        let name = names.find(|name| !self.given.contains(name));
        let name = name.unwrap_or_default();
        self.given.insert(name.clone());
        name
    }
}

/// The key of a file in a ConfigMap or Secret: letters, digits, `-`, `_` and `.` alone.
pub fn key(path: &Path) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || "-_.".contains(c) => c,
        _ => '_',
    };
    let text = path.to_string_lossy();
    text.trim_start_matches('/').chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_has_a_name_that_objects_can_have() {
        assert_eq!(of("named").unwrap(), "named");
        assert_eq!(of("Web_1.new").unwrap(), "web-1-new");
        for name in ["7up", "_", "", &"x".repeat(41)] {
            assert!(of(name).is_err(), "{name}");
        }
    }

    #[test]
    fn no_two_volumes_have_the_same_name() {
        let mut volumes = Volumes::default();
        let mut name = |path: &str| volumes.name(Path::new(path));
        assert_eq!(name("/var/lib/bind"), "var-lib-bind");
        assert_eq!(name("/var/lib-bind"), "var-lib-bind-2");
        assert_eq!(name("/é"), "place");
        assert_eq!(name("/"), "place-2");
        assert!(name(&"/long".repeat(50)).len() < 60);
    }

    #[test]
    fn a_key_is_one_word() {
        assert_eq!(
            key(Path::new("/etc/bind/db.local zone")),
            "etc_bind_db.local_zone"
        );
    }
}
