//! What stands in a script without quotes, and templates.

use crate::{Error, Result};

/// A text that rc.subr(8) uses without quotes, so that it has to do without.
///
/// # Errors
/// It has something in it that the shell would take for its own.
pub fn bare(text: &str) -> Result<&str> {
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return Ok(text);
    }
    Err(Error::usage(
        format!("write {text:?} into a script for rc.subr(8)"),
        "rc.subr uses this without quotes: it may have letters, digits and any of /._-+:@,% in it",
    )
    .hint("give it another name, or leave it out of the spec"))
}

/// What means nothing to a shell, wherever in a word it stands.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-+:@,%".contains(c)
}

/// A template with `@{KEY}` replaced. What is put in is not looked at again.
pub fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("@{") {
        let Some((key, after)) = after.split_once('}') else {
            break;
        };
        text += before;
        let value = values.iter().find(|(name, _)| *name == key);
        text += value.map_or("", |(_, value)| value.as_str());
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_split_is_refused() {
        for text in [
            "", "-a", "/a b", "/a*", "/$x", "/a\nb", "/a'b", "/a;b", "/a=b",
        ] {
            assert!(bare(text).is_err(), "{text:?}");
        }
        assert_eq!(bare("/run/a%b.pid").unwrap(), "/run/a%b.pid");
    }

    #[test]
    fn what_was_put_in_is_not_replaced_again() {
        let values = [("a", "@{b}".to_owned()), ("b", "x".to_owned())];
        assert_eq!(fill("${@{a}} \"$@\" @{b}", &values), "${@{b}} \"$@\" x");
    }
}
