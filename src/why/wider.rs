//! A pattern or a whole directory in the place of one path, and what that would give beyond.

use std::fs;
use std::path::{Path, PathBuf};

use super::denial::Remedy;
use crate::spec::{self, Allowance, BindRule, Evidence, FileKind, FileRule};

/// The most entries of directories that are looked at.
const MOST: usize = 10_000;

/// The most files that a pattern may stand for: each becomes a rule.
const MOST_FILES: usize = 64;

/// Something wider that would do, too.
#[derive(Clone, Debug, PartialEq)]
pub struct Wider {
    /// What it is, in words: a directory, or a pattern.
    pub name: String,
    /// The change.
    pub remedy: Remedy,
    /// What it would give beyond, in words.
    pub beyond: String,
}

/// What a jail could have instead of the path that a remedy gives, the least first: the files that
/// a pattern for its name matches now, with its extension and without (a spec has no patterns, so
/// each is a rule of its own); then the directories above. A directory that all services share is
/// none.
pub fn wider(remedy: &Remedy) -> Vec<Wider> {
    let [allowance] = remedy.allowances() else {
        return Vec::new();
    };
    let (path, writable) = match allowance {
        Allowance::File(rule) => (&rule.path, false),
        Allowance::Bind(rule) => (&rule.path, rule.writable),
        _ => return Vec::new(),
    };
    let mut found = patterns(allowance, path);
    found.extend(directories(path, writable));
    found
}

/// `DIRECTORY/*.EXTENSION` and `DIRECTORY/*`, where they match more than the path itself.
fn patterns(allowance: &Allowance, path: &Path) -> Vec<Wider> {
    let is_file = |path: &Path| fs::metadata(path).is_ok_and(|data| data.is_file());
    let is_code = matches!(allowance, Allowance::File(rule) if rule.kind != FileKind::Data);
    let Some(directory) = path.parent().filter(|_| is_file(path) && !is_code) else {
        return Vec::new();
    };
    let listed = fs::read_dir(directory).into_iter().flatten().flatten();
    let listed = listed.take(MOST).map(|entry| entry.path());
    // What is private to programs, as .htpasswd, no pattern of a shell matches either.
    let is_hidden = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".")
    };
    let mut files: Vec<PathBuf> = listed
        .filter(|one| is_file(one) && !is_hidden(one) && !spec::is_secret(one))
        .filter(|one| one.to_str().is_some() && one != path)
        .collect();
    files.sort();
    let same = |one: &&PathBuf| path.extension().is_some() && one.extension() == path.extension();
    let with_extension: Vec<&PathBuf> = files.iter().filter(same).collect();
    let extension = path.extension().unwrap_or_default().display();
    let mut found = Vec::new();
    found.extend(pattern(
        allowance,
        directory,
        &format!("*.{extension}"),
        &with_extension,
    ));
    if with_extension.len() < files.len() {
        let all: Vec<&PathBuf> = files.iter().collect();
        found.extend(pattern(allowance, directory, "*", &all));
    }
    found
}

/// The rule for the path itself, and one like it for each of the others.
fn pattern(
    allowance: &Allowance,
    directory: &Path,
    name: &str,
    others: &[&PathBuf],
) -> Option<Wider> {
    if others.is_empty() || others.len() > MOST_FILES {
        return None;
    }
    let name = directory.join(name).display().to_string();
    let reason = format!("a person allowed {name}");
    let like = |path: &&PathBuf| match allowance {
        Allowance::File(rule) => Some(Allowance::File(FileRule {
            path: path.to_path_buf(),
            because: reason.clone(),
            evidence: Evidence::default(),
            ..rule.clone()
        })),
        Allowance::Bind(rule) => Some(Allowance::Bind(BindRule {
            path: path.to_path_buf(),
            because: reason.clone(),
            evidence: Evidence::default(),
            ..rule.clone()
        })),
        _ => None,
    };
    let writable = matches!(allowance, Allowance::Bind(rule) if rule.writable);
    let data = others.iter().filter_map(|path| fs::metadata(path).ok());
    let below = Below {
        entries: others.len(),
        private: data.filter(is_private).count(),
        more: false,
    };
    let mut rules = vec![allowance.clone()];
    rules.extend(others.iter().filter_map(like));
    Some(Wider {
        beyond: format!("{}; not what comes later", below.in_words(writable)),
        name,
        remedy: Remedy::Allow(rules),
    })
}

/// The directories of the host, the smallest first.
fn directories(path: &Path, writable: bool) -> Vec<Wider> {
    let ancestors = path.ancestors().skip(1);
    let fits = |directory: &&Path| !spec::is_shared_place(directory) && directory.is_dir();
    ancestors
        .take_while(fits)
        .filter_map(|directory| {
            let real = directory.canonicalize().ok()?;
            let found = Below::of(&real, path);
            Some(Wider {
                name: format!("the directory {}", real.display()),
                beyond: found.in_words(writable),
                remedy: Remedy::Allow(vec![Allowance::Bind(BindRule {
                    path: real,
                    writable,
                    because: "a person allowed the whole directory".to_owned(),
                    evidence: Evidence::default(),
                })]),
            })
        })
        .collect()
}

/// What is below a directory beside the path that is asked for.
#[derive(Default)]
struct Below {
    entries: usize,
    private: usize,
    more: bool,
}

impl Below {
    fn of(directory: &Path, path: &Path) -> Self {
        let mut found = Self::default();
        let mut queue = vec![directory.to_owned()];
        while let Some(next) = queue.pop() {
            // What cannot be listed is not counted.
            for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
                if found.entries >= MOST {
                    found.more = true;
                    return found;
                }
                let Ok(data) = entry.metadata() else {
                    continue;
                };
                if entry.path() != path {
                    found.entries += 1;
                    found.private += usize::from(is_private(&data));
                }
                if data.is_dir() {
                    queue.push(entry.path());
                }
            }
        }
        found
    }

    fn in_words(&self, writable: bool) -> String {
        let Self {
            entries,
            private,
            more,
        } = self;
        let more = if *more { "more than " } else { "" };
        let also = if writable { ", to write" } else { "" };
        format!(
            "{more}{entries} other files and directories{also}, {private} of which not everybody may read"
        )
    }
}

fn is_private(data: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    !data.is_symlink() && data.permissions().mode() & 0o004 == 0
}
