//! `learn`: from a name or a command to a spec.

mod facts;
mod service;
mod watch;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::incomplete::Incomplete;
use super::merge::Before;
use super::trace::reached;
use super::user::{self, Wish};
use super::{Event, Places, Report, handover, jail, must_be_root, ports, valid_name};
use crate::build::{GENERATIONS, State};
use crate::learn::coverage::Coverage;
use crate::learn::{self, Trace};
use crate::spec::{self, Spec};
use crate::{Doing, Error, Result};
use service::Service;

/// What `learn` was told.
#[derive(Clone, Debug, Default)]
pub struct LearnOptions {
    /// The jail's name.
    pub name: String,
    /// The service's command; empty for one that gaoler knows.
    pub command: Vec<String>,
    /// Exercises as the user wrote them.
    pub exercises: Vec<String>,
    /// Seconds to watch after the exercises.
    pub serve_for: u64,
    /// Signs of readiness as the user wrote them.
    pub ready: Vec<String>,
    /// The user it shall run as.
    pub user: Option<String>,
    /// The group, in place of the user's own.
    pub group: Option<String>,
    /// Make the user if there is none.
    pub create_user: bool,
    /// Replace a spec that is there.
    pub again: bool,
    /// Unite what is seen now with what was seen before.
    pub merge: bool,
    /// Whether a spec is made of an incomplete trace.
    pub incomplete: Incomplete,
    /// How often the service is run: 1 or 2.
    pub passes: u32,
}

/// What `learn` brought.
#[derive(Debug)]
pub struct Learned {
    /// The spec.
    pub spec: Spec,
    /// Where it was written.
    pub path: PathBuf,
    /// The trace.
    pub trace: Trace,
    /// What was seen and not put into the spec, with the reason.
    pub notes: Vec<String>,
    /// What the run did not reach.
    pub coverage: Coverage,
}

/// Runs the service under the tracer and writes its spec.
///
/// # Errors
/// A spec is there already; the host's copy runs; the configuration is bad; the service does
/// not start; the trace is incomplete and that was not accepted: then it is kept for looking into.
/// No spec is written then.
pub fn learn(places: &Places, options: &LearnOptions, report: &Report<'_>) -> Result<Learned> {
    valid_name(&options.name)?;
    must_be_root(&format!("learn {}", options.name))?;
    let path = places.spec(&options.name);
    if path.exists() && !options.again && !options.merge {
        return Err(is_there_already(&options.name, &path));
    }
    let before = Before::load(places, options)?;
    let options = &match &before {
        Some(before) => before.complete(options)?,
        None => options.clone(),
    };
    let mut subject = Service::find(options)?;
    subject.preflight(report)?;
    subject.settle_ports(options)?;
    if let Some(before) = &before {
        let ready = options.ready.is_empty().then_some(&mut subject.ready);
        before.prepare(&subject.command, &mut subject.exercises, ready)?;
    }
    ports::are_free_everywhere(&subject.name, &subject.ready)?;
    let began = handover::now();
    let judge = |trace: &Trace| options.incomplete.judge_trace(places, &options.name, trace);
    let mut trace = watched(places, &subject, options, report)?;
    judge(&trace)?;
    if let Some(before) = &before {
        trace = before.unite(trace)?;
        judge(&trace)?;
    }
    let wish = Wish {
        name: &options.name,
        asked: subject.user.as_deref(),
        group: options.group.as_deref(),
        create: options.create_user,
    };
    let identity = user::choose(wish, &trace)?;
    for note in handover::hand_over(&trace, &identity, began)? {
        report(Event::Note(note));
    }
    let derive = |trace: &Trace| {
        let facts = subject.facts(trace, &identity)?;
        Ok(spec::derive(trace, subject.knowledge(), &facts))
    };
    let mut derived = derive(&trace)?;
    if let Some(before) = &before {
        derived = before.keep(derived, derive)?;
    }
    if !options.ready.is_empty() {
        // The person knows better than the trace what to wait for.
        derived.spec.service.ready.clone_from(&subject.ready);
    }
    write(places, &path, &derived.spec)?;
    report(Event::Did(format!("wrote {}", path.display())));
    keep_trace(places, &options.name, &trace)?;
    report(Event::Doing(format!(
        "learning {}: looking for what was not reached",
        options.name
    )));
    let coverage = reached(&trace, &derived.spec.exercises)?;
    Ok(Learned {
        spec: derived.spec,
        path,
        trace,
        notes: derived.notes,
        coverage,
    })
}

fn is_there_already(name: &str, path: &Path) -> Error {
    let path = path.display();
    Error::usage(
        format!("learn {name}"),
        format!("{path} is there already and belongs to a person"),
    )
    .hint(
        "--again learns anew, --merge adds to what was learned; both keep the old spec beside the \
         new one",
    )
}

/// Runs the service. What was seen is kept beside the generations meanwhile; of a run that
/// failed nothing stays.
fn watched(
    places: &Places,
    subject: &Service,
    options: &LearnOptions,
    report: &Report<'_>,
) -> Result<Trace> {
    let name = &options.name;
    let generations = places.state.join(name).join(GENERATIONS);
    let missing = generations.ancestors().take_while(|path| !path.exists());
    let missing: Vec<&Path> = missing.collect();
    State::create(&places.state, name)?;
    subject
        .trace(options, places.unfinished_trace(name), report)
        .inspect_err(|_| {
            // The first that is not empty any more ends it; the failure itself is what is told.
            missing.iter().all(|made| fs::remove_dir(made).is_ok());
        })
}

/// The trace stays beside the generations: it is the evidence for the spec.
fn keep_trace(places: &Places, name: &str, trace: &Trace) -> Result<()> {
    learn::save(trace, &places.trace(name))
}

/// Writes the spec, keeping an old one beside it.
pub(super) fn write(places: &Places, path: &Path, spec: &Spec) -> Result<()> {
    let doing = || format!("make {}", places.etc.display());
    fs::create_dir_all(&places.etc).doing(doing)?;
    super::must_be_ours(&places.etc, &doing())?;
    if path.exists() {
        let old = path.with_extension("toml.old");
        fs::rename(path, &old).doing(|| format!("keep the old spec as {}", old.display()))?;
    }
    jail::replace(path, &spec::to_toml(spec))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
        .doing(|| format!("set the mode of {}", path.display()))
}
