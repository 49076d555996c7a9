//! Sockets that were not there a second ago: the kernel announces their ends, and never their
//! beginnings.

use std::collections::{BTreeMap, BTreeSet};

use crate::Result;
use crate::host::process;
use crate::host::sock_diag::{Doings, Inet, SockDiag};
use crate::run::state::State;
use crate::spec::Protocol;
use crate::watch::processes::of_jails;
use crate::watch::sockets::holders;

/// Something that a jail has of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    /// It waits for others on a port.
    Listening(Protocol, std::net::SocketAddr),
    /// It has connected to somebody.
    Connected(Protocol, std::net::SocketAddr),
}

/// Something new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct New {
    /// The jail's name.
    pub(super) jail: String,
    /// `listen` or `connect`.
    pub(super) event: &'static str,
    /// A process that has it open.
    pub(super) pid: Option<i32>,
    /// Protocol, address and port.
    pub(super) detail: String,
}

/// What each jail had the last time.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<String, BTreeSet<Seen>>);

impl Changes {
    /// What is new. What a jail has when it is first looked at was there before, unless it has
    /// started since.
    pub(super) fn compare(&mut self, jails: &[State]) -> Result<Vec<New>> {
        let processes = of_jails(jails)?;
        let mut tables: BTreeMap<u64, Vec<Inet>> = BTreeMap::new();
        let mut found = Vec::new();
        let mut now = BTreeMap::new();
        for (state, processes) in jails.iter().zip(&processes) {
            // One that has ended meanwhile has none.
            let Ok(network) = process::namespace(state.service.pid, "net") else {
                continue;
            };
            if let std::collections::btree_map::Entry::Vacant(place) = tables.entry(network) {
                place.insert(SockDiag::of(state.service.pid)?.inet()?);
            }
            let holders = holders(processes);
            let table = tables.get(&network).map_or(&[][..], Vec::as_slice);
            let held = table.iter().filter(|it| holders.contains_key(&it.inode));
            let held: Vec<&Inet> = held.collect();
            let seen: BTreeMap<Seen, u64> = seen(&held);
            let empty = BTreeSet::new();
            let before = self.0.get(&state.name).unwrap_or(&empty);
            for (new, inode) in seen.iter().filter(|(it, _)| !before.contains(*it)) {
                let pid = holders.get(inode).and_then(|pids| pids.first().copied());
                found.push(told(&state.name, *new, pid));
            }
            now.insert(state.name.clone(), seen.into_keys().collect());
        }
        self.0 = now;
        Ok(found)
    }
}

/// Each thing once, with the inode of a socket of that kind. Who has connected to the jail is not
/// among it: that is its work.
fn seen(held: &[&Inet]) -> BTreeMap<Seen, u64> {
    let listens: BTreeSet<(Protocol, u16)> = held
        .iter()
        .filter(|socket| socket.doing == Doings::Listening)
        .map(|socket| (socket.protocol, socket.local.port()))
        .collect();
    let of = |socket: &&Inet| {
        let (protocol, port) = (socket.protocol, socket.local.port());
        let seen = match socket.doing {
            Doings::Listening => Seen::Listening(protocol, socket.local),
            Doings::Connected if !listens.contains(&(protocol, port)) => {
                Seen::Connected(protocol, socket.peer)
            }
            Doings::Connected | Doings::Other => return None,
        };
        Some((seen, socket.inode))
    };
    held.iter().filter_map(of).collect()
}

fn told(jail: &str, new: Seen, pid: Option<i32>) -> New {
    let (event, protocol, address) = match new {
        Seen::Listening(protocol, address) => ("listen", protocol, address),
        Seen::Connected(protocol, address) => ("connect", protocol, address),
    };
    let protocol = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    New {
        jail: jail.to_owned(),
        event,
        pid,
        detail: format!("{protocol} {address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_new_once_however_many_connections_there_are() {
        let socket = |doing, local: u16, peer: u16, inode| Inet {
            protocol: Protocol::Tcp,
            doing,
            local: ([127, 0, 0, 1], local).into(),
            peer: ([192, 0, 2, 1], peer).into(),
            inode,
            traffic: None,
        };
        let all = [
            socket(Doings::Listening, 53, 0, 1),
            socket(Doings::Connected, 53, 40_000, 2),
            socket(Doings::Connected, 40_001, 853, 3),
            socket(Doings::Connected, 40_002, 853, 4),
            socket(Doings::Other, 40_003, 25, 5),
        ];
        let found: Vec<New> = seen(&all.iter().collect::<Vec<_>>())
            .into_iter()
            .map(|(seen, inode)| told("web", seen, i32::try_from(inode).ok()))
            .collect();
        let told: Vec<(&str, &str)> = found.iter().map(|it| (it.event, &*it.detail)).collect();
        let wanted = [
            ("listen", "tcp 127.0.0.1:53"),
            ("connect", "tcp 192.0.2.1:853"),
        ];
        assert_eq!(told, wanted);
    }
}
