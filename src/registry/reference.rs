//! What an image is called: `REGISTRY/REPOSITORY[:TAG][@DIGEST]` (OCI distribution specification 1.1,
//! "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use super::Digest;
use crate::{Error, Result};

/// The longest tag.
const LONGEST_TAG: usize = 128;

/// The longest repository that every registry takes, with its host: "many clients impose a limit of
/// 255 characters".
const LONGEST: usize = 255;

/// An image, or where one is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// A name or an address, with the port if one was named.
    pub registry: String,
    /// What the image is called there.
    pub repository: String,
    /// Which of its versions.
    pub tag: Option<String>,
    /// Exactly which content.
    pub digest: Option<Digest>,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: String| {
            Error::usage(format!("read {text:?} as the name of an image"), why).hint(
                "write REGISTRY/REPOSITORY:TAG, as in registry.example.org/services/named:1.0, or \
                 REGISTRY/REPOSITORY@sha256:...",
            )
        };
        if text.contains("://") {
            return Err(wrong("the scheme is not part of it".to_owned()));
        }
        let (whole, digest) = match text.split_once('@') {
            Some((whole, digest)) => (whole, Some(digest.parse().map_err(wrong)?)),
            None => (text, None),
        };
        // None is the usual one: what runs as root shall not ask somebody whom nobody has named.
        let no_registry = || wrong("it does not say which registry".to_owned());
        let (registry, rest) = whole.split_once('/').ok_or_else(no_registry)?;
        if !looks_like_a_host(registry) {
            return Err(no_registry());
        }
        if !is_host(registry) {
            return Err(wrong(format!(
                "{registry:?} is not a host, or a host and a port"
            )));
        }
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if !is_repository(repository) || registry.len() + 1 + repository.len() > LONGEST {
            return Err(wrong(format!(
                "{repository:?} is not the name of a repository: lower case letters and digits, with \
                 '.', '_', '__' or '-' between them, in parts with '/' between them"
            )));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(wrong(format!(
                "{tag:?} is not a tag: letters, digits, '_', '.' and '-', at most {LONGEST_TAG}, the \
                 first neither '.' nor '-'"
            )));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// The first part of `library/named` is a host for nobody: others have a registry in mind then, and
/// here there is none.
fn looks_like_a_host(text: &str) -> bool {
    text == "localhost" || text.contains(['.', ':', '['])
}

/// `HOST` or `HOST:PORT`, as in an address (RFC 3986, 3.2).
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            (None, port.strip_prefix(':').ok_or(port))
        }
        Some(_) => return false,
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Ok(port)),
            None => (Some(text), Err("")),
        },
    };
    let port_is_fine = match port {
        Ok(port) => port.parse::<u16>().is_ok_and(|number| number > 0) && !port.starts_with('+'),
        Err(rest) => rest.is_empty(),
    };
    port_is_fine && host.is_none_or(is_name)
}

/// Labels of letters, digits and '-' (RFC 1123, 2.1).
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(is_label)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` in each part.
fn is_repository(text: &str) -> bool {
    text.split('/').all(is_part)
}

fn is_part(part: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut between = part.split(plain);
    // What is before the first and after the last letter or digit is nothing; an empty part has none.
    let ends = part.starts_with(plain) && part.ends_with(plain);
    let is_separator =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    ends && between.all(is_separator)
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn is_tag(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !text.is_empty()
        && text.len() <= LONGEST_TAG
        && !text.starts_with(['.', '-'])
        && text.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn the_parts_are_told_apart() {
        let digest = Digest::of(b"");
        let text = format!("localhost:5000/a/b__c--d.e:V1.0_x@{digest}");
        assert_eq!(
            parsed(&text),
            Reference {
                registry: "localhost:5000".to_owned(),
                repository: "a/b__c--d.e".to_owned(),
                tag: Some("V1.0_x".to_owned()),
                digest: Some(digest),
            }
        );
        for text in [
            "localhost/a",
            "r.example/a:b",
            "[::1]:5000/a:1",
            "[::1]/a",
            "10.0.0.1:443/a",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
    }

    #[test]
    fn no_registry_is_the_usual_one() {
        for text in ["named", "named:1", "library/named:1", "/named", ""] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(error.to_string().contains("which registry"), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn what_the_grammar_does_not_have_is_refused() {
        for text in [
            "https://r.example/a",
            "r.example/",
            "r.example/A",
            "r.example/a/",
            "r.example//a",
            "r.example/a..b",
            "r.example/../b",
            "r.example/a___b",
            "r.example/-a",
            "r.example/a?x",
            "r.example/a:",
            "r.example/a:.x",
            "r.example/a:b:c",
            "r.example/a@sha256:00",
            "r.example:0/a",
            "r.example:+1/a",
            "r.example:65536/a",
            "r.example:/a",
            "-r.example/a",
            "r..example/a",
            "u@r.example/a",
            "[::1/a",
            "[::g]/a",
            "[::1]5/a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        assert!(
            format!("r.example/a:{}", "x".repeat(129))
                .parse::<Reference>()
                .is_err()
        );
        assert!(
            format!("r.example/{}", "x".repeat(300))
                .parse::<Reference>()
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn a_name_of_the_grammar_is_read_and_written_the_same(
            text in "[a-z0-9]{1,5}\\.[a-z]{2}(:[1-9][0-9]{0,3})?(/[a-z0-9]{1,4}(([._]|__|-{1,3})[a-z0-9]{1,3}){0,2}){1,3}(:[a-zA-Z0-9_][a-zA-Z0-9._-]{0,9})?"
        ) {
            prop_assert_eq!(parsed(&text).to_string(), text);
        }

        #[test]
        fn whatever_is_read_is_written_the_same(text in "[a-z.:/@_\\-\\[\\]A0]{0,24}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
                prop_assert!(!reference.repository.contains(".."));
            }
        }
    }
}
