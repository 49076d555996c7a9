//! `learn --merge`: what is there from learning before, and what becomes of it.

use super::{Places, jail};
use crate::learn::{self, Trace};
use crate::spec::{self, Derived, Exercise, Ready, Spec};
use crate::{Error, Result};

use super::learn::is_shipped;
use super::{Beginning, LearnOptions};

/// A service that was learned before.
pub(super) struct Before {
    spec: Spec,
    trace: Trace,
}

impl Before {
    /// Reads what `learn --merge` goes on from; `None` if it was not asked for.
    ///
    /// # Errors
    /// There is no spec, or no trace that it was made from.
    pub(super) fn load(places: &Places, options: &LearnOptions) -> Result<Option<Self>> {
        if !options.merge {
            return Ok(None);
        }
        let name = &options.name;
        let path = places.trace(name);
        let spec = jail::load_spec(places, name)?;
        if !path.exists() {
            return Err(Error::usage(
                format!("learn more of {name}"),
                format!("there is no trace of it: {}", path.display()),
            )
            .hint("--again learns it anew, and keeps the old spec beside it"));
        }
        let trace = learn::load(&path)?;
        Ok(Some(Self { spec, trace }))
    }

    /// The options with what the person need not say again: the command of a service that gaoler
    /// does not know, the user and the group.
    ///
    /// # Errors
    /// A mistake in what gaoler knows.
    pub(super) fn complete(&self, options: &LearnOptions) -> Result<LearnOptions> {
        let mut options = options.clone();
        let service = &self.spec.service;
        let is_shipped = is_shipped(&options.name, &self.trace.command);
        if options.command.is_empty() && (service.unaided || !is_shipped) {
            options.command.clone_from(&self.trace.command);
        }
        options.unaided |= service.unaided;
        options.beginning = options.beginning.or(Some(Beginning::of(service)));
        if service.start_as_root {
            return Ok(options);
        }
        options.user = options.user.or_else(|| Some(service.user.clone()));
        options.group = options.group.or_else(|| Some(service.group.clone()));
        Ok(options)
    }

    /// Refuses another command than that of the trace, before it is run for nothing; adds the
    /// exercises and the signs of readiness that the spec has.
    ///
    /// # Errors
    /// It is another command.
    pub(super) fn prepare(
        &self,
        command: &[String],
        exercises: &mut Vec<Exercise>,
        ready: Option<&mut Vec<Ready>>,
    ) -> Result<()> {
        let asked = Trace {
            command: command.to_vec(),
            ..Trace::default()
        };
        let learned = Trace {
            command: self.trace.command.clone(),
            ..Trace::default()
        };
        learn::merge(learned, asked)?;
        with_those_of(&self.spec, exercises);
        if let Some(ready) = ready {
            ready.clone_from(&self.spec.service.ready);
        }
        Ok(())
    }

    /// The old trace and the new one.
    ///
    /// # Errors
    /// As [`learn::merge`].
    pub(super) fn unite(&self, trace: Trace) -> Result<Trace> {
        learn::merge(self.trace.clone(), trace)
    }

    /// What was derived of both, with what the person has made of the old spec and the exercises
    /// that were `given` this time. `first` derives as from the old trace alone.
    ///
    /// # Errors
    /// As `first`.
    pub(super) fn keep(
        &self,
        new: Derived,
        given: &[Exercise],
        first: impl FnOnce(&Trace) -> Result<Derived>,
    ) -> Result<Derived> {
        let is_new = |exercise: &Exercise| {
            let among = |others: &[Exercise]| others.iter().any(|other| is_same(other, exercise));
            among(given) && !among(&self.spec.exercises)
        };
        let all = new.spec.exercises.iter();
        let added: Vec<Exercise> = all.filter(|one| is_new(one)).cloned().collect();
        let mut first = first(&self.trace)?.spec;
        first.exercises.retain(|exercise| !is_new(exercise));
        let mut kept = spec::keep(&self.spec, &first, new);
        for exercise in added {
            if !kept.spec.exercises.contains(&exercise) {
                kept.spec.exercises.push(exercise);
            }
        }
        Ok(kept)
    }
}

/// They do the same, whatever they are called.
fn is_same(one: &Exercise, other: &Exercise) -> bool {
    (&one.command, one.phase) == (&other.command, other.phase)
}

/// Adds the exercises of a spec. A new one that has the name of another gets a free one.
pub(super) fn with_those_of(spec: &Spec, exercises: &mut Vec<Exercise>) {
    let mut all = spec.exercises.clone();
    for exercise in exercises.drain(..) {
        match all.iter().find(|other| other.name == exercise.name) {
            None => all.push(exercise),
            Some(known) if is_same(known, &exercise) => {}
            Some(_) => {
                let free = (1..=all.len() + 1)
                    .map(|number| format!("exercise-{number}"))
                    .find(|name| !all.iter().any(|other| other.name == *name));
                all.push(Exercise {
                    name: free.unwrap_or_else(|| exercise.name.clone()),
                    ..exercise
                });
            }
        }
    }
    *exercises = all;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::trace::Phase;

    fn exercise(name: &str, command: &str) -> Exercise {
        Exercise {
            name: name.to_owned(),
            command: vec![command.to_owned()],
            expect: 0,
            output: String::new(),
            phase: Phase::Serve,
            because: "it works".to_owned(),
        }
    }

    #[test]
    fn exercises_that_were_given_get_into_the_spec_and_taken_out_ones_stay_out() {
        let derived = |exercises: &[Exercise]| Derived {
            spec: Spec {
                exercises: exercises.to_vec(),
                ..Spec::default()
            },
            ..Derived::default()
        };
        let [ping, reload] = [exercise("ping", "a"), exercise("reload", "b")];
        let more = exercise("exercise-1", "c");
        let all = derived(&[ping.clone(), reload.clone(), more.clone()]);
        let given = [exercise("exercise-1", "c")];
        let kept = |mine: &[Exercise], given: &[Exercise]| {
            let before = Before {
                spec: derived(mine).spec,
                trace: Trace::default(),
            };
            let kept = before
                .keep(all.clone(), given, |_| Ok(all.clone()))
                .unwrap();
            kept.spec.exercises
        };
        let whole = [ping.clone(), reload.clone(), more.clone()];
        assert_eq!(kept(&[ping.clone(), reload], &given), whole);
        let alone = std::slice::from_ref(&ping);
        assert_eq!(kept(alone, &given), [ping.clone(), more]);
        assert_eq!(kept(alone, &[]), alone);
    }

    #[test]
    fn exercises_of_the_spec_come_first_and_names_stay_apart() {
        let spec = Spec {
            exercises: vec![exercise("exercise-1", "a"), exercise("soa", "dig")],
            ..Spec::default()
        };
        let mut exercises = vec![
            exercise("exercise-1", "b"),
            exercise("soa", "dig"),
            exercise("new", "c"),
        ];
        with_those_of(&spec, &mut exercises);
        let found: Vec<(&str, &str)> = exercises
            .iter()
            .map(|one| (one.name.as_str(), one.command[0].as_str()))
            .collect();
        let expected = [
            ("exercise-1", "a"),
            ("soa", "dig"),
            ("exercise-2", "b"),
            ("new", "c"),
        ];
        assert_eq!(found, expected);
    }
}
