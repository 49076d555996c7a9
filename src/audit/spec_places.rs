//! Checks of what the spec says of places, networks, the environment and limits, and of how much of
//! it is known to be needed.

use super::rule::rule;
use super::weights::{LOADING_VARIABLES, RULING_PLACES, SECRET_WORDS, USUAL_FAMILIES};
use super::{Check, Finding, Severity, Subject};
use crate::spec::{is_kernel, is_ruling, is_secret, is_shared_place};
use crate::sys::families;

/// The table.
pub(super) const CHECKS: &[Check] = &[
    rule(
        "spec.family",
        Severity::Low,
        "families of sockets that a network service has rarely a use for reach seldom used parts \
         of the kernel",
        "",
        "take it out of families if the service works without it",
        exotic_families,
    ),
    rule(
        "spec.network",
        Severity::Info,
        "the jail has the host's network: its neighbours there are not kept away",
        "",
        "restrict what may reach it, and what it may reach, with the host's packet filter",
        network,
    ),
    rule(
        "spec.host-place",
        Severity::High,
        "a place of the host that belongs to everybody, or that rules the host, is not a \
         service's to have",
        "",
        "bind what lies deeper and is the service's own",
        host_places,
    ),
    rule(
        "spec.config-writable",
        Severity::Low,
        "what the service need not change shall not be changed by whoever takes it over: its \
         configuration above all",
        "",
        "bind it with writable = false, or move what changes to /var/lib",
        writable_configuration,
    ),
    rule(
        "spec.environment",
        Severity::Medium,
        "some variables make the dynamic linker or an interpreter load what they name, and others \
         hold secrets that every process of the service can read",
        "",
        "take it out of service.environment",
        environment,
    ),
    rule(
        "spec.umask",
        Severity::Low,
        "what the service makes shall not be for everybody to change",
        "",
        "set umask = \"0022\" or tighter",
        umask,
    ),
    rule(
        "spec.limit",
        Severity::Info,
        "without limits whoever takes the service over can use up the machine",
        "setrlimit(2); cgroups(7)",
        "set it under [limits]",
        limits,
    ),
    rule(
        "spec.untested",
        Severity::Info,
        "a spec with no exercise says nothing of what the service is for, so nothing shows that \
         it works in the jail",
        "",
        "write [[exercise]] into it, or: gaoler learn NAME --merge --exercise COMMAND",
        untested,
    ),
    rule(
        "spec.looser",
        Severity::Low,
        "what no run has shown to be needed is there for whoever takes the service over",
        "",
        "take it out, or let gaoler find out: gaoler minimize NAME",
        looser,
    ),
];

fn exotic_families(subject: &Subject<'_>) -> Vec<Finding> {
    let all = subject.spec.families.iter();
    all.filter_map(|rule| Some((families::name(rule.family)?, rule)))
        .filter(|(name, _)| !USUAL_FAMILIES.contains(name))
        .map(|(name, rule)| {
            let evidence = format!("allowed: {}", rule.because);
            Finding::plain(
                Severity::Low,
                format!("AF_{}", name.to_uppercase()),
                evidence,
            )
        })
        .collect()
}

fn network(subject: &Subject<'_>) -> Vec<Finding> {
    let internet = |name: &str| matches!(name, "inet" | "inet6");
    let mut all = subject.spec.families.iter();
    if !all.any(|rule| families::name(rule.family).is_some_and(internet)) {
        return Vec::new();
    }
    let evidence = "its network namespace is the host's, loopback included";
    vec![Finding::plain(Severity::Info, "network", evidence)]
}

fn host_places(subject: &Subject<'_>) -> Vec<Finding> {
    let shared = |path: &std::path::Path| {
        is_shared_place(path)
            || RULING_PLACES.iter().any(|place| path.starts_with(place))
            || is_kernel(path)
    };
    subject
        .spec
        .binds
        .iter()
        .filter_map(|bind| {
            let (severity, why) = if bind.writable && (is_ruling(&bind.path) || shared(&bind.path))
            {
                (
                    Severity::High,
                    "it can write there, and so change what others rely on",
                )
            } else if is_secret(&bind.path) || is_kernel(&bind.path) {
                (Severity::Medium, "it can read there what is not its own")
            } else if RULING_PLACES
                .iter()
                .any(|place| bind.path.starts_with(place))
            {
                (
                    Severity::Medium,
                    "what rules the host, or is its users', is within reach there",
                )
            } else {
                return None;
            };
            let evidence = format!("{why}: {}", bind.because);
            Some(Finding::plain(
                severity,
                bind.path.display().to_string(),
                evidence,
            ))
        })
        .collect()
}

fn writable_configuration(subject: &Subject<'_>) -> Vec<Finding> {
    let binds = subject.spec.binds.iter();
    binds
        .filter(|bind| bind.writable && bind.path.starts_with("/etc"))
        .map(|bind| {
            let evidence = format!("writable: {}", bind.because);
            Finding::plain(Severity::Low, bind.path.display().to_string(), evidence)
        })
        .collect()
}

fn environment(subject: &Subject<'_>) -> Vec<Finding> {
    let variables = subject.spec.service.environment.keys();
    variables
        .filter_map(|name| {
            let upper = name.to_uppercase();
            let (severity, why) = if name.starts_with("LD_")
                || name.starts_with("GLIBC_")
                || LOADING_VARIABLES.contains(&name.as_str())
            {
                (Severity::Medium, "it decides what code is loaded")
            } else if SECRET_WORDS.iter().any(|word| upper.contains(word)) {
                (Severity::Low, "by its name it holds a secret")
            } else {
                return None;
            };
            Some(Finding::plain(
                severity,
                format!("service.environment.{name}"),
                why,
            ))
        })
        .collect()
}

fn umask(subject: &Subject<'_>) -> Vec<Finding> {
    let mask = subject.spec.service.umask;
    if mask & 0o002 != 0 {
        return Vec::new();
    }
    let evidence = format!("{mask:04o}: everybody can write to what it makes");
    vec![Finding::plain(Severity::Low, "service.umask", evidence)]
}

fn limits(subject: &Subject<'_>) -> Vec<Finding> {
    let limits = &subject.spec.limits;
    let all = [
        ("limits.descriptors", limits.descriptors),
        ("limits.memory_bytes", limits.memory),
        ("limits.processes", limits.processes),
    ];
    all.into_iter()
        .filter(|(_, limit)| limit.is_none())
        .map(|(name, _)| Finding::plain(Severity::Info, name, "the host's limit holds"))
        .collect()
}

fn untested(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.spec.exercises.is_empty() {
        return Vec::new();
    }
    vec![Finding::plain(Severity::Info, "exercise", "there is none")]
}

fn looser(subject: &Subject<'_>) -> Vec<Finding> {
    let unseen = subject.facts.unseen.iter();
    let (weighty, others): (Vec<_>, Vec<_>) = unseen.partition(|unseen| unseen.weighty);
    let mut findings: Vec<Finding> = weighty
        .into_iter()
        .map(|unseen| {
            let evidence = format!("no run has shown it; known by: {}", unseen.evidence);
            Finding::plain(Severity::Low, &unseen.item, evidence)
        })
        .collect();
    if !others.is_empty() {
        let items: Vec<&str> = others.iter().map(|unseen| unseen.item.as_str()).collect();
        let evidence = format!("no run has shown: {}", items.join(", "));
        findings.push(Finding::plain(Severity::Info, "what rules add", evidence));
    }
    findings
}
