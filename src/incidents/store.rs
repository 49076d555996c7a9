//! Where incidents are written down: a file each, in a directory that does not grow for ever.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Before, Incident, IncidentKind, Sighting};
use crate::{Doing, Error, Result};

/// So many are kept: those that were seen last.
pub const MOST: usize = 1000;

/// A file may have so many bytes: what went before is bounded, and that much is more.
const LARGEST: u64 = 1 << 20;

/// What is not forgotten with the incidents.
const TOTALS: &str = "totals.json";

/// How often something of each kind was seen in a jail.
pub type Counts = BTreeMap<IncidentKind, u64>;

/// What only grows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Totals {
    /// The highest number that was given.
    last: u64,
    /// What was seen in each jail, once more for each time.
    seen: BTreeMap<String, Counts>,
}

/// The incidents of all jails, for as long as it is held for one process alone.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    incidents: Vec<Incident>,
    totals: Totals,
    _lock: OwnedFd,
}

/// What became of a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It is the first of its kind: this is the number.
    New(u64),
    /// There is one like it.
    Again {
        /// Its number.
        id: u64,
        /// It was not seen in the same hour before.
        since_last: bool,
    },
}

impl Store {
    /// Those in this directory, which is made if it is not there. Waits until nobody else has it.
    ///
    /// # Errors
    /// It cannot be made, locked or read. A file in it that is damaged is no incident.
    pub fn open(directory: &Path) -> Result<Self> {
        let doing = || format!("open {}", directory.display());
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.doing(doing)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = rustix::fs::open(directory, flags, Mode::empty()).doing(doing)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).doing(doing)?;
        let incidents = read(directory)?;
        let highest = incidents.iter().map(|it| it.id).max().unwrap_or(0);
        let mut totals = totals(directory);
        totals.last = totals.last.max(highest);
        Ok(Self {
            directory: directory.to_owned(),
            incidents,
            totals,
            _lock: lock,
        })
    }

    /// Those in this directory, by number, without waiting for anybody: each is as it was written
    /// last. None if it is not there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn look(directory: &Path) -> Result<Vec<Incident>> {
        read(directory)
    }

    /// How often something was seen in each jail since this directory was made, that of incidents
    /// which are forgotten included. Waits for nobody.
    pub fn counts(directory: &Path) -> BTreeMap<String, Counts> {
        totals(directory).seen
    }

    /// Writes a sighting down: as one more of an incident of the same kind, of the same jail and
    /// about the same, or as a new one, with what `before` says went before.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note(
        &mut self,
        sighting: Sighting,
        generation: Option<u64>,
        before: impl FnOnce() -> Before,
    ) -> Result<Noted> {
        let is_it = |it: &&mut Incident| {
            (&it.jail, it.kind, &it.subject) == (&sighting.jail, sighting.kind, &sighting.subject)
        };
        let seen = self.totals.seen.entry(sighting.jail.clone()).or_default();
        let seen = seen.entry(sighting.kind).or_default();
        *seen = seen.saturating_add(1);
        if let Some(known) = self.incidents.iter_mut().find(is_it) {
            known.count = known.count.saturating_add(1);
            let since_last = hour(&known.last) != hour(&sighting.time);
            known.last = sighting.time;
            known.detail = sighting.detail;
            let (known, id) = (known.clone(), known.id);
            self.write(&known)?;
            self.write_totals()?;
            return Ok(Noted::Again { id, since_last });
        }
        let id = self.totals.last.saturating_add(1);
        self.totals.last = id;
        // Before the incident: no number is given twice.
        self.write_totals()?;
        let incident = Incident {
            id,
            jail: sighting.jail,
            kind: sighting.kind,
            subject: sighting.subject,
            detail: sighting.detail,
            first: sighting.time.clone(),
            last: sighting.time,
            count: 1,
            pid: sighting.pid,
            generation,
            frozen: false,
            before: before(),
        };
        self.write(&incident)?;
        self.incidents.push(incident);
        self.forget_old()?;
        Ok(Noted::New(id))
    }

    /// The incident with this number.
    pub fn incident(&self, id: u64) -> Option<&Incident> {
        self.incidents.iter().find(|incident| incident.id == id)
    }

    /// Whether it is one of the first so many new ones of its jail in this hour, given as
    /// `2026-11-22T11`.
    pub fn is_among(&self, id: u64, hour: &str, most: usize) -> bool {
        let Some(incident) = self.incident(id) else {
            return false;
        };
        let like = |it: &&Incident| it.jail == incident.jail && it.first.starts_with(hour);
        self.incidents.iter().filter(like).count() <= most
    }

    /// Writes down that the jail was frozen because of it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn froze(&mut self, id: u64) -> Result<()> {
        let mut incidents = self.incidents.iter_mut();
        let Some(incident) = incidents.find(|incident| incident.id == id) else {
            return Ok(());
        };
        incident.frozen = true;
        let incident = incident.clone();
        self.write(&incident)
    }

    /// Removes what was not seen for longest, until there is room.
    fn forget_old(&mut self) -> Result<()> {
        while self.incidents.len() > MOST {
            let oldest = self.incidents.iter().enumerate();
            let oldest = oldest
                .min_by(|(_, one), (_, other)| (&one.last, one.id).cmp(&(&other.last, other.id)));
            let Some((place, id)) = oldest.map(|(place, it)| (place, it.id)) else {
                return Ok(());
            };
            let path = self.directory.join(file_name(id));
            fs::remove_file(&path).doing(|| format!("remove {}", path.display()))?;
            self.incidents.remove(place);
        }
        Ok(())
    }

    fn write_totals(&self) -> Result<()> {
        let text = serde_json::to_string(&self.totals)
            .map_err(|error| Error::new("write down how many incidents there were", error))?;
        self.replace(TOTALS, &text)
    }

    fn write(&self, incident: &Incident) -> Result<()> {
        let text = serde_json::to_string(incident)
            .map_err(|error| Error::new("write an incident down", error))?;
        self.replace(&file_name(incident.id), &text)
    }

    fn replace(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        let doing = || format!("write {}", path.display());
        let beside = self.directory.join(".new");
        fs::write(&beside, text).doing(doing)?;
        fs::rename(&beside, &path).doing(doing)
    }
}

/// Of `2026-11-22T11:40:20Z`.
fn hour(time: &str) -> Option<&str> {
    time.get(..13)
}

fn file_name(id: u64) -> String {
    format!("{id}.json")
}

fn read(directory: &Path) -> Result<Vec<Incident>> {
    let doing = || format!("list {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(doing)?,
    };
    let mut incidents = Vec::new();
    for entry in entries {
        let name = entry.doing(doing)?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
        if id.is_some_and(|id| id.parse::<u64>().is_ok()) {
            incidents.extend(parsed::<Incident>(&directory.join(name)));
        }
    }
    incidents.sort_by_key(|incident: &Incident| incident.id);
    Ok(incidents)
}

/// They are written as a whole. What is not there is 0.
fn totals(directory: &Path) -> Totals {
    parsed(&directory.join(TOTALS)).unwrap_or_default()
}

fn parsed<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::IncidentKind;

    fn sighting(subject: &str, time: u64) -> Sighting {
        Sighting {
            jail: "web".to_owned(),
            kind: IncidentKind::Port,
            subject: subject.to_owned(),
            detail: format!("it listens at {subject}"),
            time: format!("2026-11-22T11:{:02}:{:02}Z", time / 60, time % 60),
            pid: Some(7),
        }
    }

    #[test]
    fn the_same_again_is_one_incident_and_no_number_is_given_twice() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("incidents");
        let note = |subject: &str, time| {
            let mut store = Store::open(&directory).unwrap();
            store
                .note(sighting(subject, time), Some(3), Before::default)
                .unwrap()
        };
        assert_eq!(note("tcp 4444", 1), Noted::New(1));
        assert_eq!(note("tcp 5555", 2), Noted::New(2));
        assert_eq!(
            note("tcp 4444", 3),
            Noted::Again {
                id: 1,
                since_last: false
            }
        );
        let all = Store::look(&directory).unwrap();
        assert_eq!(
            all.iter().map(|it| (it.id, it.count)).collect::<Vec<_>>(),
            [(1, 2), (2, 1)]
        );
        assert_eq!(
            (&*all[0].first, &*all[0].last),
            ("2026-11-22T11:00:01Z", "2026-11-22T11:00:03Z")
        );
        fs::remove_file(directory.join("2.json")).unwrap();
        assert_eq!(note("tcp 6666", 4), Noted::New(3));
        // What is no incident is none.
        fs::write(directory.join("9.json"), "{").unwrap();
        fs::write(directory.join("x.json"), "{}").unwrap();
        assert_eq!(Store::look(&directory).unwrap().len(), 2);
    }

    #[test]
    fn it_does_not_grow_for_ever_and_keeps_what_was_seen_last() {
        let place = tempfile::tempdir().unwrap();
        let mut store = Store::open(place.path()).unwrap();
        for number in 0..MOST as u64 {
            let sighting = sighting(&number.to_string(), number);
            store.note(sighting, None, Before::default).unwrap();
        }
        store
            .note(sighting("0", 3000), None, Before::default)
            .unwrap();
        store
            .note(sighting("more", 3001), None, Before::default)
            .unwrap();
        drop(store);
        let all = Store::look(place.path()).unwrap();
        assert_eq!(all.len(), MOST);
        // What is forgotten was seen all the same.
        let seen = &Store::counts(place.path())["web"];
        assert_eq!(seen[&IncidentKind::Port], MOST as u64 + 2);
        let has = |subject: &str| all.iter().any(|it| it.subject == subject);
        assert!(has("0") && has("more") && !has("1"));
    }
}
