//! The copied files of an inventory: programs, libraries and data, what else each of them
//! brings, and who may read the copy.

use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};

use super::elf::Inspected;
use super::host_tree::{Reach, file_type, reach};
use super::inventory::{Planner, Wanted, What, copying, vanished};
use super::kind::{self, Kind};
use crate::error::{Error, Result};
use crate::sys::copy::Identity;

/// `#!` of a script that is itself a script: as deep as the kernel goes (`execve(2)`).
const DEEPEST_SCRIPT: usize = 5;

impl Planner<'_> {
    /// A file as it is.
    pub(super) fn data(&mut self, path: &Path, because: &str) -> Result<()> {
        self.copy(path, because, Use::Data).map(drop)
    }

    /// A shared object and its closure.
    pub(super) fn library(&mut self, path: &Path, because: &str) -> Result<()> {
        let real = self.copy(path, because, Use::Data)?;
        if kind::of(self.host, &real)? != Kind::Elf {
            let why = format!("the spec calls it a library ({because}), and it is no ELF file");
            return Err(Error::usage(copying(path), why));
        }
        self.closure(path, because)
    }

    /// A program, its interpreters, and the closure of what is executed in the end.
    pub(super) fn executable(&mut self, path: &Path, because: &str, depth: usize) -> Result<()> {
        let real = self.copy(path, because, Use::Program)?;
        match kind::of(self.host, &real)? {
            Kind::Elf => self.closure(path, because),
            Kind::Script => self.script(path, depth),
            Kind::Other => {
                let why = format!(
                    "the spec calls it a program ({because}), and it is neither ELF nor a script"
                );
                Err(Error::usage(copying(path), why))
            }
        }
    }

    /// What the `#!` line of the script at `path` leads to.
    fn script(&mut self, path: &Path, depth: usize) -> Result<()> {
        let Inspected::Script {
            interpreter,
            argument,
        } = self.resolver.inspect(path)?
        else {
            return Err(Error::usage(
                copying(path),
                "its #! line names no interpreter",
            ));
        };
        if depth == DEEPEST_SCRIPT {
            let why = "its interpreters are scripts in turn, without end";
            return Err(Error::new(copying(path), why));
        }
        let reason = format!("the interpreter of {}", path.display());
        self.executable(&interpreter, &reason, depth + 1)?;
        match kind::run_by_env(self, &interpreter, argument.as_deref()) {
            Some(program) => self.executable(&program, &reason, depth + 1),
            None => Ok(()),
        }
    }

    /// The dynamic linker and the shared objects that it loads with the file at `path`.
    fn closure(&mut self, path: &Path, because: &str) -> Result<()> {
        let objects = match self.resolver.closure(path) {
            Ok(objects) => objects,
            // Only now: looking at what a file is in full takes longer than its closure.
            Err(error) => match self.resolver.inspect(path) {
                Ok(Inspected::ForeignElf { machine }) => {
                    return Err(foreign(path, &machine, because));
                }
                _ => return Err(error),
            },
        };
        for (position, object) in objects.into_iter().enumerate() {
            // The interpreter comes first, and goes by its path where a library has a name.
            if position == 0 && object.name.starts_with('/') {
                let reason = format!("the dynamic linker of {}", path.display());
                self.interpreter = Some(self.copy(&object.path, &reason, Use::Program)?);
                continue;
            }
            let reason = format!(
                "needed by {} as {}",
                object.needed_by.display(),
                object.name
            );
            self.copy(&object.path, &reason, Use::Data)?;
            self.objects
                .entry(object.name)
                .or_default()
                .insert(object.path);
        }
        Ok(())
    }

    /// Adds a copy of `path` and the way to it; gives the path without links.
    fn copy(&mut self, path: &Path, because: &str, used_as: Use) -> Result<PathBuf> {
        let found = self.way_to(path, because)?;
        let stat = found.stat.ok_or_else(|| vanished(path, because))?;
        refuse_special(path, &found.real, &stat)?;
        if used_as == Use::Data && self.comes_with_a_mount(&found.real) {
            return Ok(found.real);
        }
        let readable = reach(&stat, self.account, 0o4).min(found.reach);
        let executable = reach(&stat, self.account, 0o1).min(found.reach);
        let (reached, bits) = match used_as {
            Use::Data => (readable, 0o444),
            Use::Program if reach(&stat, self.account, 0o1) == Reach::Root => {
                return Err(Error::new(
                    copying(path),
                    "it is not executable for the service's user",
                ));
            }
            // Old programs keep who runs them from copying them: execve(2) need not read.
            Use::Program if readable == Reach::Root => (executable, 0o111),
            Use::Program => (readable, 0o555),
        };
        let (gid, mode) = self.permission(path, &stat, reached, bits)?;
        let wanted = Wanted {
            what: What::File(Identity::from(&stat)),
            source: Some(found.real.clone()),
            uid: 0,
            gid,
            mode,
            reason: because.to_owned(),
        };
        self.add(&found.real, wanted)?;
        Ok(found.real)
    }

    /// Group and mode of a copy: as open as on the host for the service, and never more.
    fn permission(
        &self,
        path: &Path,
        stat: &Stat,
        reached: Reach,
        bits: u32,
    ) -> Result<(u32, u32)> {
        match reached {
            Reach::Everyone => Ok((0, bits)),
            // Root's own, and nobody's beside: sshd(8) takes no key that a group may read.
            Reach::Service if self.account.user.uid == 0 && stat.st_mode & 0o077 == 0 => {
                Ok((0, bits & 0o500))
            }
            Reach::Service => {
                let by_group =
                    self.account.has_group(stat.st_gid) && stat.st_uid != self.account.user.uid;
                let gid = if by_group {
                    stat.st_gid
                } else {
                    self.account.group.gid
                };
                Ok((gid, bits & 0o550))
            }
            Reach::Root if self.spec.service.start_as_root => Ok((0, bits & 0o500)),
            Reach::Root => {
                let user = &self.account.user.name;
                Err(Error::new(
                    copying(path),
                    format!(
                        "on the host it is for uid {} and gid {} only (mode {:04o}), so {user} \
                         could not read it in the jail either",
                        stat.st_uid, stat.st_gid, stat.st_mode & 0o7777
                    ),
                )
                .hint(format!(
                    "give {user} a group that may read it (groups in [service]), or remove it from the spec"
                )))
            }
        }
    }
}

/// What a copied file is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Data,
    Program,
}

/// Only regular files are copied.
fn refuse_special(path: &Path, real: &Path, stat: &Stat) -> Result<()> {
    let (what, hint) = match file_type(stat) {
        FileType::RegularFile if real.starts_with("/proc") || real.starts_with("/sys") => (
            "the kernel makes it when it is read: a copy would be wrong",
            "take it out of the spec",
        ),
        FileType::RegularFile => return Ok(()),
        FileType::Directory => (
            "it is a directory",
            "list the files in it, make it an empty one (kind = \"directory\"), or bind it",
        ),
        FileType::CharacterDevice | FileType::BlockDevice => {
            ("it is a device", "list it under [[device]]")
        }
        FileType::Socket | FileType::Fifo => {
            ("it is a socket or pipe, which lives on the host", "bind it")
        }
        FileType::Symlink | FileType::Unknown => (
            "it is of a kind that cannot be copied",
            "take it out of the spec",
        ),
    };
    Err(Error::usage(copying(path), what).hint(hint))
}

fn foreign(path: &Path, machine: &str, because: &str) -> Error {
    let why = format!("it is made for another kind of machine: {machine} ({because})");
    Error::new(copying(path), why).hint("is the right architecture's package installed?")
}
