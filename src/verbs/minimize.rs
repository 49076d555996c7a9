//! `minimize`: takes away each thing that a spec allows, and keeps what some exercise fails
//! without.

mod items;
mod progress;
mod search;
mod work;

use serde::Serialize;

use super::trial::{self, Crew, Outcome, Signals, Terms, Way};
use super::{Event, Places, Report, jail, must_be_root};
use crate::build::{self, Account};
use crate::spec::Spec;
use crate::{Error, Result};
use items::Item;
use progress::Progress;
use search::Search;
use work::Work;

/// How often the whole must pass, before anything is taken away and at the end.
const PASSES: usize = 2;

/// What `minimize` was told.
#[derive(Clone, Debug, Default)]
pub struct MinimizeOptions {
    /// The jail's name.
    pub name: String,
    /// Remove from the spec what no exercise needs.
    pub remove: bool,
    /// Forget what an interrupted run has found.
    pub again: bool,
    /// Try out in place.
    pub in_place: bool,
    /// How many trials at once.
    pub jobs: usize,
    /// The kinds of items that are taken away; none: all.
    pub only: Vec<String>,
}

/// What it found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Minimized {
    /// The jail's name.
    pub name: String,
    /// Where it was tried out.
    pub way: Way,
    /// How many trials went on at once.
    pub jobs: usize,
    /// How often the service was started, earlier runs included.
    pub trials: usize,
    /// How long it took, earlier runs included.
    pub seconds: u64,
    /// How much was known from a run that was interrupted.
    pub resumed: usize,
    /// What some exercise fails without.
    pub proven: Vec<Proven>,
    /// What none does.
    pub unproven: Vec<Unproven>,
    /// What was not tried.
    pub not_tried: Vec<NotTried>,
    /// What is unproven was removed from the spec.
    pub removed: bool,
}

/// Something that is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// The item, as in `call ptrace`.
    pub item: String,
    /// The exercise that fails without it; `start`, `serve` or `stop` if it is none.
    pub exercise: String,
}

/// Something that is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unproven {
    /// The item.
    pub item: String,
    /// How it was known before.
    pub origin: String,
}

/// Something that there is no use in taking away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotTried {
    /// The item.
    pub item: String,
    /// Why.
    pub why: String,
}

/// Finds what the exercises need.
///
/// # Errors
/// The spec has no exercise; it does not pass them as it is; it was interrupted: then what is
/// known is kept.
pub fn minimize(
    places: &Places,
    options: &MinimizeOptions,
    report: &Report<'_>,
) -> Result<Minimized> {
    let name = &options.name;
    must_be_root(&format!("minimize {name}"))?;
    if let Some(unknown) = options
        .only
        .iter()
        .find(|kind| !items::KINDS.contains(&kind.as_str()))
    {
        let doing = format!("minimize {name}");
        return Err(
            Error::usage(doing, format!("{unknown:?} is no kind of allowance"))
                .hint(format!("one of: {}", items::KINDS.join(", "))),
        );
    }
    let signals = Signals::block()?;
    let spec = jail::load_spec(places, name)?;
    if spec.exercises.is_empty() {
        return Err(
            Error::usage(format!("minimize {name}"), "its spec has no exercise").hint(format!(
                "nothing would be missed: write [[exercise]] into it, or gaoler learn {name} \
                 --merge --exercise COMMAND"
            )),
        );
    }
    let (crew, whole) = able_crew(places, &spec, options, &signals, report)?;
    let interpreter = build::interpreter_of(&spec)?;
    let (groups, not_tried) = items::items(&spec, &interpreter, &options.only);
    let mut progress = Progress::load(places, &spec)?;
    if options.again {
        progress.clear();
    }
    let items = groups.iter().flatten().cloned().collect();
    let mut work = Work::new(places, &spec, items, crew, progress, report);
    work.crew.judge_by(&whole);
    let result = work.run(&groups).and_then(|()| work.verify());
    let crew_size = work.crew.size();
    let way = work.crew.way();
    let written = result.and_then(|()| work.write(options.remove));
    let Work {
        search,
        items,
        progress,
        crew,
        resumed,
        ..
    } = work;
    let finished = crew.finish();
    written?;
    finished?;
    Ok(Minimized {
        name: name.clone(),
        way,
        jobs: crew_size,
        trials: progress.trials,
        seconds: progress.seconds,
        resumed,
        proven: proven(&items, &search),
        unproven: unproven(&items, &search),
        not_tried: not_tried
            .into_iter()
            .map(|(item, why)| NotTried { item, why })
            .collect(),
        removed: options.remove,
    })
}

/// A crew with which the unchanged spec passes: beside the jail, else in place.
fn able_crew<'a>(
    places: &'a Places,
    spec: &Spec,
    options: &MinimizeOptions,
    signals: &'a Signals,
    report: &'a Report<'a>,
) -> Result<(Crew<'a>, Outcome)> {
    let account = Account::of(spec)?;
    let (required, _) = trial::bound(spec);
    let terms = |way| Terms {
        jobs: options.jobs,
        way,
        required: required.clone(),
        // What may only be read is never made writable here.
        optional: Vec::new(),
        owner: (account.user.uid, account.group.gid),
    };
    let doing = || format!("minimize {}", spec.name);
    let tried = |way| -> Result<(Crew<'a>, Outcome)> {
        let mut crew = Crew::begin(places, &spec.name, &terms(way), signals, report)?;
        let whole = |crew: &mut Crew<'a>| -> Result<Outcome> {
            let mut outcome = Outcome::Passed {
                start_ms: 0,
                exercise_ms: 0,
                busy_ms: 0,
            };
            for pass in 1..=PASSES {
                report(Event::Doing(format!(
                    "minimizing {}: trying the whole spec, {pass} of {PASSES}",
                    spec.name
                )));
                outcome = outcome.slower(crew.run(spec)?);
            }
            Ok(outcome)
        };
        crew.watch_idle();
        crew.as_restarted(true);
        let mut outcome = whole(&mut crew)?;
        if way == Way::Isolated && !outcome.has_passed() {
            // Some cannot be restarted at once, jail or not.
            crew.as_restarted(false);
            outcome = whole(&mut crew)?;
        }
        Ok((crew, outcome))
    };
    let mut why = String::new();
    if !options.in_place {
        match tried(Way::Isolated) {
            Ok((crew, outcome @ Outcome::Passed { .. })) => return Ok((crew, outcome)),
            Ok((
                _,
                Outcome::Failed {
                    what, why: failed, ..
                },
            )) => why = format!("{what}: {failed}"),
            Err(error) if error.is_interruption() => return Err(error),
            Err(error) => why = error.to_string(),
        }
        report(Event::Note(format!(
            "it does not pass beside the jail ({why})"
        )));
    }
    match tried(Way::InPlace)? {
        (crew, outcome @ Outcome::Passed { .. }) => Ok((crew, outcome)),
        (
            _,
            Outcome::Failed {
                what,
                why: failed,
                output,
            },
        ) => {
            let why = match why.as_str() {
                "" => format!("with its whole spec, {what}: {failed}"),
                why => format!("with its whole spec, {what}: {failed}; beside the jail, {why}"),
            };
            let words = crate::host::command::last_lines(&output, 10);
            Err(Error::new(doing(), why).hint(format!(
                "every exercise must pass, and always: gaoler check {} --exercise\n{words}",
                spec.name
            )))
        }
    }
}

fn proven(items: &[Item], search: &Search) -> Vec<Proven> {
    let needed = search.needed.iter();
    needed
        .filter_map(|(number, what)| {
            Some(Proven {
                item: items.get(*number)?.name(),
                exercise: what.clone(),
            })
        })
        .collect()
}

fn unproven(items: &[Item], search: &Search) -> Vec<Unproven> {
    let removed = search
        .removed
        .iter()
        .filter_map(|number| items.get(*number));
    let origin = |item: &Item| match item {
        Item::Allowance(allowance) => allowance
            .reason()
            .map(|(_, evidence)| evidence.origin().to_string()),
        Item::Writable(_) => None,
    };
    removed
        .map(|item| Unproven {
            item: item.name(),
            origin: origin(item).unwrap_or_default(),
        })
        .collect()
}
