//! `freeze` and `thaw`: every process of a jail is stopped where it is, for a look.

use std::time::Duration;

use rustix::io::Errno;

use super::super::{Places, may_jail, observe};
use crate::run::restarts;
use crate::run::state::{ProcessName, State};
use crate::sys;
use crate::watch::processes::{Process, Role, of_jails};
use crate::{Doing, Error, Result};

const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

/// How often it is looked whether new ones have come while the others were stopped.
const ROUNDS: u32 = 50;

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Stops every process of a jail, for a look: `stop` ends it, [`thaw`] lets it go on. It is not
/// started again, and not ended because it does not live. The first process, which is gaoler's own
/// and does nothing, is left alone. How many are stopped is answered.
///
/// # Errors
/// It does not run; new processes come faster than they are stopped.
pub fn freeze(places: &Places, name: &str, why: &str) -> Result<usize> {
    may_jail(&format!("freeze {name}"))?;
    let states = observe::running(places, name.into(), "freeze")?;
    restarts::freeze(&places.runtime(name), why)?;
    for _ in 0..ROUNDS {
        let all = of(&states)?;
        let moving: Vec<&Process> = all.iter().filter(|it| !is_stopped(it)).collect();
        if moving.is_empty() {
            return Ok(all.len());
        }
        for process in moving {
            signal(process, SIGSTOP)?;
        }
        std::thread::sleep(PAUSE);
    }
    Err(Error::new(
        format!("freeze {name}"),
        "new processes come faster than they are stopped",
    )
    .hint(format!("end it: gaoler stop {name}")))
}

/// Lets a frozen jail go on. `false`: it was not frozen.
///
/// # Errors
/// It does not run; a process cannot be signalled.
pub fn thaw(places: &Places, name: &str) -> Result<bool> {
    may_jail(&format!("thaw {name}"))?;
    let states = observe::running(places, name.into(), "thaw")?;
    let directory = places.runtime(name);
    if restarts::frozen(&directory).is_none() {
        return Ok(false);
    }
    for process in of(&states)? {
        signal(&process, SIGCONT)?;
    }
    restarts::thaw(&directory).map(|()| true)
}

fn of(states: &[State]) -> Result<Vec<Process>> {
    let all = of_jails(states)?.into_iter().flatten();
    let theirs = |it: &Process| [Role::Service, Role::Process].contains(&it.role);
    Ok(all.filter(theirs).collect())
}

/// One that has ended is, too.
fn is_stopped(process: &Process) -> bool {
    let status = crate::host::process::status(process.pid);
    status.map_or(true, |status| ['T', 't', 'Z', 'X'].contains(&status.state))
}

fn signal(process: &Process, signal: i32) -> Result<()> {
    let doing = || format!("send signal {signal} to process {}", process.pid);
    let name = ProcessName {
        pid: process.pid,
        start_time: process.figures.start_time,
        handle_number: None,
    };
    let handle = match name.open() {
        Err(Errno::SRCH) => return Ok(()),
        opened => opened.doing(doing)?,
    };
    // Its number may be another's by now.
    if !name.is_alive() {
        return Ok(());
    }
    match sys::signals::send(&handle, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(errno).doing(doing),
    }
}
