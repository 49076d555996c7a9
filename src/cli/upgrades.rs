//! `upgrade`: one jail after another, what is shown of each, and what is asked.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use serde_json::json;

use super::generations::altered;
use super::output::Output;
use super::screen::{line, stale};
use super::specs::shown;
use super::{FINDINGS, args};
use crate::verbs::{
    self, Event, Need, PackageChange, Places, UpgradeOptions, UpgradeOutcome, Upgraded,
};
use crate::{Doing, Error, Result};

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 64;
/// As many packages, symbols and needs are shown; `--json` has all.
const SHOWN: usize = 12;
/// Exit code of what was refused, rolled back, or could not be done.
const FAILED: u8 = 1;

/// Upgrades one jail or all; one that fails does not keep the others from it.
pub(super) fn upgrade(places: &Places, asked: &args::Upgrade, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let names = match &asked.name {
        Some(name) => vec![name.clone()],
        None => verbs::built_jails(places)?,
    };
    let agree = |done: &Upgraded| match output.is_dialogue() && !asked.json {
        true => ask(done, output).map(Some),
        false => Ok(None),
    };
    let mut code = 0;
    let mut all = Vec::new();
    for name in names {
        let options = UpgradeOptions {
            name: name.clone(),
            check: asked.check,
            yes: asked.yes,
            allow: asked.allow.clone(),
            skip_trial: asked.skip_trial,
            settle: Duration::from_secs(asked.settle.into()),
        };
        match verbs::upgrade(places, &options, &agree, &report) {
            Ok(done) => {
                code = worse(code, code_of(done.outcome));
                all.push(done);
            }
            Err(error) if asked.all && !error.is_interruption() => {
                report(Event::Warning(error.to_string()));
                code = worse(code, error.exit_code());
            }
            Err(error) => return Err(error),
        }
    }
    output.show(asked.json, &json!({ "jails": all }), || text(&all))?;
    Ok(code)
}

fn code_of(outcome: UpgradeOutcome) -> u8 {
    match outcome {
        UpgradeOutcome::Current | UpgradeOutcome::Upgraded => 0,
        UpgradeOutcome::Stale => FINDINGS,
        UpgradeOutcome::Refused | UpgradeOutcome::RolledBack => FAILED,
    }
}

/// What failed outweighs what was only found.
fn worse(one: u8, other: u8) -> u8 {
    match (one, other) {
        (0, other) | (FINDINGS, other @ 1..) => other,
        (one, _) => one,
    }
}

/// Shows what the service needs more, and asks. The end of the input is a no.
fn ask(done: &Upgraded, output: &Output) -> Result<bool> {
    let mut question = String::new();
    one(&mut question, done);
    question += &format!("allow {} that, and upgrade it? [y/N] ", done.name);
    output.print(&question)?;
    let doing = || "ask whether that is allowed";
    io::stdout().flush().doing(doing)?;
    let mut answer = String::new();
    let mut input = io::stdin().lock().take(LONGEST);
    input
        .read_line(&mut answer)
        .map_err(|error| Error::new(doing(), error))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// All of them.
pub(super) fn text(all: &[Upgraded]) -> String {
    let mut text = String::new();
    for done in all {
        one(&mut text, done);
    }
    if all.is_empty() {
        text.push_str("no jail has been built\n");
    }
    text
}

fn one(text: &mut String, done: &Upgraded) {
    let Upgraded { name, from, to, .. } = done;
    let words = match done.outcome {
        UpgradeOutcome::Current => format!("is up to date: generation {to}"),
        UpgradeOutcome::Stale => format!("is behind the host: generation {from}"),
        UpgradeOutcome::Upgraded if from == to => format!("was started anew: generation {to}"),
        UpgradeOutcome::Upgraded => format!("was upgraded: generation {to}, in place of {from}"),
        UpgradeOutcome::Refused => format!("was not upgraded: generation {from} stays"),
        UpgradeOutcome::RolledBack => {
            format!("was rolled back: generation {from} is current again")
        }
    };
    *text += &format!("{name} {words}\n");
    if let Some(why) = &done.why {
        labelled(text, "why", std::iter::once(why.clone()));
    }
    labelled(text, "packages", done.packages.iter().map(package));
    if !done.altered.is_empty() {
        altered(text, *from, &done.altered);
    } else if done.outcome == UpgradeOutcome::Stale {
        stale(text, name, &done.stale);
    }
    labelled(text, "imports", done.imports.iter().cloned());
    labelled(text, "needs more", done.grown.iter().map(need));
    labelled(text, "was denied", done.asked.iter().map(need));
    if let Some(hint) = &done.hint {
        labelled(text, "hint", std::iter::once(hint.clone()));
    }
}

/// Its name and both its versions.
pub(super) fn package(change: &PackageChange) -> String {
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".to_owned());
    format!(
        "{} {} -> {}",
        change.name,
        version(&change.from),
        version(&change.to)
    )
}

fn need(need: &Need) -> String {
    format!("{}: {}", need.subject, need.cause)
}

fn labelled(text: &mut String, label: &str, values: impl Iterator<Item = String>) {
    let values: Vec<String> = values.collect();
    for (number, value) in values.iter().take(SHOWN).enumerate() {
        let label = if number == 0 { label } else { "" };
        for part in value.lines().take(SHOWN) {
            line(text, label, &shown(part));
        }
    }
    if let Some(more) = values.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        line(text, "", &format!("and {more} more"));
    }
}
