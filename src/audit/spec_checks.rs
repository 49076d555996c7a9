//! Checks of what the spec allows.

use super::rootless_checks::is_said_here;
use super::rule::rule;
use super::weights::{ROOT_EQUAL_GROUPS, TELLING_GROUPS, capability_severity, is_dangerous_call};
use super::{Check, Finding, Severity, Subject};
use crate::spec::{Demand, Direction, Protocol};
use crate::sys::{calls, caps};

/// The table.
pub(super) const CHECKS: &[Check] = &[
    rule(
        "spec.root",
        Severity::High,
        "a service that starts as root can undo what the jail does for as long as it is root",
        "",
        "let gaoler change the ids: start_as_root = false, and give the capability that it needed \
         root for",
        root,
    ),
    rule(
        "spec.incomplete",
        Severity::Medium,
        "a spec of a trace that lacks something lacks it, too: the service may fail where nobody \
         looked",
        "field: recorders that lose events (kubescape/node-agent#918)",
        "learn it again: gaoler learn NAME --again",
        incomplete,
    ),
    rule(
        "spec.group",
        Severity::High,
        "some groups can do on the host what root can",
        "wiki.debian.org/SystemGroups",
        "take it out of service.groups",
        groups,
    ),
    rule(
        "spec.capability",
        Severity::Critical,
        "every capability that is kept is a part of root",
        "",
        "take it out of capabilities if the service works without it",
        capabilities,
    ),
    rule(
        "spec.protection",
        Severity::High,
        "a layer that is off or missing stops nothing",
        "field: protections that are silently off (systemd#22760, nsjail#285)",
        "set it to \"require\"",
        protections,
    ),
    rule(
        "spec.call",
        Severity::Low,
        "calls that change the machine or other processes, which a network service has rarely a \
         use for",
        "",
        "take it out of calls if the service works without it",
        dangerous_calls,
    ),
    rule(
        "spec.execute",
        Severity::Low,
        "a service that may execute programs can be made to execute others",
        "",
        "Landlock lets it execute only the tree's programs; keep those few",
        execution,
    ),
    rule(
        "spec.writable-executable",
        Severity::Low,
        "memory that is written and then executed runs what an intruder wrote into it",
        "systemd.exec(5), MemoryDenyWriteExecute=",
        "turn off just-in-time compilation in the service, then set it to false",
        writable_executable,
    ),
    rule(
        "spec.connect",
        Severity::Low,
        "an outgoing connection to any port is a way to send things out",
        "",
        "name the ports that it connects to",
        connect_anywhere,
    ),
];

fn root(subject: &Subject<'_>) -> Vec<Finding> {
    let service = &subject.spec.service;
    if !service.start_as_root {
        return Vec::new();
    }
    let evidence = match (service.user.as_str(), service.accounts.is_empty()) {
        ("root", true) => "it starts with uid 0 and stays so".to_owned(),
        ("root", false) => format!(
            "it starts with uid 0 and changes to {} by itself, not all of it for good",
            service.accounts.join(", ")
        ),
        (user, _) => format!("it starts with uid 0 and changes to {user} by itself"),
    };
    vec![Finding::plain(
        Severity::High,
        "service.start_as_root",
        evidence,
    )]
}

fn incomplete(subject: &Subject<'_>) -> Vec<Finding> {
    let spec = subject.spec;
    let found = spec.incomplete.iter().map(|why| {
        Finding::new(
            Severity::Medium,
            "incomplete",
            format!("it was made from an incomplete trace: {why}"),
            format!("learn it again: gaoler learn {} --again", spec.name),
        )
    });
    found.collect()
}

fn groups(subject: &Subject<'_>) -> Vec<Finding> {
    let service = &subject.spec.service;
    service
        .groups
        .iter()
        .chain(std::iter::once(&service.group))
        .filter_map(|group| {
            let name = group.as_str();
            let (severity, why) = if ROOT_EQUAL_GROUPS.contains(&name) {
                (Severity::High, "members of it can become root on the host")
            } else if TELLING_GROUPS.contains(&name) {
                (
                    Severity::Medium,
                    "members of it can read what is logged of everybody",
                )
            } else {
                return None;
            };
            Some(Finding::plain(severity, format!("group {name}"), why))
        })
        .collect()
}

fn capabilities(subject: &Subject<'_>) -> Vec<Finding> {
    subject
        .spec
        .capabilities
        .iter()
        .map(|rule| {
            let name = caps::name(rule.capability).unwrap_or("unknown");
            Finding::plain(
                capability_severity(name),
                format!("CAP_{name}"),
                format!("kept: {}", rule.because),
            )
        })
        .collect()
}

fn protections(subject: &Subject<'_>) -> Vec<Finding> {
    let wanted = &subject.spec.protections;
    let layers = [
        ("ipc_namespace", wanted.ipc_namespace, Severity::Low),
        ("landlock", wanted.landlock, Severity::Medium),
        ("mount_namespace", wanted.mount_namespace, Severity::High),
        ("pid_namespace", wanted.pid_namespace, Severity::Medium),
        ("seccomp", wanted.seccomp, Severity::High),
        ("uts_namespace", wanted.uts_namespace, Severity::Low),
    ];
    let off = layers
        .into_iter()
        .filter(|(_, demand, _)| *demand == Demand::Off)
        .map(|(layer, _, severity)| {
            Finding::new(
                severity,
                format!("protections.{layer}"),
                "the spec says off",
                format!("set {layer} = \"require\""),
            )
        });
    let lacking = subject.plan.lacking.iter();
    let lacking = lacking.filter(|text| !is_said_here(text)).map(|text| {
        Finding::new(
            Severity::Medium,
            text.split(':').next().unwrap_or_default(),
            text.clone(),
            "run on a host that has it, or without --exec",
        )
    });
    off.chain(lacking).collect()
}

fn dangerous_calls(subject: &Subject<'_>) -> Vec<Finding> {
    subject
        .spec
        .calls
        .iter()
        .filter_map(|rule| Some((calls::name(rule.number)?, rule)))
        .filter(|(name, _)| is_dangerous_call(name))
        .map(|(name, rule)| {
            let because = &rule.because;
            // Whatever a ring is told to do is done by the kernel, without a call of the service.
            let (severity, evidence) = match name {
                "io_uring_setup" => (
                    Severity::Medium,
                    format!(
                        "allowed: {because}; what runs inside a ring was not seen when it was \
                         learned, and passes by the filter"
                    ),
                ),
                _ => (Severity::Low, format!("allowed: {because}")),
            };
            Finding::plain(severity, name, evidence)
        })
        .collect()
}

fn execution(subject: &Subject<'_>) -> Vec<Finding> {
    let executes = ["execve", "execveat"];
    subject
        .spec
        .calls
        .iter()
        .filter_map(|rule| Some((calls::name(rule.number)?, rule)))
        .filter(|(name, _)| executes.contains(name))
        .map(|(name, rule)| {
            Finding::plain(Severity::Low, name, format!("allowed: {}", rule.because))
        })
        .collect()
}

fn writable_executable(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.spec.service.writable_executable {
        return Vec::new();
    }
    vec![Finding::plain(
        Severity::Low,
        "service.writable_executable",
        "the filter lets it execute memory that it has written",
    )]
}

fn connect_anywhere(subject: &Subject<'_>) -> Vec<Finding> {
    let open = subject.spec.ports.iter().any(|rule| {
        rule.direction == Direction::Connect && rule.protocol == Protocol::Tcp && rule.port == 0
    });
    if !open {
        return Vec::new();
    }
    vec![Finding::plain(
        Severity::Low,
        "ports",
        "TCP connections to any port are allowed",
    )]
}
