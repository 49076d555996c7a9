//! How a service shows that it is ready.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::host::begun::Begun;
use crate::host::sockets::Listener;
use crate::host::{process, sockets};
use crate::plan::Sign;

/// How long a service must have been ready before its start is over. Learning takes what comes
/// after the first sign for serving; a start that ends later than that refuses nothing too early.
const SETTLED: Duration = Duration::from_millis(100);

/// As long as this after the first sign, calls of the start show that it is not over: a service whose
/// helpers get no processor for a while, say.
const UNSETTLED: Duration = Duration::from_secs(1);

/// Since when a service has been ready.
#[derive(Debug, Default)]
pub(super) struct Settling {
    since: Option<Instant>,
}

impl Settling {
    /// Whether the start is over, after a look that has shown whether it is `ready`; `called` is when
    /// the last call of the start was made.
    pub(super) fn is_over(&mut self, ready: bool, called: Option<Instant>) -> bool {
        if !ready {
            self.since = None;
            return false;
        }
        let shown = self.since.get_or_insert_with(Instant::now).elapsed();
        let is_quiet = called.is_none_or(|called| called.elapsed() >= SETTLED);
        shown >= SETTLED && (is_quiet || shown >= UNSETTLED)
    }
}

/// The sockets at which the processes that descend from this one wait. A process that has just ended
/// has none.
pub fn listeners(first: i32) -> Vec<Listener> {
    listeners_of(first, process::descendants(first))
}

/// The sockets at which `processes` wait, in the network namespace of `first`.
fn listeners_of(first: i32, processes: Vec<i32>) -> Vec<Listener> {
    let held: BTreeSet<u64> = processes.into_iter().flat_map(sockets::held_by).collect();
    let mut found = sockets::listeners(first).unwrap_or_default();
    found.retain(|listener| held.contains(&listener.inode));
    found
}

/// Whether a service shows all of these signs. `first` is its jail's first process, `begun` when
/// it was started, and `heard` tells whether it has said one that is said.
pub fn is_ready(signs: &[Sign], first: i32, begun: &Begun, heard: &dyn Fn(&Sign) -> bool) -> bool {
    let shown = signs.iter().all(|sign| match sign {
        Sign::Log(_) | Sign::Notify => heard(sign),
        Sign::File(path) => begun.has_shown(path),
        Sign::Quiet(limit) => begun.elapsed() >= Duration::from_millis((*limit).into()),
        Sign::Tcp(_) | Sign::Udp(_) => true,
    });
    if !shown || signs.iter().all(|sign| sign.port().is_none()) {
        return shown;
    }
    // That somebody has a port takes a look at one file; whose it is, at the descriptors of the jail's
    // processes. Only where that is nobody who descends from the first one, all processes are looked at.
    let is_anybodys = || have_ports(signs, &sockets::listeners(first).unwrap_or_default());
    let is_of = |processes| have_ports(signs, &listeners_of(first, processes));
    is_anybodys()
        && (is_of(process::descendants(first))
            || is_of(process::companions(first).unwrap_or_default()))
}

fn have_ports(signs: &[Sign], listeners: &[Listener]) -> bool {
    let is_there = |port| {
        let mut found = listeners.iter();
        found.any(|found| (found.protocol, found.port) == port)
    };
    signs.iter().filter_map(Sign::port).all(is_there)
}
