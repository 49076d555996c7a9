//! `why`: what the jail denied its service, and the smallest change for each.

mod complaining;
mod followed;
mod logged;

use std::path::PathBuf;

use super::{Event, Jail, Places, Report, jail, learn, may_jail};
use crate::audit::{self, Facts, Finding, Severity, Subject};
use crate::build::{self, Manifest};
use crate::host::command::last_lines;
use crate::learn as learner;
use crate::plan::{Mode, Plan, Step};
use crate::run::ComplaintRecord;
use crate::run::state::State;
use crate::spec::{self, Date, Spec};
use crate::why::{self, Denial, Evidence, HostLimits, Inside, Records, Remedy, Source};
use crate::{Error, Result};

/// How many lines of what the service said are shown.
const LAST_WORDS: usize = 6;

/// What `why` is asked.
#[derive(Clone, Debug, Default)]
pub struct WhyOptions {
    /// The jail's name.
    pub name: String,
    /// Take every change that is safe.
    pub apply: bool,
    /// Take these too, by their subject, whether they are safe or not.
    pub allow: Vec<String>,
    /// Explain the audit records of these files instead of running anything; `-` is standard input.
    pub logs: Vec<PathBuf>,
}

/// A denial, with what the change would mean.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The denial.
    pub denial: Denial,
    /// What would differ in the spec.
    pub patch: Vec<spec::Change>,
    /// How much higher the score would be (0 is best).
    pub cost: f64,
    /// What `check` would say that it does not say now.
    pub unwise: Vec<Finding>,
    /// It was taken into the spec, or the tree was built again.
    pub applied: bool,
}

/// What `why` found.
#[derive(Debug)]
pub struct Why {
    /// The jail's name.
    pub name: String,
    /// The denials, what is surest first.
    pub denials: Vec<Explained>,
    /// What did not work in the run, in words; empty if everything did.
    pub failures: Vec<String>,
    /// What the service said last, made plain for a terminal, if something did not work.
    pub last_words: Vec<String>,
    /// The logs with the kernel's audit records, and what was in them.
    pub logs: Vec<why::Counts>,
    /// The service was run for this.
    pub ran: bool,
}

impl Why {
    /// Whether everything worked; where something was changed, whether all was that would help. A
    /// record of the kernel that the run does not bear out is of another time.
    pub fn works(&self) -> bool {
        let matters = |one: &&Explained| {
            let recorded = one.denial.source == Source::Audit && self.ran;
            one.denial.remedy != Remedy::None && !recorded
        };
        let mut matter = self.denials.iter().filter(matters);
        let changed = self.denials.iter().any(|one| one.applied);
        (changed || self.failures.is_empty()) && matter.all(|one| one.applied)
    }
}

/// Says what was denied: of logs if some are named; of a jail that runs in complain mode, what was
/// written down; else the service is run in its jail under a tracer, and exercised.
///
/// # Errors
/// It runs already, enforced; it has never been learned; it cannot be built or traced; a log cannot
/// be read.
pub fn why(places: &Places, options: &WhyOptions, report: &Report<'_>) -> Result<Why> {
    let name = &options.name;
    if !options.logs.is_empty() {
        return logged::why(places, options, report);
    }
    may_jail(&format!("look why {name} does not work"))?;
    match State::running(&places.runtime(name))? {
        Some(state) if complaining::complains(&state) => {
            complaining::why(places, options, &state, report)
        }
        Some(state) => {
            let why = format!("it runs, as process {}", state.service.pid);
            let doing = format!("look why {name} does not work");
            let hint = format!("it has to be run anew for that: gaoler stop {name}");
            Err(Error::new(doing, why).hint(hint))
        }
        None => run(places, options, report),
    }
}

fn run(places: &Places, options: &WhyOptions, report: &Report<'_>) -> Result<Why> {
    let name = &options.name;
    let jail = jail::plan(places, name, Mode::Traced, report)?;
    let drift: Vec<(String, String)> = build::drift(&jail.tree, &jail.manifest)?
        .into_iter()
        .map(|drift| (drift.path.display().to_string(), drift.what.to_string()))
        .collect();
    let followed = followed::follow(places, &jail, report)?;
    report(Event::Doing(format!("looking what {name} was denied")));
    let complaints = ComplaintRecord::load(&places.state.join(name))?;
    let run = followed.trace.as_ref();
    let refused = run.map(learner::refused).unwrap_or_default();
    let wanted = match run {
        Some(trace) => {
            let path = places.trace(name);
            let learned = path.exists().then(|| learner::load(&path)).transpose()?;
            // Another command since: what was learned of the old one says nothing of it.
            let learned = learned.filter(|learned| learned.command == trace.command);
            let wanted = learner::wanted(trace, &refused, learned.as_ref());
            learn::derived_with(&jail.spec, learned, wanted)?
        }
        None => jail.spec.clone(),
    };
    let said = why::said(
        &followed.words,
        followed.unexecuted,
        &jail.spec,
        &jail.manifest,
    )?;
    let symbols = run.map_or_else(why::Places::default, |run| why::Places::of(run, &jail.tree));
    let groups: Vec<u32> = jail.account.groups.iter().map(|group| group.gid).collect();
    let denials = why::explain(&Evidence {
        spec: &jail.spec,
        wanted: &wanted,
        run,
        refused: &refused,
        drift: &drift,
        complaints: complaints.as_ref(),
        said: &said,
        places: &symbols,
        inside: Some(inside(&jail, &groups)),
        reached: followed.reached,
        host: HostLimits::own(),
    });
    let records = logged::of_host(&jail, report);
    let subject = Weighed::of_jail(&jail);
    let why = Why {
        ran: true,
        last_words: last_words(&followed),
        failures: followed.failures,
        ..weighed(&subject, denials, records)
    };
    conclude(places, &jail.spec, why, options, report)
}

/// What the service said of what did not work. It may say what it likes: this is shown, and nothing
/// follows from it.
fn last_words(followed: &followed::Followed) -> Vec<String> {
    if followed.failures.is_empty() {
        return Vec::new();
    }
    let shown = last_lines(&followed.words, LAST_WORDS);
    let lines = shown.lines().filter(|line| !line.trim().is_empty());
    lines.map(str::to_owned).collect()
}

/// What it all means, the records last.
fn weighed(subject: &Weighed<'_>, mut denials: Vec<Denial>, records: Records) -> Why {
    for denial in records.denials {
        if denials.iter().all(|known| known.subject != denial.subject) {
            denials.push(denial);
        }
    }
    Why {
        name: subject.spec.name.clone(),
        denials: denials
            .into_iter()
            .map(|denial| weigh(subject, denial))
            .collect(),
        failures: Vec::new(),
        last_words: Vec::new(),
        logs: records.counts,
        ran: false,
    }
}

/// Changes the spec as was asked, if it was.
fn conclude(
    places: &Places,
    spec: &Spec,
    mut why: Why,
    options: &WhyOptions,
    report: &Report<'_>,
) -> Result<Why> {
    apply(places, spec, &mut why, options, report)?;
    Ok(why)
}

/// What changes are weighed by.
struct Weighed<'a> {
    spec: &'a Spec,
    manifest: &'a Manifest,
    plan: &'a Plan,
}

impl<'a> Weighed<'a> {
    fn of_jail(jail: &'a Jail) -> Self {
        Self {
            spec: &jail.spec,
            manifest: &jail.manifest,
            plan: &jail.plan,
        }
    }
}

fn inside<'a>(jail: &'a Jail, groups: &'a [u32]) -> Inside<'a> {
    let has =
        |wanted: fn(&Step) -> bool| jail.plan.steps.iter().any(|planned| wanted(&planned.step));
    Inside {
        manifest: &jail.manifest,
        uid: jail.account.user.uid,
        gid: jail.account.group.gid,
        groups,
        has_mounts: has(|step| matches!(step, Step::PivotRoot)),
        has_landlock: has(|step| matches!(step, Step::Landlock(_))),
    }
}

/// What the change would mean.
fn weigh(subject: &Weighed<'_>, denial: Denial) -> Explained {
    let mut changed = subject.spec.clone();
    denial.remedy.apply(&mut changed);
    let look = |spec: &Spec| {
        audit::audit(&Subject {
            spec,
            manifest: subject.manifest,
            plan: subject.plan,
            drift: &[],
            facts: &Facts::default(),
            live: None,
            failed: None,
            today: Date::today(),
        })
    };
    let (before, after) = (look(subject.spec), look(&changed));
    let unwise = after
        .iter()
        .filter(|finding| finding.severity >= Severity::Info && !before.contains(finding))
        .cloned()
        .collect();
    Explained {
        patch: spec::diff(subject.spec, &changed),
        cost: audit::score(&after) - audit::score(&before),
        unwise,
        applied: false,
        denial,
    }
}

/// Takes over what is safe, if that was asked for, and what was named.
fn apply(
    places: &Places,
    old: &Spec,
    why: &mut Why,
    options: &WhyOptions,
    report: &Report<'_>,
) -> Result<()> {
    let mut unknown = options.allow.iter();
    let is_known = |named: &&String| why.denials.iter().any(|one| one.denial.subject == **named);
    if let Some(named) = unknown.find(|named| !is_known(named)) {
        let doing = format!("allow {named:?}");
        return Err(Error::usage(doing, "nothing of that name was denied")
            .hint("name what why shows, as in --allow CAP_NET_BIND_SERVICE; nothing was changed"));
    }
    let is_taken = |explained: &Explained| {
        let denial = &explained.denial;
        options.allow.contains(&denial.subject) || options.apply && denial.is_safe()
    };
    let taken = why.denials.iter().enumerate();
    let taken = taken
        .filter(|(_, explained)| is_taken(explained))
        .map(|(index, explained)| (index, explained.denial.remedy.clone()))
        .collect();
    take(places, old, why, taken, report)
}

/// Takes over what a person has chosen of what `why` found, by its place among the denials.
///
/// # Errors
/// The spec cannot be read any more or not be written; the tree cannot be built.
pub fn why_take(
    places: &Places,
    why: &mut Why,
    taken: Vec<(usize, Remedy)>,
    report: &Report<'_>,
) -> Result<()> {
    let old = jail::load_spec(places, &why.name)?;
    take(places, &old, why, taken, report)
}

fn take(
    places: &Places,
    old: &Spec,
    why: &mut Why,
    taken: Vec<(usize, Remedy)>,
    report: &Report<'_>,
) -> Result<()> {
    let mut spec = old.clone();
    let mut rebuild = false;
    for (index, remedy) in taken {
        let explained = why.denials.get_mut(index);
        let Some(explained) = explained.filter(|_| remedy != Remedy::None) else {
            continue;
        };
        remedy.apply(&mut spec);
        rebuild |= remedy == Remedy::Rebuild;
        explained.applied = true;
    }
    if spec != *old {
        // What was denied was named by a service or a log: nothing of it may spoil the spec.
        spec::parse(
            &spec::to_toml(&spec),
            &format!("the changed spec of {}", why.name),
        )
        .map_err(|error| error.hint("nothing was changed: allow less"))?;
        learn::write(places, &places.spec(&why.name), &spec)?;
        report(Event::Did(format!(
            "changed {}",
            places.spec(&why.name).display()
        )));
    }
    if rebuild {
        let (_, built) = jail::build(places, &why.name, super::Incomplete::Accept, report)?;
        report(Event::Did(format!("built generation {}", built.generation)));
    }
    Ok(())
}
