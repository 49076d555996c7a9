//! gaoler as it runs beside a jail, or for another gaoler: in the foreground, as its supervisor, as one
//! that compares it, as a worker that tries variants of it.

use std::io::{self, BufRead, Read, Write};

use super::output::{self, Output};
use super::{args, exit_code_of};
use crate::plan::Mode;
use crate::run::manager::Manager;
use crate::run::sockets::{self, Offers};
use crate::run::supervise::Handed;
use crate::verbs::{self, Event, Places, Way};
use crate::{Doing, Error, Result};

/// The longest line that a held service's supervisor reads.
const LONGEST_ANSWER: u64 = 64;

/// Runs a jail in the foreground, with what the manager hands over.
pub(super) fn run(places: &Places, name: &str, mode: Mode, manager: Result<Manager>) -> Result<u8> {
    let manager = manager.map_err(Error::nothing_started)?;
    verbs::run(places, name, mode, manager).map(exit_code_of)
}

/// Beside a jail: lines for whoever started it, then what the jail says for as long as that is
/// read.
pub(super) fn supervise(places: &Places, name: &str, mode: Mode, sockets: bool) -> Result<u8> {
    let kept = match sockets {
        true => sockets::receive(rustix::stdio::stdin())?,
        false => Vec::new(),
    };
    let handed = Handed {
        listener: output::standard_output_as_listener(),
        sockets: Offers {
            kept,
            ..Offers::default()
        },
        ..Handed::default()
    };
    let mut announce = |word: &verbs::Announcement| {
        let mut line = serde_json::to_string(word).unwrap_or_default();
        line.push('\n');
        let said = io::stdout()
            .write_all(line.as_bytes())
            .and_then(|()| io::stdout().flush());
        match said {
            Ok(()) => {}
            // Whoever started it may be gone; the jail is not the worse for it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            // One that is still there would wait for ever.
            Err(error) => return Err(error).doing(|| format!("tell how {name} was started")),
        }
        match word {
            verbs::Announcement::Forked(_) => return wait_for_a_line(),
            _ => output::leave_standard_output(),
        }
        Ok(())
    };
    verbs::supervise(places, name, mode, handed, &mut announce).map(|()| 0)
}

/// Beside a jail that another one was beside of, until that was killed.
pub(super) fn take_over(places: &Places, name: &str) -> Result<u8> {
    let mut announce = |word: &verbs::Announcement| {
        say_line(&serde_json::to_string(word).unwrap_or_default());
        output::leave_standard_output();
        Ok(())
    };
    let taken = verbs::take_over(places, name, &mut announce);
    if let Err(error) = &taken {
        let (what, why, hint) = error.parts();
        let hint = hint.map(str::to_owned);
        announce(&verbs::Announcement::Failed(
            what.to_owned(),
            why.to_owned(),
            hint,
        ))?;
    }
    taken.map(|()| 0)
}

/// Lines for the supervisor, which logs them.
pub(super) fn attest(places: &Places, name: &str) -> Result<u8> {
    let told = verbs::attest(places, name).inspect_err(|error| say_line(&error.to_string()))?;
    told.iter().for_each(|line| say_line(line));
    Ok(0)
}

/// Until whoever started this has a tracer at the service. If that one is gone, nobody waits for
/// the service, and it shall not run.
fn wait_for_a_line() -> Result<()> {
    let mut line = String::new();
    match io::stdin().lock().take(LONGEST_ANSWER).read_line(&mut line) {
        Ok(1..) => Ok(()),
        Ok(0) | Err(_) => Err(Error::setup(
            "hold the service for its tracer",
            "there is none any more",
        )),
    }
}

/// One end of the pipes to whoever tries variants of a spec out.
pub(super) fn trial_worker(places: &Places, worker: &args::TrialWorker) -> Result<u8> {
    let way = match worker.isolated {
        true => Way::Isolated,
        false => Way::InPlace,
    };
    let way = (way, worker.inside);
    let mut input = io::stdin().lock();
    verbs::trial_worker(places, &worker.name, way, &mut input, &mut say_line).map(|()| 0)
}

/// Starts a jail again that a command stops for its trials, if that command is killed.
pub(super) fn trial_keeper(places: &Places, name: &str, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    verbs::trial_keeper(places, name, &mut io::stdin().lock(), &report).map(|()| 0)
}

/// A line for whoever gives a worker its jobs. One who does not listen any more has ended, and this
/// process with it.
pub(super) fn say_line(line: &str) {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) | Err(_) => {}
    }
}
