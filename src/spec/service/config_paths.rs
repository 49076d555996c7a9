//! The paths that a configuration names, found in its canonical printed form.
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::ConfigPaths;

/// Whether a path was named as a directory.
pub type IsDirectory = bool;

/// The paths that `dump`, the output of `paths.command`, names: each once, in order. Relative
/// ones start at the configured base. For a service that changes its root directory they are
/// paths below that root.
///
/// A keyword counts only if a quoted string follows, so `pid-file none;` names nothing.
pub fn config_paths(dump: &str, paths: &ConfigPaths) -> Vec<(PathBuf, IsDirectory)> {
    let named = named_strings(dump);
    let base = named
        .iter()
        .find(|(keyword, _)| *keyword == paths.base)
        .map_or_else(
            || paths.base_default.clone(),
            |(_, text)| paths.base_default.join(text),
        );
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (keyword, text) in &named {
        let is = |known: &String| known == keyword;
        let is_directory = paths.directories.iter().any(is);
        if !is_directory && !paths.files.iter().any(is) {
            continue;
        }
        let path = if *keyword == paths.base {
            Some(base.clone())
        } else {
            joined(&base, text)
        };
        if let Some(path) = path.filter(|path| seen.insert((path.clone(), is_directory))) {
            found.push((path, is_directory));
        }
    }
    found
}

/// `base` and `text` without `.` and `..`; nothing for an empty text.
fn joined(base: &Path, text: &str) -> Option<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return None;
    }
    let mut path = PathBuf::new();
    for component in base.join(text).components() {
        match component {
            std::path::Component::ParentDir => {
                path.pop();
            }
            std::path::Component::CurDir => {}
            other => path.push(other),
        }
    }
    Some(path)
}

/// Every bare word that a quoted string follows, with the string.
fn named_strings(dump: &str) -> Vec<(&str, String)> {
    let mut named = Vec::new();
    let mut word = None;
    let mut rest = dump;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let (text, after) = string(rest.strip_prefix('"').unwrap_or_default());
            if let Some(keyword) = word.take() {
                named.push((keyword, text));
            }
            rest = after;
        } else if let Some(after) = without_comment(rest) {
            rest = after;
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (keyword, after) = rest.split_at(end);
            word = Some(keyword);
            rest = after;
        } else {
            if !first.is_whitespace() {
                word = None;
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    named
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')
}

/// What follows a comment that `rest` begins with: `#` and `//` to the end of the line, or
/// `/* */`.
fn without_comment(rest: &str) -> Option<&str> {
    if let Some(inside) = rest.strip_prefix("/*") {
        return Some(inside.split_once("*/").map_or("", |(_, after)| after));
    }
    if rest.starts_with('#') || rest.starts_with("//") {
        return Some(rest.split_once('\n').map_or("", |(_, after)| after));
    }
    None
}

/// The string after its opening quote, and what follows the closing one. A backslash keeps the
/// next character.
fn string(rest: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = rest.char_indices();
    while let Some((index, c)) = characters.next() {
        match c {
            '"' => return (text, rest.get(index + 1..).unwrap_or_default()),
            '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => text.push(c),
        }
    }
    (text, "")
}
