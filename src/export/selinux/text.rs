//! How the compiler of CIL and the labelling of files read text: symbols, quoted patterns, comments
//! (`secilc(8)`, the CIL reference guide, `selabel_file(5)`).

use std::path::Path;

use crate::{Error, Result};

/// A comment of one line.
pub fn comment(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("; {}", plain.trim())
}

/// What the names of the types of the jail `name` begin with. A symbol has letters, digits, `-` and `_`:
/// a dot would lead into another block. Of two jails that would share it, the second module is
/// refused when it is loaded.
///
/// # Errors
/// Something else is in it.
pub fn symbol(name: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Error::usage(
            format!("name the types of the jail {name:?}"),
            "a symbol of a policy has letters, digits, - and _",
        ));
    }
    Ok(format!("gaoler_{}", name.replace('.', "_")))
}

/// A path as a regular expression (`pcre2pattern(3)`) that matches itself alone, to be put between
/// quotes.
///
/// # Errors
/// It is not absolute, or no UTF-8.
pub fn pattern(path: &Path) -> Result<String> {
    let text = path.to_str().unwrap_or_default();
    if !text.starts_with('/') {
        return Err(Error::usage(
            format!("write {path:?} into a module"),
            "it is no absolute path, or no UTF-8",
        )
        .hint("give it another path, or leave it out of the spec"));
    }
    let mut pattern = String::new();
    for c in text.chars() {
        match c {
            '/' | '_' | '-' => pattern.push(c),
            c if c.is_ascii_alphanumeric() || !c.is_ascii() => pattern.push(c),
            // A blank ends it, and a quote the text of the module.
            ' ' | '"' => pattern += &format!("\\x{:02x}", u32::from(c)),
            c if c.is_control() => pattern += &format!("\\x{:02x}", u32::from(c)),
            c => {
                pattern.push('\\');
                pattern.push(c);
            }
        }
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_one_path() {
        for (text, expected) in [
            ("/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"),
            ("/lib/libc.so.6", "/lib/libc\\.so\\.6"),
            ("/a b", "/a\\x20b"),
            ("/a\"b\n", "/a\\x22b\\x0a"),
            ("/a(b|c)*", "/a\\(b\\|c\\)\\*"),
        ] {
            let pattern = pattern(Path::new(text)).unwrap();
            assert_eq!(pattern, expected);
            let expression = regex_lite::Regex::new(&format!("^{pattern}$")).unwrap();
            assert!(expression.is_match(text), "{text}");
        }
        assert!(pattern(Path::new("a")).is_err());
    }

    #[test]
    fn nothing_leaves_a_comment() {
        assert_eq!(comment("x\n(allow a b)"), "; x (allow a b)");
    }

    #[test]
    fn a_symbol_has_no_dots() {
        assert_eq!(symbol("php8.2-fpm").unwrap(), "gaoler_php8_2-fpm");
        assert!(symbol("a b").is_err() && symbol("").is_err());
    }
}
