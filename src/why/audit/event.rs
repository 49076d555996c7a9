//! Records of the same event, put together.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::decode::{Part, PathPart};
use super::header::Header;
use super::record::{AppArmor, Channel, Object, Process, Record, Syscall, Time, What};

/// How many events are open at once. The kernel writes an event's records one after the other,
/// one processor's between another's; a machine has fewer processors in the middle of one than this.
const MAX_OPEN: usize = 64;

/// About how many bytes the open events hold.
const MAX_OPEN_BYTES: usize = 4 * 1024 * 1024;

/// Of how many Landlock domains the makers are remembered.
const MAX_DOMAINS: usize = 256;

/// Where a record stood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) line: u64,
    /// The length of its line.
    pub(super) bytes: usize,
}

impl Place {
    /// About how many bytes it takes once it is read: no string is longer than in its line.
    fn cost(self) -> usize {
        self.bytes + size_of::<Record>() + size_of::<AppArmor>()
    }
}

/// What tells events apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    channel: Channel,
    node: Option<String>,
    time: Option<Time>,
    serial: Option<u64>,
}

/// The records of one event.
#[derive(Debug)]
pub(super) struct Event {
    key: Key,
    denials: Vec<(Place, Process, What)>,
    syscall: Option<(Process, Syscall)>,
    paths: Vec<PathPart>,
    cwd: Option<PathBuf>,
    command: Vec<OsString>,
    /// The bytes of the lines of what goes into every record of the event.
    shared: usize,
    bytes: usize,
}

/// The makers of Landlock domains, by machine and number.
type Domains = BTreeMap<(Channel, Option<String>, u64), Process>;

/// The events that may still get records, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Events {
    open: VecDeque<Event>,
    bytes: usize,
    domains: Domains,
}

impl Events {
    /// Adds a record to its event; answers with the events that are complete by that, or too many.
    pub(super) fn add(&mut self, header: &Header<'_>, place: Place, part: Part) -> Vec<Event> {
        let key = Key {
            channel: header.channel,
            node: header
                .node
                .map(|node| String::from_utf8_lossy(node).into_owned()),
            time: header.time,
            serial: header.serial,
        };
        let mut finished = Vec::new();
        if let Part::End = part {
            finished.extend(self.close(&key));
            return finished;
        }
        self.remember_domain(&key, &part);
        if key.serial.is_none() {
            // journald prints no serial number, so nothing can be joined.
            let mut event = Event::new(key);
            event.add(place, part);
            self.name_creators(&mut event);
            finished.push(event);
            return finished;
        }
        self.bytes += place.cost();
        match self.open.iter_mut().rev().find(|event| event.key == key) {
            Some(event) => event.add(place, part),
            None => {
                let mut event = Event::new(key);
                event.add(place, part);
                self.open.push_back(event);
            }
        }
        while self.open.len() > MAX_OPEN || self.bytes > MAX_OPEN_BYTES {
            let Some(event) = self.oldest() else { break };
            finished.push(event);
        }
        finished
    }

    /// Takes out the event that has been open for longest.
    pub(super) fn oldest(&mut self) -> Option<Event> {
        let event = self.open.pop_front()?;
        Some(self.closed(event))
    }

    fn close(&mut self, key: &Key) -> Option<Event> {
        let at = self.open.iter().position(|event| event.key == *key)?;
        let event = self.open.remove(at)?;
        Some(self.closed(event))
    }

    fn closed(&mut self, mut event: Event) -> Event {
        self.bytes = self.bytes.saturating_sub(event.bytes);
        self.name_creators(&mut event);
        event
    }

    fn remember_domain(&mut self, key: &Key, part: &Part) {
        match part {
            Part::DomainMade(domain, process) => {
                if self.domains.len() >= MAX_DOMAINS {
                    self.domains.pop_first();
                }
                let domain = (key.channel, key.node.clone(), *domain);
                self.domains.insert(domain, process.clone());
            }
            Part::DomainGone(domain) => {
                // Denials of open events belong to it still.
                for event in &mut self.open {
                    name_creators(event, &self.domains);
                }
                let domain = (key.channel, key.node.clone(), *domain);
                self.domains.remove(&domain);
            }
            _ => {}
        }
    }

    fn name_creators(&self, event: &mut Event) {
        name_creators(event, &self.domains);
    }
}

/// Says of each denial of a Landlock domain who made the domain, if that is known.
fn name_creators(event: &mut Event, domains: &Domains) {
    for (_, _, what) in &mut event.denials {
        if let What::Landlock(landlock) = what
            && landlock.creator.is_none()
        {
            let domain = (event.key.channel, event.key.node.clone(), landlock.domain);
            landlock.creator = domains.get(&domain).cloned();
        }
    }
}

impl Event {
    fn new(key: Key) -> Self {
        Self {
            key,
            denials: Vec::new(),
            syscall: None,
            paths: Vec::new(),
            cwd: None,
            command: Vec::new(),
            shared: 0,
            bytes: 0,
        }
    }

    fn add(&mut self, place: Place, part: Part) {
        self.bytes += place.cost();
        match part {
            Part::Denial(process, what) => self.denials.push((place, process, what)),
            Part::Syscall(process, syscall) => {
                self.shared += place.bytes;
                self.syscall = Some((process, syscall));
            }
            Part::Command(command) => {
                self.shared += place.bytes;
                self.command = command;
            }
            Part::Path(path) => self.paths.push(path),
            Part::Cwd(cwd) => self.cwd = Some(cwd),
            Part::DomainMade(..) | Part::DomainGone(_) | Part::End => {}
        }
    }

    /// What was denied, each with about how many bytes it takes.
    pub(super) fn into_records(mut self) -> impl Iterator<Item = (usize, Record)> {
        let denials = std::mem::take(&mut self.denials);
        denials
            .into_iter()
            .map(move |(place, process, what)| self.record(place, process, what))
    }

    /// A denial with what the other records of the event say.
    fn record(&self, place: Place, mut process: Process, mut what: What) -> (usize, Record) {
        if let Some((caller, _)) = &self.syscall {
            process.complete(caller);
        }
        if let What::Selinux(selinux) = &mut what {
            complete_path(&mut selinux.object, &self.paths, self.cwd.as_deref());
        }
        let record = Record {
            time: self.key.time,
            serial: self.key.serial,
            node: self.key.node.clone(),
            channel: self.key.channel,
            line: place.line,
            process,
            command: self.command.clone(),
            syscall: self.syscall.as_ref().map(|(_, syscall)| syscall.clone()),
            what,
        };
        (place.cost() + self.shared, record)
    }
}

/// Finds the whole path of an object of which SELinux knew the inode and the last component. The
/// inode decides: a call may have several names, and a directory may be what was denied. Inodes of
/// two filesystems may be the same, so a name that fits as well comes first.
fn complete_path(object: &mut Object, paths: &[PathPart], cwd: Option<&Path>) {
    if object.path.is_some() {
        return;
    }
    let has_inode = |path: &&PathPart| object.inode.is_some() && path.inode == object.inode;
    let may_have_inode = |path: &&PathPart| object.inode.is_none() || path.inode.is_none();
    let has_name =
        |path: &&PathPart| object.name.is_some() && path.name.file_name() == object.name.as_deref();
    let found = paths
        .iter()
        .find(|path| has_inode(path) && has_name(path))
        .or_else(|| paths.iter().find(has_inode))
        .or_else(|| {
            paths
                .iter()
                .find(|path| may_have_inode(path) && has_name(path))
        });
    let Some(found) = found else { return };
    object.path = match cwd {
        _ if found.name.is_absolute() => Some(found.name.clone()),
        Some(cwd) if !found.name.as_os_str().is_empty() => Some(cwd.join(&found.name)),
        _ => None,
    };
}
