//! What `generations` and `rollback` print.

use super::screen::{line, megabytes};
use super::specs::shown;
use super::upgrades::package;
use crate::build::{Alteration, Altered};
use crate::verbs::{Generation, Generations, RolledBack};

/// As many paths of a generation are shown; `--json` has all.
const SHOWN: usize = 6;

/// A block for each generation, newest first.
pub(super) fn generations(found: &Generations) -> String {
    let mut text = String::new();
    for number in &found.removed {
        text += &format!("removed generation {number}\n");
    }
    for generation in &found.generations {
        one(&mut text, generation);
    }
    text
}

fn one(text: &mut String, generation: &Generation) {
    let mut words = vec![format!("built {}", generation.built)];
    match (generation.current, generation.running) {
        (true, true) => words.push("current, runs".to_owned()),
        (true, false) => words.push("current".to_owned()),
        (false, true) => words.push("runs".to_owned()),
        (false, false) => {}
    }
    if generation.ready.is_none() {
        words.push("was never ready".to_owned());
    }
    words.push(format!(
        "{} files, {}",
        generation.files,
        megabytes(generation.bytes)
    ));
    *text += &format!("generation {}: {}\n", generation.number, words.join("; "));
    if let Some(before) = generation.before {
        altered(text, before, &generation.altered);
        for change in &generation.packages {
            line(text, "package", &shown(&package(change)));
        }
    }
    for change in &generation.spec {
        let word = match change.change {
            crate::spec::Difference::Added => '+',
            crate::spec::Difference::Changed => '~',
            crate::spec::Difference::Removed => '-',
        };
        line(text, "spec", &format!("{word} {}", shown(&change.item)));
    }
}

/// What differs in the tree.
pub(super) fn altered(text: &mut String, before: u64, altered: &[Altered]) {
    let label = format!("from {before}");
    if altered.is_empty() {
        line(text, &label, "the same files");
    }
    for (number, it) in altered.iter().take(SHOWN).enumerate() {
        let word = match it.change {
            Alteration::Added => '+',
            Alteration::Changed => '~',
            Alteration::Removed => '-',
        };
        let label = if number == 0 { label.as_str() } else { "" };
        line(
            text,
            label,
            &format!("{word} {}", shown(&it.path.to_string_lossy())),
        );
    }
    if let Some(more) = altered.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        line(text, "", &format!("and {more} more"));
    }
}

/// After `rollback`.
pub(super) fn rolled_back(done: &RolledBack) -> String {
    let mut text = String::new();
    let runs = match done.pid {
        Some(pid) => format!("runs from it: process {pid}"),
        None => "does not run".to_owned(),
    };
    line(
        &mut text,
        "",
        &format!(
            "{}: generation {} is current, in place of {}; it {runs}",
            done.name, done.to, done.from
        ),
    );
    for change in &done.spec {
        line(&mut text, "spec", &shown(&change.item));
    }
    if !done.spec.is_empty() {
        line(
            &mut text,
            "",
            &format!("the newer spec is {}.toml.old", done.name),
        );
    }
    text
}
