//! How systemd reads what stands in a unit file: quoting, specifiers, comments
//! (`systemd.syntax(7)`, `systemd.service(5)`, "Command lines"; `systemd.unit(5)`, "Specifiers").

use std::path::Path;

use crate::{Error, Result};

/// A comment of one line.
pub fn comment(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    // A line that ends with a backslash goes on in the next.
    format!("# {}", plain.trim_end_matches(['\\', ' ']))
}

/// A text to the end of the line, in which specifiers alone mean something.
pub fn plain(text: &str) -> Result<String> {
    let refused = text.is_empty()
        || text.chars().any(char::is_control)
        || text.trim() != text
        || text.ends_with('\\');
    if refused {
        return Err(Error::usage(
            format!("write {text:?} into a unit file"),
            "systemd has no way to quote it there",
        ));
    }
    Ok(text.replace('%', "%%"))
}

/// A word of a list in which C escapes are read (`Environment=`).
pub fn word(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '%' => quoted.push_str("%%"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                for byte in c.to_string().bytes() {
                    quoted += &format!("\\x{byte:02x}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    let simple = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    match !text.is_empty() && text.chars().all(simple) {
        true => text.to_owned(),
        false => quoted,
    }
}

/// A word of a command line: variables are put in there too.
pub fn argument(text: &str) -> String {
    match text {
        // A word of its own that separates two commands.
        ";" => "\\;".to_owned(),
        text => word(&text.replace('$', "$$")),
    }
}

/// A path in a list of paths.
///
/// # Errors
/// systemd cannot name it there.
pub fn path(path: &Path) -> Result<String> {
    let text = path.to_str().unwrap_or_default();
    let refused = |c: char| c.is_control() || "\"'\\: ".contains(c);
    if !text.starts_with('/') || text.chars().any(refused) {
        return Err(Error::usage(
            format!("write {path:?} into a unit file"),
            "a list of paths there can hold no control characters, spaces, quotes, backslashes and \
             colons",
        )
        .hint("give it another path, or leave it out of the spec"));
    }
    Ok(text.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_quoted() {
        for (text, expected) in [
            ("-f", "-f"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("100%", "\"100%%\""),
            ("$HOME", "\"$$HOME\""),
            ("say \"x\\\"", "\"say \\\"x\\\\\\\"\""),
            ("two\nlines", "\"two\\nlines\""),
            (";", "\\;"),
            ("\u{1b}[m", "\"\\x1b[m\""),
            ("é", "\"é\""),
        ] {
            assert_eq!(argument(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nothing_leaves_a_comment() {
        assert_eq!(comment("a\nExecStart=/bin/sh"), "# a ExecStart=/bin/sh");
        assert_eq!(comment("ends so \\\\"), "# ends so");
    }

    #[test]
    fn what_cannot_be_quoted_is_refused() {
        for text in ["", " a", "a ", "a\nb", "a\\"] {
            assert!(plain(text).is_err(), "{text:?}");
        }
        for text in ["relative", "/a b", "/a:b", "/a\nb", "/a\"b"] {
            assert!(path(Path::new(text)).is_err(), "{text:?}");
        }
        assert_eq!(path(Path::new("/a%b")).unwrap(), "/a%%b");
    }
}
