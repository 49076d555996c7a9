//! Calls that name files.

use std::path::{Path, PathBuf};

use super::super::paths::{Last, resolve};
use super::super::process;
use super::super::trace::Use;
use super::{Act, Base, Caller, LastBy, PathArgument, Prepared, open_file};
use crate::sys::abi;
use crate::sys::process_memory;
use crate::sys::ptrace::Call;

/// Longer paths are refused by the kernel: `PATH_MAX`.
const LONGEST: usize = 4096;

const fn at(base: usize, path: usize, last: LastBy, act: Act) -> PathArgument {
    PathArgument {
        path: Some(path),
        base: Base::At(base),
        last,
        act,
    }
}

const fn cwd(path: usize, last: LastBy, uses: &'static [Use]) -> PathArgument {
    PathArgument {
        path: Some(path),
        base: Base::Cwd,
        last,
        act: Act::Uses(uses),
    }
}

const fn file(descriptor: usize, act: Act) -> PathArgument {
    PathArgument {
        path: None,
        base: Base::At(descriptor),
        last: LastBy::Follow,
        act,
    }
}

const fn uses(uses: &'static [Use]) -> Act {
    Act::Uses(uses)
}

const CHANGE: &[Use] = &[Use::Change];
const CREATE: &[Use] = &[Use::Create];
const DELETE: &[Use] = &[Use::Delete];
const ENTER: &[Use] = &[Use::Enter];
const EXECUTE: &[Use] = &[Use::Execute];
const LOOK: &[Use] = &[Use::Look];
const WRITE: &[Use] = &[Use::Write];

use LastBy::{Follow, FollowFlag, Keep, KeepFlag};

/// Which arguments are paths, and what for (section 2 of the manual).
pub const PATHS: &[(&str, &[PathArgument])] = &[
    ("access", &[cwd(0, Follow, LOOK)]),
    ("acct", &[cwd(0, Follow, WRITE)]),
    ("chdir", &[cwd(0, Follow, ENTER)]),
    ("chmod", &[cwd(0, Follow, CHANGE)]),
    ("chown", &[cwd(0, Follow, CHANGE)]),
    ("chroot", &[cwd(0, Follow, &[Use::Root])]),
    (
        "creat",
        &[PathArgument {
            path: Some(0),
            base: Base::Cwd,
            last: Follow,
            act: Act::Creat,
        }],
    ),
    ("execve", &[cwd(0, Follow, EXECUTE)]),
    ("execveat", &[at(0, 1, KeepFlag(4), uses(EXECUTE))]),
    ("faccessat", &[at(0, 1, Follow, uses(LOOK))]),
    ("faccessat2", &[at(0, 1, KeepFlag(3), uses(LOOK))]),
    ("fanotify_mark", &[at(3, 4, Follow, uses(LOOK))]),
    ("fchdir", &[file(0, uses(ENTER))]),
    ("fchmod", &[file(0, uses(CHANGE))]),
    ("fchmodat", &[at(0, 1, Follow, uses(CHANGE))]),
    ("fchmodat2", &[at(0, 1, KeepFlag(3), uses(CHANGE))]),
    ("fchown", &[file(0, uses(CHANGE))]),
    ("fchownat", &[at(0, 1, KeepFlag(4), uses(CHANGE))]),
    ("file_getattr", &[at(0, 1, KeepFlag(4), uses(LOOK))]),
    ("file_setattr", &[at(0, 1, KeepFlag(4), uses(CHANGE))]),
    ("flock", &[file(0, Act::Lock(1))]),
    ("fremovexattr", &[file(0, uses(CHANGE))]),
    ("fsetxattr", &[file(0, uses(CHANGE))]),
    ("ftruncate", &[file(0, uses(WRITE))]),
    ("futimesat", &[at(0, 1, Follow, uses(CHANGE))]),
    ("getxattr", &[cwd(0, Follow, LOOK)]),
    ("getxattrat", &[at(0, 1, KeepFlag(2), uses(LOOK))]),
    ("inotify_add_watch", &[cwd(1, Follow, LOOK)]),
    ("lchown", &[cwd(0, Keep, CHANGE)]),
    ("lgetxattr", &[cwd(0, Keep, LOOK)]),
    ("link", &[cwd(0, Keep, LOOK), cwd(1, Keep, CREATE)]),
    (
        "linkat",
        &[
            at(0, 1, FollowFlag(4), uses(LOOK)),
            at(2, 3, Keep, uses(CREATE)),
        ],
    ),
    ("listxattr", &[cwd(0, Follow, LOOK)]),
    ("listxattrat", &[at(0, 1, KeepFlag(2), uses(LOOK))]),
    ("llistxattr", &[cwd(0, Keep, LOOK)]),
    ("lremovexattr", &[cwd(0, Keep, CHANGE)]),
    ("lsetxattr", &[cwd(0, Keep, CHANGE)]),
    ("lstat", &[cwd(0, Keep, LOOK)]),
    ("mkdir", &[cwd(0, Keep, CREATE)]),
    ("mkdirat", &[at(0, 1, Keep, uses(CREATE))]),
    ("mknod", &[cwd(0, Keep, CREATE)]),
    ("mknodat", &[at(0, 1, Keep, uses(CREATE))]),
    ("mmap", &[file(4, Act::Map(2, 3))]),
    ("mount", &[cwd(0, Follow, LOOK), cwd(1, Follow, CHANGE)]),
    ("mount_setattr", &[at(0, 1, KeepFlag(2), uses(CHANGE))]),
    (
        "move_mount",
        &[at(0, 1, Follow, uses(LOOK)), at(2, 3, Follow, uses(CHANGE))],
    ),
    ("name_to_handle_at", &[at(0, 1, FollowFlag(4), uses(LOOK))]),
    ("newfstatat", &[at(0, 1, KeepFlag(3), uses(LOOK))]),
    (
        "open",
        &[PathArgument {
            path: Some(0),
            base: Base::Cwd,
            last: Follow,
            act: Act::Open(1),
        }],
    ),
    ("open_tree", &[at(0, 1, KeepFlag(2), uses(LOOK))]),
    ("openat", &[at(0, 1, Follow, Act::Open(2))]),
    ("openat2", &[at(0, 1, Follow, Act::OpenHow(2))]),
    (
        "pivot_root",
        &[cwd(0, Follow, &[Use::Root]), cwd(1, Follow, CHANGE)],
    ),
    ("quotactl", &[cwd(1, Follow, LOOK)]),
    ("readlink", &[cwd(0, Keep, LOOK)]),
    ("readlinkat", &[at(0, 1, Keep, uses(LOOK))]),
    ("removexattr", &[cwd(0, Follow, CHANGE)]),
    ("removexattrat", &[at(0, 1, KeepFlag(2), uses(CHANGE))]),
    ("rename", &[cwd(0, Keep, DELETE), cwd(1, Keep, CREATE)]),
    (
        "renameat",
        &[at(0, 1, Keep, uses(DELETE)), at(2, 3, Keep, uses(CREATE))],
    ),
    (
        "renameat2",
        &[at(0, 1, Keep, uses(DELETE)), at(2, 3, Keep, uses(CREATE))],
    ),
    ("rmdir", &[cwd(0, Keep, DELETE)]),
    ("setxattr", &[cwd(0, Follow, CHANGE)]),
    ("setxattrat", &[at(0, 1, KeepFlag(2), uses(CHANGE))]),
    ("stat", &[cwd(0, Follow, LOOK)]),
    ("statfs", &[cwd(0, Follow, LOOK)]),
    ("statx", &[at(0, 1, KeepFlag(2), uses(LOOK))]),
    ("swapoff", &[cwd(0, Follow, WRITE)]),
    ("swapon", &[cwd(0, Follow, WRITE)]),
    ("symlink", &[cwd(1, Keep, CREATE)]),
    ("symlinkat", &[at(1, 2, Keep, uses(CREATE))]),
    ("truncate", &[cwd(0, Follow, WRITE)]),
    ("umount2", &[cwd(0, Follow, CHANGE)]),
    ("unlink", &[cwd(0, Keep, DELETE)]),
    ("unlinkat", &[at(0, 1, Keep, uses(DELETE))]),
    ("uselib", &[cwd(0, Follow, &[Use::Map])]),
    ("utime", &[cwd(0, Follow, CHANGE)]),
    ("utimensat", &[at(0, 1, KeepFlag(3), uses(CHANGE))]),
    ("utimes", &[cwd(0, Follow, CHANGE)]),
];

/// How a file is opened.
struct Opening {
    uses: Vec<Use>,
    last: Last,
    in_root: bool,
}

/// Resolves one path of a call that is being entered. `None` if this call does not use it.
pub fn prepare(argument: &PathArgument, caller: &Caller, call: &Call) -> Option<Prepared> {
    let value = |index: usize| call.arguments.get(index).copied().unwrap_or_default();
    let opening = opening(argument, caller, &value)?;
    let text = match argument.path.map(value) {
        // utimensat(2) without a path is about the descriptor.
        None | Some(0) => Vec::new(),
        Some(address) => process_memory::read_string(caller.tid, address, LONGEST).ok()?,
    };
    let descriptor = match argument.base {
        Base::Cwd => abi::AT_FDCWD,
        #[allow(clippy::cast_possible_truncation)]
        Base::At(index) => value(index) as i32,
    };
    if text.is_empty() {
        return behind(caller, descriptor, opening.uses);
    }
    let base = if text.starts_with(b"/") && !opening.in_root {
        PathBuf::new()
    } else if descriptor == abi::AT_FDCWD {
        process::working_directory(caller.tid)
    } else {
        open_file(caller, descriptor)?
    };
    let mut view = caller.view();
    if opening.in_root {
        view.root.clone_from(&base);
    }
    let mut found = resolve(&view, &base, &text, opening.last);
    let mut uses = opening.uses;
    if uses == LOOK && opening.last == Last::Keep {
        // A link that is looked at matters for where it leads: it is kept as a link on the way.
        found = resolve(&view, &base, &text, Last::Follow);
    }
    if uses.contains(&Use::Create) && found.target.is_some() && is_open(argument.act) {
        uses.retain(|used| *used != Use::Create);
    }
    if uses == [Use::Read] && found.target.is_some_and(|target| target.directory) {
        uses = vec![Use::List];
    }
    Some(Prepared { found, uses })
}

fn is_open(act: Act) -> bool {
    matches!(act, Act::Open(_) | Act::OpenHow(_) | Act::Creat)
}

/// What the call does with the path; `None` if nothing that matters.
#[allow(clippy::cast_possible_truncation)]
fn opening(
    argument: &PathArgument,
    caller: &Caller,
    value: &dyn Fn(usize) -> u64,
) -> Option<Opening> {
    let flags = |index: usize| value(index) as i32;
    let last = match argument.last {
        LastBy::Follow => true,
        LastBy::Keep => false,
        LastBy::FollowFlag(index) => flags(index) & abi::AT_SYMLINK_FOLLOW != 0,
        LastBy::KeepFlag(index) => flags(index) & abi::AT_SYMLINK_NOFOLLOW == 0,
    };
    let last = if last { Last::Follow } else { Last::Keep };
    let opening = |uses: &[Use]| Opening {
        uses: uses.to_vec(),
        last,
        in_root: false,
    };
    match argument.act {
        Act::Uses(uses) => Some(opening(uses)),
        Act::Creat => Some(opening(&[Use::Write, Use::Create])),
        Act::Lock(index) => (flags(index) & abi::LOCK_EX != 0).then(|| opening(WRITE)),
        Act::Map(protection, mapping) => (flags(protection) & abi::PROT_EXEC != 0
            && flags(mapping) & abi::MAP_ANONYMOUS == 0)
            .then(|| opening(&[Use::Map])),
        Act::Open(index) => Some(opened(flags(index), 0)),
        Act::OpenHow(index) => {
            let how = value(index);
            let resolve = caller.word(how.checked_add(16)?)?;
            Some(opened(caller.word(how)? as i32, resolve))
        }
    }
}

/// `open(2)` flags as uses.
fn opened(flags: i32, resolve: u64) -> Opening {
    let mut uses = Vec::new();
    if flags & abi::O_PATH != 0 {
        uses.push(Use::Look);
    } else if flags & abi::O_TMPFILE == abi::O_TMPFILE {
        uses.extend([Use::Write, Use::Create]);
    } else {
        match flags & abi::O_ACCMODE {
            abi::O_RDONLY if flags & abi::O_DIRECTORY != 0 => uses.push(Use::List),
            abi::O_RDONLY => uses.push(Use::Read),
            abi::O_WRONLY => uses.push(Use::Write),
            // Mode 3 is for devices: neither read nor written, but checked as both.
            _ => uses.extend([Use::Read, Use::Write]),
        }
        if flags & abi::O_TRUNC != 0 && !uses.contains(&Use::Write) {
            uses.push(Use::Write);
        }
        if flags & abi::O_CREAT != 0 {
            uses.push(Use::Create);
        }
    }
    let exclusive = abi::O_CREAT | abi::O_EXCL;
    let keep = flags & abi::O_NOFOLLOW != 0 || flags & exclusive == exclusive;
    Opening {
        uses,
        last: if keep { Last::Keep } else { Last::Follow },
        in_root: resolve & abi::RESOLVE_IN_ROOT != 0,
    }
}

/// The file behind a descriptor. Looking at one says nothing that opening it has not said.
fn behind(caller: &Caller, descriptor: i32, uses: Vec<Use>) -> Option<Prepared> {
    if uses == LOOK || descriptor < 0 {
        return None;
    }
    let path = open_file(caller, descriptor)?;
    let whole = super::View {
        root: PathBuf::from("/"),
        ..caller.view()
    };
    let mut found = resolve(
        &whole,
        Path::new("/"),
        path.as_os_str().as_encoded_bytes(),
        Last::Keep,
    );
    let root = caller.view().root;
    if let Ok(inside) = found.host.strip_prefix(&root) {
        found.asked = Path::new("/").join(inside);
    }
    // Nothing was searched: the descriptor was there.
    found.searched = Vec::new();
    Some(Prepared { found, uses })
}
