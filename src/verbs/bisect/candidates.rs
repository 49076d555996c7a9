//! What of the host a jail may lack: the paths that the service was seen to ask for, and those
//! that are named by its command, its programs and its configuration; ports, variables, groups.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::Places;
use super::layers::{SCRATCH, is_free};
use crate::build::Account;
use crate::host::users;
use crate::learn::trace::{SocketUse, Use};
use crate::learn::{self, Trace};
use crate::spec::{self, Evidence, FileKind, FileRule, Spec};
use crate::{Doing, Result};

/// How much of a file is looked through for paths.
const MOST_READ: u64 = 8 << 20;
/// How many files of a configuration are.
const MOST_FILES: usize = 200;
/// A larger file is no candidate.
const LARGEST: u64 = 64 << 20;
/// As many candidates of each kind are tried.
const MOST: usize = 512;
/// The lengths of paths that are looked for, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=255;

/// As many groups a jail's launch can read back.
const MOST_GROUPS: usize = 60;

/// What belongs to everybody, so that it is not made writable as a whole, nor bound.
const EVERYBODY_S: [&str; 12] = [
    "/", "/boot", "/dev", "/etc", "/home", "/lib", "/proc", "/root", "/sys", "/usr", "/var", "/run",
];

/// Groups that nobody should share (docs/decisions/0008-shared-groups.md): no spec can have them.
const GENERIC: [&str; 6] = [
    "daemon",
    "nfsnobody",
    "nobody",
    "nogroup",
    "nonroot",
    "root",
];

/// What may be given.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Candidates {
    /// Files of the host.
    pub files: Vec<FileRule>,
    /// Directories, to be read.
    pub directories: Vec<PathBuf>,
    /// Directories in which the service's user may write.
    pub writable: Vec<PathBuf>,
    /// TCP ports.
    pub ports: Vec<u16>,
    /// Variables of the caller, and of the spec from before it was learned again.
    pub environment: BTreeMap<String, String>,
    /// The host's groups.
    pub groups: Vec<String>,
    /// The capabilities that this process has, as bits.
    pub capabilities: u64,
}

impl Candidates {
    /// Looks for all of them.
    ///
    /// # Errors
    /// The service's user is not there; the host's groups cannot be read.
    pub(super) fn of(places: &Places, spec: &Spec) -> Result<Self> {
        let trace_file = places.trace(&spec.name);
        let trace = trace_file.exists().then(|| learn::load(&trace_file));
        let trace = trace.transpose()?.unwrap_or_default();
        let account = Account::of(spec)?;
        let mut found = Self {
            ports: ports(spec, &trace),
            environment: environment(places, spec),
            groups: groups(spec)?,
            capabilities: rustix::thread::capabilities(None)
                .doing(|| "look at the own capabilities")?
                .permitted
                .bits(),
            ..Self::default()
        };
        let written = written(&trace);
        for path in paths(spec, &trace) {
            found.path(spec, &account, &path, &written);
        }
        // What is in a place that would be bound comes with it, and a path is one thing only.
        let directories = std::mem::take(&mut found.directories);
        let holds = |path: &Path| found.files.iter().any(|file| file.path.starts_with(path));
        found.directories = directories
            .into_iter()
            .filter(|path| !holds(path))
            .collect();
        alone(&mut found.directories);
        alone(&mut found.writable);
        let Self {
            files, writable, ..
        } = &mut found;
        files.retain(|file| !writable.iter().any(|place| file.path.starts_with(place)));
        Ok(found)
    }

    fn path(&mut self, spec: &Spec, account: &Account, path: &Path, written: &BTreeSet<PathBuf>) {
        let is_everybody_s = EVERYBODY_S.iter().any(|shared| path == Path::new(shared));
        let is_kernel_s = ["/proc", "/sys", "/dev"]
            .iter()
            .any(|kernel| path.starts_with(kernel));
        let Ok(metadata) = fs::symlink_metadata(path) else {
            return;
        };
        if is_kernel_s || fs::canonicalize(path).is_ok_and(|real| real != path) {
            return;
        }
        if metadata.is_file() && is_free(spec, path) && self.files.len() < MOST {
            if metadata.len() <= LARGEST {
                self.files.push(file(path, metadata.mode()));
            }
        } else if metadata.is_dir()
            && !is_everybody_s
            && !SCRATCH.iter().any(|scratch| path == Path::new(scratch))
            && is_free(spec, path)
        {
            if (written.contains(path) || may_write(account, &metadata))
                && self.writable.len() < MOST
            {
                self.writable.push(path.to_owned());
            }
            if path.components().count() > 2 && self.directories.len() < MOST {
                self.directories.push(path.to_owned());
            }
        }
    }

    /// The places that must be copied before they may be given, if they are not too large.
    pub(super) fn places(&self) -> Vec<PathBuf> {
        self.writable.clone()
    }
}

/// Whether one of two paths is in the other.
pub(super) fn touch(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// Of paths that are in each other, the innermost.
fn alone(paths: &mut Vec<PathBuf>) {
    let all = paths.clone();
    paths.retain(|path| {
        !all.iter()
            .any(|other| other != path && other.starts_with(path))
    });
}

fn may_write(account: &Account, metadata: &fs::Metadata) -> bool {
    metadata.uid() == account.user.uid && metadata.mode() & 0o200 != 0
        || account.has_group(metadata.gid()) && metadata.mode() & 0o020 != 0
}

fn file(path: &Path, mode: u32) -> FileRule {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut first = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut first));
    let is_code = read.is_ok() && (first == *b"\x7fELF" || first.starts_with(b"#!"));
    let kind = match is_code {
        true if mode & 0o111 != 0 && !name.contains(".so") => FileKind::Program,
        true if first == *b"\x7fELF" => FileKind::Library,
        _ => FileKind::Data,
    };
    FileRule {
        path: path.to_owned(),
        kind,
        because: "bisect".to_owned(),
        evidence: Evidence::Person,
    }
}

/// Every path that the service may ask for, in order and once.
fn paths(spec: &Spec, trace: &Trace) -> BTreeSet<PathBuf> {
    let mut paths: BTreeSet<PathBuf> = trace.paths.iter().map(|seen| seen.host.clone()).collect();
    let words = spec
        .service
        .command
        .iter()
        .chain(spec.service.environment.values());
    for word in words {
        named(word.as_bytes(), &mut paths);
    }
    let own = spec.files.iter().map(|rule| rule.path.clone());
    let program = spec.service.command.first().map(PathBuf::from);
    for path in program.into_iter().chain(own).chain(configuration(spec)) {
        named(&beginning(&path), &mut paths);
    }
    // What is missing in a directory is often the directory.
    let parents: Vec<PathBuf> = paths
        .iter()
        .filter_map(|path| path.parent().map(Path::to_owned))
        .collect();
    paths.extend(parents);
    paths
}

/// The files in the places that are bound to be read.
fn configuration(spec: &Spec) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for bind in spec.binds.iter().filter(|bind| !bind.writable) {
        if bind.path.is_file() {
            found.push(bind.path.clone());
        }
        for entry in fs::read_dir(&bind.path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) && found.len() < MOST_FILES {
                found.push(entry.path());
            }
        }
    }
    found
}

/// A file that cannot be read names nothing.
fn beginning(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let file = is_file.then(|| fs::File::open(path).ok()).flatten();
    match file.map(|file| file.take(MOST_READ).read_to_end(&mut bytes)) {
        Some(_) | None => bytes,
    }
}

/// The absolute paths in these bytes.
fn named(bytes: &[u8], paths: &mut BTreeSet<PathBuf>) {
    let of_a_path = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@~".contains(byte);
    for word in bytes.split(|byte| !of_a_path(byte)) {
        let text = std::str::from_utf8(word).unwrap_or_default();
        if text.starts_with('/') && LENGTHS.contains(&text.len()) && paths.len() < 16 * MOST {
            let path = PathBuf::from(text.trim_end_matches(['/', '.']));
            let plain = path
                .components()
                .all(|part| !matches!(part, std::path::Component::ParentDir));
            if plain {
                paths.insert(path);
            }
        }
    }
}

/// The directories in which the traced service made or wrote something.
fn written(trace: &Trace) -> BTreeSet<PathBuf> {
    let made = trace
        .paths
        .iter()
        .filter(|seen| seen.uses.contains(&Use::Create) || seen.uses.contains(&Use::Write));
    made.filter_map(|seen| seen.host.parent().map(Path::to_owned))
        .collect()
}

fn ports(spec: &Spec, trace: &Trace) -> Vec<u16> {
    let signs = spec.service.ready.iter().filter_map(|sign| sign.port());
    let sockets = trace
        .sockets
        .iter()
        .filter(|socket| !matches!(socket.action, SocketUse::Create) && socket.port != 0);
    let words = spec.service.command.iter();
    let named = words.flat_map(|word| word.split(|c: char| !c.is_ascii_digit()));
    let mut ports: Vec<u16> = signs.map(|(_, port)| port).collect();
    ports.extend(sockets.map(|socket| socket.port));
    ports.extend(spec.ports.iter().map(|rule| rule.port));
    ports.extend(named.filter_map(|word| word.parse::<u16>().ok()));
    let mut seen = BTreeSet::from([0]);
    ports.retain(|port| seen.insert(*port));
    ports.truncate(MOST);
    ports
}

/// Variables that the jail does not have. Those of the spec before this one come first.
fn environment(places: &Places, spec: &Spec) -> BTreeMap<String, String> {
    let own = &spec.service.environment;
    let caller = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut all: BTreeMap<String, String> = caller.collect();
    let old = places.spec(&spec.name).with_extension("toml.old");
    let old = fs::read_to_string(&old).ok();
    if let Some(Ok(old)) = old.map(|text| spec::parse(&text, "the old spec")) {
        all.extend(old.service.environment);
    }
    let plain = |name: &str| {
        let mut bytes = name.bytes();
        !name.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    all.retain(|name, _| plain(name) && !own.contains_key(name));
    all
}

fn groups(spec: &Spec) -> Result<Vec<String>> {
    let service = &spec.service;
    let has = |name: &String| *name == service.group || service.groups.contains(name);
    let mut names: Vec<String> = users::groups()?
        .into_iter()
        .map(|group| group.name)
        .filter(|name| !has(name) && !GENERIC.contains(&name.as_str()))
        .collect();
    names.truncate(MOST_GROUPS.saturating_sub(service.groups.len()));
    Ok(names)
}
