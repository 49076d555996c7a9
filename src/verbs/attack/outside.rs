//! The host's side of a probe that leaves something for the host: what is done there with it, by
//! gaoler's own means or, where nothing of gaoler's is in the way, as a careless tool does it, and
//! whether the host is taken in.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

use super::scene::{INSIDE, LINK, LOG_FILE, NEW_PID_FILE, PID_FILE, Scene};
use super::worker::Attempter;
use crate::attack::{believed, lost};
use crate::host::process;
use crate::plan::LogSink;
use crate::run::attempt::open_source;
use crate::run::log::Sink;
use crate::run::pid_file;
use crate::run::state::State;
use crate::sys::beneath::Beneath;
use crate::{Doing, Error, Result};

/// How often the log is read and heard until nothing comes any more: what is in the jail's socket
/// once the first are read, what gaoler has to say of those that were lost, and once to see it.
const ROUNDS: usize = 3;

/// What is left where a pid file is read or written.
const PID_FILES: [&str; 2] = [PID_FILE, NEW_PID_FILE];

/// What the host made of what was left.
#[derive(Debug)]
pub(super) enum Seen {
    /// It followed or believed it.
    TakenIn(String),
    /// It did not.
    Held(String),
}

/// What is looked at.
#[derive(Debug)]
pub(super) struct Outside<'a> {
    /// The probe.
    pub(super) probe: &'a str,
    /// The places of the host that it may have left something in.
    pub(super) places: &'a [PathBuf],
    /// Nothing of gaoler's stands between it and the host.
    pub(super) careless: bool,
    pub(super) scene: &'a Scene,
}

impl Outside<'_> {
    /// Does what the host does, and looks.
    ///
    /// # Errors
    /// The jail cannot be started; nobody knows what that probe leaves.
    pub(super) fn look(&self, attempter: &mut Attempter) -> Result<Seen> {
        let taken_in = match self.probe {
            "log-flood" => return self.flood(attempter),
            probe if probe.starts_with("log-") => self.log(attempter)?,
            probe if probe.starts_with("pid-file-") || probe.ends_with("-pid-file") => {
                self.pid_files(attempter)?
            }
            probe if probe.ends_with("-log-file") => {
                self.in_places(&[LOG_FILE], |place| self.log_file(place))?
            }
            "link-mount-source" => self.in_places(&[LINK], |place| self.source(place))?,
            "link-removed" => self.in_places(&[LINK], |place| self.removal(place))?,
            other => {
                let doing = format!("look what the host makes of the probe {other}");
                return Err(Error::new(doing, "nobody knows where to look"));
            }
        };
        Ok(match taken_in {
            Some(how) => Seen::TakenIn(how.to_owned()),
            None => Seen::Held("neither followed nor believed".to_owned()),
        })
    }

    /// Looks in the places in which something of such a name was left.
    fn in_places(
        &self,
        names: &[&str],
        look: impl Fn(&Path) -> Result<Option<&'static str>>,
    ) -> Result<Option<&'static str>> {
        let is_left = |place: &Path| {
            let mut all = names.iter().map(|name| place.join(name));
            all.any(|path| fs::symlink_metadata(path).is_ok())
        };
        for place in self.places.iter().filter(|place| is_left(place)) {
            if let Some(how) = look(place)? {
                return Ok(Some(how));
            }
        }
        Ok(None)
    }

    /// Whether the host's log believes a message.
    fn log(&self, attempter: &mut Attempter) -> Result<Option<&'static str>> {
        attempter.settle()?;
        let messages = self.scene.log().read()?;
        let victim = self.scene.victim();
        let mut taken_in = messages
            .iter()
            .filter_map(|message| believed(self.probe, message, victim));
        Ok(taken_in.next())
    }

    /// Whether a log that nobody read in time is full for others too, or lacks something without
    /// saying so.
    fn flood(&self, attempter: &mut Attempter) -> Result<Seen> {
        let log = self.scene.log();
        if self.careless {
            let has_room = log.has_room()?;
            log.read()?;
            return Ok(match has_room {
                true => Seen::Held("the host's log has room for others".to_owned()),
                false => Seen::TakenIn(
                    "the host's log is full, and what others log is lost without a word".to_owned(),
                ),
            });
        }
        let (mut received, mut there, mut told) = (0, 0, 0);
        for _ in 0..ROUNDS {
            for message in log.read()? {
                match lost(&message) {
                    Some(count) => told += count,
                    None => there += 1,
                }
            }
            received += attempter.settle()?;
        }
        let counted = format!(
            "of {received} messages the host's log took {there} and was told of {told} that it \
             did not take"
        );
        Ok(match received == there + told {
            true => Seen::Held(counted),
            false => Seen::TakenIn(counted),
        })
    }

    fn pid_files(&self, attempter: &mut Attempter) -> Result<Option<&'static str>> {
        if self.careless {
            return self.in_places(&PID_FILES, |place| self.careless_with_pid_file(place));
        }
        // By the next start, which finds what the last one has left.
        let state = attempter.hold()?;
        let looked = self.in_places(&PID_FILES, |place| self.pid_file(place, &state));
        attempter.release()?;
        looked
    }

    /// Whose number a pid file has, after `start` has seen to it.
    fn pid_file(&self, place: &Path, state: &State) -> Result<Option<&'static str>> {
        let path = place.join(PID_FILE);
        // One that cannot be written anew is an error that `start` shows, and nothing was done.
        let translated = pid_file::translate(&path, state).is_ok();
        let companions = state.init.map(|init| process::companions(init.pid));
        let companions = companions.transpose()?.unwrap_or_default();
        let own = |number: i32| number == state.service.pid || companions.contains(&number);
        let number = pid_file::number(&path);
        Ok(if self.scene.precious_has_changed()? {
            Some("gaoler wrote through the link")
        } else if translated && !number.is_some_and(own) {
            Some("it has the number of no process of the jail")
        } else {
            None
        })
    }

    /// As a script does it that reads the file and signals, or writes it.
    fn careless_with_pid_file(&self, place: &Path) -> Result<Option<&'static str>> {
        let new = place.join(NEW_PID_FILE);
        if fs::symlink_metadata(&new).is_ok() {
            return self.written_through(&new);
        }
        let doing = || "read a pid file as others do";
        let path = place.join(PID_FILE);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::empty()).doing(doing)?;
        let mode = rustix::fs::fstat(&file).doing(doing)?.st_mode;
        if FileType::from_raw_mode(mode) == FileType::Fifo {
            return Ok(Some("who reads the pid file waits for ever"));
        }
        let mut text = String::new();
        fs::File::from(file)
            .read_to_string(&mut text)
            .doing(doing)?;
        let number = text.trim().parse::<i64>();
        let dangerous = |number: i64| number <= 1 || number == i64::from(self.scene.victim());
        Ok(number
            .is_ok_and(dangerous)
            .then_some("who believes the pid file signals a process outside"))
    }

    fn written_through(&self, path: &Path) -> Result<Option<&'static str>> {
        let mut file = fs::OpenOptions::new();
        file.append(true)
            .open(path)
            .and_then(|mut file| file.write_all(b"1\n"))
            .doing(|| "write a file as others do")?;
        let changed = self.scene.precious_has_changed()?;
        Ok(changed.then_some("who writes the file writes to one outside"))
    }

    /// Whether a log is written to where something else is.
    fn log_file(&self, place: &Path) -> Result<Option<&'static str>> {
        let path = place.join(LOG_FILE);
        if self.careless {
            return self.written_through(&path);
        }
        let sink = Sink::file(&path, &LogSink::default()).to_string();
        let opened = sink == path.display().to_string();
        Ok(opened.then_some("gaoler would log there"))
    }

    /// Whether a directory outside would be mounted.
    fn source(&self, place: &Path) -> Result<Option<&'static str>> {
        let path = place.join(LINK).join(INSIDE);
        if self.careless {
            let found = path.exists();
            return Ok(found.then_some("who mounts it mounts a directory outside"));
        }
        open_source(place)?;
        let found = open_source(&path).is_ok();
        Ok(found.then_some("gaoler would mount a directory outside"))
    }

    /// Whether what is beyond a link is removed with it.
    fn removal(&self, place: &Path) -> Result<Option<&'static str>> {
        let path = place.join(LINK);
        let doing = || format!("remove {}", path.display());
        if self.careless {
            for entry in fs::read_dir(&path).doing(doing)? {
                fs::remove_file(entry.doing(doing)?.path()).doing(doing)?;
            }
        } else {
            let beneath = Beneath::open(place).doing(doing)?;
            beneath.remove_tree(Path::new(LINK)).doing(doing)?;
        }
        let gone = !self.scene.kept().join(INSIDE).exists();
        Ok(gone.then_some("who removes it removes what is outside"))
    }
}
