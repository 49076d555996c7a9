//! What is known of the tree and the host beside spec, manifest and plan: plain data.

mod neighbours;
mod places;
mod tree;

use std::path::PathBuf;

#[cfg(test)]
pub(super) use neighbours::confines;
pub use neighbours::{Around, running_sockets};

use crate::Result;
use crate::build::Manifest;
use crate::build::elf::ElfInfo;
use crate::host::users::User;
use crate::spec::Spec;

/// What was gathered.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The ELF files of the tree.
    pub binaries: Vec<Binary>,
    /// The files of the tree that are more than their content and their mode.
    pub files: Vec<OddFile>,
    /// Files of the tree whose original on the host is another one now.
    pub stale: Vec<Stale>,
    /// What lies in the places of the host that are bound in and is not just a file.
    pub planted: Vec<Planted>,
    /// Writable places that are on the volume of the host's root.
    pub on_root_volume: Vec<PathBuf>,
    /// The service's user, as the host has it.
    pub user: Option<User>,
    /// The user's number.
    pub uid: u32,
    /// Other names in the host's passwd with that number.
    pub same_number: Vec<String>,
    /// Processes outside of every jail that have that number, or run the service's program for
    /// its ports.
    pub outside: Vec<Outside>,
    /// The other jails of this machine.
    pub jails: Vec<Neighbour>,
    /// What the spec allows and the trace does not show.
    pub unseen: Vec<Unseen>,
    /// Units of systemd that start the jail and confine it besides.
    pub units: Vec<Unit>,
    /// The signal that ended the service when it ran last, if one did.
    pub killed_by: Option<i32>,
    /// What does not hold any more of the guard of the host's program (`gaoler guard`).
    pub unguarded: Vec<String>,
    /// The inodes of sockets that processes of other jails hold, with the names of those.
    pub foreign_sockets: Vec<(u64, String)>,
}

/// An ELF file of the tree.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Its path in the jail.
    pub path: PathBuf,
    /// What it says of itself.
    pub elf: ElfInfo,
}

/// A file of the tree that has more than one name, or more rights than its mode shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OddFile {
    /// Its path in the jail.
    pub path: PathBuf,
    /// How many of its names are not in the tree.
    pub names_outside: u64,
    /// It has capabilities of its own (`capabilities(7)`, "File capabilities").
    pub capabilities: bool,
}

/// A copy whose original has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// Its path in the jail.
    pub path: PathBuf,
    /// What happened to the original.
    pub what: String,
    /// It is a program or a library.
    pub code: bool,
}

/// What somebody put into a place that is bound into the jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planted {
    /// Its path.
    pub path: PathBuf,
    /// What it is.
    pub what: Plant,
}

/// A thing that is more than a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A device node.
    Device,
    /// A program that the service could have written.
    Executable,
    /// A symbolic link of the service's to somewhere outside of the places.
    Link(PathBuf),
    /// A file that changes the user, the group or the capabilities of who executes it.
    Setuid,
    /// A socket.
    Socket,
}

/// A process that is in no jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its pid.
    pub pid: i32,
    /// Its executable, as the kernel names it.
    pub executable: String,
    /// It is the host's copy of the service's program, with the service's user or port.
    pub is_copy: bool,
    /// It has the service's user number.
    pub same_uid: bool,
}

/// Another jail of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Its users, the one it runs as first.
    pub users: Vec<String>,
    /// The number of the first.
    pub uid: Option<u32>,
    /// Every place of the host that it has.
    pub places: Vec<PathBuf>,
    /// Those of them that it can write to.
    pub writable: Vec<PathBuf>,
}

/// An allowance that no run showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// As `spec diff` calls it: `call ptrace`.
    pub item: String,
    /// How it is known, as in the spec.
    pub evidence: String,
    /// Nothing but a person says that it is needed, and it lets the service change or do
    /// something.
    pub weighty: bool,
}

/// A unit of systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its file.
    pub path: PathBuf,
    /// The settings that confine, as they stand there.
    pub settings: Vec<String>,
}

impl Facts {
    /// Looks at the tree, at the places that are bound in, and around.
    ///
    /// # Errors
    /// The tree or `/proc` cannot be read.
    pub fn gather(
        spec: &Spec,
        tree: &std::path::Path,
        manifest: &Manifest,
        uid: u32,
        around: Around,
    ) -> Result<Self> {
        let mut facts = Self {
            uid,
            binaries: tree::binaries(tree, manifest)?,
            files: tree::odd_files(tree, manifest)?,
            stale: tree::stale(manifest),
            planted: places::planted(spec, uid),
            on_root_volume: places::on_root_volume(spec),
            ..Self::default()
        };
        neighbours::add(&mut facts, spec, around)?;
        Ok(facts)
    }
}
