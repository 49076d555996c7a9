//! A jail that is started with another program in place of its service, which ends by itself: how
//! it ends, and what it prints, is the answer.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::launch::{Ended, Given, Keep, Launched, Stdio, launch_given, pipe};
use super::log::{Relay, Sink, Words};
use super::supervise::{relay_to, remove_log};
use super::{cgroup, mounts};
use crate::plan::{LogSigns, Plan};
use crate::{Doing, Result};

/// As much of what it prints is read.
const MOST_WORDS: usize = 1 << 16;

/// How long the program may take, and in which phase of the service it is.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The start is over as soon as the program runs.
    pub serving: bool,
    /// When it is ended, if it does not end by itself.
    pub patience: Duration,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// How the program ended; `None` if it had to be ended.
    pub ended: Option<Ended>,
    /// What it printed.
    pub words: String,
}

/// The place for a jail's attempts: its log.
#[derive(Debug)]
pub struct Attempts {
    relay: Option<Relay>,
    log: Option<PathBuf>,
    cgroups: Vec<PathBuf>,
    /// How many messages had come when that was asked last.
    settled: u64,
    counting: Vec<PathBuf>,
}

impl Attempts {
    /// Opens the log of a jail, if its plan has one; what is logged goes to `sink`.
    ///
    /// # Errors
    /// The log's directory cannot be made, or is not like that.
    pub fn begin(plan: &Plan, sink: Sink) -> Result<Self> {
        let words = Words::to(None, LogSigns::among(&[])?);
        // What a prober says of itself ends nothing, so nobody need hear it.
        let relay = match plan.log_directory() {
            Some(_) => Some(relay_to(plan, sink, words)?.0),
            None => None,
        };
        Ok(Self {
            relay,
            log: plan.log_directory(),
            cgroups: plan.cgroups(),
            settled: 0,
            counting: plan.counting(),
        })
    }

    /// Starts the jail by a plan that differs from the first in what it executes only, with a
    /// `program` that it takes over, if it has no own, and waits for its end.
    ///
    /// # Errors
    /// As [`super::launch`]; nothing is left of it then.
    pub fn run(&mut self, plan: &Plan, program: Option<&OwnedFd>, terms: Terms) -> Result<Attempt> {
        let (output, input) = pipe()?;
        let mut launched = launched(plan, program, &Stdio::To(input))?;
        if terms.serving {
            launched.start = None;
        }
        let ended = self.until_ended(&mut launched, Instant::now() + terms.patience);
        launched.finish()?;
        Ok(Attempt {
            ended: ended?,
            words: words(&output)?,
        })
    }

    /// Starts the jail as [`Attempts::run`] does, as one whose start is over, and lets it run: who
    /// wants its end calls [`Launched::finish`].
    ///
    /// # Errors
    /// As [`super::launch`]; nothing is left of it then.
    pub fn start(&mut self, plan: &Plan, program: &OwnedFd) -> Result<Launched> {
        let (_output, input) = pipe()?;
        let mut launched = launched(plan, Some(program), &Stdio::To(input))?;
        launched.start = None;
        Ok(launched)
    }

    /// Passes on everything that the jail has logged, and says in the host's log what that did not
    /// take; answers how many messages have come since the last time.
    ///
    /// # Errors
    /// The jail's log cannot be read.
    pub fn settle(&mut self) -> Result<u64> {
        let Some(relay) = &mut self.relay else {
            return Ok(0);
        };
        while relay.pump()? {}
        relay.tell_dropped();
        let received = relay.counts().received;
        Ok(received - std::mem::replace(&mut self.settled, received))
    }

    fn until_ended(&mut self, launched: &mut Launched, end: Instant) -> Result<Option<Ended>> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            if self.wait(launched, left)? {
                return launched.ended().map(Some);
            }
            if let Some(relay) = &mut self.relay {
                relay.pump()?;
            }
            let asks = match &mut launched.start {
                Some(start) => start.answer()?,
                None => true,
            };
            if !asks {
                launched.start = None;
            }
        }
    }

    /// Whether it has ended; or something else has happened.
    fn wait(&self, launched: &Launched, left: Duration) -> Result<bool> {
        let mut watched = vec![PollFd::from_borrowed_fd(launched.end(), PollFlags::IN)];
        if let Some(relay) = &self.relay {
            watched.extend(relay.watched());
        }
        if let Some(start) = &launched.start {
            watched.push(PollFd::new(start, PollFlags::IN));
        }
        // A duration of seconds always fits.
        let left = Timespec::try_from(left).unwrap_or(Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        });
        match poll(&mut watched, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for the end of a program in a jail"),
        }
        Ok(watched.first().is_some_and(|end| !end.revents().is_empty()))
    }

    /// Removes what the attempts had on the host.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn finish(mut self) -> Result<()> {
        if let Some(relay) = &mut self.relay {
            while relay.pump()? {}
        }
        if let Some(directory) = &self.log {
            remove_log(directory)?;
        }
        cgroup::forget(&self.counting);
        cgroup::remove(&self.cgroups)
    }
}

fn launched(plan: &Plan, program: Option<&OwnedFd>, stdio: &Stdio) -> Result<Launched> {
    let copy = |program| rustix::io::fcntl_dupfd_cloexec(program, 0);
    let program = program.map(copy).transpose();
    let given = Given {
        program: program.doing(|| "pass a program on")?,
        ..Given::default()
    };
    launch_given(plan, given, stdio, Keep::default(), &mut |_| Ok(()))
}

/// Opens what a launch would bind at this path of the host.
///
/// # Errors
/// As `openat2(2)`; `ELOOP` if there is a link in it.
pub fn open_source(path: &Path) -> Result<OwnedFd> {
    mounts::open_source(path).doing(|| format!("open {}", path.display()))
}

/// What is in the pipe now: a child that the program left may hold it open for ever.
fn words(output: &OwnedFd) -> Result<String> {
    let doing = || "read what the program printed";
    rustix::io::ioctl_fionbio(output, true).doing(doing)?;
    let mut words = vec![0; MOST_WORDS];
    let count = match rustix::io::read(output, &mut words) {
        Ok(count) => count,
        Err(Errno::AGAIN) => 0,
        Err(errno) => return Err(errno).doing(doing),
    };
    let words = words.get(..count).unwrap_or_default();
    Ok(String::from_utf8_lossy(words).into_owned())
}
