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
/// it was started, and `heard` tells whether it has said one that is said.
pub fn is_ready(signs: &[Sign], first: i32, begun: &Begun, heard: &dyn Fn(&Sign) -> bool) -> bool {
    let shown = signs.iter().all(|sign| match sign {
        Sign::Log(_) | Sign::Notify => heard(sign),
        Sign::File(path) => begun.has_shown(path),
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
