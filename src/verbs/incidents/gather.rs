//! What may be an attack, from what the kernel and the jail's supervisor have written down since the
//! last look, and from what runs now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::attest::now;
use super::super::{Places, jail, observe};
use super::records::{Denied, Records};
use crate::build::{self, Manifest};
use crate::host::process;
use crate::incidents::{IncidentKind, Sighting, is_unusual};
use crate::learn;
use crate::run::events::Event;
use crate::run::restarts::Restarts;
use crate::run::started;
use crate::run::state::State;
use crate::spec::{FileKind, Spec};
use crate::watch::monitor::Tail;
use crate::watch::processes::{Role, of_jails};
use crate::watch::sockets::Activity;
use crate::{Doing, Error, Result};

/// How far was looked, in the jail's directory below `/run/gaoler`.
const FILE: &str = "noticed.json";

/// SIGSYS (`signal(7)`): what a filter kills with.
const SIGSYS: i32 = 31;

/// What a mistake in its memory brings.
const OF_MISTAKES: [(i32, &str); 5] = [
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (11, "SIGSEGV"),
];

/// How far was looked.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Cursor {
    events: Tail,
    /// The number of the last record of the kernel's.
    record: u64,
    /// What was there at the last look: it is counted once for as long as it stays.
    present: BTreeSet<(IncidentKind, String, Option<i32>)>,
}

/// One jail, as it is now or was when it ended.
pub(super) struct Subject<'a> {
    pub(super) places: &'a Places,
    pub(super) name: &'a str,
    pub(super) directory: PathBuf,
    /// It runs.
    pub(super) state: Option<State>,
    pub(super) generation: u64,
    pub(super) tree: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) spec: Spec,
    pub(super) uid: Option<u32>,
}

/// A sighting, and the record of the kernel's that it rests on.
pub(super) struct Seen {
    pub(super) sighting: Sighting,
    pub(super) denied: Option<Denied>,
}

impl<'a> Subject<'a> {
    /// `None`: no generation of it has ever run.
    ///
    /// # Errors
    /// What it was started from is gone.
    pub(super) fn of(places: &'a Places, name: &'a str) -> Result<Option<Self>> {
        let directory = places.runtime(name);
        let state = State::running(&directory)?;
        let plan = started::plan(&directory)?;
        let generation = match (&state, &plan) {
            (Some(state), _) => state.generation,
            (None, Some(plan)) => plan.generation,
            (None, None) => return Ok(None),
        };
        let built = build::state_of(&places.state, name)?
            .ok_or_else(|| Error::new(format!("look at {name}"), "what it was built of is gone"))?;
        let tree = built.root(generation);
        Ok(Some(Self {
            places,
            name,
            directory,
            state,
            generation,
            manifest: built.manifest(generation)?,
            spec: jail::spec_of_tree(&tree)?,
            tree,
            uid: plan.as_ref().and_then(crate::plan::Plan::uid),
        }))
    }

    /// What is new since the cursor, which is moved on.
    ///
    /// # Errors
    /// `/proc` not readable; the kernel does not tell of sockets.
    pub(super) fn gather(&self, cursor: &mut Cursor, records: &Records) -> Result<Vec<Seen>> {
        let events = cursor.events.read(&self.directory);
        let denied: Vec<Denied> = records
            .of(self, &self.begun())?
            .into_iter()
            .filter(|denied| denied.serial > cursor.record)
            .collect();
        cursor.record = cursor.record.max(records.last());
        let mut found = self.denials(denied)?;
        found.extend(events.iter().filter_map(|event| self.ends(event, records)));
        found.extend(self.restarted(&events));
        found.extend(events.iter().filter_map(drifted).map(Seen::from));
        if let Some(state) = &self.state {
            let mut now = self.programs(state)?;
            now.extend(self.ports()?);
            let key = |it: &Sighting| (it.kind, it.subject.clone(), it.pid);
            let present = now.iter().map(key).collect();
            let before = std::mem::replace(&mut cursor.present, present);
            let new = now.into_iter().filter(|it| !before.contains(&key(it)));
            found.extend(new.map(Seen::from));
        }
        Ok(found)
    }

    /// When its last run began: what was written down before is not of that.
    fn begun(&self) -> String {
        let all = Tail::default().read(&self.directory);
        let start = all.into_iter().rfind(|event| event.event == "start");
        start.map_or_else(now, |event| event.time)
    }

    fn sighting(&self, kind: IncidentKind, subject: &str, detail: String) -> Sighting {
        Sighting {
            jail: self.name.to_owned(),
            kind,
            subject: subject.to_owned(),
            detail,
            time: now(),
            pid: None,
        }
    }

    /// What was denied and no exercise has met; the filter's kills.
    fn denials(&self, denied: Vec<Denied>) -> Result<Vec<Seen>> {
        let met = match denied.iter().any(|denied| denied.call.is_some()) {
            true => self.calls_met()?,
            false => BTreeSet::new(),
        };
        let is_met = |denied: &Denied| denied.call.as_ref().is_some_and(|call| met.contains(call));
        let unmet = denied.into_iter().filter(|it| it.kills || !is_met(it));
        let seen = |denied: Denied| {
            let kind = match denied.kills {
                true => IncidentKind::Kill,
                false => IncidentKind::Denial,
            };
            Seen {
                sighting: Sighting {
                    time: denied.time.clone(),
                    pid: denied.pid,
                    ..self.sighting(kind, &denied.subject, denied.detail.clone())
                },
                denied: Some(denied),
            }
        };
        Ok(unmet.map(seen).collect())
    }

    /// The calls that were seen when it was learned; none without a trace.
    fn calls_met(&self) -> Result<BTreeSet<String>> {
        let path = self.places.trace(self.name);
        if !path.exists() {
            return Ok(BTreeSet::new());
        }
        let trace = learn::load(&path)?;
        Ok(trace.calls.into_iter().map(|call| call.name).collect())
    }

    /// A service that a signal has ended which no one sends to end it.
    fn ends(&self, event: &Event, records: &Records) -> Option<Seen> {
        let signal = event.detail.strip_prefix("signal ")?.parse::<i32>().ok()?;
        if event.event != "exit" {
            return None;
        }
        let by = records.of_process(event.pid?);
        let (kind, subject) = match signal {
            // By the filter: that record says it already.
            SIGSYS if by.is_some() => return None,
            SIGSYS => (IncidentKind::Kill, "SIGSYS"),
            _ => {
                let (_, name) = OF_MISTAKES.iter().find(|(number, _)| *number == signal)?;
                (IncidentKind::Crash, *name)
            }
        };
        let fault = records.fault(event.pid?);
        let detail = match &fault {
            Some(fault) => format!("{subject} has ended the service: {}", fault.detail),
            None => format!("{subject} has ended the service"),
        };
        Some(Seen {
            sighting: Sighting {
                time: event.time.clone(),
                pid: event.pid,
                ..self.sighting(kind, subject, detail)
            },
            denied: fault,
        })
    }

    /// One that is unusual; a day's are one.
    fn restarted(&self, events: &[Event]) -> Option<Seen> {
        let last = events.iter().rfind(|event| event.event == "restart")?;
        let restarts = Restarts::load(&self.places.state.join(self.name));
        let times: Vec<u64> = restarts.recent.iter().map(|it| it.at_ms).collect();
        let by_hand = last.detail.starts_with("by hand");
        if by_hand || !is_unusual(&times) {
            return None;
        }
        let day = last.time.get(..10).unwrap_or_default();
        let detail = format!("it was started again, which is unusual: {}", last.detail);
        Some(Seen::from(Sighting {
            time: last.time.clone(),
            pid: last.pid,
            ..self.sighting(IncidentKind::Restart, day, detail)
        }))
    }

    /// Programs that run and that its spec does not have.
    fn programs(&self, state: &State) -> Result<Vec<Sighting>> {
        let known = self.known_programs();
        let mut found = BTreeMap::new();
        for process in of_jails(std::slice::from_ref(state))?.into_iter().flatten() {
            if ![Role::Service, Role::Process].contains(&process.role) {
                continue;
            }
            // One that has ended is none.
            let Some(path) = process::executable(process.pid) else {
                continue;
            };
            if !known.contains(&path) {
                found.entry(path).or_insert(process.pid);
            }
        }
        let told = |(path, pid): (PathBuf, i32)| Sighting {
            pid: Some(pid),
            ..self.sighting(
                IncidentKind::Program,
                &path.display().to_string(),
                format!(
                    "process {pid} runs {}, which no run has shown",
                    path.display()
                ),
            )
        };
        Ok(found.into_iter().map(told).collect())
    }

    /// By the paths that they have without links, which are those of the host.
    fn known_programs(&self) -> BTreeSet<PathBuf> {
        let files = self.spec.files.iter();
        let programs = files.filter(|file| file.kind == FileKind::Program);
        let mut known: BTreeSet<PathBuf> = programs.map(|file| file.path.clone()).collect();
        known.extend(self.spec.service.command.first().map(PathBuf::from));
        let real: Vec<PathBuf> = known
            .iter()
            .filter_map(|path| fs::canonicalize(path).ok())
            .collect();
        known.extend(real);
        known
    }

    /// Ports at which it listens and that its spec does not have.
    fn ports(&self) -> Result<Vec<Sighting>> {
        let jails = observe::netstats(self.places, Some(self.name))?;
        let sockets = jails.into_iter().flat_map(|jail| jail.sockets);
        let new = sockets.filter(|socket| {
            socket.activity == Activity::Listening && socket.allowed == Some(false)
        });
        let told = |socket: crate::watch::sockets::Socket| {
            let (protocol, port) = (socket.protocol, socket.port.unwrap_or_default());
            let address = socket.address.unwrap_or_default();
            Sighting {
                pid: socket.pids.first().copied(),
                ..self.sighting(
                    IncidentKind::Port,
                    &format!("{protocol} {port}"),
                    format!(
                        "it listens at {protocol} {address} port {port}, which its spec has not"
                    ),
                )
            }
        };
        Ok(new.map(told).collect())
    }
}

impl From<Sighting> for Seen {
    fn from(sighting: Sighting) -> Self {
        Self {
            sighting,
            denied: None,
        }
    }
}

/// What its supervisor has found to be otherwise than it was started.
fn drifted(event: &Event) -> Option<Sighting> {
    if event.event != "drift" {
        return None;
    }
    let (rule, rest) = event.detail.split_once(": ")?;
    let (subject, evidence) = rest.split_once(": ")?;
    let kind = match rule {
        "tree.drift" => IncidentKind::Changed,
        "live.executable" => IncidentKind::Program,
        _ => IncidentKind::Drift,
    };
    Some(Sighting {
        jail: event.jail.clone(),
        kind,
        // A process has another number each time.
        subject: match event.pid {
            Some(_) => rule.to_owned(),
            None => subject.to_owned(),
        },
        detail: format!("{subject}: {evidence}"),
        time: event.time.clone(),
        pid: event.pid,
    })
}

impl Cursor {
    /// How far was looked; one that is damaged begins anew.
    pub(super) fn load(directory: &Path) -> Self {
        let text = fs::read_to_string(directory.join(FILE)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Writes it in one rename.
    ///
    /// # Errors
    /// The directory is not writable.
    pub(super) fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let doing = || format!("write {}", path.display());
        let text = serde_json::to_string(self).map_err(|error| Error::new(doing(), error))?;
        let beside = directory.join(".noticed.json.new");
        fs::write(&beside, text).doing(doing)?;
        fs::rename(&beside, &path).doing(doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(detail: &str, pid: Option<i32>) -> Event {
        Event {
            time: "2026-11-22T11:40:20Z".to_owned(),
            jail: "web".to_owned(),
            event: "drift".to_owned(),
            pid,
            detail: detail.to_owned(),
        }
    }

    #[test]
    fn what_has_drifted_is_of_a_kind_and_a_process_has_no_number() {
        let tree = drifted(&event("tree.drift: /usr/sbin/web: content", None)).unwrap();
        assert_eq!(
            (tree.kind, &*tree.subject),
            (IncidentKind::Changed, "/usr/sbin/web")
        );
        let exe = "live.executable: process 17: its executable /x is not what was built";
        let exe = drifted(&event(exe, Some(17))).unwrap();
        assert_eq!(
            (exe.kind, &*exe.subject),
            (IncidentKind::Program, "live.executable")
        );
        let other = drifted(&event("live.tracer: process 17: traced by 18", Some(17))).unwrap();
        assert_eq!(
            (other.kind, &*other.subject),
            (IncidentKind::Drift, "live.tracer")
        );
        assert_eq!(drifted(&event("no rule", None)), None);
    }
}
