//! Names that a jail or a log chose, in commands that a person may paste.

use std::path::Path;

use crate::spec::turns_writing;

/// A path as one word of a shell; `None` if a terminal would act upon it.
pub(super) fn quoted(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let is_odd = |c: char| c.is_control() || turns_writing(c);
    if text.is_empty() || text.contains(is_odd) {
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    if text.chars().all(is_plain) && !text.starts_with('-') {
        return Some(text.to_owned());
    }
    Some(format!("'{}'", text.replace('\'', "'\\''")))
}

/// A path in a profile of AppArmor, nothing of it a pattern (apparmor.d(5)); `None` if it has
/// characters that a profile cannot hold.
pub(super) fn in_profile(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| text.starts_with('/'))?;
    let is_odd = |c: char| c.is_control() || turns_writing(c) || matches!(c, '"' | '\\');
    if text.contains(is_odd) {
        return None;
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "*?[]{}^@".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    let needs_quotes = escaped.contains([' ', ',', '#']);
    Some(if needs_quotes {
        format!("\"{escaped}\"")
    } else {
        escaped
    })
}

/// A name of nothing but letters, digits and `._-`; `None` if it has anything else.
pub(super) fn plain_name(name: &str) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (!name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_ends_a_word() {
        let word = |text: &str| quoted(Path::new(text));
        assert_eq!(word("/var/lib/a").as_deref(), Some("/var/lib/a"));
        assert_eq!(
            word("/a'; rm -rf /; '").as_deref(),
            Some("'/a'\\''; rm -rf /; '\\'''")
        );
        assert_eq!(word("-rf").as_deref(), Some("'-rf'"));
        assert_eq!(word("/a\nb"), None);
        assert_eq!(word("/a\u{202e}b"), None);
        let rule = |text: &str| in_profile(Path::new(text));
        assert_eq!(rule("/a b/*").as_deref(), Some("\"/a b/\\*\""));
        assert_eq!(rule("/a\" r,\n/** rwx,"), None);
        assert_eq!(rule("relative"), None);
        assert_eq!(plain_name("named"), Some("named"));
        assert_eq!(plain_name("a$(id)"), None);
    }
}
