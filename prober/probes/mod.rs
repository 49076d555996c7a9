//! All probes, by what they are about.

mod devices;
mod files;
mod identity;
mod information;
mod kernel;
mod limits;
mod log;
mod memory;
mod messages;
mod mounts;
mod namespaces;
mod planted;
mod processes;
mod root;
mod sockets;
mod stand;
mod terminals;

pub use stand::stand;

use crate::Tried;
use crate::scene::Scene;

/// One attempt.
pub type Probe = fn(Scene) -> Tried;

/// The names of a file's probes, as in the table that gaoler has of them.
type Probes = &'static [(&'static str, Probe)];

const ALL: [Probes; 16] = [
    root::PROBES,
    mounts::PROBES,
    devices::PROBES,
    identity::PROBES,
    namespaces::PROBES,
    processes::PROBES,
    terminals::PROBES,
    sockets::PROBES,
    messages::PROBES,
    kernel::PROBES,
    memory::PROBES,
    files::PROBES,
    limits::PROBES,
    log::PROBES,
    planted::PROBES,
    information::PROBES,
];

/// The probe of this name.
pub fn find(name: &[u8]) -> Option<Probe> {
    let mut all = ALL.iter().flat_map(|probes| probes.iter());
    all.find(|(known, _)| known.as_bytes() == name)
        .map(|(_, probe)| *probe)
}
