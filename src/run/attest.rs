//! Comparing a running jail with what was started, on a schedule.
//!
//! It is done by a process of its own, which reads manifest, `/proc` and the tree, writes down what
//! it found and ends: what that takes of memory does not stay with the supervisor.

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::log::Relay;
use crate::plan::Plan;
use crate::{Doing, Error, Result};

/// How long one comparison may take: a large tree is read whole if all of it was touched.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long after something has happened the next one begins.
const SOON: Duration = Duration::from_secs(1);

/// How long the last one of a service that has ended may take: its next start waits for it.
const LAST_PATIENCE: Duration = Duration::from_secs(15);

/// How often that is looked at.
const POLL: Duration = Duration::from_millis(5);

/// The most that is read of what it prints, bytes.
const MOST: usize = 64 * 1024;

/// The schedule, and the comparison that goes on.
#[derive(Debug)]
pub(super) struct Attest<'a> {
    arguments: &'a [OsString],
    every: Duration,
    /// When the next one begins; `None`: never.
    due: Option<Instant>,
    look: Option<Look>,
}

/// A comparison that goes on.
#[derive(Debug)]
struct Look {
    child: Child,
    output: ChildStdout,
    text: Vec<u8>,
    until: Instant,
}

impl<'a> Attest<'a> {
    /// By the plan, with these words for gaoler itself.
    pub fn of(plan: &Plan, arguments: &'a [OsString]) -> Self {
        let every = Duration::from_secs(plan.check_every_s.into());
        let never = every.is_zero() || arguments.is_empty();
        // Jails that are started together are not all looked at at once.
        let spread = std::process::id() % 16;
        Self {
            arguments,
            every,
            due: (!never).then(|| Instant::now() + every / 2 + every / 32 * spread),
            look: None,
        }
    }

    /// Readable when there is something to attend to.
    pub fn looks(&self) -> Option<BorrowedFd<'_>> {
        self.look.as_ref().map(|look| look.output.as_fd())
    }

    /// When there is something to attend to.
    pub fn wakes_at(&self) -> Option<Instant> {
        self.look.as_ref().map(|look| look.until).or(self.due)
    }

    /// Begins a comparison when it is time, and hears what came of it. Answers whether one has
    /// ended. That one cannot be made is told in the log: the jail is not the worse for it.
    pub fn attend(&mut self, relay: &mut Relay) -> bool {
        let Some(look) = &mut self.look else {
            if self.due.is_some_and(|due| Instant::now() >= due) {
                match Look::begin(self.arguments) {
                    Ok(look) => self.look = Some(look),
                    Err(error) => self.is_over(relay, &[error.to_string()]),
                }
            }
            return false;
        };
        let told = if look.has_ended() {
            String::from_utf8_lossy(&look.text)
                .lines()
                .map(str::to_owned)
                .collect()
        } else if Instant::now() >= look.until {
            vec![format!(
                "comparing the jail with what was started took more than {} s",
                PATIENCE.as_secs()
            )]
        } else {
            return false;
        };
        self.end();
        self.is_over(relay, &told);
        true
    }

    /// The next comparison is due in a moment: something has happened.
    pub fn soon(&mut self) {
        if let Some(due) = &mut self.due {
            *due = Instant::now() + SOON;
        }
    }

    /// Looks once more, at what is left of a service that has ended, and waits for that.
    pub fn last_look(&mut self, relay: &mut Relay) {
        if self.due.is_none() {
            return;
        }
        self.end();
        let mut look = match Look::begin(self.arguments) {
            Ok(look) => look,
            Err(error) => {
                relay.tell(&error.to_string());
                return;
            }
        };
        let until = Instant::now() + LAST_PATIENCE;
        while !look.has_ended() && Instant::now() < until {
            std::thread::sleep(POLL);
        }
        let told = String::from_utf8_lossy(&look.text).into_owned();
        self.look = Some(look);
        self.end();
        for line in told.lines() {
            relay.tell(line);
        }
    }

    /// Ends one that goes on.
    pub fn end(&mut self) {
        if let Some(mut look) = self.look.take() {
            // One that has ended by itself is only to be waited for.
            match look.child.kill().and_then(|()| look.child.wait()) {
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn is_over(&mut self, relay: &mut Relay, told: &[String]) {
        for line in told {
            relay.tell(line);
        }
        self.due = Some(Instant::now() + self.every);
    }
}

impl Look {
    fn begin(arguments: &[OsString]) -> Result<Self> {
        let doing = || "compare the jail with what was started";
        let mut child = Command::new("/proc/self/exe")
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .doing(doing)?;
        let Some(output) = child.stdout.take() else {
            return Err(Error::new(doing(), "it has no standard output"));
        };
        let flags = rustix::fs::fcntl_getfl(&output).doing(doing)?;
        rustix::fs::fcntl_setfl(&output, flags | OFlags::NONBLOCK).doing(doing)?;
        Ok(Self {
            child,
            output,
            text: Vec::new(),
            until: Instant::now() + PATIENCE,
        })
    }

    /// Takes what it has printed; at the end of that it has ended.
    fn has_ended(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.output.read(&mut buffer) {
                Ok(0) => return true,
                Ok(length) => {
                    let room = MOST.saturating_sub(self.text.len());
                    self.text.extend(buffer.iter().take(length.min(room)));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }
}
