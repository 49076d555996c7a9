//! Sockets: families, ports, and how one sees that the service is ready.
use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{add, by_whom_and_when, observed, or_rule};
use crate::learn::Trace;
use crate::learn::trace::{Phase, SocketSeen, SocketUse, Use};
use crate::spec::{
    Direction, Evidence, FIRST_EPHEMERAL, FamilyRule, Knowledge, Observed, PortRule, Protocol,
    Ready,
};
use crate::sys::families as names;

/// AF_INET (`ip(7)`).
const INET: u16 = 2;
/// AF_INET6 (`ipv6(7)`).
const INET6: u16 = 10;
/// SOCK_STREAM (`socket(2)`).
const STREAM: u16 = 1;
/// SOCK_DGRAM.
const DATAGRAM: u16 = 2;
/// More ports than this are not a list but a habit: one rule for all of them.
const MOST_CONNECTED: usize = 16;
/// Milliseconds without an end that stand for ready, if no port does.
const QUIET_MS: u32 = 500;

/// Whether the family has ports.
pub(super) fn is_internet(family: u16) -> bool {
    family == INET || family == INET6
}

fn protocol(socket: &SocketSeen) -> Option<Protocol> {
    match socket.kind {
        STREAM if is_internet(socket.family) => Some(Protocol::Tcp),
        DATAGRAM if is_internet(socket.family) => Some(Protocol::Udp),
        _ => None,
    }
}

/// The families of the sockets that were made.
pub(super) fn families(trace: &Trace, notes: &mut Vec<String>) -> Vec<FamilyRule> {
    let mut seen: BTreeMap<u16, Option<Observed>> = BTreeMap::new();
    for socket in trace
        .sockets
        .iter()
        .filter(|socket| socket.action == SocketUse::Create)
    {
        if names::name(socket.family).is_some() {
            let known = seen.entry(socket.family).or_default();
            add(known, observed(trace, &socket.witness));
        } else {
            notes.push(format!(
                "made a socket of family {}, not given: no name",
                socket.family
            ));
        }
    }
    let rule = |(family, seen): (u16, Option<Observed>)| FamilyRule {
        family,
        because: format!(
            "sockets made{}",
            seen.as_ref().map(by_whom_and_when).unwrap_or_default()
        ),
        evidence: or_rule(seen, Evidence::BUILT_IN),
    };
    seen.into_iter().map(rule).collect()
}

/// What was done with a port, in words, and how often.
type Used = (String, Option<Observed>);

/// The ports that were bound and connected to, and those that the service is known to need.
pub(super) fn ports(trace: &Trace, knowledge: Option<&Knowledge>) -> Vec<PortRule> {
    let answers = has_fixed_datagram_port(trace);
    let mut seen: BTreeMap<(Direction, Protocol, u16), Used> = BTreeMap::new();
    for socket in &trace.sockets {
        let Some(protocol) = protocol(socket) else {
            continue;
        };
        let random = protocol == Protocol::Udp && socket.port >= FIRST_EPHEMERAL;
        let (direction, port) = match socket.action {
            SocketUse::Bind if random => (Direction::Bind, 0),
            SocketUse::Bind => (Direction::Bind, socket.port),
            SocketUse::Connect if random && answers => continue,
            SocketUse::Connect if socket.port == 0 => continue,
            SocketUse::Connect if random || was_picked(trace, socket) => (Direction::Connect, 0),
            SocketUse::Connect => (Direction::Connect, socket.port),
            SocketUse::Create | SocketUse::Listen | SocketUse::BindFailed(_) => continue,
        };
        let (_, known) = seen
            .entry((direction, protocol, port))
            .or_insert_with(|| (in_words(direction, port, socket), None));
        add(known, observed(trace, &socket.witness));
    }
    collapse_connects(&mut seen);
    collapse_picked(&mut seen, trace.certificate.passes.into());
    let known = knowledge.iter().flat_map(|known| &known.ports);
    let unseen: Vec<PortRule> = known
        .filter(|rule| {
            !seen.contains_key(&(rule.direction, rule.protocol, rule.port))
                && !seen.contains_key(&(rule.direction, rule.protocol, 0))
        })
        .map(|rule| PortRule {
            evidence: or_rule(None, knowledge.map_or("", |known| known.file.as_str())),
            ..rule.clone()
        })
        .collect();
    let rule = |((direction, protocol, port), (because, seen))| PortRule {
        direction,
        protocol,
        port,
        because,
        evidence: or_rule(seen, Evidence::BUILT_IN),
    };
    seen.into_iter().map(rule).chain(unseen).collect()
}

/// Whether the service itself listened there, at a port that it had left to the kernel: it talks to
/// itself, each time at another one.
fn was_picked(trace: &Trace, to: &SocketSeen) -> bool {
    let at_port = |action: SocketUse| {
        let mut sockets = trace.sockets.iter();
        sockets.any(|own| own.action == action && own.kind == to.kind && own.port == to.port)
    };
    at_port(SocketUse::Listen) && !at_port(SocketUse::Bind)
}

fn in_words(direction: Direction, port: u16, socket: &SocketSeen) -> String {
    match (direction, port) {
        (Direction::Bind, 0) => "bound a port that the kernel picked".to_owned(),
        (Direction::Bind, _) => format!("bound {}", endpoint(socket)),
        (Direction::Connect, 0) if socket.kind == STREAM => {
            "connected to a port of its own that the kernel picked".to_owned()
        }
        (Direction::Connect, 0) => "sent to a port picked by the peer".to_owned(),
        (Direction::Connect, _) => format!("connected to {}", endpoint(socket)),
    }
}

fn endpoint(socket: &SocketSeen) -> String {
    if socket.family == INET6 {
        format!("[{}]:{}", socket.address, socket.port)
    } else {
        format!("{}:{}", socket.address, socket.port)
    }
}

/// A service with a port of its own sends its answers to whatever port the client picked.
fn has_fixed_datagram_port(trace: &Trace) -> bool {
    trace.sockets.iter().any(|socket| {
        socket.action == SocketUse::Bind
            && protocol(socket) == Some(Protocol::Udp)
            && (1..FIRST_EPHEMERAL).contains(&socket.port)
    })
}

/// Many different ports of one protocol become port 0, which is all of them.
fn collapse_connects(seen: &mut BTreeMap<(Direction, Protocol, u16), Used>) {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let is_one =
            |key: &(Direction, Protocol, u16)| (key.0, key.1) == (Direction::Connect, protocol);
        let count = seen.keys().filter(|key| is_one(key)).count();
        if count > MOST_CONNECTED {
            let mut all = None;
            seen.retain(|key, (_, used)| {
                if is_one(key) {
                    used.take().into_iter().for_each(|used| add(&mut all, used));
                }
                !is_one(key)
            });
            let because = format!("connected to {count} different ports");
            seen.insert((Direction::Connect, protocol, 0), (because, all));
        }
    }
}

/// A service that picks ports at random by itself, as a resolver does for its queries (RFC 5452),
/// binds others at each start: those that it binds at every start are its own.
fn collapse_picked(seen: &mut BTreeMap<(Direction, Protocol, u16), Used>, passes: u64) {
    let is_picked = |key: &(Direction, Protocol, u16), used: &Used| {
        let always = used
            .1
            .as_ref()
            .is_some_and(|seen| seen.start >= passes.max(1));
        (key.0, key.1) == (Direction::Bind, Protocol::Udp) && (key.2 == 0 || !always)
    };
    let picked = seen.iter().filter(|(key, used)| is_picked(key, used));
    if picked.count() <= MOST_CONNECTED {
        return;
    }
    let mut all = None;
    seen.retain(|key, used| {
        let is_one = is_picked(key, used);
        if is_one {
            used.1
                .take()
                .into_iter()
                .for_each(|used| add(&mut all, used));
        }
        !is_one
    });
    let key = (Direction::Bind, Protocol::Udp, 0);
    seen.insert(
        key,
        ("bound ports that it picked at random".to_owned(), all),
    );
}

/// The signs that the service is ready: its lowest port, and what is known if it was seen.
pub(super) fn ready(trace: &Trace, knowledge: Option<&Knowledge>) -> Vec<Ready> {
    let at_start = trace
        .sockets
        .iter()
        .filter(|socket| socket.phase == Phase::Start && socket.port != 0);
    let bound: BTreeSet<Ready> = at_start
        .filter_map(|socket| match (protocol(socket)?, &socket.action) {
            (Protocol::Tcp, SocketUse::Listen) => Some(Ready::Tcp(socket.port)),
            (Protocol::Udp, SocketUse::Bind) if socket.port < FIRST_EPHEMERAL => {
                Some(Ready::Udp(socket.port))
            }
            _ => None,
        })
        .collect();
    let lowest = bound.iter().filter_map(port).min();
    let known = knowledge.iter().flat_map(|known| &known.ready);
    let mut ready: BTreeSet<Ready> = bound
        .iter()
        .filter(|sign| port(sign) == lowest)
        .cloned()
        .collect();
    ready.extend(
        known
            .filter(|sign| bound.contains(sign) || was_made(sign, trace))
            .cloned(),
    );
    if ready.is_empty() {
        ready.insert(Ready::Quiet(QUIET_MS));
    }
    ready.into_iter().collect()
}

fn port(ready: &Ready) -> Option<u16> {
    match ready {
        Ready::Tcp(port) | Ready::Udp(port) => Some(*port),
        Ready::File(_) | Ready::Log(_) | Ready::Notify | Ready::Quiet(_) => None,
    }
}

/// Whether the sign is a file that the service made.
fn was_made(ready: &Ready, trace: &Trace) -> bool {
    let Ready::File(file) = ready else {
        return false;
    };
    trace
        .paths
        .iter()
        .any(|path| path.host == *file && path.uses.contains(&Use::Create))
}

/// The port that exercises talk to: the known one if it was seen; else one that has both
/// protocols; else the lowest; else the known one.
pub(super) fn main_port(ready: &[Ready], knowledge: Option<&Knowledge>) -> Option<u16> {
    let known = knowledge.and_then(|known| {
        known
            .port_default
            .or_else(|| known.ready.iter().find_map(port))
    });
    let seen: Vec<u16> = ready.iter().filter_map(port).collect();
    let both =
        |port: &&u16| ready.contains(&Ready::Tcp(**port)) && ready.contains(&Ready::Udp(**port));
    known
        .filter(|port| seen.contains(port))
        .or_else(|| seen.iter().find(both).copied())
        .or_else(|| seen.iter().min().copied())
        .or(known)
}
