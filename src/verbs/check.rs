//! `check`: collects what there is to look at and lets the audit judge.

use serde::Serialize;

use super::{Places, jail, must_be_root};
use crate::audit::{self, Finding, Subject, live};
use crate::build;
use crate::plan::Mode;
use crate::run::state::State;
use crate::{Error, Result};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The jail's name.
    pub name: String,
    /// 0 is best, 10 is worst.
    pub score: f64,
    /// Worst first.
    pub findings: Vec<Finding>,
}

/// Looks at the spec and the tree, and with `live` at the running processes.
///
/// # Errors
/// The jail has not been built; with `live`, it does not run.
pub fn check(places: &Places, name: &str, live: bool) -> Result<Report> {
    must_be_root(&format!("check {name}"))?;
    let spec = jail::load_spec(places, name)?;
    let built = build::state_of(&places.state, name)?.map_or(Ok(None), |state| state.current())?;
    if built.is_none() {
        return Err(Error::new(format!("check {name}"), "it has not been built")
            .hint(format!("build it: gaoler build {name}")));
    }
    let directory = places.runtime(name);
    let running = State::running(&directory)?;
    let exec = running
        .as_ref()
        .is_some_and(|state| state.supervisor.is_none());
    let mode = if exec { Mode::Exec } else { Mode::Supervised };
    let jail = jail::plan(places, name, mode, &|_| ())?;
    let drift: Vec<(String, String)> = build::drift(&jail.tree, &jail.manifest)?
        .into_iter()
        .map(|drift| (drift.path.display().to_string(), drift.what.to_string()))
        .collect();
    let seen = match (live, running) {
        (false, _) => None,
        (true, Some(state)) if state.generation == jail.generation => {
            Some(live::look(&state, &jail.plan, &jail.tree, &jail.manifest)?)
        }
        (true, Some(state)) => {
            return Err(Error::new(
                format!("check {name}"),
                format!(
                    "generation {} runs and {} is built from the present spec",
                    state.generation, jail.generation
                ),
            )
            .hint(format!("restart it: gaoler restart {name}")));
        }
        (true, None) => {
            return Err(
                Error::new(format!("check {name}"), "it does not run").hint(format!(
                    "start it, or check without --live: gaoler start {name}"
                )),
            );
        }
    };
    let findings = audit::audit(&Subject {
        spec: &spec,
        manifest: &jail.manifest,
        plan: &jail.plan,
        drift: &drift,
        live: seen.as_ref(),
    });
    Ok(Report {
        name: name.to_owned(),
        score: audit::score(&findings),
        findings,
    })
}
