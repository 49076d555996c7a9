//! What the verbs that look at running jails have in common: which those are.

use super::attest::now;
use super::{Places, jail, scan, valid_name};
use crate::build;
use crate::run::events::Event;
use crate::run::state::State;
use crate::watch::monitor;
use crate::watch::sockets::{self, Observed, Sockets};
use crate::watch::top::{JailUsage, Sampler};
use crate::watch::tree::{self, Tree};
use crate::{Error, Result};

/// The state of the jail of this name, or of all that run.
///
/// # Errors
/// There is no such jail, or it does not run.
pub(super) fn running(places: &Places, name: Option<&str>, doing: &str) -> Result<Vec<State>> {
    let Some(name) = name else {
        let names = scan::names(&places.run, "")?;
        // One whose state cannot be believed is told by `list`.
        let states = names.iter().filter_map(|name| state_of(places, name).ok()?);
        return Ok(states.collect());
    };
    valid_name(name)?;
    if let Some(state) = state_of(places, name)? {
        return Ok(vec![state]);
    }
    jail::load_spec(places, name)?;
    Err(Error::new(format!("{doing} {name}"), "it does not run")
        .hint(format!("start it: gaoler start {name}")))
}

/// The name is that of the directory, whatever the file says.
fn state_of(places: &Places, name: &str) -> Result<Option<State>> {
    let state = State::running(&places.runtime(name))?;
    Ok(state.map(|state| State {
        name: name.to_owned(),
        ..state
    }))
}

/// The processes of the jail of this name, or of all that run.
///
/// # Errors
/// As [`running`]; `/proc` not readable.
pub fn tree(places: &Places, name: Option<&str>) -> Result<Vec<Tree>> {
    tree::trees(&running(places, name, "show the processes of")?)
}

/// The sockets of the jail of this name, or of all that run.
///
/// # Errors
/// As [`running`]; `/proc` not readable; the kernel does not tell.
pub fn netstats(places: &Places, name: Option<&str>) -> Result<Vec<Sockets>> {
    let states = running(places, name, "show the sockets of")?;
    let observed = |state: State| Observed {
        ports: ports(places, &state),
        state,
    };
    let jails: Vec<Observed> = states.into_iter().map(observed).collect();
    sockets::sockets(&jails)
}

/// What the spec of the generation that runs allows.
fn ports(places: &Places, state: &State) -> Option<Vec<crate::spec::PortRule>> {
    let built = build::state_of(&places.state, &state.name).ok()??;
    let spec = jail::spec_of_tree(&built.root(state.generation)).ok()?;
    Some(spec.ports)
}

/// What the jails use, again and again.
#[derive(Debug)]
pub struct Top<'a> {
    places: &'a Places,
    name: Option<&'a str>,
    sampler: Sampler,
}

impl<'a> Top<'a> {
    /// Of the jail of this name, or of all that run.
    ///
    /// # Errors
    /// There is no jail of this name, or it does not run.
    pub fn new(places: &'a Places, name: Option<&'a str>) -> Result<Self> {
        running(places, name, "show what is used by")?;
        Ok(Self {
            places,
            name,
            sampler: Sampler::new(),
        })
    }

    /// What is used now, and has been since the sample before. A jail that has ended is not there.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub fn sample(&mut self) -> Result<Vec<JailUsage>> {
        let mut states = running(self.places, None, "")?;
        states.retain(|state| self.name.is_none_or(|name| state.name == name));
        self.sampler.sample(&states)
    }
}

/// Tells what happens in the jail of this name, or in all, until `tell` answers false.
///
/// # Errors
/// There is no jail of this name; as [`monitor::monitor`].
pub fn monitor(
    places: &Places,
    name: Option<&str>,
    tell: &mut dyn FnMut(&Event) -> Result<bool>,
) -> Result<()> {
    if let Some(name) = name {
        valid_name(name)?;
        if state_of(places, name)?.is_none() {
            jail::load_spec(places, name)?;
        }
    }
    let request = monitor::Request {
        run: &places.run,
        only: name,
        is_jail: &|name| valid_name(name).is_ok(),
        now: &now,
    };
    monitor::monitor(&request, tell)
}
