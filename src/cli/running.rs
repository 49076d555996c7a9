//! A jail's life: `start`, `stop`, `restart`, `reload`, `status`, `logs`, `freeze`, `thaw`.

use super::args::{self, Named};
use super::output::Output;
use super::{FINDINGS, incidents, screen, specs};
use crate::Result;
use crate::run::log::Line;
use crate::verbs::{self, Event, Places};

/// Starts it, if it does not run.
pub(super) fn start(places: &Places, asked: &args::Start, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let started = verbs::start(places, &asked.name, asked.complain, &report)?;
    let status = after_trial(places, &asked.name, output)?;
    output.show(asked.json, &status, || {
        screen::started(&status, started.is_none())
    })
}

/// Stops it, if it runs.
pub(super) fn stop(places: &Places, asked: &Named, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let ran = verbs::stop(places, &asked.name, &report)?;
    let status = after_trial(places, &asked.name, output)?;
    output.show(asked.json, &status, || screen::stopped(&asked.name, ran))
}

/// Stops and starts it.
pub(super) fn restart(places: &Places, asked: &Named, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    verbs::restart(places, &asked.name, &report)?;
    let status = after_trial(places, &asked.name, output)?;
    output.show(asked.json, &status, || screen::started(&status, false))
}

/// Has it read its configuration again.
pub(super) fn reload(places: &Places, asked: &Named, output: &Output) -> Result<u8> {
    let (name, report) = (&asked.name, |event: Event| output.event(&event));
    verbs::reload(places, name, &report)?;
    let status = verbs::status(places, name, &report)?;
    output.show(asked.json, &status, || {
        format!("{name} has read its configuration again\n")
    })
}

/// Shows whether it runs.
pub(super) fn status(places: &Places, asked: &Named, output: &Output) -> Result<u8> {
    let status = after_trial(places, &asked.name, output)?;
    output.show(asked.json, &status, || screen::status(&status))?;
    Ok(if status.pid.is_some() { 0 } else { FINDINGS })
}

/// Stops its processes where they are.
pub(super) fn freeze(places: &Places, asked: &Named, output: &Output) -> Result<u8> {
    let (name, report) = (&asked.name, |event: Event| output.event(&event));
    let processes = verbs::freeze(places, name, "by hand")?;
    let status = verbs::status(places, name, &report)?;
    output.show(asked.json, &status, || incidents::frozen(name, processes))
}

/// Lets them go on.
pub(super) fn thaw(places: &Places, asked: &Named, output: &Output) -> Result<u8> {
    let (name, report) = (&asked.name, |event: Event| output.event(&event));
    let was_frozen = verbs::thaw(places, name)?;
    let status = verbs::status(places, name, &report)?;
    output.show(asked.json, &status, || incidents::thawed(name, was_frozen))
}

/// Shows what a jail has said, line by line.
pub(super) fn logs(places: &Places, asked: args::Logs, output: &Output) -> Result<u8> {
    let options = verbs::LogsOptions {
        name: asked.name,
        lines: asked.lines,
        follow: asked.follow,
    };
    let mut show = |line: &str| match (asked.json, Line::parse(line)) {
        (false, _) => output.say(&specs::shown(line)),
        (true, Some(line)) => output.say(&serde_json::to_string(&line).unwrap_or_default()),
        // Somebody else has written that.
        (true, None) => Ok(true),
    };
    verbs::logs(places, &options, &mut show).map(|()| 0)
}

/// Whether a jail runs; says so if a command that was killed has left it stopped.
fn after_trial(places: &Places, name: &str, output: &Output) -> Result<verbs::Status> {
    let report = |event: Event| output.event(&event);
    let status = verbs::status(places, name, &report)?;
    if let Some(told) = verbs::killed_trial(places, name, status.pid.is_some()) {
        report(Event::Note(told));
    }
    Ok(status)
}
