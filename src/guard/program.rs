//! The program that is guarded, and those that are not.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};

use super::refused;
use crate::host::command::PATH;
use crate::{Doing, Error, Result};

/// The shells that this system has, one a line (`shells(5)`).
const SHELLS: &str = "/etc/shells";

/// Programs that run others, by their names up to a version.
const INTERPRETERS: [&str; 36] = [
    "ash",
    "awk",
    "bash",
    "beam.smp",
    "busybox",
    "csh",
    "dash",
    "dotnet",
    "env",
    "erl",
    "fish",
    "gawk",
    "guile",
    "init",
    "java",
    "ksh",
    "ld.so",
    "lua",
    "luajit",
    "mawk",
    "mono",
    "node",
    "nodejs",
    "perl",
    "php",
    "php-cgi",
    "python",
    "ruby",
    "sh",
    "start-stop-daemon",
    "systemd",
    "tcsh",
    "tclsh",
    "toybox",
    "wish",
    "zsh",
];

/// A program of the host, held: whatever takes its name meanwhile, this stays what was looked at.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    held: OwnedFd,
    stat: Stat,
}

impl Program {
    /// The program at a path without links.
    ///
    /// # Errors
    /// It is not there, or no regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let doing = || format!("open {}", path.display());
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = rustix::fs::open(path, flags, Mode::empty()).doing(doing)?;
        let stat = rustix::fs::fstat(&held).doing(doing)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::new(doing(), "it is no regular file"));
        }
        Ok(Self {
            path: path.to_owned(),
            held,
            stat,
        })
    }

    /// The program that `command` names, if it may be guarded: nothing but its service uses it.
    ///
    /// # Errors
    /// It is not there; it is a shell, an interpreter, or goes by several names.
    pub fn find(command: &Path) -> Result<Self> {
        let real = fs::canonicalize(command).doing(|| format!("find {}", command.display()))?;
        let program = Self::open(&real)?;
        program.runs_no_others()?;
        program.has_one_name()?;
        Ok(program)
    }

    /// Its path, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its permission bits.
    pub fn mode(&self) -> u32 {
        self.stat.st_mode & 0o7777
    }

    /// Owner and group.
    pub fn owner(&self) -> (u32, u32) {
        (self.stat.st_uid, self.stat.st_gid)
    }

    /// Sets its permission bits.
    ///
    /// # Errors
    /// A file system that is read-only, a file that is immutable.
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        let held = format!("/proc/self/fd/{}", self.held.as_raw_fd());
        rustix::fs::chmodat(CWD, held, Mode::from_raw_mode(mode), AtFlags::empty())
            .doing(|| format!("set the mode of {}", self.path.display()))
    }

    /// Shells, interpreters and whatever else runs other programs.
    fn runs_no_others(&self) -> Result<()> {
        let shells = fs::read_to_string(SHELLS).unwrap_or_default();
        let real = |line: &str| fs::canonicalize(line.trim()).ok();
        let is_shell = shells
            .lines()
            .filter_map(real)
            .any(|shell| shell == self.path);
        if is_shell || is_interpreter(&name_of(&self.path)) {
            let why = "it is a shell, an interpreter or another program that scripts and services \
                       of the host need";
            return Err(refused(&self.path, why).hint(
                "only a service with a program of its own can be guarded; mask its unit yourself",
            ));
        }
        Ok(())
    }

    /// One that goes by several names is several programs: busybox, or exim as sendmail.
    fn has_one_name(&self) -> Result<()> {
        if self.stat.st_nlink != 1 {
            let why = format!("it has {} names (hard links)", self.stat.st_nlink);
            return Err(refused(&self.path, why).hint(
                "the other names would stop working; only one that has one name is guarded",
            ));
        }
        let mut names: BTreeSet<OsString> = BTreeSet::new();
        for directory in PATH.split(':') {
            let links = fs::read_dir(directory).into_iter().flatten().flatten();
            let links = links.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
            let same =
                links.filter(|link| fs::canonicalize(link.path()).is_ok_and(|it| it == self.path));
            names.extend(same.map(|link| link.file_name()));
        }
        names.remove(self.path.file_name().unwrap_or_default());
        if names.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = names
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        let why = format!("other programs are links to it: {}", names.join(", "));
        Err(refused(&self.path, why)
            .hint("they would stop working; only one that has one name is guarded"))
    }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// `python3.11` is python, `ld-linux-x86-64.so.2` the dynamic linker.
fn is_interpreter(name: &str) -> bool {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let dynamic_linker = name.starts_with("ld-") && name.contains(".so");
    dynamic_linker || [name, plain].iter().any(|name| INTERPRETERS.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_known_with_their_versions() {
        for name in [
            "sh",
            "python3.11",
            "perl5.36.0",
            "php8.2",
            "ld-linux-x86-64.so.2",
            "ruby",
        ] {
            assert!(is_interpreter(name), "{name}");
        }
        for name in ["named", "sshd", "nginx", "ld-server", "pythond", "nodes"] {
            assert!(!is_interpreter(name), "{name}");
        }
    }

    #[test]
    fn several_names_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let real = place.path().canonicalize().unwrap().join("web");
        fs::write(&real, "x").unwrap();
        assert!(Program::find(&real).is_ok());
        fs::hard_link(&real, place.path().join("other")).unwrap();
        let error = Program::find(&real).unwrap_err();
        assert!(error.why().contains("2 names"), "{error}");
        assert!(Program::find(Path::new("/bin/sh")).is_err());
        assert!(Program::open(place.path()).is_err());
    }
}
