//! Which files belong together, by the lists that dpkg(1) keeps: read directly, because there may
//! be no dpkg in the PATH and nothing of it is needed to read them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::learn::coverage::{PackageFile, Packages};

/// Where the lists are, below the root of the system (dpkg(1), FILES).
const LISTS: &str = "var/lib/dpkg/info";

/// The largest list that is read, bytes: those of a kernel's sources have some megabytes.
const LONGEST_LIST: u64 = 32 << 20;

/// The packages of the system at `root` that own `program`, and their files. What cannot be read
/// is left out.
pub(super) fn owning(root: &Path, program: &Path) -> Packages {
    let none = |why: String| Packages {
        why_none: Some(why),
        ..Packages::default()
    };
    let Ok(directory) = fs::read_dir(root.join(LISTS)) else {
        return none(format!(
            "this system has no package lists of dpkg (/{LISTS})"
        ));
    };
    let names = names_of(program);
    let mut found = Packages::default();
    let mut files = BTreeSet::new();
    for list in directory.filter_map(|entry| Some(entry.ok()?.path())) {
        let Some(package) = list.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let Some(package) = package.strip_suffix(".list") else {
            continue;
        };
        let Some(text) = read(&list) else { continue };
        if text.lines().any(|line| names.contains(line)) {
            found.names.push(package.to_owned());
            files.extend(text.lines().map(PathBuf::from));
        }
    }
    if found.names.is_empty() {
        return none(format!("no Debian package owns {}", program.display()));
    }
    found.names.sort();
    found.files = regular(root, &files);
    found
}

/// The names that the packages of the system at `root` have for `program`: none if none owns it.
pub(in crate::verbs) fn names_in_lists(root: &Path, program: &Path) -> Vec<PathBuf> {
    let names = names_of(program);
    let mut found = BTreeSet::new();
    let lists = fs::read_dir(root.join(LISTS))
        .into_iter()
        .flatten()
        .flatten();
    for list in lists.map(|entry| entry.path()) {
        if list.extension().is_none_or(|end| end != "list") {
            continue;
        }
        let text = read(&list).unwrap_or_default();
        let own = text.lines().filter(|line| names.contains(*line));
        found.extend(own.map(PathBuf::from));
    }
    found.into_iter().collect()
}

/// The names that a list may have for a file: `/bin/true` is in `/usr` since Debian merged the
/// two, and the lists of many packages do not say so.
fn names_of(program: &Path) -> BTreeSet<String> {
    let real = program.display().to_string();
    let unmerged = real.strip_prefix("/usr").map(str::to_owned);
    unmerged.into_iter().chain([real]).collect()
}

fn read(list: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(list).ok()?;
    file.take(LONGEST_LIST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Those that are regular files, each once, by its path without links.
fn regular(root: &Path, files: &BTreeSet<PathBuf>) -> Vec<PackageFile> {
    let found = files.iter().filter_map(|path| {
        let below = root.join(path.strip_prefix("/").ok()?);
        let metadata = fs::metadata(&below).ok()?;
        let real = fs::canonicalize(&below).ok()?;
        let path = Path::new("/").join(real.strip_prefix(root).ok()?);
        let executable = metadata.permissions().mode() & 0o111 != 0;
        metadata.is_file().then_some((path, executable))
    });
    found
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|(path, executable)| PackageFile { path, executable })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        for path in ["var/lib/dpkg/info", "usr/sbin", "etc/web"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        (directory, root)
    }

    #[test]
    fn the_files_of_the_package_that_owns_a_program() {
        let (_directory, root) = system();
        for (path, mode) in [("usr/sbin/web", 0o755), ("etc/web/site", 0o644)] {
            fs::write(root.join(path), "").unwrap();
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("web", root.join("usr/sbin/httpd")).unwrap();
        let lists = root.join(LISTS);
        let own = "/.\n/sbin/web\n/usr\n/usr/sbin/web\n/usr/sbin/httpd\n/etc/web/site\n/etc/gone\n";
        fs::write(lists.join("web.list"), own).unwrap();
        fs::write(lists.join("web.conffiles"), "/usr/sbin/web\n").unwrap();
        fs::write(lists.join("other.list"), "/usr/sbin/webctl\n").unwrap();
        let found = owning(&root, Path::new("/usr/sbin/web"));
        assert_eq!(found.names, ["web"]);
        assert_eq!(found.why_none, None);
        let file = |path: &str, executable| PackageFile {
            path: path.into(),
            executable,
        };
        let expected = [file("/etc/web/site", false), file("/usr/sbin/web", true)];
        assert_eq!(found.files, expected);
        // As the package has it: dpkg looks its overrides up by that name.
        let names = names_in_lists(&root, Path::new("/usr/sbin/web"));
        assert_eq!(names, [Path::new("/sbin/web"), Path::new("/usr/sbin/web")]);
    }

    #[test]
    fn what_no_package_owns_says_so() {
        let (_directory, root) = system();
        let found = owning(&root, Path::new("/opt/web"));
        assert!(found.why_none.unwrap().contains("no Debian package owns"));
        assert!(names_in_lists(&root, Path::new("/opt/web")).is_empty());
        fs::remove_dir_all(root.join(LISTS)).unwrap();
        let found = owning(&root, Path::new("/opt/web"));
        assert!(found.why_none.unwrap().contains("no package lists"));
    }
}
