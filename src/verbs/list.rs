//! `list`: every jail, whether it runs, and how much of it is known to be weak.

use serde::Serialize;

use super::{Places, jail, scan, score};
use crate::Result;
use crate::build;
use crate::host::process;
use crate::run::restarts::Restarts;
use crate::watch::UserNames;
use crate::watch::standing::{Condition, Standing, standing};

/// All jails.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct List {
    /// By name.
    pub jails: Vec<Listed>,
}

/// One jail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// The service's pid on the host.
    pub pid: Option<i32>,
    /// How it stands.
    pub state: Condition,
    /// Whom the service's process runs as, or would.
    pub user: Option<String>,
    /// The generation that runs, or that would.
    pub generation: Option<u64>,
    /// What the last check of that generation found, if its spec is still the same.
    pub score: Option<f64>,
    /// When that was.
    pub checked: Option<String>,
    /// How often it was started again.
    pub restarts: u64,
    /// Whole seconds since the service started.
    pub uptime_s: Option<u64>,
    /// What the service says that its command is.
    pub command: Option<String>,
    /// Why its state is unknown.
    pub problem: Option<String>,
}

/// Every jail that has a spec or runs; with `running`, those that run.
///
/// # Errors
/// A directory cannot be listed, and `/proc`.
pub fn list(places: &Places, running: bool) -> Result<List> {
    let mut names = scan::names(&places.run, "")?;
    if !running {
        names.extend(scan::names(&places.etc, ".toml")?);
        names.sort_unstable();
        names.dedup();
    }
    let now = process::uptime_s(0)?;
    let mut found = build::in_parallel(&names, |name| Ok(look(places, name, now)))?;
    found.retain(|(listed, _)| listed.pid.is_some() || is_known(places, &listed.name, running));
    found.sort_unstable_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    let mut users = UserNames::default();
    let named = |(listed, uid): (Listed, Option<u32>)| Listed {
        user: uid.map(|uid| users.of(uid)).or(listed.user),
        ..listed
    };
    Ok(List {
        jails: found.into_iter().map(named).collect(),
    })
}

/// One that does not run is a jail by its spec: what happened to a jail stays in its directory.
fn is_known(places: &Places, name: &str, running: bool) -> bool {
    !running && places.spec(name).exists()
}

/// The jail, and the number of the user that its service runs as.
fn look(places: &Places, name: &str, now: u64) -> (Listed, Option<u32>) {
    let Standing {
        condition,
        state,
        uid,
        problem,
    } = standing(&places.runtime(name));
    let generation = match &state {
        Some(state) => Some(state.generation),
        None => current(places, name),
    };
    let scored = generation.and_then(|generation| score::load(places, name, generation));
    let user = match (uid, &scored) {
        (Some(_), _) => None,
        (None, Some(scored)) => Some(scored.user.clone()),
        (None, None) => jail::load_spec(places, name)
            .ok()
            .map(|spec| spec.service.user),
    };
    let service = state.as_ref().map(|state| state.service);
    let since = |start| now.saturating_sub(start / process::TICKS_PER_SECOND);
    let listed = Listed {
        name: name.to_owned(),
        pid: service.map(|service| service.pid),
        state: condition,
        user,
        generation,
        score: scored.as_ref().map(|scored| scored.score),
        checked: scored.map(|scored| scored.time),
        restarts: match state {
            Some(state) => state.restarts,
            None => Restarts::load(&places.state.join(name)).count,
        },
        uptime_s: service.map(|service| since(service.start_time)),
        command: service.and_then(|service| process::command_text(service.pid)),
        problem,
    };
    (listed, uid)
}

/// The generation that would run; one that cannot be told is told by what starts it.
fn current(places: &Places, name: &str) -> Option<u64> {
    let state = build::state_of(&places.state, name).ok()??;
    state.current().ok()?
}
