//! Directories that nobody but root and the caller can change: a tree whose parent somebody else
//! could rename away is not gaoler's (firejail and jailkit learned it: CVE-2019-12439, and
//! jailkit's own refusal of writable jails).

use std::fs::DirBuilder;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::error::{Doing, Error, Result};
use crate::sys::beneath::Beneath;

/// Opens the directory `path`, after looking at it and at everything above it: each must belong
/// to root or the caller and be writable by nobody else. A sticky directory above it, as `/tmp`,
/// will do: there, others cannot rename or remove what is not theirs.
///
/// # Errors
/// Which directory is not so, and why.
pub fn open(path: &Path) -> Result<Beneath> {
    let real = std::fs::canonicalize(path).doing(|| format!("find {}", path.display()))?;
    let above: Vec<&Path> = real.ancestors().collect();
    for directory in above.iter().skip(1).rev() {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, *directory, flags, Mode::empty());
        check(
            &opened.doing(|| format!("open {}", directory.display()))?,
            directory,
            true,
        )?;
    }
    let opened = Beneath::open(&real).doing(|| format!("open {}", real.display()))?;
    check(&opened.fd(), &real, false)?;
    Ok(opened)
}

/// The directory `name` in the trusted directory `parent`, whose path is `path`: looked at by
/// its descriptor, and no symbolic link.
///
/// # Errors
/// As [`open`].
pub fn open_in(parent: &Beneath, name: &Path, path: &Path) -> Result<Beneath> {
    let opened = parent
        .beneath(name)
        .doing(|| format!("open {}", path.display()))?;
    check(&opened.fd(), path, false)?;
    Ok(opened)
}

/// Makes the directory `path` and what is missing above it, with exactly `mode`, if it is not
/// there.
///
/// # Errors
/// As [`open`]; the disk is full or read-only.
pub fn make_directory(path: &Path, mode: u32) -> Result<()> {
    let doing = || format!("make {}", path.display());
    if path.is_dir() {
        return Ok(());
    }
    let (parent, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if path.has_root() => (parent, PathBuf::from(name)),
        _ => return Err(Error::usage(doing(), "it is not an absolute path")),
    };
    if !parent.is_dir() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .doing(doing)?;
    }
    match open(parent)?.make_directory(&name, mode) {
        // Another build was faster.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno).doing(doing),
    }
}

/// One directory: whose it is and who can write to it.
fn check(opened: &impl AsFd, directory: &Path, above: bool) -> Result<()> {
    let doing = || format!("trust {}", directory.display());
    let stat = rustix::fs::fstat(opened).doing(doing)?;
    match objection(&stat, above, rustix::process::geteuid().as_raw()) {
        None => Ok(()),
        Some(why) => Err(Error::new(doing(), why).hint(format!(
            "the trees are only safe where nobody else can change them: chown root {0}; chmod go-w {0}",
            directory.display()
        ))),
    }
}

/// Why a directory is not to be trusted, if it is not.
fn objection(stat: &Stat, above: bool, caller: u32) -> Option<String> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Some("it is not a directory".to_owned());
    }
    if stat.st_uid != 0 && stat.st_uid != caller {
        return Some(format!("it belongs to uid {}", stat.st_uid));
    }
    let sticky = above && stat.st_mode & 0o1000 != 0;
    if stat.st_mode & 0o022 != 0 && !sticky {
        let who = match stat.st_mode & 0o022 {
            0o020 => format!("its group, gid {},", stat.st_gid),
            _ => "everybody".to_owned(),
        };
        return Some(format!(
            "{who} can write to it (mode {:04o})",
            stat.st_mode & 0o7777
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_ones_own_directories_are_trusted() {
        let mut stat = rustix::fs::stat("/").unwrap();
        let mut check = |uid: u32, mode: u32, above: bool| {
            (stat.st_uid, stat.st_gid, stat.st_mode) = (uid, 5, 0o040_000 | mode);
            objection(&stat, above, 1000)
        };
        assert_eq!(check(0, 0o755, false), None);
        assert_eq!(check(1000, 0o700, false), None);
        assert_eq!(check(7, 0o755, false).unwrap(), "it belongs to uid 7");
        assert_eq!(check(0, 0o1777, true), None);
        assert!(check(0, 0o1777, false).unwrap().starts_with("everybody"));
        assert!(check(0, 0o777, true).unwrap().starts_with("everybody"));
        assert!(
            check(0, 0o775, true)
                .unwrap()
                .starts_with("its group, gid 5,")
        );
    }

    #[test]
    fn a_writable_parent_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("open/inner");
        fs::create_dir_all(&inner).unwrap();
        open(&inner).unwrap();
        let outer = directory.path().join("open");
        fs::set_permissions(&outer, fs::Permissions::from_mode(0o777)).unwrap();
        let error = open(&inner).unwrap_err();
        assert!(
            error.to_string().contains("everybody can write to it"),
            "{error}"
        );
        assert!(make_directory(&outer.join("new"), 0o700).is_err());
        assert!(!outer.join("new").exists());
    }

    #[test]
    fn missing_directories_are_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/c");
        make_directory(&path, 0o711).unwrap();
        make_directory(&path, 0o711).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o711
        );
        assert!(make_directory(Path::new("relative/x"), 0o700).is_err());
    }
}
