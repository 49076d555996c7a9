//! What shows whether a jail holds, and whether it holds too much: `check`, `attack`, `perms`, `guard`,
//! `bisect`, `minimize`, `why`.

use std::io;

use super::output::Output;
use super::{FINDINGS, args, asking, attacks, checks, guards, perms, sarif, trials, whys};
use crate::verbs::{self, BisectOptions, Event, MinimizeOptions, Places, Verdict};
use crate::{Error, Result};

/// Checks one jail, or everything that listens.
pub(super) fn check(places: &Places, asked: &args::Check, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let colour = output.colour();
    let score = match &asked.name {
        Some(name) => {
            let look = verbs::Look {
                live: asked.live,
                exercise: asked.exercise,
            };
            let found = verbs::check(places, name, look, &report)?;
            let spec = places.spec(name);
            let sarif = || sarif::log(&found.findings, found.score, Some(&spec));
            match asked.sarif {
                true => output.show(true, &sarif(), String::new)?,
                false => output.show(asked.json, &found, || checks::check(&found, colour))?,
            };
            found.score
        }
        None => {
            let found = verbs::scan(places, asked.unix)?;
            let sarif = || sarif::log(&found.findings, found.score, None);
            match asked.sarif {
                true => output.show(true, &sarif(), String::new)?,
                false => output.show(asked.json, &found, || checks::scan(&found, colour))?,
            };
            found.score
        }
    };
    let above = asked.fail_above.is_some_and(|limit| score > limit);
    Ok(if above { FINDINGS } else { 0 })
}

/// Tries to get out.
pub(super) fn attack(places: &Places, asked: args::Attack, output: &Output) -> Result<u8> {
    if asked.list {
        let probes = crate::attack::probes()?;
        return output.show(asked.json, &probes, || attacks::listed(&probes));
    }
    let report = |event: Event| output.event(&event);
    let (json, all) = (asked.json, asked.all);
    let found = verbs::attack(places, &asked.options(), &report)?;
    output.show(json, &found, || attacks::attacked(&found, all))?;
    Ok(if found.escaped == 0 { 0 } else { FINDINGS })
}

/// Shows who may do what with the tree, writes a script that sets that, or repairs it.
pub(super) fn perms(places: &Places, asked: &args::Perms, output: &Output) -> Result<u8> {
    if asked.script {
        return output.print_bytes(&verbs::perms_script(places, &asked.name)?);
    }
    let report = |event: Event| output.event(&event);
    let found = verbs::perms(places, &asked.name, asked.fix, &report)?;
    output.show(asked.json, &found, || perms::permissions(&found))?;
    Ok(if found.drift.is_empty() { 0 } else { FINDINGS })
}

/// Keeps the host's copy from being started.
pub(super) fn guard(places: &Places, asked: &args::Guard, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let found = match (asked.undo, asked.status) {
        (true, _) => verbs::guard_undo(places, &asked.name)?,
        (false, true) => verbs::guard_status(places, &asked.name)?,
        (false, false) => verbs::guard(places, &asked.name, &report)?,
    };
    output.show(asked.json, &found, || guards::guarded(&found))?;
    let is_well = found.holds || asked.undo;
    Ok(if is_well { 0 } else { FINDINGS })
}

/// Finds the protection that breaks a service.
pub(super) fn bisect(places: &Places, asked: args::Bisect, output: &Output) -> Result<u8> {
    let (json, report) = (asked.json, |event: Event| output.event(&event));
    let options = BisectOptions {
        name: asked.name,
        exercises: asked.exercise,
        test: asked.test,
        in_place: asked.in_place,
    };
    let found = verbs::bisect(places, &options, &report)?;
    output.show(json, &found, || trials::bisected(&found))?;
    let is_jail = found.verdict != Verdict::NotTheJail;
    Ok(if is_jail { 0 } else { FINDINGS })
}

/// Finds what a service can do without.
pub(super) fn minimize(places: &Places, asked: args::Minimize, output: &Output) -> Result<u8> {
    let (json, report) = (asked.json, |event: Event| output.event(&event));
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let options = MinimizeOptions {
        name: asked.name,
        remove: asked.remove,
        again: asked.again,
        in_place: asked.in_place,
        only: asked.only,
        jobs: asked.jobs.map_or_else(processors, usize::from),
    };
    let found = verbs::minimize(places, &options, &report)?;
    output.show(json, &found, || trials::minimized(&found))
}

/// Explains what was denied.
pub(super) fn why(places: &Places, asked: args::Why, output: &Output) -> Result<u8> {
    let (json, report) = (asked.json, |event: Event| output.event(&event));
    let options = verbs::WhyOptions {
        name: asked.name,
        apply: asked.apply,
        allow: asked.allow,
        logs: asked.log,
    };
    let plain = !json && !options.apply && options.allow.is_empty();
    let mut found = verbs::why(places, &options, &report)?;
    if plain && output.is_dialogue() {
        return dialogue(places, &mut found, output);
    }
    output.show(json, &whys::json(&found), || whys::text(&found))?;
    Ok(if found.works() { 0 } else { FINDINGS })
}

/// Asks about each denial, and takes over what is allowed.
fn dialogue(places: &Places, found: &mut verbs::Why, output: &Output) -> Result<u8> {
    output.print(&whys::summary(found))?;
    let mut input = io::stdin().lock();
    let answers = asking::ask(found, &mut input, &mut io::stdout())
        .map_err(|error| Error::new("ask what shall be allowed", error))?;
    if answers.quit {
        output.print("nothing was changed\n")?;
    } else {
        let report = |event: Event| output.event(&event);
        verbs::why_take(places, found, answers.taken, &report)?;
        output.print(&whys::end(found))?;
    }
    Ok(if found.works() { 0 } else { FINDINGS })
}
