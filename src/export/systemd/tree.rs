//! The tree of the jail as the root of a unit. systemd makes directories in a root that it wants there
//! (`base-filesystem.c` of its sources), and follows no link on the way to one. So the tree of the current
//! generation is mounted below a layer in memory, at a place of its own.

use std::path::{Path, PathBuf};

use super::Options;
use super::text::{comment, plain};
use crate::export::{ExportedFile, Root, Subject};
use crate::{Error, Result};

/// Where the roots are.
const ROOTS: &str = "/run/gaoler.roots";

/// The root of the unit of the jail `name`.
pub fn root(name: &str) -> PathBuf {
    Path::new(ROOTS).join(name).join("root")
}

/// The mount unit, and what makes its directories at each boot (`systemd.mount(5)`, `tmpfiles.d(5)`).
///
/// # Errors
/// The place of the tree has something in it that mount options cannot hold.
pub fn files(subject: &Subject<'_>, options: &Options, service: &str) -> Result<Vec<ExportedFile>> {
    if options.root == Root::Host {
        return Ok(Vec::new());
    }
    let name = &subject.spec.name;
    let place = root(name);
    let above = Path::new(ROOTS).join(name);
    let tree = subject.tree.to_string_lossy();
    if tree.contains([',', ':', '\\']) {
        return Err(Error::usage(
            format!("mount the tree of {name}"),
            format!("{tree}: a comma, colon or backslash ends a mount option"),
        ));
    }
    let mount = PathBuf::from(format!("{}.mount", escaped(&place.to_string_lossy())));
    let text = format!(
        "{}\n[Unit]\nDescription=The tree of the jail {name}\n{}\nPartOf={service}\n\n[Mount]\n{}\n\
         What=overlay\nWhere={}\nType=overlay\n\
         Options=lowerdir={},upperdir={above}/upper,workdir={above}/work,nosuid\n",
        comment("The tree of the current generation; what systemd makes in it is in memory."),
        comment("mounted anew when the service is restarted, so that a new generation is taken"),
        comment("the link is followed when it is mounted"),
        place.display(),
        plain(&tree)?,
        above = above.display(),
    );
    let directories = PathBuf::from(format!("gaoler-{name}.conf"));
    let lines = [ROOTS.to_owned(), above.display().to_string()]
        .into_iter()
        .chain(["root", "upper", "work"].map(|it| above.join(it).display().to_string()))
        .map(|place| format!("d {place} 0755 root root -\n"));
    let why = comment("For the mount unit; without a boot: systemd-tmpfiles --create");
    Ok(vec![
        ExportedFile {
            install: Path::new("/etc/systemd/system").join(&mount),
            path: mount,
            text,
            executable: false,
        },
        ExportedFile {
            install: Path::new("/etc/tmpfiles.d").join(&directories),
            path: directories,
            text: format!("{why}\n{}", lines.collect::<String>()),
            executable: false,
        },
    ])
}

/// A path as the name of a unit (`systemd.unit(5)`, "String escaping for inclusion in unit names").
fn escaped(path: &str) -> String {
    let mut name = String::new();
    for (at, byte) in path.trim_matches('/').bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at > 0 => name.push('.'),
            b':' | b'_' => name.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => name.push(byte.into()),
            byte => name += &format!("\\x{byte:02x}"),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_as_systemd_escape_does() {
        assert_eq!(
            escaped("/run/gaoler.roots/my-web/root"),
            "run-gaoler.roots-my\\x2dweb-root"
        );
        assert_eq!(escaped("/.a b"), "\\x2ea\\x20b");
    }
}
