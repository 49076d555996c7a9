//! What becomes of a trace that is not the whole of what happened, and of a spec made from one.

use std::path::PathBuf;

use super::Places;
use crate::learn::{self, Trace};
use crate::spec::Spec;
use crate::{Error, Result};

/// What to do with a spec that was made from an incomplete trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Incomplete {
    /// Use it all the same: a person has said so.
    Accept,
    /// Refuse it.
    #[default]
    Refuse,
}

impl Incomplete {
    /// From the option of the command line.
    pub fn accept_if(accepted: bool) -> Self {
        if accepted { Self::Accept } else { Self::Refuse }
    }

    /// Keeps an incomplete trace for looking into, and refuses to make a spec from it.
    ///
    /// # Errors
    /// It is incomplete and that was not accepted; it cannot be kept.
    pub(super) fn judge_trace(self, places: &Places, name: &str, trace: &Trace) -> Result<()> {
        if trace.certificate.complete || self == Self::Accept {
            return Ok(());
        }
        let path = kept_at(places, name);
        crate::build::State::create(&places.state, name)?;
        learn::save(trace, &path)?;
        let gaps = trace.certificate.gaps.join("; ");
        let why = format!("the trace is incomplete: {gaps}");
        Err(Error::setup(format!("learn {name}"), why).hint(format!(
            "it is kept as {}; learn it again, or have a spec of it all the same: --accept-incomplete",
            path.display()
        )))
    }

    /// Refuses to build what may lack something that the service needs.
    ///
    /// # Errors
    /// The spec says that it is incomplete and that was not accepted.
    pub(super) fn judge_spec(self, spec: &Spec) -> Result<()> {
        let Some(why) = spec.incomplete.as_ref().filter(|_| self == Self::Refuse) else {
            return Ok(());
        };
        let name = &spec.name;
        let why = format!("its spec was made from an incomplete trace: {why}");
        Err(Error::setup(format!("build the jail {name}"), why).hint(format!(
            "learn it again: gaoler learn {name} --again; or: gaoler build {name} --accept-incomplete"
        )))
    }
}

/// The evidence of a spec that is there stays; only without one is it the trace of the jail.
fn kept_at(places: &Places, name: &str) -> PathBuf {
    if places.spec(name).exists() {
        places.incomplete_trace(name)
    } else {
        places.trace(name)
    }
}
