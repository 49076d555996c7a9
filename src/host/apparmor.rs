//! The profiles that the kernel has, as securityfs shows them (`apparmor(7)`, and apparmorfs of the
//! kernel).

use std::fs;
use std::path::Path;

use regex_lite::Regex;

use crate::{Doing, Error, Result};

/// Whether the kernel confines by profiles.
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";

/// The kernel's own directory of AppArmor.
const SECURITYFS: &str = "/sys/kernel/security/apparmor";

/// A profile that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// What becomes of what it does not allow: `enforce`, `complain`, `kill`, `unconfined`.
    pub mode: String,
    /// The programs that it is for, as a pattern; `None` if it is for none by itself, or the kernel does
    /// not know that pattern: of one that has a name as well, the parser keeps it to itself.
    pub attachment: Option<String>,
}

impl Loaded {
    /// Whether it confines this program whenever that is executed.
    pub fn is_for(&self, program: &Path) -> bool {
        let attachment = self.attachment.as_deref();
        let expression = attachment.and_then(|pattern| Regex::new(&expression(pattern)).ok());
        let program = program.to_str().unwrap_or_default();
        expression.is_some_and(|it| it.is_match(program))
    }
}

/// A pattern of paths (`apparmor.d(5)`, "Globbing") as a regular expression.
fn expression(pattern: &str) -> String {
    let mut text = "^".to_owned();
    let mut depth = 0u32;
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => text += ".*",
            '*' => text += "[^/]*",
            '?' => text += "[^/]",
            '{' => {
                depth += 1;
                text += "(?:";
            }
            '}' if depth > 0 => {
                depth -= 1;
                text.push(')');
            }
            ',' if depth > 0 => text.push('|'),
            '[' | ']' | '-' => text.push(c),
            '\\' => text += &regex_lite::escape(&rest.next().unwrap_or(c).to_string()),
            other => text += &regex_lite::escape(&other.to_string()),
        }
    }
    text + "$"
}

/// Whether the kernel has AppArmor, and it is on.
pub fn is_on() -> bool {
    fs::read_to_string(ENABLED).is_ok_and(|text| text.trim() == "Y")
        && Path::new(SECURITYFS).is_dir()
}

/// The profiles that are loaded, by name; those inside of others are left out.
///
/// # Errors
/// Only root can read them; this kernel is older than 3.14, or has no AppArmor.
pub fn loaded() -> Result<Vec<Loaded>> {
    all(&Path::new(SECURITYFS).join("policy/profiles"))
}

fn all(directory: &Path) -> Result<Vec<Loaded>> {
    let doing = || format!("list the profiles in {}", directory.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).doing(doing)? {
        let path = entry.doing(doing)?.path();
        let read = |file: &str| fs::read_to_string(path.join(file));
        // One that is replaced meanwhile is gone under this number.
        let (Ok(name), Ok(mode)) = (read("name"), read("mode")) else {
            continue;
        };
        let attachment = read("attach").unwrap_or_default();
        let attachment = attachment.trim();
        found.push(Loaded {
            name: name.trim().to_owned(),
            mode: mode.trim().to_owned(),
            attachment: (!["", "<unknown>"].contains(&attachment)).then(|| attachment.to_owned()),
        });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Takes a profile out of the kernel: what it confines is unconfined then. One that is not there is
/// no error.
///
/// # Errors
/// Only root can do that.
pub fn remove(name: &str) -> Result<()> {
    let doing = || format!("take the profile {name} out of the kernel");
    if name.contains('\0') {
        return Err(Error::usage(doing(), "no profile has such a name"));
    }
    match fs::write(Path::new(SECURITYFS).join(".remove"), name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.doing(doing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_for_what_it_describes_alone() {
        let is_for = |pattern: &str, program: &str| {
            let loaded = Loaded {
                name: String::new(),
                mode: String::new(),
                attachment: Some(pattern.to_owned()),
            };
            loaded.is_for(Path::new(program))
        };
        for (pattern, program) in [
            ("/usr/sbin/named", "/usr/sbin/named"),
            ("/usr/{bin,sbin}/dnsmasq", "/usr/sbin/dnsmasq"),
            ("/{,usr/}sbin/a{b,c{d,e}}", "/sbin/ace"),
            ("/opt/**/bin/*", "/opt/a/b/bin/c"),
            ("/usr/bin/[a-c]?", "/usr/bin/bx"),
            ("/a\\*b.c", "/a*b.c"),
        ] {
            assert!(is_for(pattern, program), "{pattern} {program}");
        }
        for (pattern, program) in [
            ("/usr/sbin/named", "/usr/sbin/named-checkconf"),
            ("/usr/sbin/named", "/opt/usr/sbin/named"),
            ("/usr/bin/*", "/usr/bin/a/b"),
            ("/a.c", "/abc"),
            ("/a\\*b", "/axb"),
            ("/unclosed{a", "/unclosed{a"),
        ] {
            assert!(!is_for(pattern, program), "{pattern} {program}");
        }
    }

    #[test]
    fn profiles_are_listed_with_what_they_are_for() {
        let directory = tempfile::tempdir().unwrap();
        for (name, files) in [
            (
                "web.7",
                [
                    ("name", "web\n"),
                    ("mode", "complain\n"),
                    ("attach", "/usr/sbin/web\n"),
                ],
            ),
            (
                "any.1",
                [
                    ("name", "any\n"),
                    ("mode", "enforce\n"),
                    ("attach", "<unknown>\n"),
                ],
            ),
        ] {
            fs::create_dir(directory.path().join(name)).unwrap();
            for (file, text) in files {
                fs::write(directory.path().join(name).join(file), text).unwrap();
            }
        }
        // One that was just replaced.
        fs::create_dir(directory.path().join("web.6")).unwrap();
        let found = all(directory.path()).unwrap();
        let loaded = |name: &str, mode: &str, attachment: Option<&str>| Loaded {
            name: name.to_owned(),
            mode: mode.to_owned(),
            attachment: attachment.map(str::to_owned),
        };
        assert_eq!(
            found,
            [
                loaded("any", "enforce", None),
                loaded("web", "complain", Some("/usr/sbin/web")),
            ]
        );
        assert!(all(&directory.path().join("nothing")).is_err());
    }
}
