//! dpkg's overrides of owner and mode (`dpkg-statoverride(1)`): without one, the next upgrade of
//! the package unpacks the program with its own mode. The list is read as it lies there; changing
//! it is left to dpkg's own tool.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Override, PATIENCE};
use crate::host::command;
use crate::{Doing, Error, Result};

const LIST: &str = "/var/lib/dpkg/statoverride";

const TOOL: &str = "/usr/bin/dpkg-statoverride";

/// The longest list that is read, bytes.
const LONGEST: u64 = 16 << 20;

/// What is overridden, in dpkg's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// A name, or `#` and a number.
    pub user: String,
    /// The same of the group.
    pub group: String,
    /// Octal.
    pub mode: String,
}

impl Line {
    /// It leaves the file without any permission bit.
    pub fn is_ours(&self) -> bool {
        u32::from_str_radix(&self.mode, 8) == Ok(0)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.user, self.group, self.mode)
    }
}

/// Whether this system has overrides.
pub(super) fn is_there() -> bool {
    Path::new(TOOL).exists() && Path::new(LIST).exists()
}

/// The list; empty where there is none.
pub(super) fn load() -> Result<String> {
    let doing = || format!("read {LIST}");
    let file = match fs::File::open(LIST) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error).doing(doing),
    };
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).doing(doing)?;
    Ok(text)
}

/// What the list has of a path: a line for each, `USER GROUP MODE PATH`.
pub(super) fn of(list: &str, path: &Path) -> Option<Line> {
    list.lines().find_map(|line| {
        let mut fields = line.splitn(4, ' ');
        let mut next = || fields.next().map(str::to_owned);
        let (user, group, mode) = (next()?, next()?, next()?);
        (Path::new(&next()?) == path).then_some(Line { user, group, mode })
    })
}

/// Overrides the mode of a path by 0, its owner by what it is. Answers whether that is new.
pub(super) fn add(path: &Path, uid: u32, gid: u32) -> Result<bool> {
    if of(&load()?, path).is_some_and(|line| line.is_ours()) {
        return Ok(false);
    }
    replace(path, &format!("#{uid}"), &format!("#{gid}"), "0000")?;
    Ok(true)
}

/// The override as it was, or none.
pub(super) fn give_back(one: &Override) -> Result<()> {
    match &one.before {
        Some(Line { user, group, mode }) => replace(&one.path, user, group, mode),
        None => tool(&["--force-statoverride-remove", "--remove"], &one.path),
    }
}

fn replace(path: &Path, user: &str, group: &str, mode: &str) -> Result<()> {
    tool(
        &["--force-statoverride-add", "--add", user, group, mode],
        path,
    )
}

/// Runs dpkg's tool, which replaces the list in one rename, and does not touch the file itself.
fn tool(words: &[&str], path: &Path) -> Result<()> {
    let doing = || format!("change dpkg's override of {}", path.display());
    let path_word = path
        .to_str()
        .ok_or_else(|| Error::new(doing(), "its name is not UTF-8"))?;
    let words = [&[TOOL, "--quiet"], words, &[path_word]].concat();
    let command: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let outcome = command::run(&command, PATIENCE)?;
    if outcome.succeeded() {
        return Ok(());
    }
    Err(Error::new(doing(), outcome.last_lines(3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_path_is_found_and_no_other() {
        let list = "root bind 750 /usr/sbin/named\n#7 root 0 /opt/a b\nroot root 4755 /usr/sbin/named2\ndamaged\n";
        let found = of(list, Path::new("/usr/sbin/named")).unwrap();
        assert_eq!(found.to_string(), "root bind 750");
        assert!(!found.is_ours());
        let found = of(list, Path::new("/opt/a b")).unwrap();
        assert_eq!((found.user.as_str(), found.is_ours()), ("#7", true));
        assert_eq!(of(list, Path::new("/usr/sbin/name")), None);
        assert_eq!(of("", Path::new("/usr/sbin/named")), None);
    }
}
