//! `bisect`: turns protections off by halves until a test passes, and names the layer that broke
//! it, and the rule in it.

mod candidates;
mod layers;
mod reduce;

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::trial::{self, Crew, Outcome, Signals, Terms, Way};
use super::{Event, Places, Report, jail, must_be_root};
use crate::build::Account;
use crate::learn::trace::Phase;
use crate::spec::{self, Change, Exercise, Spec};
use crate::{Error, Result};
use candidates::Candidates;
use layers::{Layer, Rule};
use reduce::{most_questions, reduce};

/// What `bisect` was told.
#[derive(Clone, Debug, Default)]
pub struct BisectOptions {
    /// The jail's name.
    pub name: String,
    /// Exercises of the spec to be the test.
    pub exercises: Vec<String>,
    /// The test; empty: the exercises.
    pub test: Vec<String>,
    /// Try out in place.
    pub in_place: bool,
}

/// What it found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bisected {
    /// The jail's name.
    pub name: String,
    /// Where it was tried out.
    pub way: Way,
    /// What came out.
    pub verdict: Verdict,
    /// The layer that breaks the test; of several, the first. Empty if there is none.
    pub layer: String,
    /// The rule in it; empty if it is the layer as a whole.
    pub rule: String,
    /// What has to be loosened besides, if that one is not enough by itself.
    pub with: Vec<Culprit>,
    /// What lets the test pass, as `spec diff` has it.
    pub changes: Vec<Change>,
    /// What went wrong in the full jail, or, if it is not the jail, without it.
    pub failure: String,
    /// How often the service was started.
    pub trials: usize,
    /// How long it took.
    pub seconds: u64,
}

/// What came out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The test passes in the full jail.
    NothingToFind,
    /// The test fails with everything off.
    NotTheJail,
    /// Something breaks it.
    Found,
}

/// One thing that breaks the test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Culprit {
    /// The layer.
    pub layer: String,
    /// The rule in it; empty if it is the layer as a whole.
    pub rule: String,
}

/// Finds what breaks the test.
///
/// # Errors
/// There is no test; trials cannot be made; it was interrupted.
pub fn bisect(places: &Places, options: &BisectOptions, report: &Report<'_>) -> Result<Bisected> {
    let name = &options.name;
    must_be_root(&format!("bisect {name}"))?;
    let signals = Signals::block()?;
    let spec = Spec {
        exercises: tests(jail::load_spec(places, name)?, options)?,
        ..jail::load_spec(places, name)?
    };
    report(Event::Doing(format!(
        "bisecting {name}: looking for what the jail may lack"
    )));
    let known = Candidates::of(places, &spec)?;
    let account = Account::of(&spec)?;
    let (required, read_only) = trial::bound(&spec);
    let terms = |way| Terms {
        jobs: 1,
        way,
        required: required.clone(),
        optional: read_only.iter().cloned().chain(known.places()).collect(),
        owner: (account.user.uid, account.group.gid),
    };
    let ways: &[Way] = match options.in_place {
        true => &[Way::InPlace],
        false => &[Way::Isolated, Way::InPlace],
    };
    let begun = Instant::now();
    let mut trials = 0;
    let mut last = None;
    for way in ways {
        let crew = match Crew::begin(places, name, &terms(*way), &signals, report) {
            Ok(crew) => crew,
            Err(error) if *way == Way::Isolated && !error.is_interruption() => {
                report(Event::Note(format!(
                    "it cannot be tried out beside the jail: {error}"
                )));
                continue;
            }
            Err(error) => return Err(error),
        };
        if *way == Way::InPlace {
            report(Event::Note(
                "protections are off meanwhile, also for whoever reaches the service".to_owned(),
            ));
        }
        let mut search = Search {
            spec: &spec,
            crew,
            report,
            phase: String::new(),
            most: 0,
        };
        let found = search.find(&known);
        trials += search.crew.count;
        let finished = search.crew.finish();
        let found = Bisected {
            trials,
            seconds: begun.elapsed().as_secs(),
            ..found?
        };
        finished?;
        if found.verdict != Verdict::NotTheJail {
            return Ok(found);
        }
        if *way == Way::Isolated && ways.len() > 1 {
            report(Event::Note(
                "it fails beside the jail with everything off: it may need the outer network"
                    .to_owned(),
            ));
        }
        last = Some(found);
    }
    last.ok_or_else(|| Error::new(format!("bisect {name}"), "no trial could be made"))
}

/// The exercises that are the test.
fn tests(spec: Spec, options: &BisectOptions) -> Result<Vec<Exercise>> {
    let doing = || format!("bisect {}", options.name);
    for name in &options.exercises {
        if !spec.exercises.iter().any(|exercise| exercise.name == *name) {
            return Err(Error::usage(
                doing(),
                format!("its spec has no exercise {name:?}"),
            ));
        }
    }
    let all = options.exercises.is_empty() && options.test.is_empty();
    let mut tests: Vec<Exercise> = spec
        .exercises
        .into_iter()
        .filter(|exercise| {
            // Without those of the start it would be another start.
            all || exercise.is_of_start() || options.exercises.contains(&exercise.name)
        })
        .collect();
    if !options.test.is_empty() {
        tests.push(Exercise {
            name: "test".to_owned(),
            command: options.test.clone(),
            expect: 0,
            output: String::new(),
            phase: Phase::Serve,
            because: "given on the command line".to_owned(),
        });
    }
    if tests.is_empty() {
        return Err(
            Error::usage(doing(), "there is no test, and its spec has no exercise")
                .hint(format!("gaoler bisect {} -- COMMAND...", options.name)),
        );
    }
    Ok(tests)
}

struct Search<'a> {
    spec: &'a Spec,
    crew: Crew<'a>,
    report: &'a Report<'a>,
    /// For the progress.
    phase: String,
    /// How many trials there will have been at most, if one thing is to blame.
    most: usize,
}

impl Search<'_> {
    fn find(&mut self, known: &Candidates) -> Result<Bisected> {
        let layers = layers::layers(self.spec, known, &self.unsafe_places(known));
        let rules = layers.iter().map(|layer| layer.rules.len()).max();
        self.most = 5 + most_questions(layers.len()) + most_questions(rules.unwrap_or_default());
        // First without anything: it shows how long a service may take that is not hindered.
        let off = self.all_off(layers)?;
        "the full jail".clone_into(&mut self.phase);
        let Outcome::Failed { what, why, output } = self.try_out(&[])? else {
            return Ok(self.answer(Verdict::NothingToFind, String::new()));
        };
        let failure = in_words(&what, &why, &output);
        let layers = match off {
            Ok(layers) => layers,
            Err(failure) => return Ok(self.answer(Verdict::NotTheJail, failure)),
        };
        "layers".clone_into(&mut self.phase);
        let guilty = reduce(layers.len(), &mut |set| {
            let off = set.iter().filter_map(|number| layers.get(*number));
            let rules: Vec<&Rule> = off.flat_map(|layer| &layer.off).collect();
            self.try_out(&rules).map(|outcome| outcome.has_passed())
        })?;
        let guilty: Vec<&Layer> = guilty.iter().filter_map(|one| layers.get(*one)).collect();
        let rules = self.narrow(&guilty)?;
        self.confirm(&rules)?;
        Ok(self.found(&rules, failure))
    }

    /// Places of the host that no trial may write to.
    fn unsafe_places(&self, known: &Candidates) -> Vec<PathBuf> {
        match self.crew.way() {
            Way::Isolated => self.crew.too_large(),
            // Nothing is copied: what the spec does not let it write stays so.
            Way::InPlace => {
                let (_, read_only) = trial::bound(self.spec);
                read_only.into_iter().chain(known.places()).collect()
            }
        }
    }

    /// The layers with which all off the test passes. Some services do worse as root, or with a
    /// caller's variables; then those stay as they are. `Err`: how it fails without any.
    fn all_off(&mut self, layers: Vec<Layer>) -> Result<std::result::Result<Vec<Layer>, String>> {
        let mut failure = String::new();
        for kept in [
            &[][..],
            &["ids"],
            &["ids", "tree", "writable"],
            &["ids", "tree", "writable", "environment"],
        ] {
            let on = |layer: &&Layer| !kept.contains(&layer.name);
            let off: Vec<Layer> = layers.iter().filter(on).cloned().collect();
            let rules: Vec<&Rule> = off.iter().flat_map(|layer| &layer.off).collect();
            "everything off".clone_into(&mut self.phase);
            match self.try_out(&rules)? {
                Outcome::Passed { .. } => return Ok(Ok(off)),
                Outcome::Failed { what, why, output } if failure.is_empty() => {
                    failure = in_words(&what, &why, &output);
                }
                Outcome::Failed { .. } => {}
            }
        }
        Ok(Err(failure))
    }

    /// The rules in the guilty layers, one layer after the other.
    fn narrow(&mut self, guilty: &[&Layer]) -> Result<Vec<Rule>> {
        let mut loosened: Vec<Vec<Rule>> = guilty.iter().map(|layer| layer.off.clone()).collect();
        for (number, layer) in guilty.iter().enumerate() {
            let mut others: Vec<Rule> = Vec::new();
            let rest = loosened.iter().enumerate();
            for (_, rules) in rest.filter(|(other, _)| *other != number) {
                others.extend(rules.iter().cloned());
            }
            layer.name.clone_into(&mut self.phase);
            let mut with = |set: &[usize]| {
                let rules = set.iter().filter_map(|rule| layer.rules.get(*rule));
                let rules: Vec<&Rule> = rules.chain(&others).collect();
                self.try_out(&rules).map(|outcome| outcome.has_passed())
            };
            let all: Vec<usize> = (0..layer.rules.len()).collect();
            // The rules that can be given may not be all that the layer does.
            if all.len() == 1 || with(&all)? {
                let rules = reduce(all.len(), &mut with)?;
                let rules = rules.iter().filter_map(|rule| layer.rules.get(*rule));
                let rules: Vec<Rule> = rules.cloned().collect();
                if let Some(place) = loosened.get_mut(number) {
                    *place = rules;
                }
            }
        }
        Ok(loosened.into_iter().flatten().collect())
    }

    /// Both ends once more: a test that does not always say the same finds nothing.
    fn confirm(&mut self, rules: &[Rule]) -> Result<()> {
        "once more".clone_into(&mut self.phase);
        let rules: Vec<&Rule> = rules.iter().collect();
        let passes = self.try_out(&rules)?.has_passed();
        let fails = !self.try_out(&[])?.has_passed();
        if !(passes && fails) {
            (self.report)(Event::Warning(
                "the test does not always say the same: what was found may be wrong".to_owned(),
            ));
        }
        Ok(())
    }

    fn try_out(&mut self, rules: &[&Rule]) -> Result<Outcome> {
        let mut spec = self.spec.clone();
        rules.iter().for_each(|rule| rule.apply(&mut spec));
        let done = self.crew.count;
        let left = match self.most.saturating_sub(done) {
            0 => "more than one thing is to blame".to_owned(),
            left => format!("at most {left} more if one thing is to blame"),
        };
        (self.report)(Event::Doing(format!(
            "bisecting {}: {}, trial {}, {left}",
            self.spec.name,
            self.phase,
            done + 1
        )));
        let outcome = self.crew.run(&spec)?;
        if outcome.has_passed() {
            self.crew.judge_by(&outcome);
        }
        Ok(outcome)
    }

    fn answer(&self, verdict: Verdict, failure: String) -> Bisected {
        Bisected {
            name: self.spec.name.clone(),
            way: self.crew.way(),
            verdict,
            layer: String::new(),
            rule: String::new(),
            with: Vec::new(),
            changes: Vec::new(),
            failure,
            trials: 0,
            seconds: 0,
        }
    }

    fn found(&self, rules: &[Rule], failure: String) -> Bisected {
        let mut loosened = self.spec.clone();
        rules.iter().for_each(|rule| rule.apply(&mut loosened));
        let mut culprits = rules.iter().map(|rule| Culprit {
            layer: rule.layer.to_owned(),
            // A layer that is off as a whole has no rule to show.
            rule: if rule.name == format!("protections.{}", rule.layer) {
                String::new()
            } else {
                rule.name.clone()
            },
        });
        let first = culprits.next();
        let (layer, rule) = first.map_or_else(Default::default, |one| (one.layer, one.rule));
        Bisected {
            layer,
            rule,
            with: culprits.collect(),
            changes: spec::diff(self.spec, &loosened),
            ..self.answer(Verdict::Found, failure)
        }
    }
}

fn in_words(what: &str, why: &str, output: &str) -> String {
    let output = crate::host::command::last_lines(output, 10);
    let colon = if output.is_empty() { "" } else { ":\n" };
    format!("{what}: {why}{colon}{output}")
}
