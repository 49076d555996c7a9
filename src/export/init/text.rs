//! How the shell reads what stands in a script: quoting and comments (POSIX, "Shell Command
//! Language").

use std::path::Path;

use crate::{Error, Result};

/// A comment of one line.
pub fn comment(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("# {}", plain.trim_end()).trim_end().to_owned()
}

/// One word that means itself: nothing is expanded in single quotes.
pub fn quote(text: &str) -> String {
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Words, each of which means itself.
pub fn words<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|it| quote(it.as_ref())).collect();
    quoted.join(" ")
}

/// A path as one word.
///
/// # Errors
/// It is not absolute, or no Unicode.
pub fn path(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(text) if text.starts_with('/') => Ok(quote(text)),
        _ => Err(Error::usage(
            format!("write {path:?} into an init script"),
            "it is no absolute path, or not in UTF-8",
        )
        .hint("give it another path")),
    }
}

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
    fn what_has_a_meaning_is_quoted() {
        for (text, expected) in [
            ("-f", "-f"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(reboot)", "'$(reboot)'"),
            ("it's", "'it'\\''s'"),
            ("two\nlines", "'two\nlines'"),
            ("~root", "'~root'"),
            ("a=b", "'a=b'"),
            ("é", "'é'"),
        ] {
            assert_eq!(quote(text), expected, "{text:?}");
        }
        assert_eq!(words(["-c", "a b"]), "-c 'a b'");
    }

    #[test]
    fn nothing_leaves_a_comment() {
        assert_eq!(comment("a\nreboot"), "# a reboot");
        assert_eq!(comment(""), "#");
    }

    #[test]
    fn what_would_be_split_is_refused() {
        for text in [
            "", "-a", "/a b", "/a*", "/$x", "/a\nb", "/a'b", "/a;b", "/a=b",
        ] {
            assert!(bare(text).is_err(), "{text:?}");
        }
        assert_eq!(bare("/run/a%b.pid").unwrap(), "/run/a%b.pid");
        for text in ["", "relative"] {
            assert!(path(Path::new(text)).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_was_put_in_is_not_replaced_again() {
        let values = [("a", "@{b}".to_owned()), ("b", "x".to_owned())];
        assert_eq!(fill("${@{a}} \"$@\" @{b}", &values), "${@{b}} \"$@\" x");
    }
}
