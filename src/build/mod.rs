//! From a [`Spec`] and the host to a root tree and its [`Manifest`]: ELF closure, users, devices,
//! permissions; built beside, then swapped in one rename.
#![forbid(unsafe_code)]

mod accounts_files;
mod changes;
mod copies;
pub mod drift;
pub mod elf;
pub mod generation;
mod host_tree;
mod inventory;
mod kind;
mod ldcache;
pub mod manifest;
mod parallel;
pub mod permissions;
mod standalone;
mod tree;
mod trusted;
pub mod users;

use std::path::{Path, PathBuf};

pub use changes::{Alteration, Altered, altered};
pub use drift::{Difference, Drift, drift, drift_since};
pub use generation::{GENERATIONS, KEPT, Lock, State, state_of};
pub use host_tree::{HostTree, Reach, file_type, reach};
pub use manifest::{Entry, EntryKind, Manifest};
pub use parallel::in_parallel;
pub use standalone::{Standalone, standalone};
pub use trusted::make_directory;
pub use users::Account;

use crate::error::Result;
use crate::spec::Spec;
use generation::New;
use inventory::{Inventory, Layout};

/// Where the directory with the log socket is mounted in a jail; `/dev/log` leads there.
pub const LOG_DIRECTORY: &str = "/dev/gaoler";

/// Where journald has its sockets: the same directory is mounted there for a service that speaks
/// journald's own protocol.
pub const JOURNAL_DIRECTORY: &str = "/run/systemd/journal";

/// What is to be built.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The policy.
    pub spec: &'a Spec,
    /// Whom the service runs as: [`Account::of`] the spec.
    pub account: &'a Account,
    /// The directory of all jails' state, as `/var/lib/gaoler`.
    pub state: &'a Path,
    /// Generations that something runs from: they are not pruned.
    pub in_use: &'a [u64],
    /// Programs of the host that are guarded, without links, and the modes that they had: they
    /// count, not that they have none.
    pub modes: &'a [(PathBuf, u32)],
    /// What else is kept with a new generation.
    pub beside: &'a Beside<'a>,
    /// Make a new generation the current one; else it stays beside that, and nothing is pruned.
    pub current: bool,
}

/// Gives the files that are to lie beside the manifest of a new generation, names and texts, so
/// that they are on the disk with it or not at all. It is told the number that the generation
/// will have, and what is in it.
pub type Beside<'a> = dyn Fn(u64, &Manifest) -> Result<Vec<(&'static str, String)>> + 'a;

/// What a build is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Another build of the same jail runs, in the process with this id (0 if it is not known).
    Waiting(u32),
    /// The plan is made: so many files and bytes are to be copied.
    Planned {
        /// Files.
        files: usize,
        /// Bytes.
        bytes: u64,
    },
    /// One more file of so many bytes has been copied.
    Copied(u64),
    /// Everything is being written out to the disk.
    Syncing,
}

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The generation that holds it: the current one, unless it was built beside that; 0 for a
    /// standalone tree.
    pub generation: u64,
    /// False if the current generation is equal already, and was kept.
    pub changed: bool,
    /// Regular files in the tree.
    pub files: usize,
    /// Bytes in them.
    pub bytes: u64,
}

impl Built {
    fn new(generation: u64, changed: bool, manifest: &Manifest) -> Self {
        Self {
            generation,
            changed,
            files: manifest.files(),
            bytes: manifest.bytes(),
        }
    }
}

/// Builds the next generation of a jail and makes it the current one, if that is asked for. If it
/// would be equal to the current one, and that is still as it was built, nothing changes.
///
/// # Errors
/// The spec asks for something that is not there or that its user cannot read; the state
/// directory could be changed by others; another build goes on; the disk is full. Whatever the
/// error, and at whatever instant the process is killed, the current generation stays.
pub fn build(request: &Request<'_>, progress: &(dyn Fn(Progress) + Sync)) -> Result<Built> {
    let host = HostTree::open(Path::new("/"))?.with_modes(request.modes);
    let state = State::create(request.state, &request.spec.name)?;
    let lock = state.lock(progress)?;
    lock.remove_leftovers()?;
    let inventory = plan(request.spec, &host, request.account, Layout::Jail, progress)?;
    if let Some(built) = unchanged(&state, &inventory, &host)? {
        return Ok(built);
    }
    let new = lock.begin()?;
    let manifest = match write(&new, request, &inventory, &host, progress) {
        Ok(manifest) => manifest,
        Err(error) => return Err(new.abandon(error)),
    };
    let generation = new.finish()?;
    if request.current {
        lock.switch(generation)?;
        lock.prune(KEPT, request.in_use)?;
    }
    Ok(Built::new(generation, true, &manifest))
}

/// What the manifest would say if the jail were built now. Writes nothing; reads every file.
///
/// # Errors
/// As [`build`].
pub fn foresee(spec: &Spec, account: &Account, modes: &[(PathBuf, u32)]) -> Result<Manifest> {
    let host = HostTree::open(Path::new("/"))?.with_modes(modes);
    let inventory = plan(spec, &host, account, Layout::Jail, &|_| ())?;
    tree::foresee(&inventory, &host)
}

/// Fills the directory of a new generation and waits until it is on the disk.
fn write(
    new: &New<'_>,
    request: &Request<'_>,
    inventory: &Inventory,
    host: &HostTree,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Manifest> {
    let copied = |bytes| progress(Progress::Copied(bytes));
    let manifest = tree::write(new.root(), inventory, host, &copied)?;
    new.write_manifest(&manifest)?;
    for (name, text) in (request.beside)(new.generation(), &manifest)? {
        new.write_beside(name, &text)?;
    }
    progress(Progress::Syncing);
    new.sync()?;
    Ok(manifest)
}

/// What is to be in the tree, with the news of it.
fn plan(
    spec: &Spec,
    host: &HostTree,
    account: &Account,
    layout: Layout,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Inventory> {
    let mut resolver = elf::Resolver::new(Path::new("/"))?;
    let inventory = inventory::inventory(spec, host, &mut resolver, account, layout)?;
    let (files, bytes) = inventory.size();
    progress(Progress::Planned { files, bytes });
    Ok(inventory)
}

/// The current generation, if building again would give the same. The sources are only read when
/// everything else is equal.
fn unchanged(state: &State, inventory: &Inventory, host: &HostTree) -> Result<Option<Built>> {
    let Some(generation) = state.current()? else {
        return Ok(None);
    };
    // A manifest that is damaged is no reason to refuse: a new build is what mends it.
    let Ok(manifest) = state.manifest(generation) else {
        return Ok(None);
    };
    if !tree::may_equal(inventory, &manifest) {
        return Ok(None);
    }
    let intact = tree::is_as_now(inventory, host, &state.root(generation), &manifest)?;
    Ok(intact.then(|| Built::new(generation, false, &manifest)))
}

/// What the service's program has to be handed to if it is a script: its interpreter and that
/// one's argument. The kernel cannot execute a script through a descriptor that is closed by
/// execve (`execveat(2)`, BUGS). Empty for an ELF program.
///
/// # Errors
/// The program is not there.
pub fn interpreter_of(spec: &Spec) -> Result<Vec<String>> {
    let Some(program) = spec.service.command.first() else {
        return Ok(Vec::new());
    };
    let script = elf::script(Path::new("/"), Path::new(program))?;
    Ok(script.map_or_else(Vec::new, |(interpreter, argument)| {
        std::iter::once(interpreter).chain(argument).collect()
    }))
}
