//! Comparing a running jail with what was started: what the supervisor has done on its schedule.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Places, guard, incidents, jail, must_be_root, valid_name};
use crate::audit::{self, Facts, Finding, Subject, live};
use crate::build;
use crate::plan::Mode;
use crate::run::events::{self, Compared, Drift, Event};
use crate::run::started;
use crate::run::state::State;
use crate::spec::Date;
use crate::{Error, Result};

/// How long something new must stay to count: what is just changing its users is not drift.
const STAYS: Duration = Duration::from_millis(150);

/// The id of what keeps a comparison from being made.
const NOT_COMPARED: &str = "live.compared";

/// Compares the jail with what was started. What is new, and what has gone away, becomes an event;
/// answers the lines for the log.
///
/// # Errors
/// What was found cannot be written down.
pub fn attest(places: &Places, name: &str) -> Result<Vec<String>> {
    valid_name(name)?;
    must_be_root(&format!("compare {name} with what was started"))?;
    let directory = places.runtime(name);
    let known = Compared::load(&directory).unwrap_or_default().drift;
    let mut lines = compared(places, name, &directory, &known)?;
    keep_maps(&directory)?;
    lines.extend(incidents::notice(places, name)?);
    Ok(lines)
}

/// What the service has mapped now, for the day when it has ended.
fn keep_maps(directory: &Path) -> Result<()> {
    let Some(state) = State::running(directory)? else {
        return Ok(());
    };
    match started::keep_maps(directory, state.service.pid) {
        Err(_) if !state.service.is_alive() => Ok(()),
        kept => kept,
    }
}

fn compared(places: &Places, name: &str, directory: &Path, known: &[Drift]) -> Result<Vec<String>> {
    let Some(mut found) = look(places, name)? else {
        return Ok(Vec::new());
    };
    if found.iter().any(|drift| !known.contains(drift)) {
        std::thread::sleep(STAYS);
        let Some(again) = look(places, name)? else {
            return Ok(Vec::new());
        };
        found.retain(|drift| known.contains(drift) || again.contains(drift));
    }
    let new = found.iter().filter(|drift| !known.contains(drift));
    let gone = known.iter().filter(|drift| !found.contains(drift));
    let (time, said) = (now(), |event: &str, drift: &Drift| {
        (event.to_owned(), drift.clone())
    });
    let told: Vec<(String, Drift)> = new
        .map(|drift| said("drift", drift))
        .chain(gone.map(|drift| said("drift-over", drift)))
        .collect();
    let event = |(event, drift): &(String, Drift)| Event {
        time: time.clone(),
        jail: name.to_owned(),
        event: event.clone(),
        pid: pid_of(&drift.subject),
        detail: drift.to_string(),
    };
    let made: Vec<Event> = told.iter().map(event).collect();
    events::append(directory, &made)?;
    // Its supervisor removes it with the rest when the service has ended.
    if State::running(directory)?.is_some() {
        Compared { time, drift: found }.save(directory)?;
    }
    Ok(told
        .iter()
        .map(|(event, drift)| format!("{event}: {drift}"))
        .collect())
}

/// What gaoler is told so that it compares a jail with what was started. A trial and a run under
/// the tracer are over before that is due.
pub(super) fn words(places: &Places, name: &str, mode: Mode) -> Vec<OsString> {
    if places.trial().is_some() || mode == Mode::Traced {
        return Vec::new();
    }
    let options = [
        ("--etc", &places.etc),
        ("--state", &places.state),
        ("--run", &places.run),
    ];
    let mut words: Vec<OsString> = Vec::new();
    for (option, place) in options {
        // It runs in the root directory.
        let place = std::path::absolute(place).unwrap_or_else(|_| place.clone());
        words.extend([option.into(), place.into_os_string()]);
    }
    words.extend(["attest".into(), name.into()]);
    words
}

/// What differs now; `None` if the jail has ended.
fn look(places: &Places, name: &str) -> Result<Option<Vec<Drift>>> {
    let Some(state) = State::running(&places.runtime(name))? else {
        return Ok(None);
    };
    let found = match compare(places, name, &state) {
        Ok(found) => found,
        Err(_) if State::running(&places.runtime(name))?.is_none() => return Ok(None),
        Err(error) => vec![Drift {
            id: NOT_COMPARED.to_owned(),
            subject: "the comparison".to_owned(),
            evidence: error.to_string(),
        }],
    };
    Ok(Some(found))
}

fn compare(places: &Places, name: &str, state: &State) -> Result<Vec<Drift>> {
    let gone = |what: &str| {
        Error::new(
            format!("compare {name} with what was started"),
            format!("{what} is gone"),
        )
    };
    let directory = places.runtime(name);
    let plan = started::plan(&directory)?.ok_or_else(|| gone("its plan"))?;
    let built = build::state_of(&places.state, name)?.ok_or_else(|| gone("its state"))?;
    let (tree, manifest) = (
        built.root(state.generation),
        built.manifest(state.generation)?,
    );
    let spec = jail::spec_of_tree(&tree)?;
    let differences = build::drift_since(&tree, &manifest, built.written(state.generation)?)?;
    let mounts = started::mounts(&directory);
    let live = live::look(state, &plan, &tree, &manifest, mounts.as_deref())?;
    let text = |path: &Path| path.display().to_string();
    let drift: Vec<(String, String)> = differences
        .iter()
        .map(|drift| (text(&drift.path), drift.what.to_string()))
        .collect();
    let findings = audit::drift(&Subject {
        spec: &spec,
        manifest: &manifest,
        plan: &plan,
        drift: &drift,
        facts: &Facts::default(),
        live: Some(&live),
        failed: None,
        today: Date::today(),
    });
    let mut found: Vec<Drift> = findings.into_iter().map(of_finding).collect();
    found.extend(
        guard::problems(places, name)?
            .into_iter()
            .map(|problem| Drift {
                id: "host.guard".to_owned(),
                subject: "the host's own copy".to_owned(),
                evidence: problem,
            }),
    );
    found.sort();
    found.dedup();
    Ok(found)
}

fn of_finding(finding: Finding) -> Drift {
    Drift {
        id: finding.id,
        subject: finding.subject,
        evidence: finding.evidence,
    }
}

/// The process that a finding is about: its subject begins with that.
fn pid_of(subject: &str) -> Option<i32> {
    let rest = subject.strip_prefix("process ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// As `2026-11-22T11:40:20Z` (RFC 3339).
pub(super) fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time(since.map_or(0, |since| since.as_secs()))
}

/// Seconds since 1970, written as [`now`] does.
pub(super) fn time(seconds: u64) -> String {
    events::timestamp(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_of_a_finding() {
        assert_eq!(pid_of("process 17 (sh)"), Some(17));
        assert_eq!(pid_of("process 17, descriptor 4"), Some(17));
        assert_eq!(pid_of("/usr/sbin/named"), None);
        assert_eq!(pid_of("process x"), None);
    }

    #[test]
    fn the_time_is_one() {
        let now = now();
        assert_eq!(
            (now.len(), &now[10..11], &now[19..]),
            (20, "T", "Z"),
            "{now}"
        );
    }
}
