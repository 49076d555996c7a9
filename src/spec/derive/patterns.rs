//! Names that a service makes up anew each time - with a pid, a date, a counter, a hash, the
//! random end of `mkstemp(3)` - as one pattern instead of many lines. Only words of a reason are
//! made of it: a spec grants directories, never a pattern. Pure.
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Fewer similar names than this stay apart.
const FEWEST: usize = 3;
/// A shorter word is not taken for a random one. `mkstemp(3)` makes six characters.
const SHORTEST_RANDOM: usize = 6;

/// One path, or several of one directory that differ in what varies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pattern<'a> {
    /// The path with `*` for what varies; of a single path itself.
    pub pattern: PathBuf,
    /// The paths that were seen.
    pub observed: Vec<&'a Path>,
}

/// A piece of a name, in the form by which names are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    Text(&'a str),
    Varying,
}

/// How a name is taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Numbers vary.
    Numbers,
    /// Words that look random vary, too.
    Random,
}

impl Pattern<'_> {
    /// The pattern as it is seen from `directory`, with the number of names that it stands for;
    /// empty for the directory itself.
    pub(super) fn below(&self, directory: &Path) -> String {
        let pattern = self.pattern.strip_prefix(directory);
        let text = pattern.unwrap_or(&self.pattern).display();
        match self.observed.len() {
            1 => text.to_string(),
            count => format!("{text} ({count} names)"),
        }
    }
}

/// Sorts paths into patterns. Every path is in exactly one, and none of another directory is.
pub(super) fn patterns<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<Pattern<'a>> {
    let paths: BTreeSet<&Path> = paths.into_iter().collect();
    let mut left: BTreeMap<&Path, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for path in paths {
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => drop(left.insert(path, name)),
            None => found.push(single(path)),
        }
    }
    for reading in [Reading::Numbers, Reading::Random] {
        for members in alike(&left, reading) {
            for (path, _) in &members {
                left.remove(path);
            }
            let mut pattern = together(&members, reading);
            if reading == Reading::Random {
                for path in fitting(&pattern, &left) {
                    left.remove(path);
                    pattern.observed.push(path);
                }
                pattern.observed.sort();
            }
            found.push(pattern);
        }
    }
    found.extend(left.into_keys().map(single));
    found.sort_by(|one, other| one.observed.cmp(&other.observed));
    found
}

fn single(path: &Path) -> Pattern<'_> {
    Pattern {
        pattern: path.to_owned(),
        observed: vec![path],
    }
}

type Member<'a> = (&'a Path, &'a str);

/// The groups of names of one directory that differ only in what varies.
fn alike<'a>(names: &BTreeMap<&'a Path, &'a str>, reading: Reading) -> Vec<Vec<Member<'a>>> {
    let mut groups: BTreeMap<(Option<&Path>, Vec<Piece<'a>>), Vec<Member<'a>>> = BTreeMap::new();
    for (path, name) in names {
        let form: Vec<Piece> = taken_apart(name, reading)
            .into_iter()
            .map(|(word, varies)| {
                if varies {
                    Piece::Varying
                } else {
                    Piece::Text(word)
                }
            })
            .collect();
        if form.contains(&Piece::Varying) {
            let group = groups.entry((path.parent(), form)).or_default();
            group.push((path, name));
        }
    }
    let mut groups: Vec<Vec<Member>> = groups.into_values().collect();
    groups.retain(|members| {
        // A few names that could be a word and a number do not make a pattern of random ones.
        let sure = members
            .iter()
            .filter(|(_, name)| reading == Reading::Numbers || is_surely_random(name));
        sure.count() >= FEWEST
    });
    groups
}

/// One pattern of names that have the same form.
fn together<'a>(members: &[Member<'a>], reading: Reading) -> Pattern<'a> {
    let apart: Vec<Vec<(&str, bool)>> = members
        .iter()
        .map(|(_, name)| taken_apart(name, reading))
        .collect();
    let first = apart.first().map(Vec::as_slice).unwrap_or_default();
    let mut text = String::new();
    for (index, (word, varies)) in first.iter().enumerate() {
        let column = apart.iter().filter_map(|pieces| pieces.get(index));
        let words: Vec<&str> = column.map(|(word, _)| *word).collect();
        if !varies || words.iter().all(|other| other == word) {
            text.push_str(word);
            continue;
        }
        if reading == Reading::Random {
            text.push_str(common_beginning(&words));
        }
        text.push('*');
    }
    let observed: Vec<&Path> = members.iter().map(|(path, _)| *path).collect();
    let directory = observed.first().and_then(|path| path.parent());
    Pattern {
        pattern: directory.unwrap_or(Path::new("")).join(text),
        observed,
    }
}

/// Names that `mkstemp(3)` may have made as well, though nothing in them says so: as long as those
/// of the pattern, with one word in the place of what varies.
fn fitting<'a>(pattern: &Pattern<'a>, names: &BTreeMap<&'a Path, &str>) -> Vec<&'a Path> {
    let text = pattern.pattern.file_name().and_then(|name| name.to_str());
    let Some((beginning, end)) = text.and_then(|text| text.split_once('*')) else {
        return Vec::new();
    };
    let length = |path: &Path| path.file_name().map(|name| name.len());
    let first = pattern.observed.first().and_then(|path| length(path));
    let same = |path: &Path| length(path) == first && path.parent() == pattern.pattern.parent();
    if beginning.is_empty() || end.contains('*') || !pattern.observed.iter().all(|path| same(path))
    {
        return Vec::new();
    }
    let fits = |path: &Path, name: &str| {
        let rest = name.strip_prefix(beginning);
        let word = rest.and_then(|rest| rest.strip_suffix(end));
        same(path) && word.is_some_and(|word| word.chars().all(is_word))
    };
    let fit = names.iter().filter(|(path, name)| fits(path, name));
    fit.map(|(path, _)| *path).collect()
}

fn common_beginning<'a>(words: &[&'a str]) -> &'a str {
    let first = words.first().copied().unwrap_or_default();
    let same = |length: &usize| {
        let beginning = first.get(..*length).unwrap_or_default();
        words.iter().all(|word| word.starts_with(beginning))
    };
    let length = (0..first.len()).rev().find(same).unwrap_or(0);
    first.get(..length).unwrap_or_default()
}

/// The words of a name and what stands between them, each with whether it varies.
fn taken_apart(name: &str, reading: Reading) -> Vec<(&str, bool)> {
    let mut pieces = Vec::new();
    for piece in name.split_inclusive(|c| !is_word(c)) {
        let word = piece.trim_end_matches(|c| !is_word(c));
        let (letters, digits) = letters_and_digits(word);
        if reading == Reading::Random && (looks_random(word) || digits.len() == word.len()) {
            pieces.push((word, !word.is_empty()));
        } else {
            pieces.push((letters, false));
            pieces.push((digits, !digits.is_empty()));
        }
        pieces.push((piece.get(word.len()..).unwrap_or_default(), false));
    }
    pieces
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// A word as its beginning and the digits at its end, if there are no others in it.
fn letters_and_digits(word: &str) -> (&str, &str) {
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    if letters.contains(|c: char| c.is_ascii_digit()) {
        return (word, "");
    }
    (letters, word.get(letters.len()..).unwrap_or_default())
}

/// Letters with digits among them, or six in which capitals come late: no word of a language.
fn looks_random(word: &str) -> bool {
    let has = |is: fn(char) -> bool| word.contains(is);
    let digits = has(|c| c.is_ascii_digit());
    let late_capital = word
        .get(1..)
        .is_some_and(|rest| rest.contains(|c: char| c.is_ascii_uppercase()));
    let mixed = late_capital && has(|c| c.is_ascii_lowercase()) && word.len() == SHORTEST_RANDOM;
    word.len() >= SHORTEST_RANDOM && (digits && has(|c| c.is_ascii_alphabetic()) || mixed)
}

/// As [`looks_random`], and no word with a number at its end.
fn is_surely_random(name: &str) -> bool {
    name.split(|c| !is_word(c))
        .any(|word| looks_random(word) && letters_and_digits(word).1.is_empty())
}
