//! `learn`: from a name or a command to a spec.

mod facts;
mod service;
mod watch;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::incomplete::Incomplete;
use super::merge::{self, Before};
use super::trace::reached;
use super::user::{self, Wish};
use super::{
    Event, Healed, Places, Report, guard, handover, heal, is_ordinary, jail, may_jail, ordinary,
    ports, valid_name,
};
use crate::build::{GENERATIONS, State};
use crate::learn::coverage::Coverage;
use crate::learn::{self, Trace};
use crate::spec::{self, Spec};
use crate::{Doing, Error, Result};
use service::Service;
pub(super) use service::is_shipped;

/// Whom a service starts as, while it is learned and in its jail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beginning {
    /// As root while it is learned, as its user in the jail: most that start as root do so for a
    /// port or a file, which the jail gives them.
    #[default]
    RootThenUser,
    /// As its user both times: it refuses to be root.
    AsUser,
    /// As root both times: it changes to several users by itself.
    StaysRoot,
}

impl Beginning {
    /// As a spec says.
    pub fn of(service: &spec::Service) -> Self {
        match (service.start_as_root, service.refuses_root) {
            (true, _) => Self::StaysRoot,
            (_, true) => Self::AsUser,
            _ => Self::RootThenUser,
        }
    }
}

/// What `learn` was told.
#[derive(Clone, Debug, Default)]
pub struct LearnOptions {
    /// The jail's name.
    pub name: String,
    /// The service's command; empty for one that gaoler knows.
    pub command: Vec<String>,
    /// Exercises as the user wrote them.
    pub exercises: Vec<String>,
    /// Those of its start.
    pub start_exercises: Vec<String>,
    /// Seconds to watch after the exercises.
    pub serve_for: u64,
    /// Signs of readiness as the user wrote them.
    pub ready: Vec<String>,
    /// The user it shall run as.
    pub user: Option<String>,
    /// The group, in place of the user's own.
    pub group: Option<String>,
    /// Whom it starts as, if that was said; else as before, or as is known of it.
    pub beginning: Option<Beginning>,
    /// Use nothing of what gaoler knows about it.
    pub unaided: bool,
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
    /// Run it in its jail afterwards, and take what is safe of what it is denied into the spec.
    pub heal: bool,
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
    /// What came of healing, if that was asked for.
    pub healed: Option<Healed>,
}

/// Runs the service under the tracer and writes its spec.
///
/// # Errors
/// A spec is there already; the host's copy runs; the configuration is bad; the service does
/// not start; the trace is incomplete and that was not accepted: then it is kept for looking into.
/// No spec is written then.
pub fn learn(places: &Places, options: &LearnOptions, report: &Report<'_>) -> Result<Learned> {
    valid_name(&options.name)?;
    may_jail(&format!("learn {}", options.name))?;
    ordinary::may_be_learned(options)?;
    guard::past(places, || learn_here(places, options, report))
}

fn learn_here(places: &Places, options: &LearnOptions, report: &Report<'_>) -> Result<Learned> {
    let path = places.spec(&options.name);
    if path.exists() && !options.again && !options.merge {
        return Err(is_there_already(&options.name, &path));
    }
    let before = Before::load(places, options)?;
    // A spec that cannot be read any more says nothing.
    let old = path
        .exists()
        .then(|| jail::load_spec(places, &options.name));
    let old = old.and_then(Result::ok).filter(|_| before.is_none());
    let says_command = options.command.is_empty();
    let options = &match (&before, &old) {
        (Some(before), _) => before.complete(options)?,
        (None, Some(old)) => remembered(old, options)?,
        (None, None) => options.clone(),
    };
    let mut subject = Service::find(options)?;
    let given = subject.exercises.clone();
    if let Some(old) = old.filter(|_| says_command && !options.command.is_empty()) {
        merge::with_those_of(&old, &mut subject.exercises);
        if options.ready.is_empty() {
            subject.ready = old.service.ready;
        }
    }
    subject.places = places.all();
    subject.preflight(report)?;
    subject.settle_ports(options)?;
    if let Some(before) = &before {
        let ready = options.ready.is_empty().then_some(&mut subject.ready);
        before.prepare(&subject.command, &mut subject.exercises, ready)?;
    }
    ports::are_free_everywhere(&subject.name, &subject.ready)?;
    let began = handover::now();
    let judge = |trace: &Trace| options.incomplete.judge_trace(places, &options.name, trace);
    let known_user = subject.known_user();
    let wish = Wish {
        name: &options.name,
        asked: options.user.as_deref(),
        known: known_user.as_deref(),
        group: options.group.as_deref(),
        create: options.create_user,
        beginning: subject.beginning,
    };
    subject.ids = user::from_the_start(wish)?;
    let mut trace = watched(places, &subject, options, report)?;
    judge(&trace)?;
    if let Some(before) = &before {
        trace = before.unite(trace)?;
        judge(&trace)?;
    }
    let identity = user::choose(wish, &trace)?;
    if wish.beginning != Beginning::StaysRoot && !is_ordinary() {
        for note in handover::hand_over(&trace, &identity, began)? {
            report(Event::Note(note));
        }
    }
    let derive = |trace: &Trace| {
        let facts = subject.facts(trace, &identity)?;
        Ok(spec::derive(trace, subject.knowledge(), &facts))
    };
    let mut derived = derive(&trace)?;
    if let Some(before) = &before {
        derived = before.keep(derived, &given, derive)?;
    }
    if !options.ready.is_empty() {
        // The person knows better than the trace what to wait for.
        derived.spec.service.ready.clone_from(&subject.ready);
    }
    derived.notes.extend(ordinary::settle(&mut derived.spec));
    write(places, &path, &derived.spec)?;
    report(Event::Did(format!("wrote {}", path.display())));
    keep_trace(places, &options.name, &trace)?;
    report(Event::Doing(format!(
        "learning {}: looking for what was not reached",
        options.name
    )));
    let coverage = reached(&trace, &derived.spec.exercises)?;
    let (mut spec, mut healed) = (derived.spec, None);
    if options.heal {
        healed = Some(heal(places, &options.name, report)?);
        spec = jail::load_spec(places, &options.name)?;
    }
    Ok(Learned {
        spec,
        path,
        trace,
        notes: derived.notes,
        coverage,
        healed,
    })
}

/// What a person need not say again: whom the service starts as and, of one that gaoler does not
/// know by name, its command and user.
///
/// # Errors
/// A mistake in what gaoler knows.
fn remembered(spec: &Spec, options: &LearnOptions) -> Result<LearnOptions> {
    let mut options = options.clone();
    let service = &spec.service;
    let is_known = !service.unaided && spec::shipped(&options.name)?.is_some();
    if options.command.is_empty() && !is_known {
        options.command.clone_from(&service.command);
        options.unaided |= service.unaided;
        if options.beginning.is_none() && !service.start_as_root && !options.create_user {
            options.user = options.user.or_else(|| Some(service.user.clone()));
            options.group = options.group.or_else(|| Some(service.group.clone()));
        }
    }
    if options.beginning.is_none() && service.refuses_root {
        options.beginning = Some(Beginning::AsUser);
        options.user = options.user.or_else(|| Some(service.user.clone()));
    }
    if options.beginning.is_none() && service.start_as_root && options.user.is_none() {
        options.beginning = Some(Beginning::StaysRoot);
    }
    Ok(options)
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

/// What the spec of a jail would be if its service had shown this trace beside what it showed when
/// it was learned.
///
/// # Errors
/// The service cannot be found any more; its user is gone.
pub(super) fn derived_with(spec: &Spec, learned: Option<Trace>, more: Trace) -> Result<Spec> {
    let trace = match learned {
        Some(learned) => learn::merge(learned, more)?,
        None => more,
    };
    let service = &spec.service;
    let options = LearnOptions {
        name: spec.name.clone(),
        command: if is_shipped(&spec.name, &service.command) && !service.unaided {
            Vec::new()
        } else {
            service.command.clone()
        },
        unaided: service.unaided,
        user: Some(service.user.clone()),
        group: Some(service.group.clone()),
        passes: 1,
        beginning: Some(Beginning::of(service)),
        ..LearnOptions::default()
    };
    let mut subject = Service::find(&options)?;
    subject.settle_ports(&options)?;
    let wish = Wish {
        name: &spec.name,
        asked: options.user.as_deref(),
        known: None,
        group: options.group.as_deref(),
        create: false,
        beginning: subject.beginning,
    };
    let identity = user::choose(wish, &trace)?;
    let facts = subject.facts(&trace, &identity)?;
    Ok(spec::derive(&trace, subject.knowledge(), &facts).spec)
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
