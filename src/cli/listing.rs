//! What jails there are and what they do: `list`, `tree`, `top`, `netstats`, `monitor`, `incidents`.

use std::io::{self, Write};
use std::time::Duration;

use super::output::Output;
use super::{args, exit_code_of, incidents, top, watching};
use crate::run::Ended;
use crate::verbs::{self, Event, Places};
use crate::{Error, Result};

/// For how long `top --once` looks: what is used is the difference.
const LOOK_FOR: Duration = Duration::from_secs(1);

/// Shows all jails.
pub(super) fn list(places: &Places, asked: &args::List, output: &Output) -> Result<u8> {
    let found = verbs::list(places, asked.running)?;
    output.show(asked.json, &found, || {
        watching::list(&found, places, asked.running)
    })
}

/// Shows their processes.
pub(super) fn tree(places: &Places, asked: &args::Observed, output: &Output) -> Result<u8> {
    let trees = verbs::tree(places, asked.name.as_deref())?;
    output.show(asked.json, &watching::trees_json(&trees), || {
        watching::trees(&trees)
    })
}

/// Shows what is used: on a page if a person sits there.
pub(super) fn top(places: &Places, asked: &args::Top, output: &Output) -> Result<u8> {
    let mut top = verbs::Top::new(places, asked.name.as_deref())?;
    if output.is_dialogue() && !asked.once && !asked.json {
        let signal = top::show(&mut top, Duration::from_secs(asked.every))?;
        return Ok(signal.map_or(0, |signal| exit_code_of(Ended::Killed(signal))));
    }
    top.sample()?;
    std::thread::sleep(LOOK_FOR);
    let jails = top.sample()?;
    output.show(asked.json, &serde_json::json!({ "jails": jails }), || {
        top::once(&jails)
    })
}

/// Shows their sockets.
pub(super) fn netstats(places: &Places, asked: &args::Observed, output: &Output) -> Result<u8> {
    let found = verbs::netstats(places, asked.name.as_deref())?;
    output.show(asked.json, &watching::sockets_json(&found), || {
        watching::sockets(&found)
    })
}

/// Tells what happens, line by line, until nobody reads it.
pub(super) fn monitor(places: &Places, asked: &args::Observed) -> Result<u8> {
    let mut out = io::stdout().lock();
    let mut tell = |event: &crate::run::events::Event| {
        let line = match asked.json {
            true => {
                serde_json::to_string(event).map_err(|error| Error::new("write JSON", error))?
            }
            false => watching::event(event),
        };
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Error::new("write to standard output", error)),
        }
    };
    verbs::monitor(places, asked.name.as_deref(), &mut tell).map(|()| 0)
}

/// Shows what was noticed.
pub(super) fn incidents(places: &Places, asked: &args::Incidents, output: &Output) -> Result<u8> {
    if let Some(args::IncidentsVerb::Show { id, json }) = asked.verb {
        let found = verbs::incident(places, id)?;
        return output.show(json, &found, || incidents::incident(&found));
    }
    let report = |event: Event| output.event(&event);
    let found = verbs::incidents(places, &asked.options(), &report)?;
    output.show(asked.json, &found, || incidents::incidents(&found))
}
