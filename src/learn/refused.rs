//! What a service in its jail asked for and did not get, and what its trace would be if it had.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::paths::{Last, View, resolve};
use super::runs::look;
use super::trace::{PathKind, PathSeen, Phase, SocketUse, Trace, Use, Witness};
use crate::sys::abi;

/// A path that was there for others, or could have been made, and not for the jailed service.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// As the service asked, absolute in its own root.
    pub asked: PathBuf,
    /// What it is on the host, with every symlink resolved.
    pub host: PathBuf,
    /// The symlinks on the way on the host.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// What is there on the host.
    pub kind: PathKind,
    /// Of a device: major and minor.
    pub device: Option<(u32, u32)>,
    /// What it was asked for, and how that failed (`errno(3)`).
    pub failures: BTreeSet<(Use, i32)>,
    /// When that was seen first.
    pub phase: Phase,
    /// How often.
    pub count: u64,
    /// Where.
    pub witness: Witness,
}

impl Refused {
    /// Whether it was to be changed.
    pub fn writes(&self) -> bool {
        self.failures.iter().any(|(used, _)| is_write(*used))
    }
}

fn is_write(used: Use) -> bool {
    matches!(used, Use::Write | Use::Create | Use::Delete | Use::Change)
}

/// The paths that were refused in a run of [`super::follow`].
pub fn refused(jailed: &Trace) -> Vec<Refused> {
    jailed.paths.iter().filter_map(look_outside).collect()
}

fn look_outside(seen: &PathSeen) -> Option<Refused> {
    let denied = |(used, errno): &&(Use, i32)| match *errno {
        abi::ENOENT | abi::ENOTDIR | abi::EACCES | abi::EPERM | abi::EROFS => true,
        // Something else is there than on the host: an empty directory in the place of a file.
        abi::EISDIR => !is_write(*used),
        _ => false,
    };
    let mut failures: BTreeSet<(Use, i32)> = seen.failures.iter().filter(denied).copied().collect();
    let own = i32::try_from(std::process::id()).ok()?;
    let view = View {
        process: own,
        thread: own,
        root: PathBuf::from("/"),
        jailed: false,
    };
    let mut found = resolve(
        &view,
        Path::new("/"),
        seen.host.as_os_str().as_encoded_bytes(),
        Last::Follow,
    );
    if seen.host.starts_with("/proc/self") || seen.host.starts_with("/proc/thread-self") {
        // Its links lead to what this process runs and has open, not the service.
        found.host.clone_from(&seen.host);
        found.links.clear();
    }
    let (kind, device) = look(&found.host);
    let missing = kind == PathKind::Missing;
    let could_be_made = found.host.parent().is_some_and(Path::is_dir);
    failures.retain(|(used, _)| !missing || (*used == Use::Create && could_be_made));
    if failures.is_empty() {
        return None;
    }
    Some(Refused {
        asked: seen
            .asked
            .first()
            .cloned()
            .unwrap_or_else(|| seen.host.clone()),
        host: found.host,
        links: found.links,
        kind,
        device,
        failures,
        phase: seen.phase,
        count: seen.count,
        witness: seen.witness.clone(),
    })
}

/// The trace as it would be if nothing of that had been refused, nor anything else: what
/// [`crate::spec::derive`] makes of it is what the jail should have had. A capability that was
/// refused outside too, when the service was learned, is none that it needs.
pub fn wanted(jailed: &Trace, refused: &[Refused], learned: Option<&Trace>) -> Trace {
    let mut wanted = jailed.clone();
    wanted.failed.clear();
    // The execve of the service is not among the calls of a jailed run.
    wanted.certificate.passes = 0;
    wanted.paths.extend(refused.iter().map(granted));
    for seen in &mut wanted.capabilities {
        seen.refused &= was_refused_outside(learned, seen.capability);
    }
    for seen in &mut wanted.sockets {
        if matches!(seen.action, SocketUse::BindFailed(abi::EACCES)) {
            seen.action = SocketUse::Bind;
        }
    }
    wanted
}

fn was_refused_outside(learned: Option<&Trace>, capability: u8) -> bool {
    let mut outside = learned.into_iter().flat_map(|trace| &trace.capabilities);
    outside.any(|seen| seen.capability == capability && seen.refused)
}

fn granted(refused: &Refused) -> PathSeen {
    let mut uses: BTreeSet<Use> = refused.failures.iter().map(|(used, _)| *used).collect();
    if uses.contains(&Use::Read) && is_shared_object(&refused.host) {
        uses.insert(Use::Map);
    }
    PathSeen {
        host: refused.host.clone(),
        asked: BTreeSet::from([refused.asked.clone()]),
        links: refused.links.clone(),
        kind: refused.kind,
        device: refused.device,
        uses,
        failures: BTreeSet::new(),
        phase: refused.phase,
        count: refused.count,
        witness: refused.witness.clone(),
    }
}

/// Whether the file begins as a shared object does (`elf(5)`): it was about to be mapped.
fn is_shared_object(path: &Path) -> bool {
    /// `ET_DYN`, in the byte order of this machine, after 16 bytes that begin with the magic.
    const SHARED: u16 = 3;
    let mut head = [0; 18];
    let regular = path.metadata().is_ok_and(|data| data.is_file());
    let read =
        regular.then(|| std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)));
    let [magic @ .., low, high] = head;
    matches!(read, Some(Ok(())))
        && magic.starts_with(b"\x7fELF")
        && u16::from_ne_bytes([low, high]) == SHARED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(path: &Path, used: Use, errno: i32) -> PathSeen {
        PathSeen {
            host: path.to_owned(),
            asked: BTreeSet::from([path.to_owned()]),
            links: Vec::new(),
            kind: PathKind::Missing,
            device: None,
            uses: BTreeSet::new(),
            failures: BTreeSet::from([(used, errno)]),
            phase: Phase::Start,
            count: 1,
            witness: Witness::default(),
        }
    }

    #[test]
    fn only_what_is_there_outside_was_refused() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        std::fs::write(base.join("file"), "").unwrap();
        std::os::unix::fs::symlink("file", base.join("link")).unwrap();
        let jailed = Trace {
            paths: vec![
                seen(&base.join("link"), Use::Read, abi::ENOENT),
                seen(&base.join("none"), Use::Read, abi::ENOENT),
                seen(&base.join("new"), Use::Create, abi::ENOENT),
                seen(&base.join("no/new"), Use::Create, abi::ENOENT),
                seen(&base.join("file"), Use::Read, abi::EINTR),
            ],
            ..Trace::default()
        };
        let refused = refused(&jailed);
        let hosts: Vec<&Path> = refused.iter().map(|one| one.host.as_path()).collect();
        assert_eq!(hosts, [base.join("file"), base.join("new")]);
        let wanted = wanted(&jailed, &refused, None);
        let read = wanted
            .paths
            .iter()
            .find(|seen| seen.uses.contains(&Use::Read));
        assert_eq!(read.unwrap().links, [(base.join("link"), "file".into())]);
    }

    #[test]
    fn what_a_link_of_this_process_leads_to_is_not_the_service_s() {
        let trace = Trace {
            paths: vec![seen(Path::new("/proc/self/exe"), Use::Look, abi::ENOENT)],
            ..Trace::default()
        };
        let refused = refused(&trace);
        assert_eq!(refused[0].host, Path::new("/proc/self/exe"));
    }

    #[test]
    fn a_library_was_to_be_mapped() {
        assert!(!is_shared_object(Path::new("/etc/passwd")));
        assert!(!is_shared_object(Path::new("/dev/zero")));
        let maps = std::fs::read_to_string("/proc/1/maps").unwrap_or_default();
        let libraries = maps.lines().filter_map(|line| line.split(' ').next_back());
        for library in libraries.filter(|path| path.contains("/libc.so")) {
            assert!(is_shared_object(Path::new(library)), "{library}");
        }
    }
}
