//! A jail of what the host has now, run under the tracer with its exercises: what it needs that its
//! spec does not give, and that was not seen when it was learned.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::copies::Copies;
use super::worker::reap;
use crate::build;
use crate::learn::{self, Trace};
use crate::spec::{self, Spec};
use crate::verbs::{Explained, Places, Why, WhyOptions, jail, unseen, why, why_take};
use crate::why::{Remedy, Source};
use crate::{Doing, Error, Result};

/// As often the jail is run: each run gives it something, or is the last.
const MOST_ROUNDS: usize = 8;

/// What is to be followed.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::verbs) struct Follow {
    /// The spec as TOML.
    pub spec: String,
    /// What the service did when it was learned, if that was kept.
    pub trace: PathBuf,
    /// What it is given besides what is safe, by its subject.
    pub allow: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::verbs) struct Followed {
    /// The spec with what it needs more; `None` if it needs nothing more.
    pub spec: Option<String>,
    /// What it was given.
    pub grown: Vec<Need>,
    /// What it was denied and a person has to give.
    pub asked: Vec<Need>,
    /// What did not work in the last run, in words.
    pub failures: Vec<String>,
    /// The digest of the manifest of the tree that was run.
    pub digest: String,
}

/// Something that a service needs and did not need before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// What it is about: a call, a path, a capability, a port.
    pub subject: String,
    /// What happened, and what decided it.
    pub cause: String,
}

impl Need {
    fn of(explained: &Explained) -> Self {
        Self {
            subject: explained.denial.subject.clone(),
            cause: explained.denial.cause.clone(),
        }
    }
}

/// Runs it, gives it what is safe or was allowed, and runs it again, until nothing is to be given.
///
/// # Errors
/// It cannot be built or traced.
pub(super) fn follow(
    places: &Places,
    name: &str,
    copies: &Copies,
    task: &Follow,
) -> Result<Followed> {
    let original = spec::parse(&task.spec, "the spec to be tried")?;
    let whole = Spec {
        // It was accepted when the jail was built.
        incomplete: None,
        ..original.clone()
    };
    build::State::create(&places.state, name)?;
    jail::replace(&places.spec(name), &spec::to_toml(&whole))?;
    let learned = remember(places, name, task)?;
    let options = WhyOptions {
        name: name.to_owned(),
        ..WhyOptions::default()
    };
    let mut grown: Vec<Need> = Vec::new();
    for _ in 0..MOST_ROUNDS {
        copies.refill()?;
        let mut found = why(places, &options, &|_| ())?;
        reap()?;
        let taken = taken(&found, learned.as_ref(), &task.allow);
        if taken.is_empty() {
            let now = Spec {
                incomplete: original.incomplete.clone(),
                ..jail::load_spec(places, name)?
            };
            return Ok(Followed {
                spec: (!grown.is_empty()).then(|| spec::to_toml(&now)),
                grown,
                asked: asked(&found, learned.as_ref()),
                failures: found.failures,
                digest: digest(places, name)?,
            });
        }
        let given = taken
            .iter()
            .filter_map(|(place, _)| found.denials.get(*place));
        grown.extend(given.map(Need::of));
        why_take(places, &mut found, taken, &|_| ())?;
    }
    Err(Error::new(
        format!("try {name} out"),
        format!("it needs still more after {MOST_ROUNDS} runs"),
    )
    .hint(format!("learn it again: gaoler learn {name} --merge")))
}

/// The trace of the learner, at its place in the trial too.
fn remember(places: &Places, name: &str, task: &Follow) -> Result<Option<Trace>> {
    if !task.trace.exists() {
        return Ok(None);
    }
    let path = places.trace(name);
    fs::copy(&task.trace, &path).doing(|| format!("copy {}", task.trace.display()))?;
    // One that cannot be read shows nothing.
    Ok(learn::load(&path).ok())
}

/// Whether the service did not do it when it was learned. What it did then and is not allowed is
/// what a person has decided, or what learning has left out.
fn is_new(explained: &Explained, learned: Option<&Trace>) -> bool {
    let allowances = explained.denial.remedy.allowances();
    match (learned, allowances) {
        (_, []) | (None, _) => explained.denial.remedy != Remedy::None,
        (Some(trace), allowances) => allowances
            .iter()
            .any(|allowance| !unseen::is_seen(allowance, trace)),
    }
}

/// What it is given before it is run again, by its place among the denials.
fn taken(found: &Why, learned: Option<&Trace>, allow: &[String]) -> Vec<(usize, Remedy)> {
    let denials = found.denials.iter().enumerate();
    let given = denials.filter(|(_, one)| {
        let denial = &one.denial;
        let is_safe = denial.source == Source::Run && denial.is_safe() && is_new(one, learned);
        let is_about_spec = !matches!(denial.remedy, Remedy::None | Remedy::Rebuild);
        is_about_spec && (is_safe || allow.contains(&denial.subject))
    });
    given
        .map(|(place, one)| (place, one.denial.remedy.clone()))
        .collect()
}

/// What is left for a person to give. Where everything works, only what was seen counts: what a
/// service says is its own choice.
fn asked(found: &Why, learned: Option<&Trace>) -> Vec<Need> {
    let works = found.failures.is_empty();
    let left = found.denials.iter().filter(|one| match one.denial.source {
        Source::Run => is_new(one, learned) && one.denial.remedy != Remedy::Rebuild,
        Source::Output => !works && one.denial.remedy != Remedy::None,
        Source::Tree | Source::Complaint | Source::Audit => false,
    });
    left.map(Need::of).collect()
}

fn digest(places: &Places, name: &str) -> Result<String> {
    let none = || Error::new(format!("try {name} out"), "it was not built");
    let state = build::state_of(&places.state, name)?.ok_or_else(none)?;
    let current = state.current()?.ok_or_else(none)?;
    state.manifest(current)?.digest()
}
