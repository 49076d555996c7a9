//! `status`: whether a jail runs, and what differs in it from what was started.

use std::time::Duration;

use serde::Serialize;

use super::lifecycle::settled;
use super::{Places, Report, jail, stale, takeover};
use crate::Result;
use crate::host::process;
use crate::run::events::{Compared, Drift, timestamp};
use crate::run::log::Logged;
use crate::run::restarts::{self, Restarted, Restarts};
use crate::run::state::{Last, State};
use crate::run::{Usage, cgroup, leftover};

/// How long a service that has just ended is waited for: whether it is started again is to be seen.
const SETTLES: Duration = Duration::from_secs(1);

/// Whether a jail runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The jail's name.
    pub name: String,
    /// `running`, `frozen`, `restarting` or `stopped`.
    pub state: &'static str,
    /// The service's pid on the host.
    pub pid: Option<i32>,
    /// The generation that runs, or that would.
    pub generation: Option<u64>,
    /// Seconds since the service started.
    pub uptime_s: Option<u64>,
    /// A supervisor stays beside it.
    pub supervised: bool,
    /// How often it was started again.
    pub restarts: u64,
    /// The last time.
    pub last_restart: Option<LastRestart>,
    /// What it uses, as its cgroups count it; `None` if it does not run.
    pub usage: Option<Usage>,
    /// How it ended last, if it does not run.
    pub last: Option<String>,
    /// When it was last compared with what was started.
    pub compared: Option<String>,
    /// What differed then; and that nobody compares it any more, if its supervisor has ended.
    pub drift: Vec<String>,
    /// Why it is behind its host: what it was built from is another one there by now, another
    /// generation is current, or a file that it runs was removed.
    pub stale: Vec<String>,
    /// What became of what it has logged, or did in its last run.
    pub log: Option<Log>,
}

/// What became of a jail's messages in one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Log {
    /// Where they go.
    pub to: String,
    /// Those that came from the jail.
    pub sent: u64,
    /// Those that the log took.
    pub forwarded: u64,
    /// Those that it did not take.
    pub dropped: u64,
    /// Those that are on their way.
    pub waiting: u64,
    /// Those, among the others, that were cut.
    pub truncated: u64,
}

impl From<Logged> for Log {
    fn from(Logged { to, counts, .. }: Logged) -> Self {
        Self {
            to,
            sent: counts.received,
            forwarded: counts.forwarded,
            dropped: counts.dropped,
            waiting: counts.waiting(),
            truncated: counts.truncated,
        }
    }
}

/// When and why it was started again last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastRestart {
    /// When, as `2026-11-22T11:40:20Z`.
    pub time: String,
    /// Why, in words.
    pub cause: String,
}

impl LastRestart {
    fn of(restarted: &Restarted) -> Self {
        Self {
            time: timestamp(restarted.at_ms / 1000),
            cause: restarted.cause.to_string(),
        }
    }
}

/// How it ended last.
fn told(last: Last) -> String {
    let ended = match last.dead {
        Some(why) => format!("it was ended, because it did not live: {why}"),
        None => last.ended.to_string(),
    };
    match last.stays_down {
        Some(why) => format!("{ended}, and stays down: {why}"),
        None => ended,
    }
}

/// Whether the jail runs. What an ended one has left is removed, where that may be done.
///
/// # Errors
/// There is no such jail.
pub fn status(places: &Places, name: &str, report: &Report<'_>) -> Result<Status> {
    jail::load_spec(places, name)?;
    let directory = places.runtime(name);
    takeover::ensure(places, name, report);
    settled(&directory, SETTLES)?;
    leftover::clear_if_free(&directory);
    let current =
        crate::build::state_of(&places.state, name)?.map_or(Ok(None), |state| state.current())?;
    let compared = Compared::load(&directory);
    let history = Restarts::load(&places.state.join(name));
    let (count, last_restart) = (history.count, history.recent.last().map(LastRestart::of));
    let waits = State::load(&directory)?.is_some_and(|state| state.is_restarting());
    let log = Logged::load(&directory).map(Log::from);
    let running = State::running(&directory)?;
    // Who may not read the generation is told what can be told.
    let stale = stale::of(places, name, running.as_ref()).unwrap_or_default();
    Ok(match running {
        Some(state) => Status {
            name: name.to_owned(),
            state: match restarts::frozen(&directory) {
                Some(_) => "frozen",
                None => "running",
            },
            pid: Some(state.service.pid),
            generation: Some(state.generation),
            uptime_s: Some(process::uptime_s(state.service.start_time)?),
            supervised: state.supervisor.is_some_and(|it| it.is_alive()),
            restarts: count,
            last_restart,
            usage: Some(cgroup::usage(&state.cgroup_directories())),
            last: None,
            compared: compared.as_ref().map(|last| last.time.clone()),
            drift: drift(&state, compared),
            stale,
            log,
        },
        None => Status {
            name: name.to_owned(),
            state: if waits { "restarting" } else { "stopped" },
            pid: None,
            generation: current,
            uptime_s: None,
            supervised: waits,
            restarts: count,
            last_restart,
            usage: None,
            last: Last::load(&directory).map(told),
            compared: None,
            drift: Vec::new(),
            stale,
            log,
        },
    })
}

/// What differs in it from what was started, as far as that is known.
pub(super) fn drift(state: &State, compared: Option<Compared>) -> Vec<String> {
    let mut all = compared.map_or(Vec::new(), |last| last.drift);
    if state.supervisor.is_some_and(|process| !process.is_alive()) {
        all.push(Drift {
            id: "live.supervisor".to_owned(),
            subject: "supervisor".to_owned(),
            evidence: "it has ended: nobody passes on what the service logs, or compares the jail"
                .to_owned(),
        });
    }
    all.iter().map(Drift::to_string).collect()
}
