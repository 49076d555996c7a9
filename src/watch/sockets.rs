//! The sockets of jails: who listens, who is connected with whom, and what went through.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use serde::Serialize;

use super::processes::{Process, Role, of_jails};
use crate::Result;
use crate::host::sock_diag::{Doings, Inet, SockDiag, Unix};
use crate::host::{process, sockets};
use crate::run::state::State;
use crate::spec::{Direction, PortRule, Protocol};

/// The sockets of a jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sockets {
    /// The jail's name.
    pub name: String,
    /// Bytes that came by those TCP connections that are open.
    pub received: u64,
    /// Bytes that went by them.
    pub sent: u64,
    /// Each socket that a process of it has open.
    pub sockets: Vec<Socket>,
}

/// What a socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// It waits for others.
    Listening,
    /// Somebody has connected to a port on which the jail listens.
    Incoming,
    /// It has connected to somebody.
    Outgoing,
    /// It is connected within this host.
    Connected,
    /// It is on the way to or from one of these.
    Other,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Socket {
    /// `tcp`, `udp` or `unix`.
    pub protocol: &'static str,
    /// What it does.
    pub activity: Activity,
    /// Its address, or its path.
    pub address: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// Its peer's address, or the path that it is connected to.
    pub peer_address: Option<String>,
    /// Its peer's port.
    pub peer_port: Option<u16>,
    /// A process of this host that is its peer, by a Unix socket.
    pub peer_pid: Option<i32>,
    /// Bytes that came.
    pub received: Option<u64>,
    /// Bytes that went.
    pub sent: Option<u64>,
    /// Whether the spec of what runs allows it.
    pub allowed: Option<bool>,
    /// The processes that have it open.
    pub pids: Vec<i32>,
}

/// A jail that runs, and the ports that its spec allows, if that can be read.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Who runs.
    pub state: State,
    /// What its spec allows.
    pub ports: Option<Vec<PortRule>>,
}

/// The sockets of running jails.
///
/// # Errors
/// `/proc` not readable; the kernel does not tell.
pub fn sockets(jails: &[Observed]) -> Result<Vec<Sockets>> {
    let states: Vec<State> = jails.iter().map(|jail| jail.state.clone()).collect();
    let processes = of_jails(&states)?;
    let ephemeral = ephemeral_ports();
    let owners = owners()?;
    let mut networks = Networks::default();
    let mut found = Vec::new();
    for (jail, processes) in jails.iter().zip(&processes) {
        let holders = holders(processes);
        let tables = networks.of(jail.state.service.pid)?;
        let judge = Judge {
            rules: jail.ports.as_deref(),
            ephemeral: &ephemeral,
        };
        let mut sockets = inet(&tables.inet, &holders, &judge);
        sockets.extend(unix(&tables.unix, &holders, &owners));
        sockets.sort_unstable();
        let sum = |bytes: fn(&Socket) -> Option<u64>| sockets.iter().filter_map(bytes).sum();
        found.push(Sockets {
            name: jail.state.name.clone(),
            received: sum(|socket| socket.received),
            sent: sum(|socket| socket.sent),
            sockets,
        });
    }
    Ok(found)
}

/// A process that has a socket open, for each socket of the host.
fn owners() -> Result<BTreeMap<u64, i32>> {
    let mut owners = BTreeMap::new();
    for pid in process::all()? {
        for inode in sockets::held_by(pid) {
            owners.entry(inode).or_insert(pid);
        }
    }
    Ok(owners)
}

/// The tables of each network namespace, each asked for once.
#[derive(Default)]
struct Networks(BTreeMap<u64, Tables>);

#[derive(Default)]
struct Tables {
    inet: Vec<Inet>,
    unix: Vec<Unix>,
}

impl Networks {
    fn of(&mut self, pid: i32) -> Result<&Tables> {
        use std::collections::btree_map::Entry;
        // One that has ended has no sockets.
        let number = process::namespace(pid, "net").unwrap_or(0);
        match self.0.entry(number) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) if number == 0 => Ok(place.insert(Tables::default())),
            Entry::Vacant(place) => {
                let kernel = SockDiag::of(pid)?;
                Ok(place.insert(Tables {
                    inet: kernel.inet()?,
                    unix: kernel.unix()?,
                }))
            }
        }
    }
}

/// Which processes of a jail have which socket open, by its inode.
pub(super) type Holders = BTreeMap<u64, BTreeSet<i32>>;

/// The supervisor's own sockets are not the jail's.
pub(super) fn holders(processes: &[Process]) -> Holders {
    let mut holders = Holders::new();
    for process in processes {
        if process.role == Role::Supervisor {
            continue;
        }
        for inode in sockets::held_by(process.pid) {
            holders.entry(inode).or_default().insert(process.pid);
        }
    }
    holders
}

/// The ports that the kernel gives to who asks for none (`ip(7)`).
fn ephemeral_ports() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) => first..=last,
        _ => 32_768..=60_999,
    }
}

/// What the spec says of sockets.
struct Judge<'a> {
    rules: Option<&'a [PortRule]>,
    ephemeral: &'a RangeInclusive<u16>,
}

impl Judge<'_> {
    /// Of one that waits on this port. A datagram socket that only sends gets a port of the
    /// kernel's, without binding one.
    fn may_bind(&self, protocol: Protocol, port: u16) -> Option<bool> {
        let of = |direction| {
            move |rule: &&PortRule| (rule.protocol, rule.direction) == (protocol, direction)
        };
        let rules = self.rules?;
        let mut binds = rules.iter().filter(of(Direction::Bind));
        let sends = protocol == Protocol::Udp
            && self.ephemeral.contains(&port)
            && rules.iter().any(|rule| of(Direction::Connect)(&rule));
        Some(sends || binds.any(|rule| rule.port == port || self.is_any(rule, port)))
    }

    /// Of a connection to this port.
    fn may_connect(&self, protocol: Protocol, port: u16) -> Option<bool> {
        let mut rules = self.rules?.iter();
        Some(rules.any(|rule| {
            (rule.protocol, rule.direction) == (protocol, Direction::Connect)
                && (rule.port == port || rule.port == 0)
        }))
    }

    fn is_any(&self, rule: &PortRule, port: u16) -> bool {
        rule.port == 0 && self.ephemeral.contains(&port)
    }
}

fn inet(table: &[Inet], holders: &Holders, judge: &Judge<'_>) -> Vec<Socket> {
    let held = |socket: &&Inet| holders.contains_key(&socket.inode);
    let listens: BTreeSet<(Protocol, u16)> = table
        .iter()
        .filter(held)
        .filter(|socket| socket.doing == Doings::Listening)
        .map(|socket| (socket.protocol, socket.local.port()))
        .collect();
    let socket = |socket: &Inet| {
        let (local, peer) = (socket.local, Some(socket.peer).filter(has_a_port));
        let protocol = socket.protocol;
        let activity = match socket.doing {
            Doings::Listening => Activity::Listening,
            Doings::Connected if listens.contains(&(protocol, local.port())) => Activity::Incoming,
            Doings::Connected => Activity::Outgoing,
            Doings::Other => Activity::Other,
        };
        Socket {
            protocol: word(protocol),
            activity,
            address: Some(local.ip().to_string()),
            port: Some(local.port()),
            peer_address: peer.map(|peer| peer.ip().to_string()),
            peer_port: peer.map(|peer| peer.port()),
            peer_pid: None,
            received: socket.traffic.map(|traffic| traffic.received),
            sent: socket.traffic.map(|traffic| traffic.sent),
            allowed: match activity {
                Activity::Listening | Activity::Incoming => judge.may_bind(protocol, local.port()),
                Activity::Outgoing => judge.may_connect(protocol, socket.peer.port()),
                Activity::Connected | Activity::Other => None,
            },
            pids: pids(holders, socket.inode),
        }
    };
    table.iter().filter(held).map(socket).collect()
}

fn has_a_port(address: &SocketAddr) -> bool {
    address.port() != 0
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

fn pids(holders: &Holders, inode: u64) -> Vec<i32> {
    let holders = holders.get(&inode).into_iter().flatten();
    holders.copied().collect()
}

fn unix(table: &[Unix], holders: &Holders, owners: &BTreeMap<u64, i32>) -> Vec<Socket> {
    let paths: BTreeMap<u64, &str> = table
        .iter()
        .filter_map(|socket| Some((socket.inode, socket.path.as_deref()?)))
        .collect();
    let socket = |socket: &Unix| Socket {
        protocol: "unix",
        activity: match socket.doing {
            Doings::Listening => Activity::Listening,
            Doings::Connected => Activity::Connected,
            Doings::Other => Activity::Other,
        },
        address: socket.path.clone(),
        port: None,
        peer_address: socket
            .peer
            .and_then(|peer| paths.get(&peer).map(|path| (*path).to_owned())),
        peer_port: None,
        peer_pid: socket.peer.and_then(|peer| owners.get(&peer).copied()),
        received: None,
        sent: None,
        allowed: None,
        pids: pids(holders, socket.inode),
    };
    let held = |socket: &&Unix| holders.contains_key(&socket.inode);
    table.iter().filter(held).map(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sock_diag::Traffic;
    use crate::spec::Evidence;

    fn rule(direction: Direction, protocol: Protocol, port: u16) -> PortRule {
        PortRule {
            direction,
            protocol,
            port,
            because: String::new(),
            evidence: Evidence::default(),
        }
    }

    fn socket(protocol: Protocol, doing: Doings, local: u16, peer: u16, inode: u64) -> Inet {
        Inet {
            protocol,
            doing,
            local: ([127, 0, 0, 1], local).into(),
            peer: ([192, 0, 2, 7], peer).into(),
            inode,
            traffic: (doing == Doings::Connected).then_some(Traffic {
                received: 7,
                sent: 9,
            }),
        }
    }

    #[test]
    fn what_the_spec_allows_is_told_from_what_it_does_not() {
        use Direction::{Bind, Connect};
        use Protocol::{Tcp, Udp};
        let rules = [
            rule(Bind, Tcp, 53),
            rule(Connect, Tcp, 853),
            rule(Connect, Udp, 53),
        ];
        let table = [
            socket(Tcp, Doings::Listening, 53, 0, 1),
            socket(Tcp, Doings::Listening, 31_337, 0, 2),
            socket(Tcp, Doings::Connected, 53, 40_000, 3),
            socket(Tcp, Doings::Connected, 40_001, 853, 4),
            socket(Tcp, Doings::Connected, 40_002, 25, 5),
            socket(Udp, Doings::Listening, 40_003, 0, 6),
            socket(Udp, Doings::Listening, 53, 0, 7),
            socket(Tcp, Doings::Connected, 22, 40_004, 99),
        ];
        let holders: Holders = (1..8).map(|inode| (inode, BTreeSet::from([100]))).collect();
        let judged = |rules| {
            let judge = Judge {
                rules,
                ephemeral: &(32_768..=60_999),
            };
            let found = inet(&table, &holders, &judge);
            found
                .iter()
                .map(|it| (it.activity, it.allowed))
                .collect::<Vec<_>>()
        };
        let wanted = [
            (Activity::Listening, Some(true)),
            (Activity::Listening, Some(false)),
            (Activity::Incoming, Some(true)),
            (Activity::Outgoing, Some(true)),
            (Activity::Outgoing, Some(false)),
            (Activity::Listening, Some(true)),
            (Activity::Listening, Some(false)),
        ];
        assert_eq!(judged(Some(&rules)), wanted);
        assert_eq!(judged(None), wanted.map(|(activity, _)| (activity, None)));
    }

    #[test]
    fn a_unix_socket_has_the_path_and_the_process_that_it_leads_to() {
        let one = |inode, doing, path: Option<&str>, peer| Unix {
            doing,
            inode,
            path: path.map(str::to_owned),
            peer,
        };
        let table = [
            one(1, Doings::Connected, None, Some(2)),
            one(2, Doings::Connected, Some("/run/a"), Some(1)),
            one(3, Doings::Listening, Some("/run/a"), None),
        ];
        let holders = Holders::from([(1, BTreeSet::from([100, 101]))]);
        let found = unix(&table, &holders, &[(1, 100), (2, 7), (3, 7)].into());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].peer_address.as_deref(), Some("/run/a"));
        assert_eq!(
            (found[0].peer_pid, &found[0].pids[..]),
            (Some(7), &[100, 101][..])
        );
    }
}
