//! `status`: whether a jail runs, and what differs in it from what was started.

use serde::Serialize;

use super::{Places, jail};
use crate::Result;
use crate::host::process;
use crate::run::events::{Compared, Drift};
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
    /// What differed then.
    pub drift: Vec<String>,
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
    Ok(match State::running(&directory)? {
        Some(state) => Status {
            name: name.to_owned(),
            state: "running",
            pid: Some(state.service.pid),
            generation: Some(state.generation),
            uptime_s: Some(process::uptime_s(state.service.start_time)?),
            usage: Some(cgroup::usage(&state.cgroup_directories())),
            last: None,
            compared: compared.as_ref().map(|last| last.time.clone()),
            drift: compared.map_or(Vec::new(), |last| {
                last.drift.iter().map(Drift::to_string).collect()
            }),
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
        },
    })
}
