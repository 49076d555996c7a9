//! `status`: whether a jail runs, and what differs in it from what was started.

use serde::Serialize;

use super::{Places, jail, stale};
use crate::Result;
use crate::host::process;
use crate::run::events::{Compared, Drift};
use crate::run::log::Logged;
use crate::run::state::{Last, State};
use crate::run::{Usage, cgroup, leftover};

/// Whether a jail runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The jail's name.
    pub name: String,
    /// `running` or `stopped`.
    pub state: &'static str,
    /// The service's pid on the host.
    pub pid: Option<i32>,
    /// The generation that runs, or that would.
    pub generation: Option<u64>,
    /// Seconds since the service started.
    pub uptime_s: Option<u64>,
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
        let known = counts.forwarded.saturating_add(counts.dropped);
        Self {
            to,
            sent: counts.received,
            forwarded: counts.forwarded,
            dropped: counts.dropped,
            waiting: counts.received.saturating_sub(known),
            truncated: counts.truncated,
        }
    }
}

/// Whether the jail runs. What an ended one has left is removed, where that may be done.
///
/// # Errors
/// There is no such jail.
pub fn status(places: &Places, name: &str) -> Result<Status> {
    jail::load_spec(places, name)?;
    let directory = places.runtime(name);
    leftover::clear_if_free(&directory);
    let current =
        crate::build::state_of(&places.state, name)?.map_or(Ok(None), |state| state.current())?;
    let compared = Compared::load(&directory);
    let log = Logged::load(&directory).map(Log::from);
    let running = State::running(&directory)?;
    // Who may not read the generation is told what can be told.
    let stale = stale::of(places, name, running.as_ref()).unwrap_or_default();
    Ok(match running {
        Some(state) => Status {
            name: name.to_owned(),
            state: "running",
            pid: Some(state.service.pid),
            generation: Some(state.generation),
            uptime_s: Some(process::uptime_s(state.service.start_time)?),
            usage: Some(cgroup::usage(&state.cgroup_directories())),
            last: None,
            compared: compared.as_ref().map(|last| last.time.clone()),
            drift: drift(&state, compared),
            stale,
            log,
        },
        None => Status {
            name: name.to_owned(),
            state: "stopped",
            pid: None,
            generation: current,
            uptime_s: None,
            usage: None,
            last: Last::load(&directory).map(|last| last.ended.to_string()),
            compared: None,
            drift: Vec::new(),
            stale,
            log,
        },
    })
}

fn drift(state: &State, compared: Option<Compared>) -> Vec<String> {
    let mut all = compared.map_or(Vec::new(), |last| last.drift);
    if state.supervisor.is_some_and(|process| !process.is_alive()) {
        all.push(Drift {
            id: "live.supervisor".to_owned(),
            subject: "supervisor".to_owned(),
            evidence: "it has ended: what the service logs is lost, and nobody compares the jail"
                .to_owned(),
        });
    }
    all.iter().map(Drift::to_string).collect()
}
