//! What the supervisors write down, read as it is written (`inotify(7)`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::run::events::{EVENTS, Event, OLD};
use crate::{Doing, Result};

/// How much of a file of events is read at once; its writer keeps it below.
const MOST: u64 = 4 << 20;

/// Watches the directories of jails.
#[derive(Debug)]
pub(super) struct Files {
    run: PathBuf,
    inotify: OwnedFd,
    /// The watch of the directory of all jails, once there is one.
    above: Option<i32>,
    jails: BTreeMap<i32, String>,
}

impl Files {
    /// Of the jails in this directory, which need not be there yet.
    pub(super) fn watch(run: &Path) -> Result<Self> {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).doing(|| "watch the directories of jails")?;
        Ok(Self {
            run: run.to_owned(),
            inotify,
            above: None,
            jails: BTreeMap::new(),
        })
    }

    /// The jails that have something new; at first, and if the kernel lost count, all.
    pub(super) fn changed(&mut self) -> Result<BTreeSet<String>> {
        let mut changed = BTreeSet::new();
        if self.above.is_none() {
            return self.rescan();
        }
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut scan = false;
        loop {
            let event = match reader.next() {
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                result => result.doing(|| "watch the directories of jails")?,
            };
            let lost = ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED;
            if Some(event.wd()) == self.above || event.events().intersects(lost) {
                scan = true;
            }
            if event.events().contains(ReadFlags::IGNORED) {
                self.jails.remove(&event.wd());
                if Some(event.wd()) == self.above {
                    self.above = None;
                }
            }
            changed.extend(self.jails.get(&event.wd()).cloned());
        }
        if scan {
            changed.extend(self.rescan()?);
        }
        Ok(changed)
    }

    /// Watches every directory of a jail; answers with their names.
    fn rescan(&mut self) -> Result<BTreeSet<String>> {
        let here = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MODIFY
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        match inotify::add_watch(&self.inotify, &self.run, here) {
            Ok(number) => self.above = Some(number),
            Err(Errno::NOENT) => return Ok(BTreeSet::new()),
            Err(errno) => return Err(errno).doing(|| format!("watch {}", self.run.display())),
        }
        let entries = fs::read_dir(&self.run).doing(|| format!("list {}", self.run.display()))?;
        let mut names = BTreeSet::new();
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            // One that is no directory, or gone already, is none of a jail's.
            if let Ok(number) = inotify::add_watch(&self.inotify, entry.path(), here) {
                self.jails.insert(number, name.clone());
                names.insert(name);
            }
        }
        Ok(names)
    }
}

impl AsFd for Files {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// How far the events of a jail have been read.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Tail {
    inode: u64,
    offset: u64,
}

impl Tail {
    /// At the end of what is there: only what comes is read.
    pub(super) fn at_the_end(directory: &Path) -> Self {
        let metadata = fs::symlink_metadata(directory.join(EVENTS));
        metadata.map_or_else(
            |_| Self::default(),
            |metadata| Self {
                inode: metadata.ino(),
                offset: metadata.len(),
            },
        )
    }

    /// The events since; those that were put aside meanwhile are among them.
    pub fn read(&mut self, directory: &Path) -> Vec<Event> {
        let Some((mut file, inode)) = open(&directory.join(EVENTS)) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        if inode != self.inode {
            match open(&directory.join(OLD)) {
                Some((mut old, number)) if number == self.inode => {
                    events.extend(self.rest(&mut old));
                }
                _ => {}
            }
            *self = Self { inode, offset: 0 };
        }
        events.extend(self.rest(&mut file));
        events
    }

    /// The whole lines from where it was left. One that is no event is no news.
    fn rest(&mut self, file: &mut File) -> Vec<Event> {
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(self.offset))
            .and_then(|_| file.take(MOST).read_to_end(&mut bytes));
        let end = bytes.iter().rposition(|byte| *byte == b'\n');
        let (Ok(_), Some(end)) = (read, end) else {
            return Vec::new();
        };
        let whole = bytes.get(..=end).unwrap_or_default();
        self.offset += u64::try_from(whole.len()).unwrap_or(0);
        let lines = whole.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }
}

fn open(path: &Path) -> Option<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let metadata = file.metadata().ok()?;
    metadata.is_file().then_some((file, metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::events::append;

    fn event(detail: &str) -> Event {
        Event {
            time: String::new(),
            jail: "web".to_owned(),
            event: "drift".to_owned(),
            pid: None,
            detail: detail.to_owned(),
        }
    }

    fn details(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| event.detail.as_str()).collect()
    }

    #[test]
    fn events_are_read_once_and_across_the_file_that_is_put_aside() {
        let place = tempfile::tempdir().unwrap();
        let run = place.path();
        let mut files = Files::watch(run).unwrap();
        assert!(files.changed().unwrap().is_empty());
        let jail = run.join("web");
        fs::create_dir(&jail).unwrap();
        assert_eq!(files.changed().unwrap(), BTreeSet::from(["web".to_owned()]));
        append(&jail, &[event("before")]).unwrap();
        let mut tail = Tail::at_the_end(&jail);
        assert!(tail.read(&jail).is_empty());
        files.changed().unwrap();
        append(&jail, &[event("one"), event("two")]).unwrap();
        assert_eq!(files.changed().unwrap(), BTreeSet::from(["web".to_owned()]));
        assert!(files.changed().unwrap().is_empty());
        assert_eq!(details(&tail.read(&jail)), ["one", "two"]);
        // Half a line is not an event yet, and nonsense is none.
        let path = jail.join(EVENTS);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}nonsense\n{{\"time\"")).unwrap();
        assert!(tail.read(&jail).is_empty());
        fs::write(&path, text).unwrap();
        tail = Tail::at_the_end(&jail);
        append(&jail, &[event("three")]).unwrap();
        fs::rename(&path, jail.join(OLD)).unwrap();
        append(&jail, &[event("four")]).unwrap();
        assert_eq!(details(&tail.read(&jail)), ["three", "four"]);
        let mut new = Tail::default();
        assert_eq!(details(&new.read(&jail)), ["four"]);
    }
}
