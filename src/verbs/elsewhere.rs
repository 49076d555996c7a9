//! A service that waits on other ports than its spec says: its configuration was changed after it
//! was learned.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::learn::is_shipped;
use crate::host::process;
use crate::host::sockets::Listener;
use crate::run::readiness;
use crate::run::state::State;
use crate::spec::{Direction, FIRST_EPHEMERAL, Protocol, Ready, Spec};
use crate::{Error, Result};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// For how long a service that is ready, but elsewhere, has said nothing, opened nothing and
/// computed nothing.
const QUIET: Duration = Duration::from_secs(5);

/// More than this in that time is work: clock ticks, of which there are 100 a second.
const IDLE_TICKS: u64 = 5;

type Port = (Protocol, u16);

/// What was seen when, of a service that is not ready.
#[derive(Debug)]
pub(super) struct Elsewhere {
    looked: Instant,
    ports: BTreeSet<Port>,
    ticks: u64,
    since: Instant,
}

impl Elsewhere {
    /// Nothing was seen yet.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            looked: now,
            ports: BTreeSet::new(),
            ticks: 0,
            since: now,
        }
    }

    /// Looks again if it is time to. The error, once a service has waited elsewhere, and been quiet,
    /// for long enough; it said something last at the time `heard`.
    ///
    /// # Errors
    /// That it waits elsewhere, with the ports.
    pub(super) fn look(&mut self, spec: &Spec, state: &State, heard: Instant) -> Result<()> {
        let has_port = spec.service.ready.iter().any(|sign| port(sign).is_some());
        if !has_port || self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        let ports = other_ports(spec, &listeners(state));
        let family = process::descendants(first(state));
        let ticks = family.into_iter().map(process::cpu_ticks).sum();
        if ports != self.ports || ticks > self.ticks + IDLE_TICKS {
            (self.ports, self.ticks, self.since) = (ports, ticks, self.looked);
        }
        let quiet = self.since.max(heard).elapsed() >= QUIET;
        match (quiet, self.error(spec)) {
            (true, Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// That the service waits elsewhere, if it did when it was looked at last.
    pub(super) fn error(&self, spec: &Spec) -> Option<Error> {
        if self.ports.is_empty() {
            return None;
        }
        let signs: BTreeSet<Port> = spec.service.ready.iter().filter_map(port).collect();
        let why = format!(
            "it runs and waits on {}, which its spec does not have, and not on {}",
            in_words(&self.ports),
            in_words(&signs)
        );
        Some(Error::new(format!("start {}", spec.name), why).hint(learn_again(spec)))
    }
}

/// What to do if the configuration was changed on purpose.
pub(super) fn learn_again(spec: &Spec) -> String {
    let name = &spec.name;
    let known = is_shipped(name, &spec.service.command) && !spec.service.unaided;
    let command = match known {
        true => String::new(),
        false => format!(" -- {}", spec.service.command.join(" ")),
    };
    format!(
        "if its configuration was changed since it was learned: gaoler stop {name}, then \
         gaoler learn {name} --again{command}"
    )
}

/// The ports at which the service waits and which its spec has neither as a sign nor as a rule; none
/// if it has one of those that are signs.
fn other_ports(spec: &Spec, listeners: &[Listener]) -> BTreeSet<Port> {
    let found: BTreeSet<Port> = listeners
        .iter()
        .map(|listener| (listener.protocol, listener.port))
        .collect();
    let signs: BTreeSet<Port> = spec.service.ready.iter().filter_map(port).collect();
    if signs.is_empty() || !signs.is_disjoint(&found) {
        return BTreeSet::new();
    }
    let in_spec = |port: &Port| {
        let mut binds = spec
            .ports
            .iter()
            .filter(|rule| rule.direction == Direction::Bind);
        // Port 0 stands for whatever the kernel gives.
        let given = if port.1 >= FIRST_EPHEMERAL { 0 } else { port.1 };
        binds.any(|rule| rule.protocol == port.0 && [port.1, given].contains(&rule.port))
    };
    // A datagram port up there is one that a resolver picked to ask from.
    let picked = |port: &Port| port.0 == Protocol::Udp && port.1 >= FIRST_EPHEMERAL;
    found
        .into_iter()
        .filter(|port| !in_spec(port) && !picked(port))
        .collect()
}

fn port(sign: &Ready) -> Option<Port> {
    match sign {
        Ready::Tcp(port) => Some((Protocol::Tcp, *port)),
        Ready::Udp(port) => Some((Protocol::Udp, *port)),
        Ready::File(_) | Ready::Log(_) | Ready::Notify | Ready::Quiet(_) => None,
    }
}

fn in_words(ports: &BTreeSet<Port>) -> String {
    let words: Vec<String> = ports
        .iter()
        .map(|(protocol, port)| match protocol {
            Protocol::Tcp => format!("TCP port {port}"),
            Protocol::Udp => format!("UDP port {port}"),
        })
        .collect();
    words.join(", ")
}

/// The processes of the jail, its first one included.
pub(super) fn jailed(state: &State) -> Vec<i32> {
    process::companions(first(state)).unwrap_or_default()
}

fn first(state: &State) -> i32 {
    state.init.map_or(state.service.pid, |init| init.pid)
}

/// The sockets at which its processes wait. A process that has just ended has none.
fn listeners(state: &State) -> Vec<Listener> {
    readiness::listeners(first(state))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::spec::PortRule;

    fn spec() -> Spec {
        let mut spec = Spec {
            name: "dns".to_owned(),
            ..Spec::default()
        };
        spec.service.ready = vec![Ready::Tcp(53), Ready::Udp(53)];
        spec.ports.push(PortRule {
            direction: Direction::Bind,
            protocol: Protocol::Tcp,
            port: 953,
            because: String::new(),
            evidence: crate::spec::Evidence::Person,
        });
        spec
    }

    fn others(listeners: &[Port]) -> Vec<Port> {
        let listeners: Vec<Listener> = listeners
            .iter()
            .map(|(protocol, port)| Listener {
                protocol: *protocol,
                address: Ipv4Addr::LOCALHOST.into(),
                port: *port,
                inode: 0,
            })
            .collect();
        other_ports(&spec(), &listeners).into_iter().collect()
    }

    #[test]
    fn only_ports_that_the_spec_does_not_know_are_others() {
        use Protocol::{Tcp, Udp};
        assert_eq!(others(&[]), []);
        assert_eq!(others(&[(Tcp, 953)]), [], "still on its way");
        assert_eq!(others(&[(Udp, 40_000)]), [], "it asks somebody");
        assert_eq!(others(&[(Tcp, 953), (Udp, 5353)]), [(Udp, 5353)]);
        assert_eq!(others(&[(Udp, 53), (Udp, 5353)]), [], "half of it is there");
        // The same number in the other protocol is another port.
        assert_eq!(others(&[(Udp, 953)]), [(Udp, 953)]);
    }

    #[test]
    fn without_a_port_among_the_signs_no_port_is_another() {
        let mut spec = spec();
        spec.service.ready = vec![Ready::Quiet(500)];
        let listener = Listener {
            protocol: Protocol::Tcp,
            address: Ipv4Addr::LOCALHOST.into(),
            port: 8080,
            inode: 0,
        };
        assert!(other_ports(&spec, &[listener]).is_empty());
    }
}
