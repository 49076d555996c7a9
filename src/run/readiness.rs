//! How a service shows that it is ready.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::host::sockets::Listener;
use crate::host::{process, sockets};
use crate::plan::Sign;

/// The sockets at which the processes of the jail with this first process wait. A process that
/// has just ended has none.
pub fn listeners(first: i32) -> Vec<Listener> {
    let held: BTreeSet<u64> = process::companions(first)
        .unwrap_or_default()
        .into_iter()
        .flat_map(sockets::held_by)
        .collect();
    let mut found = sockets::listeners(first).unwrap_or_default();
    found.retain(|listener| held.contains(&listener.inode));
    found
}

/// Whether a service shows all of these signs. `first` is its jail's first process, `begun` when
/// it was started, and `heard` tells whether a `log:` sign was seen in what it said.
pub fn is_ready(signs: &[Sign], first: i32, begun: Instant, heard: &dyn Fn(&str) -> bool) -> bool {
    let shown = signs.iter().all(|sign| match sign {
        Sign::File(path) => path.exists(),
        Sign::Log(expression) => heard(expression),
        Sign::Quiet(limit) => begun.elapsed() >= Duration::from_millis((*limit).into()),
        Sign::Tcp(_) | Sign::Udp(_) => true,
    });
    // Whose a port is takes a look at all processes; that somebody has it, at one file.
    shown
        && have_ports(signs, &sockets::listeners(first).unwrap_or_default())
        && have_ports(signs, &listeners(first))
}

fn have_ports(signs: &[Sign], listeners: &[Listener]) -> bool {
    let is_there = |port| {
        let mut found = listeners.iter();
        found.any(|found| (found.protocol, found.port) == port)
    };
    signs.iter().filter_map(Sign::port).all(is_there)
}
