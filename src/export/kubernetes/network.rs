//! Ports: of the container, of the Service in front of it, and of the policy of who speaks with whom.

use super::labels;
use super::types::{
    ContainerPort, Document, Metadata, Object, Pair, Peers, PolicyPort, PolicySpec, Selector,
    ServicePort, ServiceSpec,
};
use crate::audit::Severity;
use crate::export::{Item, Ledger, Loss, Subject};
use crate::spec::{Direction, PortRule, Protocol, Spec};
use crate::sys::caps;

/// Below this, a port needs a capability (`net.ipv4.ip_unprivileged_port_start`, `ip(7)`).
const FIRST_UNPRIVILEGED: u16 = 1024;

/// What opens low ports, to all of the pod: each network namespace has its own, so it is among those
/// that Kubernetes takes for safe (since 1.22).
const SYSCTL: &str = "net.ipv4.ip_unprivileged_port_start";

/// The ports of the container.
pub fn ports(spec: &Spec) -> Vec<ContainerPort> {
    bound(spec)
        .map(|rule| ContainerPort {
            name: name(rule),
            container_port: rule.port,
            protocol: protocol(rule),
        })
        .collect()
}

/// Those that are known beforehand. 0 is any that is free.
fn bound(spec: &Spec) -> impl Iterator<Item = &PortRule> {
    of(spec, Direction::Bind).filter(|rule| rule.port != 0)
}

fn of(spec: &Spec, direction: Direction) -> impl Iterator<Item = &PortRule> {
    let rules = spec.ports.iter();
    rules.filter(move |rule| rule.direction == direction)
}

fn protocol(rule: &PortRule) -> &'static str {
    match rule.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

/// At most 15 bytes (`IANA_SVC_NAME`, RFC 6335).
fn name(rule: &PortRule) -> String {
    format!("{}-{}", protocol(rule).to_ascii_lowercase(), rule.port)
}

/// A name and an address, if there is a port to give them to.
pub fn service(spec: &Spec, name_of_all: &str) -> Option<Document> {
    let ports: Vec<ServicePort> = bound(spec)
        .map(|rule| ServicePort {
            name: name(rule),
            port: rule.port,
            protocol: protocol(rule),
            target_port: name(rule),
        })
        .collect();
    let service = Object {
        api_version: "v1",
        kind: "Service",
        metadata: Metadata::of(name_of_all.to_owned(), labels(name_of_all)),
        spec: ServiceSpec {
            selector: labels(name_of_all),
            ports,
        },
    };
    (!service.spec.ports.is_empty()).then_some(Document::Service(service))
}

/// The policy: whoever is not named is not spoken with, in either direction.
pub fn policy(subject: &Subject<'_>, name_of_all: &str, ledger: &mut Ledger) -> Document {
    let spec = subject.spec;
    for rule in &spec.ports {
        ledger.said(&Item::Port(rule.direction, rule.protocol, rule.port));
    }
    ledger.said(&Item::NoAbstractSocket);
    if is_local(spec) {
        ledger.gap(
            bound(spec).map(|rule| Item::Port(rule.direction, rule.protocol, rule.port)),
            Loss::Lost,
            Severity::Medium,
            "its command has it wait at loopback, where neither the Service nor the kubelet reaches it in a pod: it \
             never counts as ready; give it the address 0.0.0.0 or ::",
        );
    }
    ledger.gap(
        [
            Item::NoOtherPort(Direction::Bind, Protocol::Tcp),
            Item::NoOtherPort(Direction::Connect, Protocol::Tcp),
        ],
        Loss::Loosened,
        Severity::Low,
        "it binds and connects to any port within its pod; what leaves and enters the pod is held to the \
         spec's ports by the cluster's network, if that enforces NetworkPolicy: not every one does",
    );
    Document::NetworkPolicy(Object {
        api_version: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: Metadata::of(name_of_all.to_owned(), labels(name_of_all)),
        spec: PolicySpec {
            pod_selector: Selector {
                match_labels: labels(name_of_all),
            },
            policy_types: vec!["Ingress", "Egress"],
            ingress: peers(bound(spec)),
            egress: peers(of(spec, Direction::Connect)),
        },
    })
}

/// Whether its command names a loopback address.
fn is_local(spec: &Spec) -> bool {
    let local = |word: &String| {
        ["127.0.0.1", "localhost", "::1"]
            .iter()
            .any(|it| word.contains(it))
    };
    spec.service.command.iter().skip(1).any(local)
}

/// One entry for all; without ports none, for one without would mean every port.
fn peers<'a>(rules: impl Iterator<Item = &'a PortRule>) -> Vec<Peers> {
    let ports: Vec<PolicyPort> = rules
        .map(|rule| PolicyPort {
            protocol: protocol(rule),
            // 0 is any port at all.
            port: (rule.port != 0).then_some(rule.port),
        })
        .collect();
    match ports.is_empty() {
        true => Vec::new(),
        false => vec![Peers { ports }],
    }
}

/// Kubernetes gives no capability to the processes of another user than root (KEP-2763): a service that
/// keeps one for its low ports gets them opened instead.
pub fn opened(subject: &Subject<'_>, ledger: &mut Ledger) -> Option<Pair> {
    let spec = subject.spec;
    let number = caps::number("NET_BIND_SERVICE")?;
    let mut kept = spec.capabilities.iter();
    let keeps = kept.any(|rule| rule.capability == number);
    let low = bound(spec).map(|rule| rule.port);
    let lowest = low.filter(|port| *port < FIRST_UNPRIVILEGED).min()?;
    if !keeps || spec.service.start_as_root {
        return None;
    }
    ledger.gap(
        [Item::Capability(number)],
        Loss::Loosened,
        Severity::Info,
        format!(
            "Kubernetes gives capabilities to root alone, so {SYSCTL} opens the ports from {lowest} on, to \
             every process of the pod; the pod's network is its own"
        ),
    );
    Some(Pair {
        name: SYSCTL.to_owned(),
        value: lowest.to_string(),
    })
}
