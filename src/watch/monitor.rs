//! What happens in the jails, as it happens.
//!
//! Processes: the kernel's process connector; files of the supervisors: inotify; denials: the
//! kernel's audit records. Sockets are compared once a second, because the kernel announces none.
//! What is lost on the way, and what cannot be heard, is an event, too.

mod changes;
pub(super) mod denials;
mod files;
mod known;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::processes::{Role, of_jails};
use crate::host::audit_records::AuditRecords;
use crate::host::process;
use crate::host::process_events::{Happened, Heard, ProcessEvents};
use crate::run::Ended;
use crate::run::events::Event;
use crate::run::state::{ProcessName, State};
use crate::{Doing, Result};
use changes::Changes;
use denials::Denials;
use files::Files;
pub use files::Tail;
use known::{Known, Told};

/// How often what the kernel does not announce is compared.
const INTERVAL: Duration = Duration::from_secs(1);

/// Larger than anything that the kernel sends at once.
const BUFFER: usize = 64 * 1024;

/// What is needed beside the jails' directory.
pub struct Request<'a> {
    /// Where running jails are known.
    pub run: &'a Path,
    /// Only this jail.
    pub only: Option<&'a str>,
    /// Whether a directory of this name is a jail's.
    pub is_jail: &'a dyn Fn(&str) -> bool,
    /// The present time, as events have it.
    pub now: &'a dyn Fn() -> String,
}

/// Tells what happens until `tell` answers that it has heard enough.
///
/// # Errors
/// `/proc` or the directory of jails cannot be read; `tell`'s own.
pub fn monitor(request: &Request<'_>, tell: &mut dyn FnMut(&Event) -> Result<bool>) -> Result<()> {
    let mut monitor = Monitor::begin(request)?;
    loop {
        for event in monitor.take()? {
            if !tell(&event)? {
                return Ok(());
            }
        }
        monitor.wait()?;
    }
}

/// What is watched, and what is known.
struct Monitor<'a> {
    request: &'a Request<'a>,
    files: Files,
    processes: Option<ProcessEvents>,
    /// Some events of processes were dropped.
    lost: bool,
    audit: Option<AuditRecords>,
    denials: Denials,
    known: Known,
    jails: BTreeMap<String, Jail>,
    changes: Changes,
    compared: Instant,
    buffer: Vec<u8>,
    events: Vec<Event>,
}

/// One jail.
#[derive(Default)]
struct Jail {
    tail: Tail,
    state: Option<State>,
    /// Its service's start, end or readiness has been told of: the supervisor tells, too.
    told: BTreeSet<(&'static str, i32)>,
}

impl<'a> Monitor<'a> {
    fn begin(request: &'a Request<'a>) -> Result<Self> {
        let mut monitor = Self {
            request,
            files: Files::watch(request.run)?,
            processes: None,
            lost: false,
            audit: None,
            denials: Denials::default(),
            known: Known::default(),
            jails: BTreeMap::new(),
            changes: Changes::default(),
            compared: Instant::now(),
            buffer: vec![0; BUFFER],
            events: Vec::new(),
        };
        // Heard from before the first look on: nothing falls in between.
        match ProcessEvents::open() {
            Ok(processes) => monitor.processes = Some(processes),
            Err(error) => monitor.say(
                "",
                "lost",
                None,
                &format!(
                    "{error}: processes are looked for once a second, and short ones are missed"
                ),
            ),
        }
        match AuditRecords::open() {
            Ok(audit) => monitor.audit = Some(audit),
            Err(error) => {
                let detail = format!("{error}: no denial is told");
                monitor.say("", "lost", None, &detail);
            }
        }
        for name in monitor.files.changed()? {
            if (request.is_jail)(&name) {
                let directory = request.run.join(&name);
                let jail = Jail {
                    tail: Tail::at_the_end(&directory),
                    state: State::running(&directory).ok().flatten(),
                    ..Jail::default()
                };
                monitor.jails.insert(name, jail);
            }
        }
        monitor.look(|_, _| ())?;
        // What is there already is no news.
        monitor.changes.compare(&monitor.running())?;
        Ok(monitor)
    }

    fn say(&mut self, jail: &str, event: &str, pid: Option<i32>, detail: &str) {
        if self
            .request
            .only
            .is_some_and(|only| !jail.is_empty() && only != jail)
        {
            return;
        }
        self.events.push(Event {
            time: (self.request.now)(),
            jail: jail.to_owned(),
            event: event.to_owned(),
            pid,
            detail: detail.to_owned(),
        });
    }

    /// Until something is there to be taken, or compared.
    fn wait(&self) -> Result<()> {
        let due = INTERVAL.saturating_sub(self.compared.elapsed());
        let due = Timespec {
            tv_sec: i64::try_from(due.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: due.subsec_nanos().into(),
        };
        let heard = [
            Some(self.files.as_fd()),
            self.processes.as_ref().map(AsFd::as_fd),
            self.audit.as_ref().map(AsFd::as_fd),
        ];
        let mut ready: Vec<PollFd<'_>> = heard
            .iter()
            .flatten()
            .map(|descriptor| PollFd::new(descriptor, PollFlags::IN))
            .collect();
        match poll(&mut ready, Some(&due)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno).doing(|| "wait for something to happen"),
        }
    }

    /// What has happened since.
    fn take(&mut self) -> Result<Vec<Event>> {
        self.hear()?;
        let changed = self.files.changed()?;
        for name in changed {
            if (self.request.is_jail)(&name) {
                self.read_files(&name)?;
            }
        }
        if std::mem::take(&mut self.lost) {
            self.reconcile("some events of processes came faster than they were read")?;
        }
        self.take_denials()?;
        if self.compared.elapsed() >= INTERVAL {
            if self.processes.is_none() {
                self.reconcile("")?;
            }
            self.compare_sockets()?;
            self.compared = Instant::now();
        }
        Ok(std::mem::take(&mut self.events))
    }

    /// What has happened to processes: read first, told later, because what is not read in time is
    /// lost.
    fn hear(&mut self) -> Result<()> {
        let mut happened = Vec::new();
        if let Some(processes) = &self.processes {
            let heard = processes.take(&mut self.buffer, &mut happened)?;
            self.lost |= heard == Heard::Lost;
        }
        for event in happened {
            if let Some(told) = self.known.happened(event) {
                self.tell_process(told);
            }
        }
        Ok(())
    }

    fn take_denials(&mut self) -> Result<()> {
        let Some(audit) = &self.audit else {
            return Ok(());
        };
        let mut records = Vec::new();
        if audit.take(&mut self.buffer, &mut records)? == Heard::Lost {
            let detail = "some audit records came faster than they were read";
            self.say("", "lost", None, detail);
        }
        for record in records {
            for denial in self.denials.of(&record) {
                if let Some(jail) = self.known.jail_of(denial.pid).map(str::to_owned) {
                    self.say(&jail, "denial", Some(denial.pid), &denial.detail);
                }
            }
        }
        Ok(())
    }

    /// What the supervisor of a jail has written.
    fn read_files(&mut self, name: &str) -> Result<()> {
        let directory: PathBuf = self.request.run.join(name);
        // Removed and made again within a moment, it is as it was; forged, `list` tells.
        let state = State::running(&directory).ok().flatten();
        let jail = self.jails.entry(name.to_owned()).or_default();
        let events = jail.tail.read(&directory);
        let before = jail.state.take();
        jail.state.clone_from(&state);
        if let Some(state) = &state {
            let service = |state: &State| state.service;
            if before.as_ref().map(service) != Some(state.service) {
                self.begins(name, state)?;
            }
        }
        for event in events {
            if self.is_news(name, &event) {
                let Event {
                    event, pid, detail, ..
                } = &event;
                self.say(name, event, *pid, detail);
            }
        }
        Ok(())
    }

    /// A service that was not there before.
    fn begins(&mut self, name: &str, state: &State) -> Result<()> {
        if let Some(jail) = self.jails.get_mut(name) {
            jail.told.clear();
        }
        if self.is_first("start", name, state.service.pid) {
            let detail = format!("generation {}", state.generation);
            self.say(name, "start", Some(state.service.pid), &detail);
        }
        let roots: Vec<i32> = [state.init, Some(state.service)]
            .into_iter()
            .flatten()
            .map(|ProcessName { pid, .. }| pid)
            .collect();
        // Its supervisor wrote that when they were there: now their beginning has been heard.
        self.hear()?;
        for told in self.known.adopt(name, &roots) {
            self.tell_process(told);
        }
        Ok(())
    }

    /// Whether an event of the supervisor's was not told from what the kernel says already.
    fn is_news(&mut self, name: &str, event: &Event) -> bool {
        match (event.event.as_str(), event.pid) {
            ("start", Some(pid)) => self.is_first("start", name, pid),
            ("exit", Some(pid)) => self.is_first("exit", name, pid),
            _ => true,
        }
    }

    fn is_first(&mut self, event: &'static str, name: &str, pid: i32) -> bool {
        let jail = self.jails.get_mut(name);
        jail.is_none_or(|jail| jail.told.insert((event, pid)))
    }

    fn tell_process(&mut self, (jail, happened): Told) {
        let command = |pid| process::command_text(pid).unwrap_or_else(|| "it has ended".to_owned());
        let (event, pid, detail) = match happened {
            Happened::Fork { parent, child } => ("fork", child, format!("by process {parent}")),
            Happened::Exec(pid) => ("exec", pid, command(pid)),
            Happened::Uid {
                pid,
                real,
                effective,
            } => ("uid", pid, format!("real {real}, effective {effective}")),
            Happened::Gid {
                pid,
                real,
                effective,
            } => ("gid", pid, format!("real {real}, effective {effective}")),
            Happened::Exit { pid, status } => ("exit", pid, ended(status)),
        };
        let service = self.jails.get(&jail).and_then(|jail| jail.state.as_ref());
        let is_service = service.is_some_and(|state| state.service.pid == pid);
        if event == "exit" && is_service && !self.is_first("exit", &jail, pid) {
            return;
        }
        self.say(&jail, event, Some(pid), &detail);
    }

    /// Compares with `/proc` which processes there are. `lost` says why, if that is an event.
    fn reconcile(&mut self, lost: &str) -> Result<()> {
        let (mut found, mut gone) = (0, 0);
        let mut told = Vec::new();
        self.look(|jail, change| {
            match change {
                Looked::Found(..) => found += 1,
                Looked::Gone(_) => gone += 1,
            }
            told.push((jail.to_owned(), change));
        })?;
        if !lost.is_empty() {
            let detail = format!("{lost}: {found} processes were found, and {gone} had ended");
            self.say("", "lost", None, &detail);
        }
        for (jail, change) in told {
            match change {
                Looked::Found(pid, parent) => {
                    let detail = format!("by process {parent}, found by comparison");
                    self.say(&jail, "fork", Some(pid), &detail);
                }
                Looked::Gone(pid) => {
                    let detail = "how is not known, found by comparison";
                    self.say(&jail, "exit", Some(pid), detail);
                }
            }
        }
        Ok(())
    }

    /// Looks who is there, and tells what is not known.
    fn look(&mut self, mut tell: impl FnMut(&str, Looked)) -> Result<()> {
        let states = self.running();
        for (state, processes) in states.iter().zip(of_jails(&states)?) {
            let mut before: BTreeSet<i32> = self.known.of(&state.name).into_iter().collect();
            for process in processes.iter().filter(|it| it.role != Role::Supervisor) {
                before.remove(&process.pid);
                if self.known.found(process.pid, &state.name) {
                    tell(
                        &state.name,
                        Looked::Found(process.pid, process.figures.parent),
                    );
                }
            }
            for pid in before {
                self.known.is_gone(pid);
                tell(&state.name, Looked::Gone(pid));
            }
        }
        Ok(())
    }

    /// The states, by the names of their directories.
    fn running(&self) -> Vec<State> {
        let jails = self.jails.iter();
        jails
            .filter_map(|(name, jail)| {
                let state = jail.state.clone()?;
                let name = name.clone();
                Some(State { name, ..state })
            })
            .collect()
    }

    fn compare_sockets(&mut self) -> Result<()> {
        let states = self.running();
        for new in self.changes.compare(&states)? {
            self.say(&new.jail, new.event, new.pid, &new.detail);
        }
        Ok(())
    }
}

/// What a look has shown.
enum Looked {
    /// A process, and its parent.
    Found(i32, i32),
    /// One that has ended.
    Gone(i32),
}

/// A wait status in words (`wait(2)`).
fn ended(status: u32) -> String {
    let signal = (status & 0x7f).cast_signed();
    let ended = match signal {
        0 => Ended::Exited((status >> 8 & 0xff).cast_signed()),
        _ => Ended::Killed(signal),
    };
    let dumped = if status & 0x80 == 0 {
        ""
    } else {
        ", which left a core"
    };
    format!("{ended}{dumped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_status_is_told_in_words() {
        let [plain, code, signal] = [0, 3 << 8, 9].map(ended);
        assert_eq!(plain, Ended::Exited(0).to_string());
        assert_eq!(code, Ended::Exited(3).to_string());
        assert_eq!(signal, Ended::Killed(9).to_string());
        assert!(ended(11 | 0x80).ends_with("which left a core"));
    }
}
