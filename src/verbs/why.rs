//! `why`: what the jail denied its service, and the smallest change for each.

mod followed;

use super::{Event, Jail, Places, Report, jail, learn, must_be_root};
use crate::audit::{self, Finding, Severity, Subject};
use crate::build;
use crate::learn as learner;
use crate::plan::{Mode, Step};
use crate::run::ComplaintRecord;
use crate::run::state::State;
use crate::spec::{self, Spec};
use crate::why::{self, Denial, Evidence, HostLimits, Inside, Remedy};
use crate::{Error, Result};

/// What `why` is asked.
#[derive(Clone, Debug, Default)]
pub struct WhyOptions {
    /// The jail's name.
    pub name: String,
    /// Take every change that is safe.
    pub apply: bool,
    /// Take these too, by their subject, whether they are safe or not.
    pub allow: Vec<String>,
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
}

impl Why {
    /// Whether everything worked, or will after what was changed.
    pub fn works(&self) -> bool {
        let matters = |one: &&Explained| one.denial.remedy != Remedy::None;
        let mut matter = self.denials.iter().filter(matters);
        self.failures.is_empty() && matter.all(|one| one.applied)
    }
}

/// Runs the service in its jail under a tracer, exercises it, and explains what was denied.
///
/// # Errors
/// It runs already; it has never been learned; it cannot be built or traced.
pub fn why(places: &Places, options: &WhyOptions, report: &Report<'_>) -> Result<Why> {
    let name = &options.name;
    must_be_root(&format!("look why {name} does not work"))?;
    let directory = places.runtime(name);
    if let Some(state) = State::running(&directory)? {
        let why = format!("it runs, as process {}", state.service.pid);
        return Err(
            Error::new(format!("look why {name} does not work"), why).hint(format!(
                "it has to be run anew for that: gaoler stop {name}"
            )),
        );
    }
    let jail = jail::plan(places, name, Mode::Traced, report)?;
    let drift: Vec<(String, String)> = build::drift(&jail.tree, &jail.manifest)?
        .into_iter()
        .map(|drift| (drift.path.display().to_string(), drift.what.to_string()))
        .collect();
    let followed = followed::follow(places, &jail, report)?;
    report(Event::Doing(format!("looking what {name} was denied")));
    let complaints = ComplaintRecord::load(&directory)?;
    let run = followed.trace.as_ref();
    let refused = run.map(learner::refused).unwrap_or_default();
    let wanted = match run {
        Some(trace) => {
            let path = places.trace(name);
            let learned = path.exists().then(|| learner::load(&path)).transpose()?;
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
    let mut why = Why {
        name: name.clone(),
        denials: denials
            .into_iter()
            .map(|denial| weigh(&jail, denial))
            .collect(),
        failures: followed.failures,
    };
    apply(places, &jail.spec, &mut why, options, report)?;
    Ok(why)
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
fn weigh(jail: &Jail, denial: Denial) -> Explained {
    let mut changed = jail.spec.clone();
    denial.remedy.apply(&mut changed);
    let look = |spec: &Spec| {
        audit::audit(&Subject {
            spec,
            manifest: &jail.manifest,
            plan: &jail.plan,
            drift: &[],
            live: None,
            failed: &[],
        })
    };
    let (before, after) = (look(&jail.spec), look(&changed));
    let unwise = after
        .iter()
        .filter(|finding| finding.severity >= Severity::Info && !before.contains(finding))
        .cloned()
        .collect();
    Explained {
        patch: spec::diff(&jail.spec, &changed),
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
    let mut spec = old.clone();
    let mut rebuild = false;
    let mut unknown: Vec<&String> = options.allow.iter().collect();
    for explained in &mut why.denials {
        let denial = &explained.denial;
        let (subject, remedy) = (&denial.subject, &denial.remedy);
        unknown.retain(|named| *named != subject);
        let named = options.allow.contains(subject);
        if *remedy == Remedy::None || !(named || options.apply && denial.is_safe()) {
            continue;
        }
        remedy.apply(&mut spec);
        rebuild |= *remedy == Remedy::Rebuild;
        explained.applied = true;
    }
    if let Some(named) = unknown.first() {
        let doing = format!("allow {named:?}");
        return Err(Error::usage(doing, "nothing of that name was denied")
            .hint("name what why shows, as in --allow CAP_NET_BIND_SERVICE; nothing was changed"));
    }
    if spec != *old {
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
