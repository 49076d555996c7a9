//! `attack`: starts the real jail with a prober in place of the service, once for each thing that
//! it tries, and says what got through.

mod host_log;
mod outside;
mod prober;
mod scene;
mod setting;
mod told;
mod under;
mod worker;

use std::time::Instant;

use serde::Serialize;

use super::{Event, Places, Report, is_ordinary, jail, may_jail};
use crate::attack::{self, Answer, Confined, Layer, Outcome, Probe, Unconfined, Verdict};
use crate::plan::{Mode, Plan, Step, native_architecture};
use crate::spec::Spec;
use crate::sys::calls;
use crate::sys::seccomp::Instruction;
use crate::{Error, Result};
use outside::{Outside, Seen};
use prober::Arguments;
use scene::Scene;
use setting::Setting;
pub use worker::attack_worker;
use worker::{Attempter, Where};

/// A phase of a service's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Until it is ready.
    Start,
    /// From then on.
    Serve,
}

/// What `attack` was told.
#[derive(Clone, Debug, Default)]
pub struct AttackOptions {
    /// The jail's name.
    pub name: String,
    /// The phases; empty: both.
    pub phases: Vec<Phase>,
    /// Layers to start the jail without.
    pub without: Vec<Layer>,
    /// The probes; empty: all.
    pub probes: Vec<String>,
    /// Another launcher's command to attack what it makes, in place of a jail.
    pub under: Option<String>,
    /// The user who is attacked with it; `None`: `nobody`.
    pub user: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attacked {
    /// The jail's name, or the command of another launcher.
    pub name: String,
    /// The generation that was attacked; 0 of another launcher.
    pub generation: u64,
    /// Layers that it was started without.
    pub without: Vec<Layer>,
    /// How many probes got through that nothing allows.
    pub escaped: usize,
    /// How many the spec allows.
    pub allowed_by_spec: usize,
    /// How many cannot be told.
    pub not_proven: usize,
    /// How many were stopped.
    pub blocked: usize,
    /// Each probe in each phase.
    pub probes: Vec<Tried>,
    /// How long it took, in ms.
    pub milliseconds: u64,
}

/// One probe in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The probe.
    pub id: String,
    /// What it tries.
    pub tries: String,
    /// Where that is from.
    pub source: String,
    /// The phase.
    pub phase: Phase,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Attacks a jail.
///
/// # Errors
/// There is no such jail or probe; the jail cannot be started; another command attacks it.
pub fn attack(places: &Places, options: &AttackOptions, report: &Report<'_>) -> Result<Attacked> {
    if let Some(command) = &options.under {
        return under::attack(places, command, options, report);
    }
    let name = &options.name;
    may_jail(&format!("attack {name}"))?;
    let probes = chosen(&options.probes)?;
    let begun = Instant::now();
    let jail = jail::plan(places, name, Mode::Supervised, report)?;
    let setting = Setting::of_jail(places, &jail);
    let scene = Scene::put_up(&setting)?;
    let plan = jail::plan_beside(&jail, scene.runtime(), scene.label())?;
    let own = match is_ordinary() {
        true => worker::every_capability()?,
        false => rustix::thread::capabilities(None).map_or(0, |sets| sets.permitted.bits()),
    };
    let mut plan = attack::without(&plan, &options.without, own)?;
    if options.without.contains(&Layer::Host) {
        plan = attack::with_log_of_host(&plan, scene.log().directory());
    }
    let mut attack = Attack {
        attempter: Attempter::start(&plan, &scene, setting.owner, None)?,
        target: Target::Jail {
            plan: &plan,
            spec: &jail.spec,
        },
        name,
        phases: match options.phases.as_slice() {
            [] => &[Phase::Start, Phase::Serve],
            phases => phases,
        },
        without: &options.without,
        scene: &scene,
    };
    let tried = attack.all(&probes, report);
    let finished = attack.attempter.finish();
    let probes = tried?;
    finished?;
    scene.take_down()?;
    Ok(Attacked {
        generation: jail.generation,
        without: options.without.clone(),
        ..Attacked::of(name, probes, begun)
    })
}

impl Attacked {
    fn of(name: &str, probes: Vec<Tried>, begun: Instant) -> Self {
        let count = |outcome| {
            let same = probes
                .iter()
                .filter(|tried| tried.verdict.outcome == outcome);
            same.count()
        };
        Self {
            name: name.to_owned(),
            generation: 0,
            without: Vec::new(),
            escaped: count(Outcome::Escaped),
            allowed_by_spec: count(Outcome::AllowedBySpec),
            not_proven: count(Outcome::NotProven),
            blocked: count(Outcome::Blocked),
            probes,
            milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The probes of these names, or all, in the order of the table.
fn chosen(names: &[String]) -> Result<Vec<Probe>> {
    let mut probes = attack::probes()?;
    let unknown = |name: &&String| !probes.iter().any(|probe| probe.id == **name);
    if let Some(name) = names.iter().find(unknown) {
        let doing = format!("try the probe {name:?}");
        return Err(Error::usage(doing, "there is none of that name")
            .hint("list them: gaoler attack --list"));
    }
    probes.retain(|probe| names.is_empty() || names.contains(&probe.id));
    Ok(probes)
}

/// What is attacked.
#[derive(Clone, Copy)]
enum Target<'a> {
    /// A jail.
    Jail { plan: &'a Plan, spec: &'a Spec },
    /// What another launcher makes.
    Launched { own_root: bool },
}

struct Attack<'a> {
    attempter: Attempter,
    target: Target<'a>,
    name: &'a str,
    phases: &'a [Phase],
    without: &'a [Layer],
    scene: &'a Scene,
}

impl Attack<'_> {
    fn all(&mut self, probes: &[Probe], report: &Report<'_>) -> Result<Vec<Tried>> {
        let mut tried = Vec::new();
        for (number, probe) in probes.iter().enumerate() {
            report(Event::Doing(format!(
                "attacking {}: probe {} of {}, {}",
                self.name,
                number + 1,
                probes.len(),
                probe.id
            )));
            let outside = Unconfined {
                root: self.answer(&probe.id, Where::Root)?,
                most: match is_ordinary() {
                    true => "root of a user namespace",
                    false => "root",
                },
                user: self.answer(&probe.id, Where::User)?,
            };
            for phase in self.phases {
                tried.push(self.one(probe, *phase, &outside)?);
            }
        }
        Ok(tried)
    }

    fn answer(&mut self, probe: &str, place: Where) -> Result<Answer> {
        let inside = matches!(place, Where::Start | Where::Serve);
        // One who may not write would be stopped by that.
        let (tells, at_home) = match self.target {
            Target::Jail { spec, .. } => (tells(spec, place), true),
            Target::Launched { own_root } => (true, own_root),
        };
        let arguments = Arguments {
            probe,
            tells: !inside || tells,
            serving: place == Where::Serve && matches!(self.target, Target::Jail { .. }),
            scene: match inside && at_home {
                true => self.scene.inside(),
                false => self.scene.outside(),
            },
        };
        let attempt = self.attempter.attempt(place, arguments.list())?;
        let answer = match self.target {
            Target::Launched { .. } if inside => Answer::under(&attempt),
            _ => Answer::of(&attempt),
        };
        let answer = match answer {
            Answer::Left(what) => self.outside(probe, inside, &what)?,
            answer => answer,
        };
        self.scene.tidy()?;
        Ok(answer)
    }

    /// What the host makes of what a probe has left for it.
    fn outside(&mut self, probe: &str, inside: bool, what: &str) -> Result<Answer> {
        let launched = matches!(self.target, Target::Launched { .. });
        let outside = Outside {
            probe,
            places: &self.scene.places(inside && !launched),
            careless: !inside || launched || self.without.contains(&Layer::Host),
            scene: self.scene,
        };
        let seen = outside.look(&mut self.attempter)?;
        self.scene.restore()?;
        let said = |seen: String| match what {
            "" => seen,
            what => format!("{what}; {seen}"),
        };
        Ok(match seen {
            Seen::TakenIn(how) => Answer::Through(said(how)),
            Seen::Held(how) => Answer::Left(said(how)),
        })
    }

    fn one(&mut self, probe: &Probe, phase: Phase, outside: &Unconfined) -> Result<Tried> {
        let place = match phase {
            Phase::Start => Where::Start,
            Phase::Serve => Where::Serve,
        };
        let answer = self.answer(&probe.id, place)?;
        let (spec, filters) = match self.target {
            Target::Jail { plan, spec } => (Some(spec), filters_of(plan)),
            Target::Launched { .. } => (None, Vec::new()),
        };
        let confined = Confined {
            answer: &answer,
            spec,
            filters: &filters,
            architecture: native_architecture()?,
            without: self.without,
            serving: phase == Phase::Serve,
        };
        Ok(Tried {
            id: probe.id.clone(),
            tries: probe.tries.clone(),
            source: probe.source.clone(),
            phase,
            verdict: attack::judge(probe, confined, outside),
        })
    }
}

fn filters_of(plan: &Plan) -> Vec<&[Instruction]> {
    let steps = plan.steps.iter();
    steps
        .filter_map(|planned| match &planned.step {
            Step::Seccomp { program, .. } => Some(program.as_slice()),
            _ => None,
        })
        .collect()
}

/// Whether the jail lets its service write, there.
fn tells(spec: &Spec, place: Where) -> bool {
    let write = calls::number("write");
    let mut rules = spec.calls.iter();
    rules.any(|rule| Some(rule.number) == write && (!rule.start_only || place == Where::Start))
}
