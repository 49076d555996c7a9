//! Two systems of hardening on one another: each hides from the other what it needs, and what
//! fails then is hard to tell.

use std::path::Path;

use super::{Check, Finding, Needs, Severity, Subject};

const ONE: &str = "choose one: let gaoler do it, or take the service out of its jail";

/// The table.
pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "stack.launcher",
        worst: Severity::Low,
        about: "the service is started through another launcher, which needs rights in the jail \
                that the service does not",
        from: "",
        remedy: "name the service's own program in service.command",
        needs: Needs::Nothing,
        look: launchers,
    },
    Check {
        id: "stack.unit",
        worst: Severity::Low,
        about: "the unit of systemd that starts the jail confines gaoler itself, which needs root's \
                rights to make the jail",
        from: "",
        remedy: "take the settings out of the unit: the jail has its own",
        needs: Needs::Nothing,
        look: units,
    },
    Check {
        id: "stack.sandbox",
        worst: Severity::Low,
        about: "the jail is in another sandbox",
        from: "",
        remedy: ONE,
        needs: Needs::Live,
        look: sandboxes,
    },
    Check {
        id: "stack.filter",
        worst: Severity::Info,
        about: "another filter of system calls was there before the jail's: what it refuses, no \
                spec can allow",
        from: "",
        remedy: "see what started gaoler: a container, or a unit with SystemCallFilter=",
        needs: Needs::Live,
        look: filters,
    },
    Check {
        id: "stack.lsm",
        worst: Severity::Info,
        about: "a profile of AppArmor or SELinux confines the jail's processes too. That goes \
                together, but a denial may be either's",
        from: "",
        remedy: "keep the profile in mind when something is denied: gaoler why --log",
        needs: Needs::Live,
        look: labels,
    },
];

/// Programs that start others confined.
const SANDBOXES: [&str; 19] = [
    "aa-exec",
    "bwrap",
    "capsh",
    "chroot",
    "crun",
    "firejail",
    "jk_chrootlaunch",
    "jk_uchroot",
    "minijail0",
    "nsjail",
    "nsenter",
    "runc",
    "runcon",
    "runuser",
    "setpriv",
    "su",
    "sudo",
    "systemd-nspawn",
    "unshare",
];

fn sandbox(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?;
    SANDBOXES.into_iter().find(|known| name == *known)
}

fn launchers(subject: &Subject<'_>) -> Vec<Finding> {
    let program = subject.spec.service.command.first();
    program
        .and_then(|program| sandbox(Path::new(program)))
        .map(|name| {
            Finding::plain(
                Severity::Low,
                "service.command",
                format!("it begins with {name}"),
            )
        })
        .into_iter()
        .collect()
}

fn units(subject: &Subject<'_>) -> Vec<Finding> {
    let units = subject.facts.units.iter();
    units
        .map(|unit| {
            let evidence = format!("it sets {}", unit.settings.join(", "));
            Finding::plain(Severity::Low, unit.path.display().to_string(), evidence)
        })
        .collect()
}

fn sandboxes(subject: &Subject<'_>) -> Vec<Finding> {
    let ancestors = subject.live.into_iter().flat_map(|live| &live.ancestors);
    ancestors
        .filter_map(|path| Some((sandbox(path)?, path)))
        // Whoever became root to start the jail did not confine it.
        .filter(|(name, _)| !matches!(*name, "su" | "sudo" | "runuser"))
        .map(|(name, path)| {
            let evidence = format!("{} is above the jail's processes", path.display());
            Finding::plain(Severity::Low, name, evidence)
        })
        .collect()
}

fn filters(subject: &Subject<'_>) -> Vec<Finding> {
    let outer = subject.live.map_or(0, |live| live.outer_filters);
    if outer == 0 {
        return Vec::new();
    }
    let evidence = format!("gaoler itself runs under {outer} of them");
    vec![Finding::plain(
        Severity::Info,
        "system call filters",
        evidence,
    )]
}

fn labels(subject: &Subject<'_>) -> Vec<Finding> {
    let processes = subject.live.into_iter().flat_map(|live| &live.processes);
    let mut labels: Vec<&String> = processes.filter_map(|it| it.label.as_ref()).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
        .into_iter()
        .map(|label| {
            Finding::plain(
                Severity::Info,
                label.clone(),
                "it confines the jail's processes",
            )
        })
        .collect()
}
