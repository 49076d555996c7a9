//! Families as classes of sockets, and ports as types.

use std::collections::BTreeSet;

use super::module::{Module, Own};
use super::ports;
use crate::audit::Severity;
use crate::export::item::family;
use crate::export::{Item, Loss};
use crate::spec::{Direction, FamilyRule, Listen, PortRule, Protocol};
use crate::sys::{caps, families};

/// What is done with a socket of one's own.
pub const USED: [&str; 13] = [
    "append", "bind", "connect", "create", "getattr", "getopt", "ioctl", "lock", "read", "setattr",
    "setopt", "shutdown", "write",
];

/// Waiting for connections.
const WAITED: [&str; 2] = ["accept", "listen"];

/// Families that have one class each, named after them, where the policy has `extended_socket_class`.
const NAMED: [&str; 26] = [
    "alg",
    "appletalk",
    "atmpvc",
    "atmsvc",
    "ax25",
    "bluetooth",
    "caif",
    "can",
    "ieee802154",
    "ipx",
    "irda",
    "isdn",
    "iucv",
    "kcm",
    "key",
    "llc",
    "netrom",
    "nfc",
    "packet",
    "phonet",
    "pppox",
    "qipcrtr",
    "rose",
    "tipc",
    "vsock",
    "xdp",
];

/// Says them.
pub fn say(module: &mut Module<'_>) {
    for rule in &module.subject.spec.families {
        of_family(module, rule);
    }
    other_families(module);
    of_ports(module);
    other_ports(module);
    others(module);
}

/// Sockets of others that are in the places of the host. Who waits at one is known by its domain alone.
fn others(module: &mut Module<'_>) {
    if !module.reaches_others {
        module.ledger.said(&Item::NoAbstractSocket);
        return;
    }
    module.because("sockets of other services are in the places that it has of the host");
    module.may("domain", "unix_stream_socket", &["connectto"]);
    module.may("domain", "unix_dgram_socket", &["sendto"]);
    module.ledger.gap(
        [Item::NoAbstractSocket],
        Loss::Loosened,
        Severity::Low,
        "it connects to the Unix sockets of all domains: which of them waits at a socket that is in a \
         place of the host is not known",
    );
}

fn of_family(module: &mut Module<'_>, rule: &FamilyRule) {
    let item = Item::Family(rule.family);
    module.because(&rule.because);
    match families::name(rule.family) {
        Some("inet" | "inet6") => internet(module),
        Some("unix") => unix(module),
        Some("netlink") => return netlink(module, item),
        Some(name) if NAMED.contains(&name) => {
            let all: Vec<&str> = USED.into_iter().chain(WAITED).collect();
            module.may("self", &format!("{name}_socket"), &all);
        }
        _ => {
            module.ledger.gap(
                [item],
                Loss::Lost,
                Severity::Info,
                format!(
                    "{} has no class of its own in a policy: it is refused",
                    family(rule.family)
                ),
            );
            return;
        }
    }
    module.ledger.said(&item);
}

fn internet(module: &mut Module<'_>) {
    let waits: Vec<&str> = USED.into_iter().chain(WAITED).collect();
    module.may("self", "tcp_socket", &waits);
    module.may("self", "udp_socket", &USED);
    // Which addresses there are is the network's matter.
    for class in ["tcp_socket", "udp_socket"] {
        module.may("node_type", class, &["node_bind"]);
    }
    if has_capability(module, "NET_RAW") {
        module.may("self", "rawip_socket", &USED);
        module.may("node_type", "rawip_socket", &["node_bind"]);
    }
}

fn unix(module: &mut Module<'_>) {
    let stream = ["connectto"].into_iter().chain(USED).chain(WAITED);
    module.may("self", "unix_stream_socket", &stream.collect::<Vec<_>>());
    let datagrams = ["sendto"].into_iter().chain(USED);
    module.may("self", "unix_dgram_socket", &datagrams.collect::<Vec<_>>());
}

/// Each protocol of netlink is a class; the spec does not say which it speaks.
fn netlink(module: &mut Module<'_>, item: Item) {
    let reads = ["nlmsg_read"].into_iter().chain(USED);
    module.may("self", "netlink_route_socket", &reads.collect::<Vec<_>>());
    let mut spoken = vec!["routing"];
    if has_capability(module, "NET_ADMIN") {
        module.may("self", "netlink_route_socket", &["nlmsg_write"]);
        module.may("self", "netlink_generic_socket", &USED);
        module.may("self", "netlink_netfilter_socket", &USED);
        spoken.extend(["generic", "netfilter"]);
    }
    if has_capability(module, "AUDIT_WRITE") {
        let relays = ["nlmsg_relay"].into_iter().chain(USED);
        module.may("self", "netlink_audit_socket", &relays.collect::<Vec<_>>());
        spoken.push("audit");
    }
    module.ledger.gap(
        [item],
        Loss::Lost,
        Severity::Info,
        format!(
            "each protocol of netlink is a class of its own, and the spec does not say which it speaks: it \
             has {} alone",
            spoken.join(", ")
        ),
    );
}

fn has_capability(module: &Module<'_>, name: &str) -> bool {
    let number = caps::number(name);
    let mut rules = module.subject.spec.capabilities.iter();
    number.is_some_and(|number| rules.any(|rule| rule.capability == number))
}

fn other_families(module: &mut Module<'_>) {
    let has = |name| {
        let number = families::number(name);
        let mut rules = module.subject.spec.families.iter();
        number.is_some_and(|number| rules.any(|rule| rule.family == number))
    };
    let open: Vec<&str> = match (has("inet"), has("inet6"), has("unix")) {
        (one, other, true) if one == other => vec![],
        (true, false, true) => vec!["IPv6 as well as IPv4"],
        (false, true, true) => vec!["IPv4 as well as IPv6"],
        (true, false, false) => vec!["IPv6 as well as IPv4", "Unix sockets for messages"],
        (false, true, false) => vec!["IPv4 as well as IPv6", "Unix sockets for messages"],
        (_, _, _) => vec!["Unix sockets for messages"],
    };
    if open.is_empty() {
        module.ledger.said(&Item::NoOtherFamily);
        return;
    }
    module.ledger.gap(
        [Item::NoOtherFamily],
        Loss::Loosened,
        Severity::Info,
        format!("its classes of sockets are {}", open.join(", and ")),
    );
}

/// Ports that are bound and connected to, by their types.
fn of_ports(module: &mut Module<'_>) {
    let mut labelled = BTreeSet::new();
    for rule in &module.subject.spec.ports {
        let item = Item::Port(rule.direction, rule.protocol, rule.port);
        module.ledger.said(&item);
        let (name, class) = match rule.protocol {
            Protocol::Tcp => ("tcp", "tcp_socket"),
            Protocol::Udp => ("udp", "udp_socket"),
        };
        let permission = match (rule.direction, rule.protocol) {
            (Direction::Bind, _) => "name_bind",
            (Direction::Connect, Protocol::Tcp) => "name_connect",
            // Where datagrams go to, SELinux does not ask.
            (Direction::Connect, Protocol::Udp) => continue,
        };
        module.because(&rule.because);
        let kind = match (rule.direction, rule.port) {
            // The kernel picks it, and does not ask.
            (Direction::Bind, 0) => continue,
            (Direction::Connect, 0) => "port_type".to_owned(),
            (_, port) => port_type(module, rule.protocol, port),
        };
        let is_own = rule.port != 0 && ports::known(rule.protocol, rule.port).is_none();
        if is_own && labelled.insert((name, rule.port)) {
            module.port(name, rule.port, &kind);
        }
        module.may(&kind, class, &[permission]);
    }
    handed_in(module, &mut labelled);
}

/// systemd binds those that are handed in.
fn handed_in(module: &mut Module<'_>, labelled: &mut BTreeSet<(&'static str, u16)>) {
    for socket in &module.subject.spec.sockets {
        let (name, class, protocol, port) = match &socket.listen {
            Listen::Tcp(address) => ("tcp", "tcp_socket", Protocol::Tcp, address.port()),
            Listen::Udp(address) => ("udp", "udp_socket", Protocol::Udp, address.port()),
            Listen::Unix(_) | Listen::Manager => continue,
        };
        module.because(&socket.because);
        let kind = port_type(module, protocol, port);
        if ports::known(protocol, port).is_none() && labelled.insert((name, port)) {
            module.port(name, port, &kind);
        }
        module.allow("init_t", &kind, class, &["name_bind"]);
        module.allow("init_t", "node_type", class, &["node_bind"]);
    }
}

fn port_type(module: &mut Module<'_>, protocol: Protocol, port: u16) -> String {
    match (ports::known(protocol, port), port < 1024) {
        (Some(kind), _) => kind.to_owned(),
        (None, true) => module.own(Own::LowPort),
        (None, false) => module.own(Own::Port),
    }
}

fn other_ports(module: &mut Module<'_>) {
    let spec = module.subject.spec;
    let connected = |rule: &&PortRule| {
        rule.direction == Direction::Connect && rule.protocol == Protocol::Tcp && rule.port != 0
    };
    let of_host = |rule: &PortRule| ports::known(rule.protocol, rule.port).is_some();
    let mut others = spec.ports.iter().filter(|rule| !connected(rule));
    let shares = spec.ports.iter().filter(connected).any(of_host)
        || !spec.sockets.is_empty()
        || others.any(|rule| !of_host(rule));
    let connect = Item::NoOtherPort(Direction::Connect, Protocol::Tcp);
    let bind = Item::NoOtherPort(Direction::Bind, Protocol::Tcp);
    module.ledger.gap(
        [bind],
        Loss::Loosened,
        Severity::Low,
        "SELinux does not ask for ports that the kernel gives out by itself (ip_local_port_range), and a \
         type of the host's policy, as http_port_t, may be that of several",
    );
    match shares {
        false => module.ledger.said(&connect),
        true => module.ledger.gap(
            [connect],
            Loss::Loosened,
            Severity::Low,
            "a type of ports may be that of several: http_port_t of the host's policy, and that of its own",
        ),
    }
}
