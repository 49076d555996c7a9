//! Healing: start, exercise, why, apply, until nothing is left to apply by itself.

use super::{Event, Explained, Places, Report, Why, WhyOptions, why};
use crate::Result;
use crate::why::Remedy;

/// As often a jail is run: each run changes something, or is the last.
const MOST_ROUNDS: usize = 16;

/// What came of it.
#[derive(Debug)]
pub struct Healed {
    /// What was changed, round by round: the subject and the cause of each.
    pub rounds: Vec<Vec<(String, String)>>,
    /// The last run: what a person may still allow, and what does not work.
    pub last: Why,
}

impl Healed {
    /// Whether everything works now.
    pub fn works(&self) -> bool {
        self.last.works()
    }

    /// What is for a person to allow.
    pub fn asked(&self) -> impl Iterator<Item = &Explained> {
        let denials = self.last.denials.iter();
        denials.filter(|one| !one.applied && one.denial.remedy != Remedy::None)
    }
}

/// Runs the jail with its exercises, takes what is safe of what it was denied into its spec, and
/// runs it again, until that changes nothing any more. What a capability, a device, a place to
/// write or a protection would remedy is left for a person.
///
/// # Errors
/// As [`why`].
pub fn heal(places: &Places, name: &str, report: &Report<'_>) -> Result<Healed> {
    let options = WhyOptions {
        name: name.to_owned(),
        apply: true,
        ..WhyOptions::default()
    };
    let mut rounds = Vec::new();
    loop {
        let last = why(places, &options, report)?;
        let applied: Vec<(String, String)> = last
            .denials
            .iter()
            .filter(|one| one.applied)
            .map(|one| (one.denial.subject.clone(), one.denial.cause.clone()))
            .collect();
        for (subject, cause) in &applied {
            report(Event::Did(format!("healed {name}: {subject}: {cause}")));
        }
        let is_over = applied.is_empty();
        if !is_over {
            rounds.push(applied);
        }
        if is_over || rounds.len() >= MOST_ROUNDS {
            return Ok(Healed { rounds, last });
        }
    }
}
