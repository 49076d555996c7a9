//! Names and reasons in a script for sh: nothing in them ends a word or a comment.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::spec::turns_writing;

/// A name, of whatever bytes, as one word: between single quotes everything stands for itself
/// (POSIX, Shell Command Language, 2.2.2).
pub(super) fn word(name: &OsStr) -> Vec<u8> {
    let mut word = vec![b'\''];
    for byte in name.as_bytes() {
        match byte {
            b'\'' => word.extend_from_slice(b"'\\''"),
            other => word.push(*other),
        }
    }
    word.push(b'\'');
    word
}

/// A text on one line of comment.
pub(super) fn comment(text: &str) -> String {
    let is_odd =
        |c: char| c.is_control() || turns_writing(c) || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars()
        .map(|c| if is_odd(c) { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What sh takes the word for.
    fn read_back(name: &[u8]) -> Vec<u8> {
        let mut script = b"printf %s ".to_vec();
        script.extend(word(OsStr::from_bytes(name)));
        let output = Command::new("/bin/sh")
            .arg("-c")
            .arg(OsStr::from_bytes(&script))
            .output()
            .unwrap();
        assert!(output.status.success());
        output.stdout
    }

    #[test]
    fn every_byte_of_a_name_stands_for_itself() {
        let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        assert_eq!(read_back(&all), all);
        for name in ["'", "''", "\\'", "$(id)`id`", "a\n\n", "-e", "'; false; '"] {
            assert_eq!(read_back(name.as_bytes()), name.as_bytes());
        }
    }

    #[test]
    fn a_comment_is_one_line() {
        assert_eq!(
            comment("a\nrm b\r\u{85}\u{2028}c\u{202e}").lines().count(),
            1
        );
        assert_eq!(comment("its log; don't"), "its log; don't");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_name_is_read_back(name in proptest::collection::vec(1u8..=255, 1..80)) {
            prop_assert_eq!(read_back(&name), name);
        }
    }
}
