//! The file tree: what is copied, what is mounted, what is made in memory.
mod binds;
mod directories;
mod links;
mod used;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use binds::Bind;
use used::Used;

use super::Facts;
use super::evidence::{by_whom_and_when, observed};
use super::paths::{is_code, is_made_or_removed, is_utf8, is_written, names, verbs};
use super::patterns::patterns;
use super::shared::{
    is_kernel, is_ruling, is_scratch, is_secret, is_shared_place, is_sticky, name_service_module,
};
use crate::learn::Trace;
use crate::learn::trace::{PathKind, PathSeen, Use};
use crate::spec::{
    BindRule, Device, DeviceRule, Evidence, FileKind, FileRule, Knowledge, Observed, ScratchRule,
};

/// Size of a private directory in memory, KiB.
const SCRATCH_KIB: u32 = 16384;
/// The log socket, which every jail gets from gaoler itself.
const LOG_SOCKET: &str = "/dev/log";
/// journald's own socket, in the place of which a jail gets one of gaoler's (`sd_journal_send(3)`).
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
/// The linker's cache, which the build writes if the jail needs one.
const LINKER_CACHE: &str = "/etc/ld.so.cache";
/// What the build writes as soon as there is a C library in the tree (`nsswitch.conf(5)`).
const ACCOUNTS: [&str; 3] = ["/etc/group", "/etc/nsswitch.conf", "/etc/passwd"];
/// Modules that are in the C library itself (since 2.34), or that answer for the host's own
/// services: the jail's names are in its files.
const USUAL_MODULES: [&str; 10] = [
    "compat",
    "db",
    "dns",
    "files",
    "hesiod",
    "myhostname",
    "mymachines",
    "nis",
    "nisplus",
    "systemd",
];

/// `[tree]` of a spec.
pub(super) struct Tree {
    pub files: Vec<FileRule>,
    pub binds: Vec<BindRule>,
    pub scratch: Vec<ScratchRule>,
    pub devices: Vec<DeviceRule>,
}

/// The tree that gives `trace` and the configuration what they need.
pub(super) fn tree(
    trace: &Trace,
    knowledge: Option<&Knowledge>,
    facts: &Facts,
    notes: &mut Vec<String>,
) -> Tree {
    let mut grower = Grower::new(trace, facts, notes);
    for seen in trace.paths.iter().filter(|seen| !seen.uses.is_empty()) {
        grower.add(seen);
    }
    if let Some(knowledge) = knowledge {
        grower.file.clone_from(&knowledge.file);
        grower.add_known(knowledge);
    }
    grower.into_tree()
}

/// The tree so far, by path.
struct Grower<'a> {
    trace: &'a Trace,
    facts: &'a Facts,
    notes: &'a mut Vec<String>,
    /// What was seen and not given, by the reason and by what was done.
    left_out: BTreeMap<(&'static str, String), BTreeSet<&'a Path>>,
    /// Observed host paths that exist.
    existing: BTreeSet<&'a Path>,
    /// Host paths of programs and libraries.
    code: Vec<&'a Path>,
    /// Directories that the service made where everybody may: private with all below them.
    made: Vec<&'a Path>,
    /// The file of what is known about the service; empty without.
    file: String,
    /// What the service, or a part of it, made its root directory.
    own_roots: Vec<&'a Path>,
    /// What is given with the directory that it is in.
    led_to: Vec<&'a PathSeen>,
    /// Shared directories that it listed.
    listed: Vec<&'a PathSeen>,
    /// Directories of the service's own that it only asked about.
    looked_at: Vec<&'a PathSeen>,
    files: BTreeMap<PathBuf, FileRule>,
    binds: BTreeMap<PathBuf, Bind>,
    scratch: BTreeMap<PathBuf, Used>,
    devices: BTreeMap<PathBuf, DeviceRule>,
}

impl<'a> Grower<'a> {
    fn new(trace: &'a Trace, facts: &'a Facts, notes: &'a mut Vec<String>) -> Self {
        let used = || trace.paths.iter().filter(|seen| !seen.uses.is_empty());
        let is_made = |seen: &&PathSeen| {
            let parent = seen.host.parent().unwrap_or(Path::new("/"));
            let for_all = is_scratch(parent, facts) && parent != Path::new("/run");
            seen.kind == PathKind::Directory && seen.uses.contains(&Use::Create) && for_all
        };
        let host = |seen: &'a PathSeen| seen.host.as_path();
        Self {
            trace,
            facts,
            notes,
            left_out: BTreeMap::new(),
            existing: used()
                .filter(|seen| seen.kind != PathKind::Missing)
                .map(host)
                .collect(),
            code: used().filter(|seen| is_code(seen)).map(host).collect(),
            made: used().filter(is_made).map(host).collect(),
            file: String::new(),
            own_roots: used()
                .filter(|seen| seen.uses.contains(&Use::Root))
                .map(host)
                .collect(),
            led_to: Vec::new(),
            listed: Vec::new(),
            looked_at: Vec::new(),
            files: BTreeMap::new(),
            binds: BTreeMap::new(),
            scratch: BTreeMap::new(),
            devices: BTreeMap::new(),
        }
    }

    fn add(&mut self, seen: &'a PathSeen) {
        let host = seen.host.as_path();
        if host == Path::new("/") || is_log(seen) || is_journal(seen) {
            return;
        }
        if !is_utf8(host) {
            self.note(seen, "its name is not UTF-8");
        } else if is_kernel(host) {
            self.note(seen, "it belongs to the kernel");
        } else if is_secret(host) {
            self.note(seen, "it holds everybody's passwords");
        } else if self.made.iter().any(|made| host.starts_with(made)) {
            self.add_scratch(seen);
        } else {
            self.add_by_kind(seen);
        }
    }

    fn add_by_kind(&mut self, seen: &'a PathSeen) {
        match seen.kind {
            PathKind::Character | PathKind::Block => self.add_device(seen),
            PathKind::Directory => self.add_directory(seen),
            _ if is_code(seen) => self.add_code(seen),
            PathKind::File | PathKind::Fifo | PathKind::Socket | PathKind::Missing => {
                self.add_entry(seen);
            }
        }
    }

    fn note(&mut self, seen: &'a PathSeen, why: &'static str) {
        let key = (why, verbs(&seen.uses));
        self.left_out.entry(key).or_default().insert(&seen.host);
    }

    /// One sentence for names that differ only in what varies.
    fn note_left_out(&mut self) {
        for ((why, verbs), paths) in std::mem::take(&mut self.left_out) {
            for pattern in patterns(paths) {
                let paths = pattern.below(Path::new(""));
                self.notes
                    .push(format!("{paths} ({verbs}), not given: {why}"));
            }
        }
    }

    fn observed(&self, seen: &PathSeen) -> Observed {
        observed(self.trace, &seen.witness)
    }

    fn add_device(&mut self, seen: &'a PathSeen) {
        match seen
            .device
            .and_then(|(major, minor)| Device::from_number(major, minor))
        {
            Some(device) => {
                for path in names(seen, &self.own_roots) {
                    let (because, evidence) =
                        self.reason(seen, self.devices.get(&path).map(|rule| &rule.evidence));
                    let rule = DeviceRule {
                        path: path.clone(),
                        device,
                        because,
                        evidence,
                    };
                    self.devices.insert(path, rule);
                }
            }
            None => self.note(seen, "no jail has this device"),
        }
    }

    /// What was done with a path that is given by itself, and how that is known: also from what
    /// was there before under the same name.
    fn reason(&self, seen: &PathSeen, before: Option<&Evidence>) -> (String, Evidence) {
        let now = self.observed(seen);
        let because = format!("{}{}", verbs(&seen.uses), by_whom_and_when(&now));
        let both = match before {
            Some(Evidence::Observed(before)) => before.clone().and(now),
            _ => now,
        };
        (because, Evidence::Observed(both))
    }

    fn add_code(&mut self, seen: &'a PathSeen) {
        let executed = seen.uses.contains(&Use::Execute);
        let kind = if executed {
            FileKind::Program
        } else {
            FileKind::Library
        };
        if is_written(seen) {
            self.note(
                seen,
                "it is read-only in the jail, because it is also executed",
            );
        }
        if let Some(module) = name_service_module(&seen.host) {
            if !USUAL_MODULES.contains(&module) {
                self.note(seen, "the jail looks names up in its own files");
            }
        } else if seen.kind == PathKind::Missing {
            self.note(seen, "it is gone");
        } else if executed || !self.facts.closure.contains(&seen.host) {
            self.copy(seen, kind);
        }
    }

    fn copy(&mut self, seen: &PathSeen, kind: FileKind) {
        for path in names(seen, &self.own_roots) {
            let before = self.files.get(&path).map(|rule| &rule.evidence);
            let (because, evidence) = self.reason(seen, before);
            let rule = FileRule {
                path: path.clone(),
                kind,
                because,
                evidence,
            };
            self.files.insert(path, rule);
        }
    }

    /// A file, socket or FIFO, or what was one.
    fn add_entry(&mut self, seen: &'a PathSeen) {
        let holder = self.holder(&seen.host);
        if self.is_written_by_the_build(seen) {
            return;
        }
        if !self.is_shared(holder) {
            self.see_in(holder.to_owned(), seen);
        } else if is_made_or_removed(seen) && is_scratch(holder, self.facts) {
            self.add_scratch(seen);
        } else if is_written(seen) {
            self.add_shared_write(seen);
        } else {
            self.add_shared_read(seen);
        }
    }

    fn add_shared_write(&mut self, seen: &'a PathSeen) {
        let host = seen.host.as_path();
        if host.starts_with("/dev") {
            self.note(
                seen,
                "a jail's /dev has nothing but devices: have it make that elsewhere",
            );
        } else if is_ruling(host) {
            self.note(seen, "who writes there rules the host");
        } else if seen.kind == PathKind::File {
            if seen.uses.contains(&Use::Delete) {
                self.note(
                    seen,
                    "it can be written in the jail but neither removed nor renamed",
                );
            }
            self.see_in(host.to_owned(), seen);
        } else {
            self.note(seen, "the directory is shared and the file does not exist");
        }
    }

    fn add_shared_read(&mut self, seen: &'a PathSeen) {
        match seen.kind {
            PathKind::File => self.copy(seen, FileKind::Data),
            PathKind::Socket if !seen.uses.contains(&Use::Connect) => {}
            PathKind::Missing => {}
            _ => self.note(seen, "another process is at its other end"),
        }
    }

    /// Memory in place of the shared directory that holds the path.
    fn add_scratch(&mut self, seen: &'a PathSeen) {
        let top = self.made.iter().find(|made| seen.host.starts_with(made));
        let place = self
            .holder(top.map_or(seen.host.as_path(), |top| top))
            .to_owned();
        if seen.kind == PathKind::Socket {
            self.note(seen, "only the jail sees this socket");
        }
        let observed = self.observed(seen);
        self.scratch.entry(place).or_default().see(seen, observed);
        self.led_to.push(seen);
    }

    /// The nearest directory above `path` that exists.
    fn holder<'p>(&self, path: &'p Path) -> &'p Path {
        let exists = |directory: &&Path| {
            self.existing.contains(path)
                || self.facts.directories.contains_key(*directory)
                || is_shared_place(directory)
                || self.holds_something(directory)
        };
        path.ancestors()
            .skip(1)
            .find(exists)
            .unwrap_or(Path::new("/"))
    }

    /// Whether an observed path lies there: the set is sorted, so the next one tells.
    fn holds_something(&self, directory: &Path) -> bool {
        let from = (Bound::Included(directory), Bound::Unbounded);
        let mut after = self.existing.range::<Path, _>(from);
        after.next().is_some_and(|path| path.starts_with(directory))
    }

    /// Shared by its place, on the host or below the service's own root; because everybody may
    /// write; because it holds gaoler's places or a home; or because code lies in it: a bind is
    /// mounted noexec. What a part of a service that
    /// stays root makes its root is that part's alone, often its spool.
    fn is_shared(&self, directory: &Path) -> bool {
        let mut inside = self
            .own_roots
            .iter()
            .filter(|_| !self.facts.start_as_root)
            .filter_map(|root| directory.strip_prefix(root).ok());
        is_shared_place(directory)
            || self
                .facts
                .withheld
                .iter()
                .any(|place| place.starts_with(directory))
            || inside.any(|path| is_shared_place(&Path::new("/").join(path)))
            || is_sticky(directory, self.facts)
            || self.code.iter().any(|code| code.starts_with(directory))
    }

    fn bind(&mut self, path: &Path) -> &mut Bind {
        self.binds.entry(path.to_owned()).or_default()
    }

    /// Something at or below `place` was used, which is to be mounted.
    fn see_in(&mut self, place: PathBuf, seen: &'a PathSeen) {
        let observed = self.observed(seen);
        self.bind(&place).see(seen, observed);
        self.led_to.push(seen);
    }

    /// Whether the file is read from what the build puts in its place.
    fn is_written_by_the_build(&self, seen: &PathSeen) -> bool {
        let is = |path: &str| seen.host == Path::new(path) || seen.asked.contains(Path::new(path));
        let is_libc = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("libc.so.") || name.starts_with("libc-2."))
        };
        !is_written(seen)
            && (is(LINKER_CACHE)
                || (ACCOUNTS.into_iter().any(is) && self.facts.closure.iter().any(is_libc)))
    }

    /// A path is one thing only: mounted rather than copied, in memory rather than empty.
    fn into_tree(mut self) -> Tree {
        self.add_looked_at();
        self.add_links();
        self.follow_out_of_binds();
        self.note_listed();
        self.note_left_out();
        let binds = binds::collapsed(self.binds, &self.file);
        let files = &mut self.files;
        for path in binds
            .iter()
            .map(|bind| &bind.path)
            .chain(self.scratch.keys())
        {
            files.remove(path);
        }
        Tree {
            files: self.files.into_values().collect(),
            binds,
            scratch: self.scratch.into_iter().map(scratch).collect(),
            devices: self.devices.into_values().collect(),
        }
    }
}

fn scratch((path, used): (PathBuf, Used)) -> ScratchRule {
    ScratchRule {
        because: used.in_words(&path),
        evidence: used.evidence(Evidence::BUILT_IN),
        size_kib: SCRATCH_KIB,
        path,
    }
}

/// Whether it was used as the log socket.
pub(super) fn is_log(seen: &PathSeen) -> bool {
    is_or_was_asked_as(seen, LOG_SOCKET)
}

/// Whether it was used as journald's own socket.
pub(super) fn is_journal(seen: &PathSeen) -> bool {
    is_or_was_asked_as(seen, JOURNAL_SOCKET)
}

fn is_or_was_asked_as(seen: &PathSeen, path: &str) -> bool {
    let path = Path::new(path);
    seen.host == path || seen.asked.contains(path)
}
