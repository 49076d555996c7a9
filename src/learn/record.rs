//! Adds up what is seen: `Event → Trace`. Pure; the tracer feeds it.

mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::paths::Resolved;
use super::trace::{
    CallFailed, CallSeen, IdsSeen, Known, PathSeen, Phase, Place, SocketSeen, SocketUse, Trace, Use,
};
use crate::sys::calls;
use seen::{Numbered, arguments_seen, capability_seen, new_path, socket_seen};

/// More different things of one kind than this are a gap, not a bigger trace: names that a
/// service makes up without end must not fill the memory.
pub(super) const MOST: usize = 200_000;

/// As many names of one thing are kept.
pub(super) const MOST_NAMES: usize = 256;

/// As many different arguments of one call in one phase are kept; with more, they decide nothing.
pub const MOST_ARGUMENTS: usize = 64;

/// As many different paths of one call with the same flags are kept apart.
const MOST_USED: usize = 4096;

/// The circumstances of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// When it began.
    pub phase: Phase,
    /// The exercise that was running, counted from 1; 0 for none.
    pub exercise: u16,
    /// The program that made it, as [`Recorder::program`] numbers them.
    pub program: u16,
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// io_uring was set up.
    Blind,
    /// What a call was made with, where that decides: its number, and those arguments.
    Arguments(u32, Vec<u64>),
    /// A system call of the native architecture, by number.
    Call(u32),
    /// A call needed a capability.
    Capability {
        /// Its number.
        capability: u8,
        /// The call, with what decided.
        call: String,
        /// How that is known.
        known: Known,
        /// The caller did not have it, and the call failed.
        refused: bool,
        /// The user that the caller acted as.
        user: u32,
    },
    /// A call failed in a jail.
    Failed {
        /// Its number.
        number: u32,
        /// Why.
        errno: i32,
        /// What it was made with.
        arguments: [u64; 6],
        /// The architecture whose entry it came through; empty for this machine's own.
        architecture: String,
        /// Where in the program it was made, and by which thread, if that was looked up.
        at: Option<Place>,
        /// The file that it was made on, where that matters.
        file: Option<PathBuf>,
        /// As `at`.
        thread: String,
    },
    /// A system call through another architecture's entry.
    ForeignCall(String, u32),
    /// Something that the trace cannot show.
    Gap(String),
    /// A process installed a handler for a signal.
    Handler {
        /// The process.
        process: i32,
        /// The signal.
        signal: i32,
    },
    /// The ids of a thread after it changed them.
    Ids(super::capabilities::Credentials),
    /// A path was used, or its use failed with an errno.
    Path {
        /// Where it led.
        found: Resolved,
        /// For what.
        uses: Vec<Use>,
        /// Why that failed, if it did.
        failure: Option<i32>,
    },
    /// The kernel asked for this capability without need.
    Speculation(u8),
    /// Something was done with a socket; when and where is filled in here.
    Socket(SocketSeen),
    /// Memory was made executable that is writable, or may have been written before.
    WritableExecutable,
}

/// How often something was seen, and by whom.
#[derive(Clone, Debug, Default)]
struct Tally {
    start: u64,
    serve: u64,
    programs: BTreeSet<u16>,
    exercises: BTreeSet<u16>,
}

impl Tally {
    fn add(&mut self, when: When) {
        match when.phase {
            Phase::Start => self.start += 1,
            Phase::Serve => self.serve += 1,
        }
        self.programs.insert(when.program);
        if when.exercise != 0 {
            self.exercises.insert(when.exercise);
        }
    }

    fn count(&self) -> u64 {
        self.start + self.serve
    }
}

/// Everything seen so far, in all passes.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    calls: BTreeMap<(u32, Phase), Tally>,
    arguments: BTreeMap<(u32, Phase), BTreeMap<Vec<u64>, u64>>,
    failed: BTreeMap<Failure, (CallFailed, Tally)>,
    foreign: BTreeSet<(String, u32)>,
    names: Names,
    changed_root: bool,
    paths: BTreeMap<PathBuf, (PathSeen, Tally)>,
    sockets: BTreeMap<SocketKey, (Phase, Tally)>,
    ids: BTreeSet<IdsSeen>,
    capabilities: BTreeMap<CapabilityKey, Tally>,
    speculations: BTreeSet<u8>,
    handlers: BTreeMap<i32, BTreeSet<i32>>,
    handled: BTreeSet<i32>,
    ever_handled: BTreeSet<i32>,
    gaps: BTreeSet<String>,
    programs: Vec<String>,
    writable_executable: bool,
    blind: bool,
}

/// By a call's number and flags: what it named with success in serving, and how often.
pub type Names = BTreeMap<(u32, u64), BTreeMap<PathBuf, u64>>;

/// Capability, call, phase, how it is known, whether it was refused, and the user.
type CapabilityKey = (u8, String, Phase, Known, bool, u32);

/// Architecture, number, errno, phase, and whether it asked for huge pages: a try that a service
/// goes without must not hide one that it needs.
type Failure = (String, u32, i32, Phase, bool);

fn failure(
    architecture: &str,
    number: u32,
    errno: i32,
    phase: Phase,
    arguments: &[u64; 6],
) -> Failure {
    let name = calls::name(number).unwrap_or_default();
    let huge = architecture.is_empty() && calls::asks_for_huge_pages(name, arguments);
    (architecture.to_owned(), number, errno, phase, huge)
}

type SocketKey = (SocketUse, u16, u16, i32, String, u16);

impl Recorder {
    /// Adds an event of a call.
    pub fn record(&mut self, when: When, event: Event) {
        let phase = when.phase;
        match event {
            Event::Arguments(number, values) => {
                let seen = self.arguments.entry((number, phase)).or_default();
                // One more than counts, so that too many can be told.
                if seen.len() <= MOST_ARGUMENTS || seen.contains_key(&values) {
                    *seen.entry(values).or_default() += 1;
                }
            }
            Event::Blind => self.blind = true,
            Event::Call(number) => self.calls.entry((number, phase)).or_default().add(when),
            Event::Capability {
                capability,
                call,
                known,
                refused,
                user,
            } => {
                if self.capabilities.len() < MOST {
                    let key = (capability, call, phase, known, refused, user);
                    self.capabilities.entry(key).or_default().add(when);
                }
            }
            Event::Failed {
                number,
                errno,
                architecture,
                arguments,
                at,
                file,
                thread,
            } => {
                let key = failure(&architecture, number, errno, phase, &arguments);
                let (_, tally) = self.failed.entry(key).or_insert_with(|| {
                    let first = CallFailed {
                        number,
                        architecture,
                        errno,
                        phase,
                        arguments,
                        at,
                        file,
                        thread,
                        ..CallFailed::default()
                    };
                    (first, Tally::default())
                });
                tally.add(when);
            }
            Event::ForeignCall(architecture, number) => {
                self.foreign.insert((architecture, number));
            }
            Event::Gap(text) => {
                self.gaps.insert(text);
            }
            Event::Handler { process, signal } => {
                self.ever_handled.insert(signal);
                self.handlers.entry(process).or_default().insert(signal);
            }
            Event::Ids(ids) => {
                let (uids, gids, groups) = (ids.uids, ids.gids, ids.groups);
                self.ids.insert(IdsSeen {
                    uids,
                    gids,
                    groups,
                    phase,
                });
            }
            Event::Path {
                found,
                uses,
                failure,
            } => self.path(when, found, &uses, failure),
            Event::Socket(seen) => self.socket(when, seen),
            Event::Speculation(capability) => {
                self.speculations.insert(capability);
            }
            Event::WritableExecutable => self.writable_executable = true,
        }
    }

    /// The number of a program, for [`When`].
    pub fn program(&mut self, file: &Path) -> u16 {
        let name = file
            .file_name()
            .unwrap_or(file.as_os_str())
            .to_string_lossy();
        let known = self.programs.iter().position(|known| *known == name);
        let index = known.unwrap_or(self.programs.len());
        let Ok(number) = u16::try_from(index) else {
            return u16::MAX;
        };
        if known.is_none() {
            self.programs.push(name.into_owned());
        }
        number
    }

    /// Whether this call has failed like this before.
    pub fn knows_failure(
        &self,
        number: u32,
        errno: i32,
        phase: Phase,
        arguments: &[u64; 6],
    ) -> bool {
        let key = failure("", number, errno, phase, arguments);
        self.failed.contains_key(&key)
    }

    /// The calls that were seen in this phase.
    pub fn calls_in(&self, phase: Phase) -> impl Iterator<Item = u32> {
        self.calls
            .keys()
            .filter(move |(_, seen)| *seen == phase)
            .map(|(number, _)| *number)
    }

    /// The capability was needed in this phase, or is asked for without need at times.
    pub fn expects(&self, capability: u8, phase: Phase) -> bool {
        let mut needed = self.capabilities.keys();
        self.speculations.contains(&capability)
            || needed.any(|(number, _, seen, ..)| (*number, *seen) == (capability, phase))
    }

    /// What a call was made with in this phase; `None` if that was too many different things.
    pub fn arguments_in(&self, number: u32, phase: Phase) -> Option<Vec<Vec<u64>>> {
        let seen = self.arguments.get(&(number, phase));
        let seen: Vec<Vec<u64>> = seen.into_iter().flat_map(BTreeMap::keys).cloned().collect();
        (seen.len() <= MOST_ARGUMENTS).then_some(seen)
    }

    /// A call has used this path with success in serving, and it led to itself.
    pub fn named(&mut self, number: u32, flags: u64, path: &Path) {
        let names = self.names.entry((number, flags)).or_default();
        if let Some(count) = names.get_mut(path) {
            *count += 1;
        } else if names.len() < MOST_USED {
            names.insert(path.to_owned(), 1);
        }
    }

    /// What calls have named so.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// A process has changed its root directory, or tried to.
    pub fn has_changed_root(&self) -> bool {
        self.changed_root
    }

    /// A process has handled this signal, or waited for it.
    pub fn has_handled(&self, signal: i32) -> bool {
        self.ever_handled.contains(&signal)
    }

    /// A pass is over, in which `main` was the main process: ids of processes mean nothing in
    /// the next.
    pub fn end_pass(&mut self, main: i32) {
        let handlers = std::mem::take(&mut self.handlers);
        self.handled
            .extend(handlers.get(&main).into_iter().flatten());
    }

    /// A new process starts with its maker's signal handlers (`signal(7)`).
    pub fn forked(&mut self, parent: i32, child: i32) {
        if let Some(handlers) = self.handlers.get(&parent).cloned() {
            self.handlers.entry(child).or_default().extend(handlers);
        }
    }

    /// A process executed another program: its handlers are gone.
    pub fn executed(&mut self, process: i32) {
        self.handlers.remove(&process);
    }

    /// The trace, after the last pass. `exercises` are the names behind the numbers of [`When`].
    /// What needs a look at the host or at the tracer's own counts is left for the caller: the
    /// command, the certificate, and the kind and device of each path.
    pub fn finish(self, exercises: &[String], name: impl Fn(u32) -> String) -> Trace {
        let names = Numbered {
            programs: &self.programs,
            exercises,
        };
        let phases: BTreeSet<Phase> = self.calls.keys().map(|(_, phase)| *phase).collect();
        let mut trace = Trace {
            calls: self
                .calls
                .into_iter()
                .map(|((number, phase), tally)| CallSeen {
                    number,
                    name: name(number),
                    phase,
                    count: tally.count(),
                    witness: names.witness(&tally),
                })
                .collect(),
            arguments: arguments_seen(self.arguments, &name),
            failed: self
                .failed
                .into_values()
                .map(|(first, tally)| CallFailed {
                    name: if first.architecture.is_empty() {
                        name(first.number)
                    } else {
                        String::new()
                    },
                    count: tally.count(),
                    witness: names.witness(&tally),
                    ..first
                })
                .collect(),
            foreign_calls: self.foreign.into_iter().collect(),
            paths: self
                .paths
                .into_values()
                .map(|(seen, tally)| PathSeen {
                    count: tally.count(),
                    witness: names.witness(&tally),
                    ..seen
                })
                .collect(),
            sockets: self
                .sockets
                .into_iter()
                .map(|(key, (phase, tally))| socket_seen(key, phase, names.witness(&tally)))
                .collect(),
            ids: self.ids.into_iter().collect(),
            capabilities: self
                .capabilities
                .into_iter()
                .map(|(key, tally)| capability_seen(key, &tally, &names))
                .collect(),
            writable_executable: self.writable_executable,
            handled_signals: self.handled.into_iter().collect(),
            blind: self.blind,
            ..Trace::default()
        };
        trace.certificate.gaps = self.gaps.into_iter().collect();
        trace.certificate.phases = phases.into_iter().collect();
        trace
    }

    fn path(&mut self, when: When, found: Resolved, uses: &[Use], failure: Option<i32>) {
        self.changed_root |= uses.contains(&Use::Root);
        if self.paths.len() >= MOST && !self.paths.contains_key(&found.host) {
            self.gaps
                .insert(format!("more than {MOST} different paths"));
            return;
        }
        let (seen, tally) = self
            .paths
            .entry(found.host)
            .or_insert_with_key(|host| (new_path(host, when.phase), Tally::default()));
        if seen.asked.len() < MOST_NAMES {
            seen.asked.insert(found.asked);
        }
        for link in found.links {
            if !seen.links.contains(&link) {
                seen.links.push(link);
            }
        }
        match failure {
            None => seen.uses.extend(uses),
            Some(errno) => seen.failures.extend(uses.iter().map(|used| (*used, errno))),
        }
        tally.add(when);
    }

    fn socket(&mut self, when: When, seen: SocketSeen) {
        let key = (
            seen.action,
            seen.family,
            seen.kind,
            seen.protocol,
            seen.address,
            seen.port,
        );
        if self.sockets.len() >= MOST && !self.sockets.contains_key(&key) {
            self.gaps
                .insert(format!("more than {MOST} different socket addresses"));
            return;
        }
        let entry = self.sockets.entry(key);
        let (_, tally) = entry.or_insert_with(|| (when.phase, Tally::default()));
        tally.add(when);
    }
}

#[cfg(test)]
mod tests;
