//! How AppArmor's parser reads a profile: quoting, patterns, comments (`apparmor.d(5)`).

use std::path::Path;

use crate::{Error, Result};

/// A comment of one line.
pub fn comment(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    // "#include" at the beginning of a comment would be an order.
    format!("# {}", plain.trim())
}

/// A path that means itself alone.
///
/// # Errors
/// It has something in it that a profile cannot hold.
pub fn path(path: &Path) -> Result<String> {
    let text = path.to_str().unwrap_or_default();
    if !text.starts_with('/') || text.chars().any(char::is_control) {
        return Err(Error::usage(
            format!("write {path:?} into a profile"),
            "it is no absolute path, or has control characters in it",
        )
        .hint("give it another path, or leave it out of the spec"));
    }
    let mut quoted = String::new();
    for c in text.chars() {
        if "*?[]{}^,\\\"@()=!#".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    let plain = |c: char| !c.is_whitespace() && !"\"#".contains(c);
    Ok(match quoted.chars().all(plain) {
        true => quoted,
        false => format!("\"{quoted}\""),
    })
}

/// Everything below a path.
///
/// # Errors
/// As [`path`].
pub fn below(directory: &Path) -> Result<String> {
    let text = path(directory)?;
    let text = text.trim_end_matches('/');
    Ok(match text.strip_suffix('"') {
        Some(quoted) => format!("{quoted}/**\""),
        None => format!("{text}/**"),
    })
}

/// A directory itself, which is written with a slash at its end.
///
/// # Errors
/// As [`path`].
pub fn directory(directory: &Path) -> Result<String> {
    let text = path(directory)?;
    let text = text.trim_end_matches('/');
    Ok(match text.strip_suffix('"') {
        Some(quoted) => format!("{quoted}/\""),
        None => format!("{text}/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_itself_alone() {
        for (text, expected) in [
            ("/etc/bind", "/etc/bind"),
            ("/a*b", "/a\\*b"),
            ("/a b", "\"/a b\""),
            ("/a{1,2}", "/a\\{1\\,2\\}"),
            ("/@{HOME}", "/\\@\\{HOME\\}"),
        ] {
            assert_eq!(path(Path::new(text)).unwrap(), expected);
        }
        assert_eq!(below(Path::new("/a b")).unwrap(), "\"/a b/**\"");
        assert_eq!(below(Path::new("/")).unwrap(), "/**");
        assert_eq!(directory(Path::new("/a")).unwrap(), "/a/");
        assert!(path(Path::new("/a\nb")).is_err());
    }

    #[test]
    fn nothing_leaves_a_comment() {
        assert_eq!(comment("include <x>\n/** rwx,"), "# include <x> /** rwx,");
    }
}
