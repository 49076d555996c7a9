//! `incidents`: what may have been an attack, and what went before.

mod freeze;
mod gather;
mod records;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::{LogsOptions, Places, Report, attest, is_ordinary, logs, scan, valid_name};
use crate::incidents::{Before, Counts, Incident, IncidentKind, Noted, Store, tell};
use crate::run::events::Event;
use crate::run::started;
use crate::run::state::Last;
use crate::sys::beneath::Beneath;
use crate::watch::monitor::Tail;
use crate::why::audit;
use crate::why::symbols::{self, Address};
use crate::{Error, Result};
pub use freeze::{freeze, thaw};
use gather::{Cursor, Seen, Subject};
use records::Records;

/// Where they are written down, in gaoler's directory below `/var/lib`: no jail's name begins so.
const STORE: &str = ".incidents";

/// So many of each kind of thing that went before are kept.
const DENIALS: usize = 10;
const EVENTS: usize = 10;
const WORDS: usize = 20;
const MAPS: usize = 400;

/// So many new ones of a jail are told of within an hour; more are only written down.
const TOLD_IN_AN_HOUR: usize = 10;

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incidents {
    /// By number.
    pub incidents: Vec<Incident>,
}

/// Which are wanted.
#[derive(Clone, Debug, Default)]
pub struct IncidentsOptions {
    /// Those of this jail.
    pub name: Option<String>,
    /// Those of this kind.
    pub kind: Option<IncidentKind>,
}

/// What may have been an attack. The jails are looked at first, so that what happened a moment ago is
/// among it.
///
/// # Errors
/// There is no such jail; what was written down cannot be read.
pub fn incidents(
    places: &Places,
    options: &IncidentsOptions,
    report: &Report<'_>,
) -> Result<Incidents> {
    let names = match &options.name {
        Some(name) => {
            valid_name(name)?;
            vec![name.clone()]
        }
        None => scan::names(&places.run, "")?,
    };
    if let Some(why) = records::unheard(&audit::sources()) {
        report(super::Event::Warning(why));
    }
    for name in names.iter().filter(|_| !is_ordinary()) {
        for line in attest::attest(places, name)? {
            report(super::Event::Note(format!("{name}: {line}")));
        }
    }
    let mut incidents = Store::look(&store(places))?;
    let is_wanted = |incident: &Incident| {
        options
            .name
            .as_ref()
            .is_none_or(|name| incident.jail == *name)
            && options.kind.is_none_or(|kind| incident.kind == kind)
    };
    incidents.retain(is_wanted);
    Ok(Incidents { incidents })
}

/// One of them.
///
/// # Errors
/// There is none of this number.
pub fn incident(places: &Places, id: u64) -> Result<Incident> {
    let all = Store::look(&store(places))?;
    all.into_iter()
        .find(|incident| incident.id == id)
        .ok_or_else(|| {
            Error::usage(
                format!("show incident {id}"),
                "there is none of this number",
            )
            .hint("see which there are: gaoler incidents")
        })
}

/// How often something was seen in each jail; `None` where nobody looks.
pub(super) fn counts(places: &Places) -> Option<BTreeMap<String, Counts>> {
    (!is_ordinary()).then(|| Store::counts(&store(places)))
}

fn store(places: &Places) -> PathBuf {
    places.state.join(STORE)
}

/// Looks whether something has happened to a jail since the last look, and writes it down, tells of
/// it and freezes the jail as its spec has it. The lines for its log are answered.
///
/// An ordinary user's jails are not looked at: what the kernel has written is root's to read.
///
/// # Errors
/// What was found cannot be written down.
pub(super) fn notice(places: &Places, name: &str) -> Result<Vec<String>> {
    if is_ordinary() || places.trial().is_some() {
        return Ok(Vec::new());
    }
    let Some(subject) = Subject::of(places, name)? else {
        return Ok(Vec::new());
    };
    // From here on nobody else looks.
    let mut store = Store::open(&store(places))?;
    let mut cursor = Cursor::load(&subject.directory);
    let records = Records::read();
    let seen = subject.gather(&mut cursor, &records)?;
    let mut lines = Vec::new();
    for seen in seen {
        lines.extend(note(&subject, &mut store, &records, seen)?);
    }
    cursor.save(&subject.directory)?;
    Ok(lines)
}

/// Writes one down. What could not be told is answered.
fn note(
    subject: &Subject<'_>,
    store: &mut Store,
    records: &Records,
    seen: Seen,
) -> Result<Vec<String>> {
    let Seen { sighting, denied } = seen;
    let hour = sighting.time.get(..13).unwrap_or_default().to_owned();
    let kind = sighting.kind;
    let before = || before(subject, records, denied.as_ref());
    let noted = store.note(sighting, Some(subject.generation), before)?;
    let (id, told) = match noted {
        Noted::New(id) => (id, store.is_among(id, &hour, TOLD_IN_AN_HOUR)),
        Noted::Again { id, since_last } => (id, since_last),
    };
    let mut lines = Vec::new();
    let freezes = subject.spec.incidents.freeze.contains(&kind);
    if freezes && subject.is_to_freeze() {
        let why = format!("incident {id}");
        match subject.freeze(&why) {
            Ok(()) => store.froze(id)?,
            Err(error) => lines.push(error.to_string()),
        }
    }
    if let Some(incident) = store.incident(id).filter(|_| told) {
        lines.extend(tell(incident, &subject.spec.incidents));
    }
    Ok(lines)
}

impl Subject<'_> {
    fn is_to_freeze(&self) -> bool {
        crate::run::restarts::frozen(&self.directory).is_none()
    }

    /// One that has ended only stays down.
    fn freeze(&self, why: &str) -> Result<()> {
        match &self.state {
            Some(_) => freeze(self.places, self.name, why).map(drop),
            None => crate::run::restarts::freeze(&self.directory, why),
        }
    }
}

/// What went before, as far as it is known.
fn before(subject: &Subject<'_>, records: &Records, denied: Option<&records::Denied>) -> Before {
    let last = Last::load(&subject.directory).filter(|_| subject.state.is_none());
    let all = Tail::default().read(&subject.directory);
    let begun = all.iter().rfind(|event| event.event == "start");
    let maps = maps(subject, denied, begun.and_then(|event| event.pid));
    let since = begun.map_or("", |event| event.time.as_str());
    let denials = records.of(subject, since).unwrap_or_default();
    let denial = |denied: &records::Denied| format!("{} {}", denied.time, denied.detail);
    let event = |Event {
                     time,
                     event,
                     detail,
                     ..
                 }: &Event| format!("{time} {event} {detail}");
    let newest = |lines: Vec<String>, most: usize| {
        let skipped = lines.len().saturating_sub(most);
        lines.into_iter().skip(skipped).collect()
    };
    Before {
        ended: last.as_ref().map(|last| last.ended.to_string()),
        place: denied
            .and_then(|denied| denied.address)
            .and_then(|address| place(subject, &maps, address)),
        program: denied.and_then(|denied| denied.program.clone()),
        denials: newest(denials.iter().map(denial).collect(), DENIALS),
        events: newest(all.iter().map(event).collect(), EVENTS),
        words: words(subject),
        maps: String::from_utf8_lossy(&maps)
            .lines()
            .take(MAPS)
            .map(str::to_owned)
            .collect(),
    }
}

/// Of the process itself if it is still there; of the `service` also as they were kept last.
fn maps(subject: &Subject<'_>, denied: Option<&records::Denied>, service: Option<i32>) -> Vec<u8> {
    let pid = denied.and_then(|denied| denied.pid);
    let living = pid.and_then(|pid| std::fs::read(format!("/proc/{pid}/maps")).ok());
    match living.filter(|maps| !maps.is_empty()) {
        Some(maps) => maps,
        None if pid.is_none() || pid == service => {
            started::maps(&subject.directory).unwrap_or_default()
        }
        None => Vec::new(),
    }
}

fn place(subject: &Subject<'_>, maps: &[u8], address: Address) -> Option<String> {
    let mappings = symbols::mappings(maps);
    if mappings.is_empty() {
        return None;
    }
    let tree = Beneath::open(&subject.tree).ok()?;
    let found = symbols::place(&mappings, address, &symbols::beneath(&tree));
    Some(found.to_string())
}

fn words(subject: &Subject<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let options = LogsOptions {
        name: subject.name.to_owned(),
        lines: WORDS,
        follow: false,
    };
    let mut keep = |line: &str| {
        lines.push(line.to_owned());
        Ok(true)
    };
    match logs(subject.places, &options, &mut keep) {
        Ok(()) => lines,
        // It has said nothing, or that is gone.
        Err(_) => Vec::new(),
    }
}
