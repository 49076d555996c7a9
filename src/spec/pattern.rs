//! The regular expressions of `log:` signs of readiness.

use std::collections::BTreeSet;

use regex_lite::{Regex, RegexBuilder};

use super::Ready;
use crate::{Error, Result};

/// How large a compiled expression may get, in bytes: a line and a sign, not a program.
const LARGEST: usize = 1 << 16;

/// Looks for `log:` signs in the lines that a service prints or logs.
#[derive(Clone, Debug, Default)]
pub struct LogSigns {
    expressions: Vec<Regex>,
    seen: BTreeSet<String>,
}

impl LogSigns {
    /// Those among `signs`, none of which has been seen yet.
    ///
    /// # Errors
    /// One of them is no regular expression.
    pub fn among(signs: &[Ready]) -> Result<Self> {
        let expressions = signs.iter().filter_map(|sign| match sign {
            Ready::Log(text) => Some(pattern(text)),
            _ => None,
        });
        Ok(Self {
            expressions: expressions.collect::<Result<_>>()?,
            seen: BTreeSet::new(),
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    /// Looks at one line, without what ends it. Takes time in proportion to its length.
    pub fn look_at(&mut self, line: &str) {
        let matching = self.expressions.iter().filter(|sign| sign.is_match(line));
        self.seen
            .extend(matching.map(|sign| sign.as_str().to_owned()));
    }

    /// Whether a line has matched this one.
    pub fn has_seen(&self, expression: &str) -> bool {
        self.seen.contains(expression)
    }
}

/// Reads a regular expression, in the syntax of the `regex-lite` crate: Perl's, without
/// back-references.
///
/// # Errors
/// It is none, is too large, or matches even an empty line and so is no sign of anything.
pub(super) fn pattern(text: &str) -> Result<Regex> {
    let doing = || format!("use {text:?} as a pattern for log lines");
    let regex = RegexBuilder::new(text).size_limit(LARGEST).build();
    let regex = regex.map_err(|error| Error::usage(doing(), error))?;
    if regex.is_match("") {
        return Err(Error::usage(doing(), "it matches an empty line too"));
    }
    Ok(regex)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_match_or_not() {
        let pattern = pattern(r"^named(\[\d+\])?: (all zones loaded|running)$").unwrap();
        assert!(pattern.is_match("named: all zones loaded"));
        assert!(pattern.is_match("named[12]: running"));
        assert!(!pattern.is_match("named: running slowly"));
    }

    #[test]
    fn each_sign_is_seen_by_itself() {
        let signs = [
            Ready::Log("^a$".to_owned()),
            Ready::Tcp(80),
            Ready::Log("b".to_owned()),
        ];
        let mut signs = LogSigns::among(&signs).unwrap();
        assert!(!signs.is_empty() && !signs.has_seen("b"));
        signs.look_at("ab");
        assert!(signs.has_seen("b") && !signs.has_seen("^a$"));
        signs.look_at("a");
        assert!(signs.has_seen("b") && signs.has_seen("^a$"));
        assert!(LogSigns::among(&[Ready::Tcp(80)]).unwrap().is_empty());
        assert!(LogSigns::among(&[Ready::Log("(".to_owned())]).is_err());
    }

    #[test]
    fn what_is_no_sign_is_refused() {
        for text in [
            "",
            ".*",
            "(",
            "a**",
            "[z-a]",
            r"(a)\1",
            "(((a{1000}){1000}){1000})",
        ] {
            let error = pattern(text).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[a-z(){}|*+?.,0-9\\[\\]\\\\^$]{0,40}", line in ".{0,200}") {
            if let Ok(pattern) = pattern(&text) {
                pattern.is_match(&line);
                prop_assert!(!pattern.is_match(""));
            }
        }
    }
}
