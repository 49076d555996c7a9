//! What makes a jail, and what it is made of: `up`, `learn`, `build`, `plan`, `generations`,
//! `rollback`, `push`, `pull`, `sbom`, `spec`, `trace`.

use super::args::{self, Learn, Named};
use super::output::Output;
use super::{generations, registries, screen, specs, traces};
use crate::error::Kind;
use crate::plan::Mode;
use crate::verbs::{self, Beginning, Event, Incomplete, LearnOptions, Places};
use crate::{Error, Result};

/// Exit code of `spec diff` for specs that differ (`diff(1)`).
const DIFFERENT: u8 = 1;

/// Learns, builds, starts and checks.
pub(super) fn up(places: &Places, asked: args::Up, output: &Output) -> Result<u8> {
    let json = asked.learn.json;
    let report = |event: Event| output.event(&event);
    let done = verbs::up(places, &options(asked.learn), &report)?;
    output.show(json, &screen::up_json(&done), || screen::up(&done))
}

/// Shows what a service needs.
pub(super) fn learn(places: &Places, asked: Learn, output: &Output) -> Result<u8> {
    let json = asked.json;
    let report = |event: Event| output.event(&event);
    let learned = verbs::learn(places, &options(asked), &report)?;
    output.show(json, &learned.trace, || screen::learned(&learned))
}

/// Builds the root tree, as a generation or into a directory.
pub(super) fn build(places: &Places, asked: &args::Build, output: &Output) -> Result<u8> {
    let (name, report) = (&asked.name, |event: Event| output.event(&event));
    let incomplete = Incomplete::accept_if(asked.accept_incomplete);
    if let Some(directory) = &asked.standalone {
        let made = verbs::standalone(places, name, directory, incomplete, &report)?;
        return output.show(asked.json, &screen::built_json(&made), || {
            screen::standalone(&made, directory)
        });
    }
    report(Event::Doing(format!("building the root tree of {name}")));
    let (jail, built) = verbs::build(places, name, incomplete, &report)?;
    output.show(asked.json, &screen::built_json(&built), || {
        screen::built(&jail, &built)
    })
}

/// Shows the steps of a start.
pub(super) fn plan(places: &Places, asked: &Named, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let jail = verbs::plan(places, &asked.name, Mode::Supervised, &report)?;
    output.show(asked.json, &screen::plan_json(&jail.plan), || {
        screen::plan(&jail.plan)
    })
}

/// Shows the generations, and removes old ones.
pub(super) fn generations(
    places: &Places,
    asked: &args::Generations,
    output: &Output,
) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let prune = asked.prune.map(usize::from);
    let found = verbs::generations(places, &asked.name, prune, &report)?;
    output.show(asked.json, &found, || generations::generations(&found))
}

/// Goes back to an earlier one.
pub(super) fn rollback(places: &Places, asked: &args::Rollback, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let done = verbs::rollback(places, &asked.name, asked.generation, &report)?;
    output.show(asked.json, &done, || generations::rolled_back(&done))
}

/// Puts an image into a registry.
pub(super) fn push(places: &Places, asked: &args::Push, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let pushed = verbs::push(places, &asked.options(), &report)?;
    output.show(asked.registry.json, &pushed, || registries::pushed(&pushed))
}

/// Fetches one from there.
pub(super) fn pull(asked: &args::Pull, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let pulled = verbs::pull(&asked.options(), &report)?;
    output.show(asked.registry.json, &pulled, || {
        registries::pulled(&pulled, &asked.output)
    })
}

/// Compares two specs: with the exit codes of diff(1), which tells what differs from what could not be
/// compared.
pub(super) fn spec_diff(places: &Places, asked: &args::Diff, output: &Output) -> Result<u8> {
    let changes = verbs::spec_diff(places, &asked.one, asked.other.as_deref())
        .map_err(|error| error.kind(Kind::Usage))?;
    output.show(asked.json, &specs::diff_json(&changes), || {
        specs::diff(&changes, asked.verbose)
    })?;
    Ok(if changes.is_empty() { 0 } else { DIFFERENT })
}

/// Shows what was learned.
pub(super) fn trace_show(places: &Places, asked: &Named, output: &Output) -> Result<u8> {
    let shown = verbs::trace_show(places, &asked.name)?;
    output.show(asked.json, &shown, || traces::show(&shown))
}

/// Prints a bill of materials, or writes it into a file.
pub(super) fn sbom(places: &Places, asked: args::Sbom, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let format = asked.format.into();
    let bill = verbs::sbom(places, &asked.name, asked.generation, format, &report)?;
    let Some(file) = asked.output else {
        return output.show(true, &bill, String::new);
    };
    let mut text = serde_json::to_string_pretty(&bill)
        .map_err(|error| Error::new("write the bill of materials", error))?;
    text.push('\n');
    verbs::sbom_write(&file, &text).map(|()| 0)
}

fn options(learn: Learn) -> LearnOptions {
    LearnOptions {
        name: learn.name,
        command: learn.command,
        exercises: learn.exercise,
        start_exercises: learn.start_exercise,
        serve_for: learn.serve_for,
        ready: learn.ready,
        user: learn.user,
        group: learn.group,
        beginning: match (learn.as_user, learn.start_as_root) {
            (true, _) => Some(Beginning::AsUser),
            (_, true) => Some(Beginning::StaysRoot),
            _ => None,
        },
        unaided: learn.unaided,
        create_user: learn.create_user,
        again: learn.again,
        merge: learn.merge,
        incomplete: Incomplete::accept_if(learn.accept_incomplete),
        passes: learn.passes,
        heal: learn.heal,
    }
}
