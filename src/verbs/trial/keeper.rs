//! Who starts the real jail again if the command that stopped it is killed: SIGKILL leaves it no
//! time to do so by itself.

use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::{Event, Places, Report, lifecycle, must_be_root};
use super::place::killed_trial;
use crate::{Doing, Result};

/// How long a trial that was killed may keep the jail's ports.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a start is tried meanwhile.
const POLL: Duration = Duration::from_millis(200);

/// A process that waits for the end of this one. To be dismissed: dropped, it does what it is for.
#[derive(Debug)]
pub(super) struct Keeper {
    child: Child,
    input: Option<ChildStdin>,
}

impl Keeper {
    /// Starts it, in a process group of its own: what a terminal or a shell sends to the command's
    /// is not for it.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(places: &Places, name: &str) -> Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        for (option, place) in [
            ("--etc", &places.etc),
            ("--state", &places.state),
            ("--run", &places.run),
        ] {
            command.arg(option).arg(place);
        }
        let mut child = command
            .args(["trial-keeper", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .doing(|| format!("watch over {name}"))?;
        let input = child.stdin.take();
        Ok(Self { child, input })
    }

    /// It is not needed any more.
    ///
    /// # Errors
    /// As writing, and `waitpid(2)`.
    pub(super) fn dismiss(mut self) -> Result<()> {
        let doing = || "dismiss who watches over the jail";
        if let Some(mut input) = self.input.take() {
            input.write_all(b"\n").doing(doing)?;
        }
        self.child.wait().doing(doing).map(drop)
    }
}

/// Waits until it is dismissed; where whoever could do so has ended, starts the real jail again.
///
/// # Errors
/// It does not start.
pub fn trial_keeper(
    places: &Places,
    name: &str,
    input: &mut dyn BufRead,
    report: &Report<'_>,
) -> Result<()> {
    must_be_root(&format!("watch over {name}"))?;
    let mut word = String::new();
    if input
        .read_line(&mut word)
        .doing(|| "wait to be dismissed")?
        > 0
    {
        return Ok(());
    }
    let until = Instant::now() + PATIENCE;
    while let Err(error) = lifecycle::start(places, name, false, report) {
        if Instant::now() > until {
            return Err(error);
        }
        std::thread::sleep(POLL);
    }
    report(Event::Note(format!(
        "{name} was started again: the command that tried it out was killed"
    )));
    // It runs: its mark is taken away.
    match killed_trial(places, name, true) {
        Some(_) | None => Ok(()),
    }
}
