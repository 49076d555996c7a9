//! What `apparmor` prints.

use super::output::Output;
use super::screen::line;
use super::specs::shown;
use super::{FINDINGS, args};
use crate::Result;
use crate::verbs::{self, AppArmorStatus, Event, Places, ProfileMode, Profiled};

/// Does what was asked, and shows how it stands then.
pub(super) fn apparmor(places: &Places, asked: &args::AppArmor, output: &Output) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let load = |asked: &args::Load, mode| {
        let wanted = (mode, asked.host_files);
        let found = verbs::apparmor_load(places, &asked.name, wanted, &report)?;
        output.show(asked.json, &found, || profiled(&found))?;
        Ok(0)
    };
    match &asked.verb {
        args::AppArmorVerb::Status { name, json } => {
            let found = verbs::apparmor_status(places, name.as_deref())?;
            output.show(*json, &found, || status(&found))?;
            Ok(if found.has_problems() { FINDINGS } else { 0 })
        }
        args::AppArmorVerb::Complain(asked) => load(asked, ProfileMode::Complain),
        args::AppArmorVerb::Enforce(asked) => load(asked, ProfileMode::Enforce),
        args::AppArmorVerb::Disable { name, json } => {
            let found = verbs::apparmor_disable(places, name)?;
            output.show(*json, &found, || profiled(&found))?;
            Ok(0)
        }
    }
}

/// How one stands, and what was done.
fn profiled(found: &Profiled) -> String {
    let mut text = String::new();
    let words = match &found.mode {
        Some(mode) => format!("{}: its profile is loaded, {}", found.name, shown(mode)),
        None => format!("{}: no profile of its name is loaded", found.name),
    };
    line(&mut text, "", &words);
    for change in &found.changed {
        line(&mut text, "changed", &shown(change));
    }
    for process in &found.processes {
        let profile = process.apparmor.as_ref();
        let profile = profile.map_or("no profile".to_owned(), ToString::to_string);
        let words = format!("{} {}: {profile}", process.pid, process.name);
        line(&mut text, "process", &shown(&words));
    }
    for problem in &found.problems {
        line(&mut text, "PROBLEM", &shown(problem));
    }
    text
}

/// The jails, then what listens without a profile.
fn status(found: &AppArmorStatus) -> String {
    let mut text = String::new();
    if found.jails.is_empty() {
        text += "no jail has a profile: gaoler apparmor complain NAME\n";
    }
    for jail in &found.jails {
        text += &profiled(jail);
    }
    for one in &found.unconfined {
        let sockets = one.sockets.iter().map(|socket| {
            let port = socket.port.map_or(String::new(), |port| port.to_string());
            format!("{} {}:{port}", socket.protocol, socket.address)
        });
        let program = one.executable.as_deref().unwrap_or("an unknown program");
        let words = format!(
            "{} {program} listens on {}",
            one.pid,
            sockets.collect::<Vec<_>>().join(", ")
        );
        line(&mut text, "unconfined", &shown(&words));
        if let Some(attachment) = &one.instead {
            let words = format!("a profile is for {attachment}, and this one is somewhere else");
            line(&mut text, "PROBLEM", &shown(&words));
        }
    }
    text
}
