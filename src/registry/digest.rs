//! What a blob or a manifest is called by its content (OCI image specification 1.1, "Digests").

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::sys::copy;

/// The only algorithm that every registry has to know.
const ALGORITHM: &str = "sha256:";

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// A SHA-256. It is part of paths and of addresses, so nothing else can be in one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(String);

impl Digest {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(copy::hash_bytes(bytes))
    }

    /// Its 64 digits.
    pub fn hexadecimal(&self) -> &str {
        &self.0
    }

    /// The tag under which a registry without the referrers API keeps what is attached to the
    /// manifest of this digest ("Referrers Tag Schema").
    pub fn referrers_tag(&self) -> String {
        format!("sha256-{}", self.0)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.strip_prefix(ALGORITHM) {
            Some(digits) if digits.len() == DIGITS && digits.bytes().all(lower) => {
                Ok(Self(digits.to_owned()))
            }
            _ => Err(format!(
                "{text:?} is not sha256: and 64 hexadecimal digits in lower case"
            )),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_is_that_of_the_bytes() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
        let tag = Digest::of(b"").referrers_tag();
        assert!(tag.starts_with("sha256-e3b0") && tag.len() == 71, "{tag}");
    }

    #[test]
    fn nothing_else_is_one() {
        for text in [
            "",
            "sha256:",
            &EMPTY[7..],
            &EMPTY.to_uppercase(),
            &EMPTY.replace("e3", "E3"),
            &EMPTY.replace("sha256", "sha512"),
            &format!("{EMPTY}0"),
            &EMPTY.replace("e3b0c44", "../../."),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(text in "(sha256:)?[0-9a-f/.]{62,66}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
                prop_assert!(!digest.hexadecimal().contains(['/', '.']));
            }
        }
    }
}
