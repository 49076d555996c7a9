//! The permission plan: owner and mode of everything in a tree and in the places that its service
//! writes to, why each thing is there, and why any of it is looser than the tightest.
//!
//! The tightest, after "Best practices for UNIX chroot() operations": all is root's, files can be
//! read and programs executed, directories can be listed and passed through, those of `/dev` only
//! passed through, and nobody writes.

mod places;
mod quote;
mod repair;
mod script;

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

pub use places::{Places, places};
pub use repair::{Change, repair};
pub use script::script;

use super::manifest::{Entry, EntryKind, Manifest};

/// The bits with which somebody may write.
const WRITE: u32 = 0o222;
/// The bits with which somebody may execute a file.
const EXECUTE: u32 = 0o111;
/// The bits beyond those for owner, group and others.
const SPECIAL: u32 = 0o7000;

/// Owner and mode of one thing, with their reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// Absolute path in the jail.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// What it is: `device`, `directory`, `file`, `mountpoint` or `symlink`; in places also
    /// `scratch`, `socket`, `pipe`.
    pub kind: &'static str,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    #[serde(serialize_with = "as_octal")]
    pub mode: u32,
    /// Why it is there.
    pub because: String,
    /// Why it is looser than the tightest, if it is.
    pub looser: Option<String>,
}

/// The plan of a tree, in the order of its manifest.
pub fn tree(manifest: &Manifest) -> Vec<Permission> {
    manifest.entries.iter().map(of).collect()
}

/// The plan of one entry.
fn of(entry: &Entry) -> Permission {
    // A manifest is only read with modes that are octal.
    let mode = entry.mode_bits().unwrap_or(0);
    Permission {
        path: entry.path.clone(),
        kind: match entry.kind {
            EntryKind::Device => "device",
            EntryKind::Directory => "directory",
            EntryKind::File => "file",
            EntryKind::Mountpoint => "mountpoint",
            EntryKind::Symlink => "symlink",
        },
        uid: entry.uid,
        gid: entry.gid,
        mode,
        because: entry.reason.clone(),
        looser: looser(entry, mode),
    }
}

/// The most that is needed of something like `entry`; of a link, whatever there is: the kernel does
/// not look at its mode (`symlink(7)`).
fn tightest(entry: &Entry, mode: u32) -> u32 {
    match entry.kind {
        EntryKind::Symlink => mode,
        EntryKind::Device => 0o444,
        _ if is_directory(entry) && entry.path.starts_with("/dev") => 0o111,
        _ if is_directory(entry) => 0o555,
        _ if mode & EXECUTE != 0 => 0o555,
        _ => 0o444,
    }
}

fn is_directory(entry: &Entry) -> bool {
    match entry.kind {
        EntryKind::Directory => true,
        EntryKind::Mountpoint => entry.size.is_none(),
        EntryKind::Device | EntryKind::File | EntryKind::Symlink => false,
    }
}

fn looser(entry: &Entry, mode: u32) -> Option<String> {
    let more = mode & !tightest(entry, mode);
    let mut reasons: Vec<String> = Vec::new();
    let mut say = |true_of_it: bool, reason: &str| {
        if true_of_it {
            reasons.push(reason.to_owned());
        }
    };
    let needless = "nothing needs that, and gaoler does not build it";
    if is_directory(entry) {
        say(
            more & 0o200 != 0,
            "its owner may write, who builds the tree and removes it again; in the jail it is \
             mounted read-only",
        );
        let hidden = entry.kind == EntryKind::Mountpoint;
        say(
            more & 0o444 != 0 && hidden,
            "in the jail it is hidden by what is mounted on it, which has its own permissions",
        );
        say(
            more & 0o444 != 0 && !hidden,
            &format!("it can be listed: {needless}"),
        );
    }
    let written = match entry.kind {
        EntryKind::Device => {
            say(
                more & WRITE != 0,
                "the service, which is not its owner, writes to it too; such a device keeps nothing",
            );
            0
        }
        _ if is_directory(entry) => more & 0o022,
        _ => more & WRITE,
    };
    say(written != 0, &format!("it can be written to: {needless}"));
    say(
        entry.kind == EntryKind::Device && more & EXECUTE != 0,
        &format!("it may be executed: {needless}"),
    );
    say(
        more & SPECIAL != 0,
        &format!("it has set-user-id, set-group-id or the sticky bit: {needless}"),
    );
    // In an ordinary user's tree everything does, which is theirs to give to nobody else.
    let own = entry.uid != 0 && entry.uid == rustix::process::geteuid().as_raw();
    say(
        entry.uid != 0 && !own,
        &format!("it belongs to uid {}: {needless}", entry.uid),
    );
    say(
        own,
        "it belongs to the user whose jail it is, who can give it to nobody else; in the jail it is \
         mounted read-only",
    );
    say(
        entry.gid != 0 && !own,
        &format!(
            "group {} reads it, which is the service's: on the host it is not for everybody either",
            entry.gid
        ),
    );
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// JSON holds no other text than Unicode.
fn as_text<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

fn as_octal<S: Serializer>(mode: &u32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format!("{mode:04o}"))
}

#[cfg(test)]
mod tests;
