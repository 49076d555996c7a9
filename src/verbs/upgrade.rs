//! `upgrade`: what the host's package manager has replaced comes into the jail, and out again by
//! itself if the service does not do with it (docs/decisions/0023-generations.md).

mod compare;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::check::exercise;
use super::switch::{self, Switched};
use super::trial::{self, Crew, Follow, Followed, Need, Signals, Terms, Way};
use super::{Event, Places, Report, is_ordinary, jail, lifecycle, may_jail, stale, valid_name};
use crate::build::{self, Account, Altered, KEPT};
use crate::run::state::State;
use crate::spec::{self, Spec};
use crate::{Error, Result};
pub use compare::PackageChange;
pub(super) use compare::package_changes;

/// How often a started service is looked at while it settles.
const POLL: Duration = Duration::from_millis(20);

/// What `upgrade` was told.
#[derive(Clone, Debug, Default)]
pub struct UpgradeOptions {
    /// The jail's name.
    pub name: String,
    /// Only say what would be done.
    pub check: bool,
    /// Give the service what it needs more, as far as that is safe, without asking.
    pub yes: bool,
    /// Give it this too, by its subject, whether that is safe or not.
    pub allow: Vec<String>,
    /// Do not try it out beside the jail first.
    pub skip_trial: bool,
    /// How long it is watched after it was started anew.
    pub settle: Duration,
}

/// How an upgrade ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeOutcome {
    /// There was nothing to do.
    Current,
    /// There is something to do; only that was asked.
    Stale,
    /// It was done.
    Upgraded,
    /// It was not begun: it did not work beside the jail, or needs what nobody has agreed to.
    Refused,
    /// It did not work in the jail: the generation from before runs again.
    RolledBack,
}

/// What an upgrade found and did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Upgraded {
    /// The jail's name.
    pub name: String,
    /// How it ended.
    pub outcome: UpgradeOutcome,
    /// Why it was refused or rolled back; or why it could not be compared.
    pub why: Option<String>,
    /// What can be done about that.
    pub hint: Option<String>,
    /// The generation that was current.
    pub from: u64,
    /// The one that is current now.
    pub to: u64,
    /// The service's process, if it runs.
    pub pid: Option<i32>,
    /// Why the jail was behind its host.
    pub stale: Vec<String>,
    /// Packages that were replaced.
    pub packages: Vec<PackageChange>,
    /// What differs in the tree.
    pub altered: Vec<Altered>,
    /// Symbols that its programs and libraries import from others, and did not before.
    pub imports: Vec<String>,
    /// What it needs more, and is given.
    pub grown: Vec<Need>,
    /// What it was denied, and a person has to give if it shall have it.
    pub asked: Vec<Need>,
}

/// Whether a person agrees to what the service needs more; `None` if there is nobody to ask.
pub type Agree<'a> = dyn Fn(&Upgraded) -> Result<Option<bool>> + 'a;

/// Compares the jail with its host; if it is behind, tries it out beside, builds the new generation,
/// starts it, watches it, and goes back if it does not do.
///
/// # Errors
/// It was never built; it can neither be upgraded nor be left as it was.
pub fn upgrade(
    places: &Places,
    options: &UpgradeOptions,
    agree: &Agree<'_>,
    report: &Report<'_>,
) -> Result<Upgraded> {
    let name = &options.name;
    valid_name(name)?;
    may_jail(&format!("upgrade {name}"))?;
    switch::must_be_alone(places, name)?;
    if options.check {
        report(Event::Doing(format!("comparing {name} with the host")));
        let (spec, _) = jail::read_spec(places, name)?;
        return compare::compare(places, &spec);
    }
    // Before anything is reported, which starts a thread.
    let signals = Signals::block()?;
    switch::recover(places, name, report)?;
    report(Event::Doing(format!("comparing {name} with the host")));
    let (spec, text) = jail::read_spec(places, name)?;
    let mut done = compare::compare(places, &spec)?;
    if done.outcome == UpgradeOutcome::Current {
        return Ok(done);
    }
    if let Some(why) = done.why.take() {
        let hint = done.hint.take();
        let error = Error::new(format!("upgrade {name}"), why);
        return Err(hint.into_iter().fold(error, Error::hint));
    }
    if done.altered.is_empty() {
        return restarted(places, &spec, options, done, &signals, report);
    }
    let tried = match options.skip_trial {
        true => Followed::default(),
        false => tried(places, &spec, &text, options, &signals, report)?,
    };
    done.grown.clone_from(&tried.grown);
    done.asked.clone_from(&tried.asked);
    // So that somebody who is asked can end it.
    signals.release()?;
    if let Some(refused) = refused(&done, &tried, options, agree)? {
        return Ok(refused);
    }
    let signals = Signals::block()?;
    let text = tried.spec.clone().unwrap_or(text);
    report(Event::Doing(format!(
        "building the new root tree of {name}"
    )));
    let built = jail::build_beside(places, name, text, report)?;
    is_what_was_tried(places, &spec, built.generation, &tried)?;
    let proof = |running: &State| works(places, &spec, running, options, &signals, report);
    match switch::switch(places, name, built.generation, &proof, report)? {
        Switched::Done => done.outcome = UpgradeOutcome::Upgraded,
        Switched::Undone(error) => {
            done.outcome = UpgradeOutcome::RolledBack;
            done.hint = error.next().map(str::to_owned);
            done.why = Some(error.to_string());
        }
    }
    let running = State::running(&places.runtime(name))?;
    done.pid = running.as_ref().map(|state| state.service.pid);
    if done.outcome == UpgradeOutcome::Upgraded {
        done.to = built.generation;
        let in_use: Vec<u64> = running.iter().map(|state| state.generation).collect();
        if let Some(state) = build::state_of(&places.state, name)? {
            state.lock(&|_| ())?.prune(KEPT, &in_use)?;
        }
    }
    Ok(done)
}

/// The jails of these places that have been built, by name.
///
/// # Errors
/// The specs cannot be listed.
pub fn built_jails(places: &Places) -> Result<Vec<String>> {
    use crate::Doing;
    let doing = || format!("list the specs in {}", places.etc.display());
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(&places.etc) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
        entries => entries.doing(doing)?,
    };
    for entry in entries {
        let file = entry.doing(doing)?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(".toml"));
        let Some(name) = name.filter(|name| valid_name(name).is_ok()) else {
            continue;
        };
        let state = build::state_of(&places.state, name)?;
        if state.is_some_and(|state| state.current().is_ok_and(|current| current.is_some())) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The tree is as the host is, but another one runs.
fn restarted(
    places: &Places,
    spec: &Spec,
    options: &UpgradeOptions,
    mut done: Upgraded,
    signals: &Signals,
    report: &Report<'_>,
) -> Result<Upgraded> {
    let name = &spec.name;
    if State::running(&places.runtime(name))?.is_none() {
        done.outcome = UpgradeOutcome::Current;
        return Ok(done);
    }
    lifecycle::restart(places, name, report)?;
    let running = State::running(&places.runtime(name))?
        .ok_or_else(|| Error::new(format!("start {name}"), "it ended at once"))?;
    works(places, spec, &running, options, signals, report)?;
    done.pid = Some(running.service.pid);
    done.outcome = UpgradeOutcome::Upgraded;
    Ok(done)
}

/// Runs the new programs in the jail of the spec, beside the real one, under the tracer.
fn tried(
    places: &Places,
    spec: &Spec,
    text: &str,
    options: &UpgradeOptions,
    signals: &Signals,
    report: &Report<'_>,
) -> Result<Followed> {
    let name = &spec.name;
    if is_ordinary() {
        let doing = format!("try {name} out before it is upgraded");
        return Err(Error::setup(doing, "that needs root")
            .hint("--skip-trial leaves it out: then it is only watched, and rolled back"));
    }
    let account = Account::of(spec)?;
    let (required, optional) = trial::bound(spec);
    let terms = Terms {
        jobs: 1,
        way: Way::Isolated,
        required,
        optional,
        owner: (account.user.uid, account.group.gid),
    };
    let mut crew = Crew::begin(places, name, &terms, signals, report)?;
    report(Event::Doing(format!(
        "trying {name} out with what the host has now, under the tracer"
    )));
    let mut followed = crew.follow(Follow {
        spec: text.to_owned(),
        trace: places.trace(name),
        allow: options.allow.clone(),
    })?;
    // Once more as it will run: the tracer changes what takes how long, and that decides.
    report(Event::Doing(format!(
        "trying {name} out once more, without the tracer"
    )));
    let last = followed.spec.as_deref().unwrap_or(text);
    match crew.run(&spec::parse(last, "the spec to be tried")?)? {
        trial::Outcome::Passed { .. } => {
            for failure in std::mem::take(&mut followed.failures) {
                report(Event::Note(format!("only under the tracer: {failure}")));
            }
        }
        trial::Outcome::Failed { what, why, output } if followed.failures.is_empty() => {
            let last = crate::host::command::last_lines(&output, 5);
            followed.failures.push(format!("{what}: {why}"));
            followed.failures.extend((!last.is_empty()).then_some(last));
        }
        trial::Outcome::Failed { .. } => {}
    }
    crew.finish()?;
    Ok(followed)
}

/// Why it is not begun, if it is not.
fn refused(
    done: &Upgraded,
    tried: &Followed,
    options: &UpgradeOptions,
    agree: &Agree<'_>,
) -> Result<Option<Upgraded>> {
    let name = &done.name;
    let refusal = |why: String, hint: String| {
        Ok(Some(Upgraded {
            outcome: UpgradeOutcome::Refused,
            why: Some(why),
            hint: Some(hint),
            ..done.clone()
        }))
    };
    if !tried.failures.is_empty() {
        let why = format!(
            "it does not work with what the host has now: {}",
            tried.failures.join("; ")
        );
        if tried.asked.is_empty() {
            let hint = "generation and service stay as they were; --skip-trial if it cannot work in \
                        a network of its own";
            return refusal(why, hint.to_owned());
        }
        let needs = tried.asked.iter();
        let needs: Vec<String> = needs
            .map(|it| format!(" --allow '{}'", it.subject))
            .collect();
        return refusal(
            why,
            format!(
                "if it shall have that: gaoler upgrade {name}{}",
                needs.concat()
            ),
        );
    }
    if done.grown.is_empty() || options.yes {
        return Ok(None);
    }
    let why = "it needs more than its spec allows";
    match agree(done)? {
        Some(true) => Ok(None),
        Some(false) => refusal(format!("{why}, and you did not agree"), String::new())
            .map(|refused| refused.map(|it| Upgraded { hint: None, ..it })),
        None => refusal(
            format!("{why}, and nobody is there to ask"),
            format!("if it shall have that: gaoler upgrade {name} --yes"),
        ),
    }
}

/// Refuses a generation that holds something else than was tried out: the host changed meanwhile.
fn is_what_was_tried(
    places: &Places,
    spec: &Spec,
    generation: u64,
    tried: &Followed,
) -> Result<()> {
    let doing = || format!("upgrade {}", spec.name);
    let state = build::state_of(&places.state, &spec.name)?
        .ok_or_else(|| Error::new(doing(), "it is gone"))?;
    let built = state.manifest(generation)?.digest()?;
    if tried.digest.is_empty() || tried.digest == built {
        return Ok(());
    }
    Err(Error::new(doing(), "the host was changed while it was tried out").hint("do it again"))
}

/// The exercises pass, and for a while nothing happens.
fn works(
    places: &Places,
    spec: &Spec,
    running: &State,
    options: &UpgradeOptions,
    signals: &Signals,
    report: &Report<'_>,
) -> Result<()> {
    let name = &spec.name;
    if !spec.exercises.is_empty() {
        let failed = exercise(places, spec, running, report)?;
        if let Some(first) = failed.first() {
            let doing = format!("pass the exercise {}", first.name);
            let error = Error::new(doing, &first.why);
            return Err(match first.last_words.is_empty() {
                true => error,
                false => error.hint(format!("its last words: {}", first.last_words)),
            });
        }
    }
    report(Event::Doing(format!(
        "watching {name} for {} s",
        options.settle.as_secs()
    )));
    let until = Instant::now() + options.settle;
    loop {
        signals.interrupted(name)?;
        let now = State::running(&places.runtime(name))?;
        if now.is_none_or(|now| now.service != running.service) {
            let doing = format!("keep {name} running");
            return Err(Error::new(doing, "it ended by itself"));
        }
        if Instant::now() >= until {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
}

/// Why a jail is behind its host, as `status` has it.
fn behind(places: &Places, name: &str) -> Result<Vec<String>> {
    let running = State::running(&places.runtime(name))?;
    stale::of(places, name, running.as_ref())
}
