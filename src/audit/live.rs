//! Looks at a running jail from outside and answers with plain data.

use std::fs;
use std::path::{Path, PathBuf};

use crate::build::{EntryKind, Manifest};
use crate::host::process::{self, Status};
use crate::host::{confinement, memory, sockets};
use crate::plan::Plan;
use crate::run::state::State;
use crate::sys;
use crate::{Doing, Result};

/// The namespaces that are compared with the host's.
pub(super) const NAMESPACES: [&str; 4] = ["mnt", "pid", "ipc", "uts"];

/// A running jail.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Device and inode of the generation's root tree.
    pub tree: (u64, u64),
    /// The host's namespaces, in the order of [`NAMESPACES`].
    pub host_namespaces: Vec<u64>,
    /// Its processes.
    pub processes: Vec<Process>,
    /// Its mounts.
    pub mounts: Vec<Mount>,
    /// Those that it had when it was started, if a supervisor wrote them down.
    pub started_mounts: Option<Vec<Mount>>,
    /// The calls that only starting needs have come to their end, if there are any.
    pub serving: bool,
    /// What the filter would refuse runs.
    pub complaining: bool,
    /// The supervisor that it was started with has ended.
    pub abandoned: bool,
    /// Filters that were there before gaoler's: those of its supervisor.
    pub outer_filters: u32,
    /// The executables of the processes that it descends from, the nearest first.
    pub ancestors: Vec<PathBuf>,
}

/// One process of a jail.
#[derive(Clone, Debug, Default)]
pub struct Process {
    /// Its pid on the host.
    pub pid: i32,
    /// It is the first process that gaoler left in the pid namespace.
    pub is_init: bool,
    /// Credentials and confinement; one for each thread, the first one first.
    pub threads: Vec<Status>,
    /// Device and inode of its root directory.
    pub root: (u64, u64),
    /// It changed its root by itself, to a directory below that of the jail's first process.
    pub root_inside: bool,
    /// Its namespaces, in the order of [`NAMESPACES`].
    pub namespaces: Vec<u64>,
    /// Descriptors that lead to a file of a mount that is not the jail's: number and target.
    pub foreign_descriptors: Vec<(u32, String)>,
    /// The working directory lies on a mount of the jail.
    pub directory_inside: bool,
    /// The executable: its path as the kernel names it, and what is wrong with it.
    pub executable: (String, Option<String>),
    /// The label of a security module that confines it (AppArmor, SELinux).
    pub label: Option<String>,
    /// The sockets that it holds.
    pub sockets: Vec<u64>,
    /// Descriptors that are open for writing, to files on a mount that is read-only.
    pub writable_descriptors: Vec<(u32, String)>,
    /// Code that is mapped from files that were removed.
    pub removed_code: Vec<String>,
    /// How many mappings are writable and executable at once.
    pub writable_code: usize,
}

/// One mount of a jail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mount {
    /// Its id.
    pub id: u64,
    /// Where it is, in the jail.
    pub path: PathBuf,
    /// `ro`, `nosuid`, `nodev`, `noexec`…
    pub options: Vec<String>,
}

/// Looks at every process of the jail. `started` is the mount table that it was started with, if
/// that is known.
///
/// # Errors
/// It ended meanwhile.
pub fn look(
    state: &State,
    plan: &Plan,
    tree: &Path,
    manifest: &Manifest,
    started: Option<&str>,
) -> Result<Live> {
    let stat = rustix::fs::stat(tree).doing(|| format!("look at {}", tree.display()))?;
    let own = std::process::id().cast_signed();
    let start = if plan.has_init() {
        state.init.map(|init| init.pid)
    } else {
        None
    };
    // The service may have changed its root once more, and then sees its own mounts only in part.
    let first = start.unwrap_or(state.service.pid);
    let mounts = mounts(first)?;
    let mut processes = Vec::new();
    for pid in process::companions(first)? {
        // One that ends while it is looked at is no finding.
        if let Ok(found) = look_at(pid, first, start == Some(pid), &mounts, tree, manifest) {
            processes.push(found);
        }
    }
    let supervisor = state.supervisor.filter(|process| process.is_alive());
    Ok(Live {
        tree: (stat.st_dev, stat.st_ino),
        host_namespaces: namespaces(own)?,
        processes,
        mounts,
        started_mounts: started.map(parse_mounts),
        serving: state.serving,
        complaining: state.complaining,
        abandoned: state.supervisor.is_some() && supervisor.is_none(),
        outer_filters: supervisor
            .and_then(|supervisor| process::status(supervisor.pid).ok())
            .map_or(0, |status| status.filters),
        ancestors: ancestors(supervisor.map_or(first, |supervisor| supervisor.pid)),
    })
}

fn look_at(
    pid: i32,
    first: i32,
    is_init: bool,
    mounts: &[Mount],
    tree: &Path,
    manifest: &Manifest,
) -> Result<Process> {
    let descriptors = process::descriptors(pid)?;
    let code = memory::code(pid);
    // A descriptor that was closed since the list was made has no mount any more.
    let outside = |id: Option<u64>| id.is_some_and(|id| mounts.iter().all(|mount| mount.id != id));
    let foreign = descriptors
        .iter()
        .filter(|(number, target)| {
            target.starts_with('/') && *number > 2 && outside(mount_of(pid, *number))
        })
        .cloned()
        .collect();
    let read_only = |id: Option<u64>| {
        let mount = mounts.iter().find(|mount| Some(mount.id) == id);
        mount.is_some_and(|mount| mount.options.iter().any(|option| option == "ro"))
    };
    let writable_descriptors = descriptors
        .iter()
        .filter(|(number, _)| {
            read_only(mount_of(pid, *number)) && is_open_for_writing(pid, *number)
        })
        .cloned()
        .collect();
    let directory = process::working_directory(pid)?;
    let root = process::root(pid)?;
    Ok(Process {
        pid,
        is_init,
        threads: threads(pid)?,
        root,
        root_inside: pid != first && is_inside(pid, "root", first, root),
        namespaces: namespaces(pid)?,
        foreign_descriptors: foreign,
        directory_inside: directory == root || is_inside(pid, "cwd", first, directory),
        executable: executable(pid, is_init, tree, manifest),
        label: confinement::label(pid),
        sockets: sockets::held_by(pid),
        writable_descriptors,
        removed_code: code.removed,
        writable_code: code.writable,
    })
}

/// The most generations of parents that are looked at.
const MOST_ANCESTORS: usize = 64;

/// The executables of the parents of a process, which the kernel names, not they.
fn ancestors(pid: i32) -> Vec<PathBuf> {
    let parent = |pid: &i32| process::status(*pid).ok().map(|status| status.parent);
    std::iter::successors(parent(&pid), parent)
        .take_while(|pid| *pid > 0)
        .take(MOST_ANCESTORS)
        .filter_map(process::executable)
        .collect()
}

/// Whether a descriptor can change a regular file (`proc_pid_fdinfo(5)`; open(2), `O_ACCMODE`).
pub(super) fn is_open_for_writing(pid: i32, descriptor: u32) -> bool {
    let path = format!("/proc/{pid}/fd/{descriptor}");
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let flags =
        fdinfo(pid, descriptor, "flags:").and_then(|text| u32::from_str_radix(&text, 8).ok());
    is_file && flags.is_some_and(|flags| flags & 0o3 != 0)
}

fn threads(pid: i32) -> Result<Vec<Status>> {
    let path = format!("/proc/{pid}/task");
    let mut tids: Vec<i32> = fs::read_dir(&path)
        .doing(|| format!("list {path}"))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    tids.sort_by_key(|tid| (*tid != pid, *tid));
    tids.into_iter().map(process::status).collect()
}

fn namespaces(pid: i32) -> Result<Vec<u64>> {
    NAMESPACES
        .iter()
        .map(|kind| process::namespace(pid, kind))
        .collect()
}

/// The id of the mount that a descriptor lies on (`proc_pid_fdinfo(5)`).
fn mount_of(pid: i32, descriptor: u32) -> Option<u64> {
    fdinfo(pid, descriptor, "mnt_id:")?.parse().ok()
}

fn fdinfo(pid: i32, descriptor: u32, key: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).ok()?;
    text.lines()
        .find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
}

/// Whether a directory of a process, as the kernel names it, is the same one seen from the root of
/// the jail's first process. A name that cannot be reached from there shows the host's.
fn is_inside(pid: i32, kind: &str, first: i32, found: (u64, u64)) -> bool {
    let Ok(shown) = fs::read_link(format!("/proc/{pid}/{kind}")) else {
        return false;
    };
    rustix::fs::stat(format!("/proc/{first}/root{}", shown.display()))
        .is_ok_and(|seen| found == (seen.st_dev, seen.st_ino))
}

/// Compares what runs with what was built: the same file, with the manifest's content.
fn executable(
    pid: i32,
    is_init: bool,
    tree: &Path,
    manifest: &Manifest,
) -> (String, Option<String>) {
    let shown = process::executable(pid)
        .unwrap_or_default()
        .display()
        .to_string();
    if is_init {
        return (shown, None);
    }
    let Ok(mut file) = fs::File::open(format!("/proc/{pid}/exe")) else {
        return (shown, Some("cannot be opened".to_owned()));
    };
    // The very file of the tree: its content is compared with the manifest there.
    if manifest.entry(Path::new(&shown)).is_some() && is_same_file(&tree_path(tree, &shown), &file)
    {
        return (shown, None);
    }
    let Ok(hash) = sys::copy::hash(&mut file) else {
        return (shown, Some("cannot be read".to_owned()));
    };
    let known = manifest.entries.iter().find(|entry| {
        entry.kind == EntryKind::File && entry.sha256.as_deref() == Some(hash.as_str())
    });
    let Some(entry) = known else {
        return (shown, Some("is not in the manifest".to_owned()));
    };
    let same = is_same_file(&tree_path(tree, &entry.path), &file);
    let wrong = (!same).then(|| "has the right content but is not the tree's file".to_owned());
    (shown, wrong)
}

/// Where a path of the jail is in its tree.
fn tree_path(tree: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    tree.join(path.strip_prefix("/").unwrap_or(path))
}

fn is_same_file(built: &Path, running: &fs::File) -> bool {
    let found = rustix::fs::lstat(built)
        .ok()
        .zip(rustix::fs::fstat(running).ok());
    found.is_some_and(|(built, running)| {
        (built.st_dev, built.st_ino) == (running.st_dev, running.st_ino)
    })
}

/// The mounts of the jail (`proc_pid_mountinfo(5)`).
fn mounts(pid: i32) -> Result<Vec<Mount>> {
    let path = format!("/proc/{pid}/mountinfo");
    let text = fs::read_to_string(&path).doing(|| format!("read {path}"))?;
    Ok(parse_mounts(&text))
}

pub(super) fn parse_mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let id = fields.next()?.parse().ok()?;
            let path = fields.nth(3)?;
            let options = fields.next()?.split(',').map(str::to_owned).collect();
            Some(Mount {
                id,
                path: unescape(path).into(),
                options,
            })
        })
        .collect()
}

/// The kernel writes blanks and the like as octal (`\040`).
fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let digits: Vec<u8> = bytes.by_ref().take(3).collect();
        let value = std::str::from_utf8(&digits)
            .ok()
            .and_then(|d| u8::from_str_radix(d, 8).ok());
        out.push(value.unwrap_or(b'\\'));
    }
    String::from_utf8_lossy(&out).into_owned()
}
