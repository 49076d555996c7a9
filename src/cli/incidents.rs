//! What `incidents`, `freeze` and `thaw` print.

use super::screen::line;
use super::specs::shown;
use super::table;
use crate::incidents::Incident;
use crate::verbs::Incidents;

/// A line for each.
pub(super) fn incidents(found: &Incidents) -> String {
    if found.incidents.is_empty() {
        return "no incident is known\n".to_owned();
    }
    let heading = ["ID", "JAIL", "KIND", "LAST", "COUNT", "WHAT"].map(str::to_owned);
    let rows = found.incidents.iter().map(|incident| {
        [
            incident.id.to_string(),
            incident.jail.clone(),
            incident.kind.name().to_owned(),
            incident.last.clone(),
            incident.count.to_string(),
            shown(&incident.detail),
        ]
    });
    table::table(&heading, rows) + "\nwhat went before one: gaoler incidents show ID\n"
}

/// One, with what went before.
pub(super) fn incident(incident: &Incident) -> String {
    let mut text = format!(
        "incident {}: {}: {}\n",
        incident.id,
        incident.jail,
        incident.kind.name()
    );
    let before = &incident.before;
    line(&mut text, "what", &shown(&incident.detail));
    line(&mut text, "first", &incident.first);
    if incident.count > 1 {
        line(&mut text, "last", &incident.last);
        line(&mut text, "count", &incident.count.to_string());
    }
    if let Some(pid) = incident.pid {
        line(&mut text, "process", &pid.to_string());
    }
    if let Some(generation) = incident.generation {
        line(&mut text, "generation", &generation.to_string());
    }
    if incident.frozen {
        line(&mut text, "frozen", "because of it");
    }
    for (label, value) in [("ended", &before.ended), ("at", &before.place)] {
        if let Some(value) = value {
            line(&mut text, label, &shown(value));
        }
    }
    if let Some(program) = &before.program {
        line(&mut text, "program", &shown(&program.display().to_string()));
    }
    for (label, lines) in [
        ("denials", &before.denials),
        ("events", &before.events),
        ("log", &before.words),
    ] {
        for (number, value) in lines.iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            line(&mut text, label, &shown(value));
        }
    }
    if !before.maps.is_empty() {
        let count = format!("{} mappings: --json has them", before.maps.len());
        line(&mut text, "maps", &count);
    }
    text
}

/// What `freeze` has done.
pub(super) fn frozen(name: &str, processes: usize) -> String {
    let many = match processes {
        1 => "1 process is".to_owned(),
        more => format!("{more} processes are"),
    };
    format!(
        "{name} is frozen: {many} stopped\nlet it go on: gaoler thaw {name}; end it: gaoler stop {name}\n"
    )
}

/// What `thaw` has done.
pub(super) fn thawed(name: &str, was_frozen: bool) -> String {
    match was_frozen {
        true => format!("{name} goes on\n"),
        false => format!("{name} was not frozen\n"),
    }
}
