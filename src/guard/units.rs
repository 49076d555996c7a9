//! The units of systemd that start a program, and masking them: a link to `/dev/null` in place of
//! the unit (`systemctl(1)`, mask), which neither a package nor a dependency starts.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::MASKS;
use crate::{Doing, Result};

/// Where units are, the first that has a name has it (`systemd.unit(5)`).
const UNITS: [&str; 5] = [
    MASKS,
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

const SCRIPTS: &str = "/etc/init.d";

/// The largest unit or script that is read, bytes.
const LARGEST: u64 = 256 * 1024;

/// The most names of a directory that are looked at.
const MOST: usize = 10_000;

/// What masks a unit.
const NULL: &str = "/dev/null";

/// A unit that executes the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// As in `named.service`.
    pub name: String,
    /// It starts the program (ExecStart); otherwise another command of it does.
    pub starts: bool,
    /// It is an administrator's own, or starts something else by one's drop-in.
    pub overridden: bool,
}

impl Unit {
    /// A mask has a place, and takes nothing of an administrator's away.
    pub fn can_be_masked(&self) -> bool {
        self.starts && !self.overridden
    }

    /// The service that it is of: `ssh` of `ssh@.service`.
    pub fn service(&self) -> &str {
        let name = self.name.strip_suffix(".service").unwrap_or(&self.name);
        name.split('@').next().unwrap_or(name)
    }
}

/// Every service unit that executes `program` and is not masked already, by name. Links to units
/// are other names of theirs: masked with them.
pub fn units(program: &Path) -> Vec<Unit> {
    let mut first: BTreeMap<String, PathBuf> = BTreeMap::new();
    for directory in UNITS {
        let entries = fs::read_dir(directory).into_iter().flatten().take(MOST);
        for entry in entries.flatten() {
            if let Some(name) = entry
                .file_name()
                .to_str()
                .filter(|name| name.ends_with(".service"))
            {
                first.entry(name.to_owned()).or_insert(entry.path());
            }
        }
    }
    first
        .into_iter()
        .filter(|(_, path)| !path.is_symlink())
        .filter_map(|(name, path)| {
            let text = read(&path)?;
            let starts = executes(&text, program, "ExecStart=");
            let uses = starts
                || text.lines().any(|line| {
                    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
                    key.starts_with("Exec") && executes(line, program, &format!("{key}="))
                });
            let overridden = path.starts_with(MASKS) || has_drop_in(&name);
            uses.then_some(Unit {
                name,
                starts,
                overridden,
            })
        })
        .collect()
}

/// The scripts of SysV init that name the program.
pub fn init_scripts(program: &Path) -> Vec<PathBuf> {
    let path = program.display().to_string();
    let unmerged = path.strip_prefix("/usr").unwrap_or(&path).to_owned();
    let names_it = |text: &str| {
        let mut words = text.split(|c: char| c.is_whitespace() || "\"'=;$()`".contains(c));
        words.any(|word| word == path || word == unmerged)
    };
    let entries = fs::read_dir(SCRIPTS)
        .into_iter()
        .flatten()
        .take(MOST)
        .flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| read(path).is_some_and(|text| names_it(&text)))
        .collect();
    found.sort();
    found
}

/// Makes a mask; answers whether it is new.
pub(super) fn mask(path: &Path) -> Result<bool> {
    if is_masked(path) {
        return Ok(false);
    }
    symlink(NULL, path).doing(|| format!("mask {}", path.display()))?;
    Ok(true)
}

/// Removes a mask, and nothing else that may have its name by now.
pub(super) fn unmask(path: &Path) -> Result<bool> {
    if !is_masked(path) {
        return Ok(false);
    }
    fs::remove_file(path).doing(|| format!("unmask {}", path.display()))?;
    Ok(true)
}

pub(super) fn is_masked(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|target| target == Path::new(NULL))
}

/// Whether a line of the unit that begins with `key` has this program as its first word, behind
/// the signs that systemd has there (`systemd.service(5)`, COMMAND LINES).
fn executes(unit: &str, program: &Path, key: &str) -> bool {
    unit.lines().any(|line| {
        let Some(command) = line.trim().strip_prefix(key) else {
            return false;
        };
        let word = command.split_whitespace().next().unwrap_or_default();
        let word = word.trim_start_matches(['-', '@', ':', '+', '!', '|']);
        let word = Path::new(word.trim_matches(['"', '\'']));
        word.has_root() && (word == program || fs::canonicalize(word).is_ok_and(|it| it == program))
    })
}

/// A drop-in of an administrator's says what is started.
fn has_drop_in(name: &str) -> bool {
    let directory = Path::new(MASKS).join(format!("{name}.d"));
    let entries = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .take(MOST)
        .flatten();
    let mut texts = entries.filter_map(|entry| read(&entry.path()));
    texts.any(|text| {
        text.lines()
            .any(|line| line.trim().starts_with("ExecStart="))
    })
}

fn read(path: &Path) -> Option<String> {
    let file = fs::File::open(path).ok()?;
    let is_file = file.metadata().ok()?.is_file();
    let mut bytes = Vec::new();
    is_file
        .then(|| file.take(LARGEST).read_to_end(&mut bytes))?
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_executes_is_its_first_word() {
        let program = Path::new("/opt/none/web");
        let yes = [
            "ExecStart=/opt/none/web -f",
            "ExecStart=-!/opt/none/web",
            "  ExecStart=\"/opt/none/web\" x",
        ];
        for unit in yes {
            assert!(executes(unit, program, "ExecStart="), "{unit}");
        }
        let no = [
            "ExecStart=/opt/none/webctl",
            "ExecStart=/bin/echo /opt/none/web",
            "ExecStop=/opt/none/web",
            "#ExecStart=/opt/none/web",
        ];
        for unit in no {
            assert!(!executes(unit, program, "ExecStart="), "{unit}");
        }
    }

    #[test]
    fn a_template_is_of_the_same_service() {
        let unit = |name: &str| Unit {
            name: name.to_owned(),
            starts: true,
            overridden: false,
        };
        assert_eq!(
            unit("ssh@.service").service(),
            unit("ssh.service").service()
        );
        assert_ne!(
            unit("named.service").service(),
            unit("named-two.service").service()
        );
    }

    #[test]
    fn only_a_mask_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("web.service");
        assert!(mask(&path).unwrap());
        assert!(!mask(&path).unwrap());
        assert!(unmask(&path).unwrap());
        fs::write(&path, "[Service]\n").unwrap();
        assert!(mask(&path).is_err());
        assert!(!unmask(&path).unwrap());
        assert!(path.exists());
    }
}
