//! What refused a path that is there: mode bits, a mount's flags, a Landlock rule.
//!
//! The kernel asks in this order (`path_openat` and `inode_permission` in `fs/namei.c`): the mode of
//! each directory on the way, whether the mount is read-only (EROFS), the mode of the file, and last
//! Landlock. So what mode bits explain was not decided by the jail.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::quote::quoted;
use crate::build::{EntryKind, Manifest};
use crate::learn::Refused;
use crate::learn::trace::{PathKind, Phase, Use};
use crate::spec::Spec;
use crate::sys::{abi, caps};

/// Whether a directory may be searched (`S_IXOTH`).
const SEARCH: u32 = 1;
const WRITE: u32 = 2;
const READ: u32 = 4;
/// Only the owner removes what is in a directory (`S_ISVTX`).
const STICKY: u32 = 0o1000;

/// How the jail was made, as far as it decides about paths.
#[derive(Clone, Copy, Debug)]
pub struct Inside<'a> {
    /// What is in its tree.
    pub manifest: &'a Manifest,
    /// The service's user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its supplementary groups.
    pub groups: &'a [u32],
    /// It has mounts of its own, so its root is read-only and its binds are nodev and noexec.
    pub has_mounts: bool,
    /// It has Landlock rules.
    pub has_landlock: bool,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decider {
    /// Mode bits of something that the service may not use so.
    Mode {
        /// What.
        path: PathBuf,
        /// Owner and group.
        owner: (u32, u32),
        /// Permission bits.
        mode: u32,
        /// The missing bits, as of `S_IROTH` and its like.
        needs: u32,
        /// Whom the service acted as.
        acts_as: (u32, u32),
    },
    /// Only its owner may change its mode, owner or times, or remove it from a sticky directory.
    Owner {
        /// What.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Whom the service acted as.
        acts_as: u32,
    },
    /// A bind of the spec is read-only.
    ReadOnlyBind(PathBuf),
    /// The jail's root is read-only.
    ReadOnlyRoot,
    /// A bind or scratch place is noexec.
    NoExecution(PathBuf),
    /// A bind or scratch place is nodev.
    NoDevices(PathBuf),
    /// No Landlock rule grants it.
    Landlock(&'static str),
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mode {
                path,
                owner: (user, group),
                mode,
                needs,
                acts_as: (uid, gid),
            } => write!(
                f,
                "not the jail but the mode bits decided: {} has mode {mode:04o}, owner {user} and \
                 group {group}, and lacks {} for uid {uid}, gid {gid}",
                path.display(),
                letters(*needs)
            ),
            Self::Owner {
                path,
                owner,
                acts_as,
            } => write!(
                f,
                "not the jail but the owner decided: {} belongs to uid {owner}, and the service \
                 is uid {acts_as}",
                path.display()
            ),
            Self::ReadOnlyBind(path) => {
                write!(f, "the bind of {} is mounted read-only", path.display())
            }
            Self::ReadOnlyRoot => f.write_str("the jail's root is mounted read-only"),
            Self::NoExecution(path) => write!(f, "{} is mounted noexec", path.display()),
            Self::NoDevices(path) => write!(f, "{} is mounted nodev", path.display()),
            Self::Landlock(right) => write!(f, "no Landlock rule of the jail grants {right} there"),
        }
    }
}

impl Decider {
    /// What a person can do on the host, where the spec does not decide. Names of files are the
    /// service's choice: one that a shell could not be given is left out.
    pub fn advice(&self, spec: &Spec) -> String {
        let (user, group) = (&spec.service.user, &spec.service.group);
        match self {
            Self::Mode { path, needs, .. } => on_host(path, |path| {
                format!("chgrp {group} {path} && chmod g+{} {path}", letters(*needs))
            }),
            Self::Owner { path, .. } => on_host(path, |path| format!("chown {user} {path}")),
            Self::NoExecution(path) => format!(
                "what the service executes belongs into the tree: a file of kind program or \
                 library, outside of {}",
                path.display()
            ),
            Self::NoDevices(_) => {
                "a device has to be one of [[tree.devices]], outside of that place".to_owned()
            }
            Self::ReadOnlyBind(_) | Self::ReadOnlyRoot | Self::Landlock(_) => String::new(),
        }
    }
}

fn on_host(path: &Path, command: impl FnOnce(&str) -> String) -> String {
    let what = "on the host, if the service shall have that";
    match quoted(path) {
        Some(path) => format!("{what}: {}", command(&path)),
        None => format!("{what}: change its owner or mode"),
    }
}

fn letters(bits: u32) -> String {
    let all = [(READ, 'r'), (WRITE, 'w'), (SEARCH, 'x')];
    let set = all.iter().filter(|(bit, _)| bits & bit != 0);
    set.map(|(_, letter)| letter).collect()
}

/// What decided that a use of a path failed so; `None` if nothing that is known here did.
pub fn decider(
    spec: &Spec,
    inside: &Inside<'_>,
    refused: &Refused,
    failure: (Use, i32),
) -> Option<Decider> {
    let (used, errno) = failure;
    if ![abi::EACCES, abi::EPERM, abi::EROFS].contains(&errno) {
        return None;
    }
    let asked = Asked::of(spec, inside, refused, used);
    let place = asked.mounted();
    match errno {
        abi::EROFS => Some(match asked.bind {
            Some(bind) => Decider::ReadOnlyBind(bind.to_owned()),
            None => Decider::ReadOnlyRoot,
        }),
        _ => asked
            .by_mode()
            .or_else(|| asked.by_owner())
            .or_else(|| {
                let runs = matches!(used, Use::Execute | Use::Map);
                let place = place.clone().filter(|_| inside.has_mounts && runs)?;
                Some(Decider::NoExecution(place))
            })
            .or_else(|| {
                let is_device = matches!(refused.kind, PathKind::Block | PathKind::Character);
                let place = place.filter(|_| inside.has_mounts && is_device)?;
                Some(Decider::NoDevices(place))
            })
            .or_else(|| {
                let right = right(used).filter(|_| inside.has_landlock)?;
                Some(Decider::Landlock(right))
            }),
    }
}

/// The access right of Landlock (`landlock(7)`), as its audit records name it; `None` for what it
/// does not look at.
fn right(used: Use) -> Option<&'static str> {
    Some(match used {
        Use::Execute => "fs.execute",
        Use::Write => "fs.write_file",
        Use::Create => "fs.make_*",
        Use::Delete => "fs.remove_*",
        Use::List => "fs.read_dir",
        Use::Read => "fs.read_file",
        Use::Connect => "scope.abstract_unix_socket",
        Use::Map | Use::Change | Use::Look | Use::Enter | Use::Root => return None,
    })
}

/// Something on the way to a path.
struct Node {
    path: PathBuf,
    uid: u32,
    gid: u32,
    mode: u32,
}

/// A use of a path that was refused.
struct Asked<'a> {
    spec: &'a Spec,
    inside: &'a Inside<'a>,
    path: &'a Path,
    used: Use,
    /// The bind that it lies in.
    bind: Option<&'a Path>,
    /// Whom the service acted as: its user and group.
    ids: (u32, u32),
}

impl<'a> Asked<'a> {
    fn of(spec: &'a Spec, inside: &'a Inside<'a>, refused: &'a Refused, used: Use) -> Self {
        let binds = spec.binds.iter().map(|bind| bind.path.as_path());
        let bind = binds
            .filter(|bind| refused.host.starts_with(bind))
            .max_by_key(|bind| bind.as_os_str().len());
        let is_root = spec.service.start_as_root && refused.phase == Phase::Start;
        Self {
            spec,
            inside,
            path: &refused.host,
            used,
            bind,
            ids: if is_root {
                (0, 0)
            } else {
                (inside.uid, inside.gid)
            },
        }
    }

    /// The bind or scratch place that it lies in: something that is mounted nodev and noexec.
    fn mounted(&self) -> Option<PathBuf> {
        let scratch = self.spec.scratch.iter().map(|rule| rule.path.as_path());
        let scratch = scratch.filter(|place| self.path.starts_with(place));
        let place = self.bind.or_else(|| scratch.max());
        place.map(Path::to_owned)
    }

    /// What the service meets on its way: in a bind the host's files, else those of the tree.
    fn way(&self) -> Vec<Node> {
        let mut ancestors: Vec<&Path> = self.path.ancestors().collect();
        ancestors.reverse();
        let nodes = ancestors.into_iter().map_while(|path| match self.bind {
            Some(bind) if path.starts_with(bind) => of_host(path),
            _ => in_tree(self.inside.manifest, path),
        });
        nodes.collect()
    }

    fn by_mode(&self) -> Option<Decider> {
        let way = self.way();
        let names = matches!(self.used, Use::Create | Use::Delete);
        let is_whole = way.last().is_some_and(|node| node.path == self.path);
        // A name comes into, or goes from, the directory above it.
        let last = match (names, is_whole) {
            (true, true) => way.len().checked_sub(2)?,
            _ => way.len().checked_sub(1)?,
        };
        let lacking = way.iter().enumerate().find_map(|(index, node)| {
            let needs = match index.cmp(&last) {
                std::cmp::Ordering::Less => SEARCH,
                std::cmp::Ordering::Equal if names => SEARCH | WRITE,
                std::cmp::Ordering::Equal if !is_whole => SEARCH,
                std::cmp::Ordering::Equal => self.needs(),
                std::cmp::Ordering::Greater => 0,
            };
            let lacks = self.lacks(node, needs);
            (lacks != 0).then_some((node, lacks))
        });
        let (node, needs) = lacking?;
        Some(Decider::Mode {
            path: node.path.clone(),
            owner: (node.uid, node.gid),
            mode: node.mode & 0o7777,
            needs,
            acts_as: self.ids,
        })
    }

    fn needs(&self) -> u32 {
        match self.used {
            Use::Read | Use::Map | Use::List => READ,
            Use::Write | Use::Connect => WRITE,
            Use::Execute | Use::Enter | Use::Root => SEARCH,
            Use::Create | Use::Delete | Use::Change | Use::Look => 0,
        }
    }

    /// The bits of `needs` that the service does not have (`inode(7)`, `capabilities(7)`).
    fn lacks(&self, node: &Node, needs: u32) -> u32 {
        let (uid, gid) = self.ids;
        let is_directory = node.mode & abi::S_IFMT == S_IFDIR;
        let overrides = if self.has("DAC_OVERRIDE") {
            let runs = is_directory || node.mode & 0o111 != 0;
            READ | WRITE | if runs { SEARCH } else { 0 }
        } else if self.has("DAC_READ_SEARCH") {
            READ | if is_directory { SEARCH } else { 0 }
        } else {
            0
        };
        let in_group = gid == node.gid || self.inside.groups.contains(&node.gid);
        let bits = if uid == node.uid {
            node.mode >> 6
        } else if in_group {
            node.mode >> 3
        } else {
            node.mode
        };
        needs & !(bits & 7) & !overrides
    }

    fn by_owner(&self) -> Option<Decider> {
        let way = self.way();
        let (last, before) = way.split_last()?;
        if last.path != self.path || last.uid == self.ids.0 || self.has("FOWNER") {
            return None;
        }
        let sticky = before
            .last()
            .is_some_and(|above| above.mode & STICKY != 0 && above.uid != self.ids.0);
        let decides = match self.used {
            Use::Change => true,
            Use::Delete => sticky,
            _ => false,
        };
        decides.then(|| Decider::Owner {
            path: last.path.clone(),
            owner: last.uid,
            acts_as: self.ids.0,
        })
    }

    fn has(&self, capability: &str) -> bool {
        let number = caps::number(capability);
        let mut kept = self.spec.capabilities.iter();
        kept.any(|rule| Some(rule.capability) == number)
    }
}

/// The type of a directory in a mode (`inode(7)`).
const S_IFDIR: u32 = 0o040_000;

fn of_host(path: &Path) -> Option<Node> {
    let data = path.symlink_metadata().ok()?;
    Some(Node {
        path: path.to_owned(),
        uid: data.uid(),
        gid: data.gid(),
        mode: data.mode(),
    })
}

fn in_tree(manifest: &Manifest, path: &Path) -> Option<Node> {
    let entry = manifest.entry(path)?;
    let kind = match (entry.kind, entry.size) {
        (EntryKind::Directory, _) | (EntryKind::Mountpoint, None) => S_IFDIR,
        _ => 0,
    };
    Some(Node {
        path: path.to_owned(),
        uid: entry.uid,
        gid: entry.gid,
        mode: kind | entry.mode_bits()?,
    })
}
