//! What is known about system calls: which arguments are paths and descriptors, and what else a
//! call shows when it has returned. A table by name, so that each architecture finds its own
//! numbers.

pub mod deciding;
pub mod filters;
mod ids;
mod memory;
pub mod named;
mod paths;
mod plain;
mod reach;
mod resources;
mod sockets;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::LazyLock;

use deciding::Deciding;
use named::Named;
use syscalls::Sysno;

use super::capabilities::Credentials;
use super::paths::{Resolved, View};
use super::process;
use super::record::Event;
use super::trace::{Known, Use};
use crate::sys::process_memory;
use crate::sys::ptrace::Call;

/// The path of a call, or the file behind a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct PathArgument {
    /// Which argument is the path; `None` for a call on a descriptor alone.
    pub path: Option<usize>,
    /// Where a relative one starts.
    pub base: Base,
    /// What becomes of a symlink at its end.
    pub last: LastBy,
    /// What it is used for.
    pub act: Act,
}

/// Where a relative path starts.
#[derive(Clone, Copy, Debug)]
pub enum Base {
    /// At the working directory.
    Cwd,
    /// At the directory of this descriptor argument, which may be `AT_FDCWD`.
    At(usize),
}

/// What decides whether a symlink at the end is followed.
#[derive(Clone, Copy, Debug)]
pub enum LastBy {
    /// It is.
    Follow,
    /// It is if the flags in this argument hold `AT_SYMLINK_FOLLOW`.
    FollowFlag(usize),
    /// It is not.
    Keep,
    /// It is unless the flags in this argument hold `AT_SYMLINK_NOFOLLOW`.
    KeepFlag(usize),
}

/// What a path is used for.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// `creat(2)`.
    Creat,
    /// Its lock is taken, by the operation in this argument (`flock(2)`).
    Lock(usize),
    /// It is mapped, with the protection and the flags in these arguments.
    Map(usize, usize),
    /// It is opened with the flags in this argument.
    Open(usize),
    /// It is opened with the `struct open_how` in this argument.
    OpenHow(usize),
    /// Always for this.
    Uses(&'static [Use]),
}

/// A path of one call, resolved when the call was entered.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Where it leads.
    pub found: Resolved,
    /// What for.
    pub uses: Vec<Use>,
}

/// A thread that is making a call.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its thread id.
    pub tid: i32,
    /// Its process.
    pub process: i32,
    /// Its ids before the call, if they were needed.
    pub credentials: Option<Credentials>,
    /// It is in a jail, with a mount namespace of its own.
    pub jailed: bool,
}

impl Caller {
    /// How it sees the file system now.
    pub fn view(&self) -> View {
        View {
            process: self.process,
            thread: self.tid,
            root: process::root(self.tid),
            jailed: self.jailed,
        }
    }

    /// Its ids.
    pub fn credentials(&mut self) -> Credentials {
        let tid = self.tid;
        self.credentials
            .get_or_insert_with(|| process::credentials(tid).unwrap_or_default())
            .clone()
    }

    /// A word of its memory.
    pub fn word(&self, address: u64) -> Option<u64> {
        process_memory::read_array(self.tid, address)
            .ok()
            .map(u64::from_ne_bytes)
    }

    /// A half word of its memory.
    pub fn half(&self, address: u64) -> Option<u32> {
        process_memory::read_array(self.tid, address)
            .ok()
            .map(u32::from_ne_bytes)
    }
}

/// What is remembered over the whole run, for the calls that need it.
#[derive(Debug, Default)]
pub struct Memory {
    /// Internet addresses that something came from: sending there is an answer.
    pub peers: BTreeSet<(String, u16)>,
    /// TCP ports that are listened on.
    pub listening: BTreeSet<u16>,
    /// UDP ports that are bound.
    pub bound: BTreeSet<u16>,
    /// One of these two has grown since it was last looked at.
    pub has_new_port: bool,
    /// The first port that everybody may bind.
    pub first_free_port: u16,
}

/// A call that has returned.
#[derive(Debug)]
pub struct Done<'a> {
    /// Who made it.
    pub caller: &'a mut Caller,
    /// The call.
    pub call: &'a Call,
    /// Its paths.
    pub paths: &'a [Prepared],
    /// What [`Shape::before`] noted.
    pub note: Option<u64>,
    /// Its value or errno.
    pub result: Result<i64, i32>,
    /// What is remembered over the run.
    pub memory: &'a mut Memory,
    /// What it shows.
    pub events: Vec<Event>,
}

impl Done<'_> {
    /// An argument as the C `int` that it is.
    #[allow(clippy::cast_possible_truncation)]
    pub fn int(&self, index: usize) -> i32 {
        self.long(index) as i32
    }

    /// An argument as the C `unsigned int` that it is.
    #[allow(clippy::cast_possible_truncation)]
    pub fn uint(&self, index: usize) -> u32 {
        self.long(index) as u32
    }

    /// An argument as it is.
    pub fn long(&self, index: usize) -> u64 {
        self.call.arguments.get(index).copied().unwrap_or_default()
    }

    /// Notes a capability, if one was needed. `about` tells what decided.
    pub fn capability(&mut self, capability: Option<u8>, about: &str) {
        if let (Some(capability), Ok(_)) = (capability, self.result) {
            let call = format!("{}({about})", name(self.call.number));
            self.events.push(Event::Capability {
                capability,
                call,
                known: Known::Rule,
                refused: false,
                user: self.caller.credentials().acts_as(),
            });
        }
    }
}

/// Notes something about a call that is being entered.
pub type Before = fn(&Caller, &Call) -> Option<u64>;

/// What is known about one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Its paths.
    pub paths: &'static [PathArgument],
    /// The capability that it always needs to succeed.
    pub always: Option<u8>,
    /// It changes the ids of the caller.
    pub changes_ids: bool,
    /// Something that only shows before the call.
    pub before: Option<Before>,
    /// What else it shows when it has returned, successful or not.
    pub after: Option<fn(&mut Done<'_>)>,
}

impl Shape {
    /// Whether the end of a call shows anything, when it is about these paths.
    pub fn shows_at_end(&self, paths: &[Prepared]) -> bool {
        !paths.is_empty() || self.after.is_some() || self.always.is_some() || self.changes_ids
    }
}

/// What is known about the native call of this number, if anything is.
pub fn shape(number: u64) -> Option<&'static Shape> {
    static TABLE: LazyLock<HashMap<u64, Shape>> = LazyLock::new(table);
    TABLE.get(&number)
}

/// The arguments that decide what the native call of this number does, if some do.
pub fn deciding(number: u64) -> Option<&'static [Deciding]> {
    static TABLE: LazyLock<HashMap<u64, &[Deciding]>> = LazyLock::new(|| {
        let numbers = numbers();
        let entries = deciding::DECIDING.iter();
        entries
            .filter_map(|(name, deciding)| Some((*numbers.get(name)?, *deciding)))
            .collect()
    });
    TABLE.get(&number).copied()
}

/// What a tracepoint can tell of the path of the native call of this number, if it can.
pub fn named(number: u64) -> Option<&'static Named> {
    static TABLE: LazyLock<HashMap<u64, &Named>> = LazyLock::new(|| {
        let numbers = numbers();
        let entries = named::NAMED.iter();
        entries
            .filter_map(|named| Some((*numbers.get(named.call)?, named)))
            .collect()
    });
    TABLE.get(&number).copied()
}

/// Whether the native call of this number shows nothing but that it was made.
pub fn is_plain(number: u64) -> bool {
    static TABLE: LazyLock<HashSet<u64>> = LazyLock::new(|| {
        let numbers = numbers();
        let plain = plain::PLAIN.iter();
        plain
            .filter_map(|name| numbers.get(name).copied())
            .collect()
    });
    TABLE.contains(&number)
}

/// The name of a native call; `syscall_N` of one that this program does not know.
pub fn name(number: u64) -> String {
    usize::try_from(number)
        .ok()
        .and_then(Sysno::new)
        .map_or_else(
            || format!("syscall_{number}"),
            |known| known.name().to_owned(),
        )
}

/// Every call that this program knows. The iterator alone leaves out the last one.
fn known() -> impl Iterator<Item = Sysno> {
    Sysno::iter()
        .filter(|call| *call != Sysno::last())
        .chain([Sysno::last()])
}

/// Every call's number by its name.
fn numbers() -> HashMap<&'static str, u64> {
    known()
        .filter_map(|call| Some((call.name(), u64::try_from(call.id()).ok()?)))
        .collect()
}

/// All parts of the table put together; a call may be in several, each with its own fields.
fn table() -> HashMap<u64, Shape> {
    let numbers = numbers();
    let mut table: HashMap<u64, Shape> = HashMap::new();
    let mut entry = |name: &str, fill: &dyn Fn(&mut Shape)| {
        if let Some(number) = numbers.get(name) {
            fill(table.entry(*number).or_default());
        }
    };
    for (name, paths) in paths::PATHS {
        entry(name, &|shape| shape.paths = paths);
    }
    for (name, capability) in resources::ALWAYS {
        entry(name, &|shape| shape.always = Some(*capability));
    }
    for (name, before) in resources::BEFORE {
        entry(name, &|shape| shape.before = Some(*before));
    }
    for name in ids::change_ids() {
        entry(name, &|shape| shape.changes_ids = true);
    }
    for part in AFTER {
        for (name, after) in part {
            entry(name, &|shape| shape.after = Some(*after));
        }
    }
    table
}

/// Part of the table: what a call shows when it has returned.
type After = &'static [(&'static str, fn(&mut Done<'_>))];

/// All its parts.
const AFTER: [After; 5] = [
    ids::AFTER,
    memory::AFTER,
    reach::AFTER,
    resources::AFTER,
    sockets::AFTER,
];

/// Resolves the paths of a call that is being entered.
pub fn prepare(shape: &Shape, caller: &Caller, call: &Call) -> Vec<Prepared> {
    shape
        .paths
        .iter()
        .filter_map(|argument| paths::prepare(argument, caller, call))
        .collect()
}

/// Looks at a call that has returned.
pub fn conclude(shape: &Shape, done: &mut Done<'_>) {
    reach::conclude(done);
    done.capability(shape.always, "");
    if let Some(after) = shape.after {
        after(done);
    }
}

/// The file behind a descriptor of the caller.
pub fn open_file(caller: &Caller, descriptor: i32) -> Option<PathBuf> {
    process::open_file(caller.tid, descriptor)
}

#[cfg(test)]
mod tests;
