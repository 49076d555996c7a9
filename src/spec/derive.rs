//! From what was observed to a spec. Pure: what has to be known about the host comes in as
//! [`Facts`].
mod allow;
mod evidence;
mod network;
mod paths;
mod patterns;
mod pid_file;
mod shared;
mod successors;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use shared::{is_kernel, is_ruling, is_secret, is_shared_place};

use super::{
    Exercise, Incidents, Knowledge, Limits, Log, Protections, Ready, Restart, Schedule, Service,
    Spec,
};
use crate::learn::Trace;
use crate::learn::trace::Use;

/// The mask of a derived spec: others may read, only the owner writes.
const UMASK: u32 = 0o022;
/// Seconds between the service's own way to stop, TERM and KILL.
const STOP_TIMEOUT_S: u32 = 10;
/// However long it took.
const MOST_STOP_TIMEOUT_S: u32 = 300;

/// What the host is like, as far as a spec depends on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The jail's name.
    pub name: String,
    /// The user that the service shall run as.
    pub user: String,
    /// Its primary group.
    pub group: String,
    /// Its supplementary groups.
    pub groups: Vec<String>,
    /// It starts as root in the jail too, and changes to other users by itself.
    pub start_as_root: bool,
    /// It refuses to be started by root.
    pub refuses_root: bool,
    /// Nothing that gaoler knows about it is used.
    pub unaided: bool,
    /// Those users.
    pub accounts: Vec<String>,
    /// The user's number.
    pub uid: u32,
    /// The primary group's number.
    pub gid: u32,
    /// The supplementary groups' numbers.
    pub group_ids: Vec<u32>,
    /// Every directory that exists among the host paths of the trace, `config_paths` and the
    /// knowledge's places, and among their ancestors.
    pub directories: BTreeMap<PathBuf, DirectoryFacts>,
    /// The host's paths that the service's configuration names, and whether as a directory:
    /// symlinks resolved, and below its own root if it has one.
    pub config_paths: Vec<(PathBuf, bool)>,
    /// The first port that everybody may bind (`net.ipv4.ip_unprivileged_port_start`, ip(7)).
    pub unprivileged_port_start: u16,
    /// The service's working directory; empty for `/`.
    pub workdir: PathBuf,
    /// The service's whole environment.
    pub environment: BTreeMap<String, String>,
    /// Real paths of what the build brings with the programs and libraries that the trace needs:
    /// their ELF closure, and what only modules of the name service needed.
    pub closure: BTreeSet<PathBuf>,
    /// Directories that a jail never gets whole, nor what they lie in: gaoler's own places, and
    /// the home of the ordinary user whose jail it is.
    pub withheld: Vec<PathBuf>,
    /// Exercises beyond those of the knowledge; one with the same name replaces it.
    pub exercises: Vec<Exercise>,
}

/// Who may do what in a directory (`inode(7)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectoryFacts {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, sticky bit included.
    pub mode: u32,
}

/// A spec, and what was seen but not put into it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Derived {
    /// The spec.
    pub spec: Spec,
    /// What a person should know: what was left out and why, and what to look at, one sentence each,
    /// sorted.
    pub notes: Vec<String>,
}

/// The smallest spec that gives `trace` what it needed. `knowledge` is that of
/// [`super::Resolved`], in which the variables have their values.
pub fn derive(trace: &Trace, knowledge: Option<&Knowledge>, facts: &Facts) -> Derived {
    let mut notes = doubts(trace);
    let tree = tree::tree(trace, knowledge, facts, &mut notes);
    let ready = network::ready(trace, knowledge);
    let mut spec = Spec {
        name: facts.name.clone(),
        incomplete: incomplete(trace),
        service: service(trace, knowledge, facts),
        exercises: exercises(
            trace,
            &known_exercises(&ready, knowledge),
            facts,
            &mut notes,
        ),
        files: tree.files,
        binds: tree.binds,
        scratch: tree.scratch,
        devices: tree.devices,
        capabilities: allow::capabilities(trace, facts, &mut notes),
        calls: allow::calls(trace, knowledge, facts, &mut notes),
        families: network::families(trace, &mut notes),
        ports: network::ports(trace, knowledge),
        limits: Limits::default(),
        protections: Protections::default(),
        restart: Restart::default(),
        liveness: None,
        check: Schedule::default(),
        incidents: Incidents::default(),
        log: Log {
            journal: trace.paths.iter().any(tree::is_journal),
            ..Log::default()
        },
        accepted: Vec::new(),
        sockets: Vec::new(),
    };
    spec.service.ready = ready;
    spec.service.pid_file = pid_file::pid_file(trace, knowledge, &spec.binds);
    notes.sort();
    notes.dedup();
    Derived { spec, notes }
}

/// Why the trace is incomplete, if it is.
fn incomplete(trace: &Trace) -> Option<String> {
    let gaps = &trace.certificate.gaps;
    match (trace.certificate.complete, gaps.is_empty()) {
        (true, _) => None,
        (false, true) => Some("it does not say why".to_owned()),
        (false, false) => Some(gaps.join("; ")),
    }
}

/// Why the trace may not be the whole truth.
fn doubts(trace: &Trace) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(gaps) = incomplete(trace) {
        notes.push(format!("the trace is incomplete: {gaps}"));
    }
    notes.extend(trace.unseen());
    for path in trace
        .paths
        .iter()
        .filter(|path| path.uses.contains(&Use::Root))
    {
        let root = path.host.display();
        notes.push(format!("made {root} its root directory by itself"));
    }
    notes
}

fn service(trace: &Trace, knowledge: Option<&Knowledge>, facts: &Facts) -> Service {
    let workdir = &facts.workdir;
    let root = Path::new("/");
    Service {
        command: command(trace),
        user: facts.user.clone(),
        group: facts.group.clone(),
        groups: facts.groups.clone(),
        start_as_root: facts.start_as_root,
        refuses_root: facts.refuses_root,
        unaided: facts.unaided,
        accounts: facts.accounts.clone(),
        workdir: if workdir.is_absolute() {
            workdir.clone()
        } else {
            root.to_owned()
        },
        environment: facts.environment.clone(),
        umask: UMASK,
        config_test: knowledge
            .map(|known| known.config_test.clone())
            .unwrap_or_default(),
        ready: Vec::new(),
        reload: knowledge.and_then(|known| known.reload.clone()),
        stop: knowledge
            .map(|known| known.stop.clone())
            .unwrap_or_default(),
        stop_timeout_s: stop_timeout_s(trace.certificate.ended_after_s),
        pid_file: None,
        host_pid_file: knowledge.and_then(|known| known.host_pid_file.clone()),
        forks: trace.certificate.forked,
        writable_executable: trace.writable_executable,
    }
}

/// As long as every service gets, or twice what this one took alone.
fn stop_timeout_s(took: u32) -> u32 {
    took.saturating_mul(2)
        .clamp(STOP_TIMEOUT_S, MOST_STOP_TIMEOUT_S)
}

/// The command with the absolute path of its program, which was searched in PATH if need be.
fn command(trace: &Trace) -> Vec<String> {
    let mut command = trace.command.clone();
    if let Some(program) = command
        .first_mut()
        .filter(|program| !program.starts_with('/'))
    {
        let name = Path::new(program.as_str())
            .file_name()
            .map(ToOwned::to_owned);
        let executed = trace
            .paths
            .iter()
            .filter(|path| path.uses.contains(&Use::Execute));
        let found = executed
            .flat_map(|path| path.asked.iter().chain([&path.host]))
            .find(|path| path.is_absolute() && path.file_name() == name.as_deref());
        if let Some(path) = found.and_then(|path| path.to_str()) {
            *program = path.to_owned();
        }
    }
    command
}

/// The knowledge's exercises on the port that the service really has.
fn known_exercises(ready: &[Ready], knowledge: Option<&Knowledge>) -> Vec<Exercise> {
    let on_port = |known: &Knowledge| known.exercises_on(network::main_port(ready, knowledge));
    knowledge.map(on_port).unwrap_or_default()
}

/// The known exercises and those that came with the facts, except known ones that failed: a
/// person's own shall be seen to fail, but one that gaoler brought may not fit this host.
fn exercises(
    trace: &Trace,
    known: &[Exercise],
    facts: &Facts,
    notes: &mut Vec<String>,
) -> Vec<Exercise> {
    let is_given = |name: &str| facts.exercises.iter().any(|given| given.name == name);
    let is_known = |name: &str| known.iter().any(|exercise| exercise.name == name);
    let mut exercises: Vec<Exercise> = known
        .iter()
        .filter(|exercise| !is_given(&exercise.name))
        .cloned()
        .collect();
    exercises.extend(facts.exercises.iter().cloned());
    for run in trace.certificate.exercises.iter().filter(|run| !run.passed) {
        if is_known(&run.name) {
            exercises.retain(|exercise| exercise.name != run.name);
            notes.push(format!(
                "exercise {}, left out: it failed during learning",
                run.name
            ));
        }
    }
    exercises
}
