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

    /// What was derived of both, with what the person has made of the old spec. `first` derives
    /// as from the old trace alone.
    ///
    /// # Errors
    /// As `first`.
    pub(super) fn keep(
        &self,
        new: Derived,
        first: impl FnOnce(&Trace) -> Result<Derived>,
    ) -> Result<Derived> {
        Ok(spec::keep(&self.spec, &first(&self.trace)?.spec, new))
    }
}

/// Adds the exercises of a spec. A new one that has the name of another gets a free one.
fn with_those_of(spec: &Spec, exercises: &mut Vec<Exercise>) {
    let mut all = spec.exercises.clone();
    for exercise in exercises.drain(..) {
        match all.iter().find(|other| other.name == exercise.name) {
            None => all.push(exercise),
            Some(known) if (&known.command, known.phase) == (&exercise.command, exercise.phase) => {
            }
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
