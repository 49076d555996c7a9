//! The work of `minimize`: questions go to the workers, answers into what is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::super::trial::{Crew, Outcome};
use super::super::{Event, Places, Report, jail, learn};
use super::PASSES;
use super::items::Item;
use super::progress::Progress;
use super::search::Search;
use crate::spec::{Evidence, Spec};
use crate::{Error, Result};

/// What is taken away, what is known, and who tries it.
pub(super) struct Work<'a> {
    places: &'a Places,
    spec: &'a Spec,
    pub(super) items: Vec<Item>,
    pub(super) search: Search,
    pub(super) crew: Crew<'a>,
    report: &'a Report<'a>,
    begun: Instant,
    pub(super) resumed: usize,
    pub(super) progress: Progress,
    seconds_before: u64,
}

impl<'a> Work<'a> {
    /// Nothing was tried yet.
    pub(super) fn new(
        places: &'a Places,
        spec: &'a Spec,
        items: Vec<Item>,
        crew: Crew<'a>,
        progress: Progress,
        report: &'a Report<'a>,
    ) -> Self {
        Self {
            places,
            spec,
            items,
            search: Search::default(),
            crew,
            report,
            begun: Instant::now(),
            resumed: 0,
            progress,
            seconds_before: 0,
        }
    }

    /// Takes everything away in turn, as far as that is not known already.
    pub(super) fn run(&mut self, groups: &[Vec<Item>]) -> Result<()> {
        self.resume(groups);
        let before = self.progress.trials;
        let count = self.crew.count;
        loop {
            while self.crew.idle() > 0
                && let Some((job, without)) = self.search.next()
            {
                let spec = self.without(&without);
                self.tell(&without);
                self.crew.submit(job, &spec)?;
            }
            if self.crew.idle() == self.crew.size() {
                return Ok(());
            }
            let (job, outcome) = self.crew.next().map_err(|error| self.kept(error))?;
            match &outcome {
                Outcome::Passed { .. } => self.search.answer(job, None),
                Outcome::Failed { what, .. } => self.search.answer(job, Some(what)),
            }
            self.progress.trials = before + self.crew.count - count;
            self.keep()?;
        }
    }

    /// What an earlier run has found is not tried again.
    fn resume(&mut self, groups: &[Vec<Item>]) {
        self.seconds_before = self.progress.seconds;
        let mut search = Search::default();
        let mut open = Vec::new();
        let mut number = 0;
        for group in groups {
            let mut rest = Vec::new();
            for item in group {
                let name = item.name();
                if let Some(what) = self.progress.needed.get(&name) {
                    search.needed.insert(number, what.clone());
                } else if self.progress.removed.contains(&name) {
                    search.removed.insert(number);
                } else {
                    rest.push(number);
                }
                number += 1;
            }
            open.push(rest);
        }
        self.resumed = search.needed.len() + search.removed.len();
        if !self.progress.is_empty() {
            (self.report)(Event::Note(format!(
                "{} of {number} are known from before; --again starts over",
                self.resumed
            )));
        }
        let known = search;
        self.search = Search::over(open);
        (self.search.needed, self.search.removed) = (known.needed, known.removed);
    }

    fn without(&self, numbers: &BTreeSet<usize>) -> Spec {
        let mut spec = self.spec.clone();
        let items = numbers.iter().filter_map(|number| self.items.get(*number));
        items.for_each(|item| item.take(&mut spec));
        spec
    }

    fn tell(&self, without: &BTreeSet<usize>) {
        let new: Vec<String> = without
            .difference(&self.search.removed)
            .filter_map(|number| self.items.get(*number).map(Item::name))
            .collect();
        let what = match new.as_slice() {
            [one] => one.clone(),
            [first, .., last] => format!("{} from {first} to {last}", new.len()),
            [] => String::new(),
        };
        let known = self.search.needed.len() + self.search.removed.len();
        let left = self.search.at_most();
        let done = self.crew.count.saturating_sub(PASSES);
        let time = match done {
            0 => String::new(),
            done => {
                let each = self.begun.elapsed().as_secs_f64() / done as f64;
                format!(", {:.0} s", each * left as f64)
            }
        };
        (self.report)(Event::Doing(format!(
            "minimizing {}: {known} of {} known, at most {left} trials{time} left; without {what}",
            self.spec.name,
            self.items.len()
        )));
    }

    /// Keeps what is known, in case this is the end.
    fn keep(&mut self) -> Result<()> {
        let name = |number: &usize| self.items.get(*number).map(Item::name);
        let needed: BTreeMap<String, String> = self
            .search
            .needed
            .iter()
            .filter_map(|(number, what)| Some((name(number)?, what.clone())))
            .collect();
        let removed: BTreeSet<String> = self.search.removed.iter().filter_map(name).collect();
        self.progress.seconds = self.seconds_before + self.begun.elapsed().as_secs();
        if needed.len() + removed.len() == self.progress.needed.len() + self.progress.removed.len()
        {
            return Ok(());
        }
        (self.progress.needed, self.progress.removed) = (needed, removed);
        self.progress.save(&self.places.minimizing(&self.spec.name))
    }

    fn kept(&self, error: Error) -> Error {
        let known = self.search.needed.len() + self.search.removed.len();
        error.hint(format!(
            "what is known of {known} of {} is kept: the same command goes on from there",
            self.items.len()
        ))
    }

    /// The whole, as it is left.
    pub(super) fn verify(&mut self) -> Result<()> {
        let spec = self.without(&self.search.removed);
        for pass in 1..=PASSES {
            (self.report)(Event::Doing(format!(
                "minimizing {}: trying what is left as a whole, {pass} of {PASSES}",
                spec.name
            )));
            self.progress.trials += 1;
            let mut outcome = self.crew.run(&spec).map_err(|error| self.kept(error))?;
            if !outcome.has_passed() {
                // As in the search, once is not enough.
                self.progress.trials += 1;
                outcome = self.crew.run(&spec).map_err(|error| self.kept(error))?;
            }
            if let Outcome::Failed { what, why, .. } = outcome {
                Progress::forget(&self.places.minimizing(&spec.name))?;
                return Err(Error::new(
                    format!("minimize {}", spec.name),
                    format!("what is left does not pass as a whole: {what}: {why}"),
                )
                .hint("an exercise does not always say the same: mend it, and start over"));
            }
        }
        self.progress.seconds = self.seconds_before + self.begun.elapsed().as_secs();
        Ok(())
    }

    /// The spec with the new evidence; the old one stays beside it.
    pub(super) fn write(&self, remove: bool) -> Result<()> {
        let name = &self.spec.name;
        let mut spec = self.spec.clone();
        for (number, what) in &self.search.needed {
            if let Some(item) = self.items.get(*number) {
                item.mark(&mut spec, |_| Evidence::Proven(what.clone()));
            }
        }
        for item in self
            .search
            .removed
            .iter()
            .filter_map(|number| self.items.get(*number))
        {
            if remove {
                item.take(&mut spec);
            } else {
                item.mark(&mut spec, Evidence::unproven);
            }
        }
        if jail::load_spec(self.places, name)? != *self.spec {
            return Err(Error::new(
                format!("minimize {name}"),
                "its spec was changed meanwhile, and what was found is of the old one",
            )
            .hint("the same command starts over with the new one"));
        }
        let path = self.places.spec(name);
        learn::write(self.places, &path, &spec)?;
        (self.report)(Event::Did(format!("wrote {}", path.display())));
        Progress::forget(&self.places.minimizing(name))
    }
}
