//! Adds up what is seen: `Event → Trace`. Pure; the tracer feeds it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::paths::Resolved;
use super::trace::{
    CallSeen, CapabilitySeen, IdsSeen, PathKind, PathSeen, Phase, SocketSeen, SocketUse, Trace, Use,
};

/// More different things of one kind than this are a gap, not a bigger trace: names that a
/// service makes up without end must not fill the memory.
const MOST: usize = 200_000;

/// As many names of one thing are kept.
const MOST_NAMES: usize = 256;

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// io_uring was set up.
    Blind,
    /// A system call of the native architecture, by number.
    Call(u32),
    /// A call needed this capability; the text is the call.
    Capability(u8, String),
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
    /// Something was done with a socket; `phase` is filled in here.
    Socket(SocketSeen),
    /// Memory was made writable and executable at once.
    WritableExecutable,
}

/// Everything seen so far.
#[derive(Debug, Default)]
pub struct Recorder {
    calls: BTreeMap<(u32, Phase), u64>,
    foreign: BTreeSet<(String, u32)>,
    paths: BTreeMap<PathBuf, PathSeen>,
    sockets: BTreeMap<SocketKey, Phase>,
    ids: BTreeSet<IdsSeen>,
    capabilities: BTreeMap<(u8, String), Phase>,
    handlers: BTreeMap<i32, BTreeSet<i32>>,
    gaps: BTreeSet<String>,
    writable_executable: bool,
    blind: bool,
}

type SocketKey = (SocketUse, u16, u16, i32, String, u16);

impl Recorder {
    /// Adds an event of a call that began in `phase`.
    pub fn record(&mut self, phase: Phase, event: Event) {
        match event {
            Event::Blind => self.blind = true,
            Event::Call(number) => *self.calls.entry((number, phase)).or_default() += 1,
            Event::Capability(capability, call) => {
                if self.capabilities.len() < MOST {
                    self.capabilities.entry((capability, call)).or_insert(phase);
                }
            }
            Event::ForeignCall(architecture, number) => {
                self.foreign.insert((architecture, number));
            }
            Event::Gap(text) => {
                self.gaps.insert(text);
            }
            Event::Handler { process, signal } => {
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
            } => self.path(phase, found, &uses, failure),
            Event::Socket(seen) => self.socket(phase, seen),
            Event::WritableExecutable => self.writable_executable = true,
        }
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

    /// The trace, with `main` as the main process. What needs a look at the host or at the
    /// tracer's own counts is left for the caller: the command, the certificate, and the kind
    /// and device of each path.
    pub fn finish(self, main: i32, name: impl Fn(u32) -> String) -> Trace {
        let handlers = self.handlers.get(&main).cloned().unwrap_or_default();
        let mut trace = Trace {
            calls: self
                .calls
                .into_iter()
                .map(|((number, phase), count)| CallSeen {
                    number,
                    name: name(number),
                    phase,
                    count,
                })
                .collect(),
            foreign_calls: self.foreign.into_iter().collect(),
            paths: self.paths.into_values().collect(),
            sockets: self.sockets.into_iter().map(socket_seen).collect(),
            ids: self.ids.into_iter().collect(),
            capabilities: self
                .capabilities
                .into_iter()
                .map(|((capability, call), phase)| CapabilitySeen {
                    capability,
                    call,
                    phase,
                })
                .collect(),
            writable_executable: self.writable_executable,
            handled_signals: handlers.into_iter().collect(),
            blind: self.blind,
            ..Trace::default()
        };
        trace.certificate.gaps = self.gaps.into_iter().collect();
        trace
    }

    fn path(&mut self, phase: Phase, found: Resolved, uses: &[Use], failure: Option<i32>) {
        if self.paths.len() >= MOST && !self.paths.contains_key(&found.host) {
            self.gaps
                .insert(format!("more than {MOST} different paths"));
            return;
        }
        let seen = self
            .paths
            .entry(found.host)
            .or_insert_with_key(|host| PathSeen {
                host: host.clone(),
                asked: BTreeSet::new(),
                links: Vec::new(),
                kind: PathKind::Missing,
                device: None,
                uses: BTreeSet::new(),
                failures: BTreeSet::new(),
                phase,
                count: 0,
            });
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
        seen.count += 1;
    }

    fn socket(&mut self, phase: Phase, seen: SocketSeen) {
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
        self.sockets.entry(key).or_insert(phase);
    }
}

fn socket_seen((key, phase): (SocketKey, Phase)) -> SocketSeen {
    let (action, family, kind, protocol, address, port) = key;
    SocketSeen {
        action,
        family,
        kind,
        protocol,
        address,
        port,
        phase,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(host: &str, asked: &str, used: Use, failure: Option<i32>) -> Event {
        let found = Resolved {
            host: host.into(),
            asked: asked.into(),
            ..Resolved::default()
        };
        Event::Path {
            found,
            uses: vec![used],
            failure,
        }
    }

    #[test]
    fn calls_add_up_by_phase() {
        let mut recorder = Recorder::default();
        for phase in [Phase::Serve, Phase::Start, Phase::Serve] {
            recorder.record(phase, Event::Call(39));
        }
        let trace = recorder.finish(1, |number| format!("call {number}"));
        let counts: Vec<_> = trace
            .calls
            .iter()
            .map(|seen| (seen.number, seen.phase, seen.count))
            .collect();
        assert_eq!(counts, [(39, Phase::Start, 1), (39, Phase::Serve, 2)]);
        assert_eq!(trace.calls[0].name, "call 39");
    }

    #[test]
    fn uses_of_one_path_come_together() {
        let mut recorder = Recorder::default();
        recorder.record(Phase::Start, path("/usr/lib/a", "/lib/a", Use::Read, None));
        recorder.record(
            Phase::Serve,
            path("/usr/lib/a", "/usr/lib/a", Use::Map, None),
        );
        recorder.record(Phase::Serve, path("/etc/b", "/etc/b", Use::Look, Some(2)));
        let trace = recorder.finish(1, |_| String::new());
        let [missing, library] = trace.paths.as_slice() else {
            panic!("{:?}", trace.paths)
        };
        assert_eq!(missing.failures, BTreeSet::from([(Use::Look, 2)]));
        assert!(missing.uses.is_empty());
        assert_eq!(library.uses, BTreeSet::from([Use::Read, Use::Map]));
        assert_eq!(library.asked.len(), 2);
        assert_eq!((library.phase, library.count), (Phase::Start, 2));
    }

    #[test]
    fn handlers_are_inherited_and_lost_by_exec() {
        let mut recorder = Recorder::default();
        recorder.record(
            Phase::Start,
            Event::Handler {
                process: 1,
                signal: 15,
            },
        );
        recorder.forked(1, 2);
        recorder.record(
            Phase::Start,
            Event::Handler {
                process: 2,
                signal: 1,
            },
        );
        recorder.executed(1);
        assert_eq!(
            recorder.finish(2, |_| String::new()).handled_signals,
            [1, 15]
        );
    }

    #[test]
    fn a_socket_keeps_its_first_phase() {
        let mut recorder = Recorder::default();
        let seen = SocketSeen {
            action: SocketUse::Bind,
            family: 2,
            kind: 2,
            protocol: 17,
            address: "127.0.0.1".to_owned(),
            port: 53,
            phase: Phase::Serve,
        };
        recorder.record(Phase::Start, Event::Socket(seen.clone()));
        recorder.record(Phase::Serve, Event::Socket(seen));
        let trace = recorder.finish(1, |_| String::new());
        assert_eq!(trace.sockets.len(), 1);
        assert_eq!(trace.sockets[0].phase, Phase::Start);
    }
}
