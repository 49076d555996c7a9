//! The profile of a jail among those that are loaded at boot, and those that it takes the place of. They
//! are disabled as aa-disable(8) does it: a link to them in `disable`, by which the parser passes them over.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{directory, names_in};
use crate::host::apparmor::{self, Loaded};
use crate::verbs::jail;
use crate::{Doing, Error, Result};

/// Before the jail's name: no package has a file of such a name.
const PREFIX: &str = "gaoler.";

/// Before the path of one that it takes the place of, in the profile's last lines.
const IN_PLACE_OF: &str = "# In place of ";

/// The profile of a jail.
#[derive(Debug)]
pub struct Installed {
    /// Its file.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

impl Installed {
    /// One that is to be written.
    pub fn new(name: &str, profile: &str, rivals: &[Rival]) -> Self {
        let mut text = profile.to_owned();
        for rival in rivals {
            text += &format!("{IN_PLACE_OF}{}\n", rival.path.display());
        }
        Self {
            path: path_of(name),
            text,
        }
    }

    /// The one that is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn find(name: &str) -> Result<Option<Self>> {
        let path = path_of(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Self { path, text })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).doing(|| format!("read {}", path.display())),
        }
    }

    /// Writes it, in place of the one that was there.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn write(&self) -> Result<()> {
        jail::replace(&self.path, &self.text)
    }

    /// Removes it.
    ///
    /// # Errors
    /// As [`Installed::write`].
    pub fn remove(&self) -> Result<()> {
        fs::remove_file(&self.path).doing(|| format!("remove {}", self.path.display()))
    }

    /// The profile without what was written below it.
    pub fn profile(&self) -> &str {
        let end = self.text.find(&format!("\n{IN_PLACE_OF}"));
        end.map_or(&self.text, |at| &self.text[..=at])
    }

    /// Those that it takes the place of, as far as they are still there.
    pub fn rivals(&self) -> Vec<Rival> {
        let lines = self.text.lines();
        let paths = lines.filter_map(|line| line.strip_prefix(IN_PLACE_OF));
        let there = paths.map(PathBuf::from).filter(|path| path.exists());
        there.map(|path| Rival { path }).collect()
    }
}

fn path_of(name: &str) -> PathBuf {
    directory().join(format!("{PREFIX}{name}"))
}

/// A file with a profile for the same program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// Where it is.
    pub path: PathBuf,
}

impl Rival {
    /// The names of its profiles; of one that is disabled the parser does not tell.
    ///
    /// # Errors
    /// The parser does not understand it.
    pub fn names(&self) -> Result<Vec<String>> {
        names_in(&self.path)
    }

    fn link(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default();
        directory().join("disable").join(name)
    }

    fn is_disabled(&self) -> bool {
        fs::symlink_metadata(self.link()).is_ok()
    }

    /// Has it passed over at boot. `false`: it is already.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn disable(&self) -> Result<bool> {
        let link = self.link();
        let doing = || format!("disable {}", self.path.display());
        if self.is_disabled() {
            return Ok(false);
        }
        if let Some(directory) = link.parent() {
            fs::create_dir_all(directory).doing(doing)?;
        }
        symlink(&self.path, &link).doing(doing)?;
        Ok(true)
    }

    /// Has it loaded at boot again. `false`: it is already.
    ///
    /// # Errors
    /// As [`Rival::disable`]; what disables it is not such a link.
    pub fn enable(&self) -> Result<bool> {
        let link = self.link();
        let doing = || format!("enable {}", self.path.display());
        if !self.is_disabled() {
            return Ok(false);
        }
        let target = fs::read_link(&link).doing(doing)?;
        if target != self.path {
            let why = format!("{} is not the link that disabled it", link.display());
            return Err(
                Error::new(doing(), why).hint("look at it, and remove it if it is not wanted")
            );
        }
        fs::remove_file(&link).doing(doing)?;
        Ok(true)
    }
}

/// Files with a profile that one of these words begins, its name or its program, and that are loaded at
/// boot.
///
/// # Errors
/// The directory or a file in it cannot be read.
pub fn rivals(words: &[&str]) -> Result<Vec<Rival>> {
    let mut found = Vec::new();
    for path in candidates(&directory())? {
        let text = fs::read(&path).doing(|| format!("read {}", path.display()))?;
        let rival = Rival { path };
        if !rival.is_disabled() && speaks_of(&String::from_utf8_lossy(&text), words) {
            found.push(rival);
        }
    }
    Ok(found)
}

/// Whether one of these words begins a profile in this text.
fn speaks_of(text: &str, words: &[&str]) -> bool {
    let is_one = |word: &str| words.contains(&word);
    heads(text).any(|head| is_one(&head.name) || head.pattern.as_deref().is_some_and(is_one))
}

/// The profiles that are loaded. Where the kernel does not know whom one is for, its file tells.
///
/// # Errors
/// As [`apparmor::loaded`]; a file cannot be read.
pub fn loaded() -> Result<Vec<Loaded>> {
    let mut loaded = apparmor::loaded()?;
    for path in files(&directory())? {
        let rival = Rival { path };
        if rival.is_disabled() {
            continue;
        }
        let path = &rival.path;
        let text = fs::read(path).doing(|| format!("read {}", path.display()))?;
        for head in heads(&String::from_utf8_lossy(&text)) {
            let mut same = loaded.iter_mut().filter(|it| it.name == head.name);
            if let Some(profile) = same.next().filter(|it| it.attachment.is_none()) {
                profile.attachment = head.pattern;
            }
        }
    }
    Ok(loaded)
}

/// The beginning of a profile (`apparmor.d(5)`).
#[derive(Debug, PartialEq, Eq)]
struct Head {
    name: String,
    /// Whom it is for; `None` if it is for nobody by itself, or a variable says for whom.
    pattern: Option<String>,
}

/// The beginnings of the profiles in a text, each a line that ends with a brace.
fn heads(text: &str) -> impl Iterator<Item = Head> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| head(line.strip_suffix('{')?))
}

fn head(line: &str) -> Option<Head> {
    let mut words = line
        .split_ascii_whitespace()
        .map(|word| word.trim_matches('"').to_owned());
    let is_path = |word: &String| word.starts_with(['/', '{']) && !word.contains("@{");
    let first = words.next()?;
    match first.as_str() {
        "profile" => Some(Head {
            name: words.next()?,
            pattern: words.next().filter(is_path),
        }),
        _ => is_path(&first).then(|| Head {
            pattern: Some(first.clone()),
            name: first,
        }),
    }
}

/// The profiles that gaoler has not written.
fn candidates(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = files(directory)?;
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with(PREFIX)
    });
    Ok(found)
}

/// Files that the parser takes from its directory: no others' backups (rc.apparmor.functions).
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let doing = || format!("list {}", directory.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).doing(doing)? {
        let entry = entry.doing(doing)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let passed_over = [".dpkg-new", ".dpkg-old", ".dpkg-dist", ".dpkg-bak", "~"];
        let is_taken = !name.starts_with('.') && !passed_over.iter().any(|end| name.ends_with(end));
        if is_taken && entry.file_type().doing(doing)?.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_head_of_a_profile_names_whom_it_is_for() {
        let debian_s = "#include <tunables/global>\n# profile other {\n\
                        profile named /usr/sbin/named flags=(attach_disconnected) {\n  /usr/sbin/other r,\n}\n";
        assert!(speaks_of(debian_s, &["dns", "/usr/sbin/named"]));
        assert!(speaks_of(debian_s, &["named", "/opt/named"]));
        assert!(!speaks_of(debian_s, &["other", "/usr/sbin/other"]));
        assert!(speaks_of("\"/opt/a\" {\n}\n", &["/opt/a"]));
        let named = head("profile named /usr/sbin/named flags=(attach_disconnected) ").unwrap();
        assert_eq!(named.pattern.as_deref(), Some("/usr/sbin/named"));
        let dnsmasq = head("/usr/{bin,sbin}/dnsmasq flags=(complain) ").unwrap();
        assert_eq!(dnsmasq.pattern.as_ref(), Some(&dnsmasq.name));
        assert_eq!(head("profile x @{exec_path} ").unwrap().pattern, None);
        assert_eq!(head("if $condition "), None);
    }

    #[test]
    fn what_it_takes_the_place_of_is_written_below_it() {
        let rival = Rival {
            path: "/etc/apparmor.d/usr.sbin.named".into(),
        };
        let profile = "profile named /usr/sbin/named {\n}\n";
        let installed = Installed::new("named", profile, &[rival]);
        assert_eq!(installed.profile(), profile);
        assert!(
            installed
                .text
                .ends_with("\n# In place of /etc/apparmor.d/usr.sbin.named\n")
        );
        assert_eq!(Installed::new("named", profile, &[]).profile(), profile);
    }

    #[test]
    fn backups_and_directories_are_no_profiles() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "usr.sbin.b",
            "usr.sbin.a",
            "a.dpkg-old",
            "b~",
            ".hidden",
            "gaoler.web",
        ] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        fs::create_dir(directory.path().join("abstractions")).unwrap();
        let found = candidates(directory.path()).unwrap();
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["usr.sbin.a", "usr.sbin.b"]);
    }
}
