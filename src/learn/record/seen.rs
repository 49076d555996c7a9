//! From what was counted to what a trace has of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::trace::{
    ArgumentsSeen, CapabilitySeen, PathKind, PathSeen, Phase, SocketSeen, Witness,
};
use super::{CapabilityKey, SocketKey, Tally};

/// From the numbers of a tally to names.
pub(super) struct Numbered<'a> {
    pub(super) programs: &'a [String],
    pub(super) exercises: &'a [String],
}

impl Numbered<'_> {
    pub(super) fn witness(&self, tally: &Tally) -> Witness {
        let program = |number: &u16| self.programs.get(usize::from(*number)).cloned();
        let exercise = |number: &u16| {
            let index = usize::from(*number).checked_sub(1)?;
            self.exercises.get(index).cloned()
        };
        Witness {
            programs: tally.programs.iter().filter_map(program).collect(),
            exercises: tally.exercises.iter().filter_map(exercise).collect(),
            start: tally.start,
            serve: tally.serve,
            ..Witness::default()
        }
    }
}

pub(super) fn new_path(host: &Path, phase: Phase) -> PathSeen {
    PathSeen {
        host: host.to_owned(),
        asked: BTreeSet::new(),
        links: Vec::new(),
        kind: PathKind::Missing,
        device: None,
        uses: BTreeSet::new(),
        failures: BTreeSet::new(),
        phase,
        count: 0,
        witness: Witness::default(),
    }
}

pub(super) fn arguments_seen(
    arguments: BTreeMap<(u32, Phase), BTreeMap<Vec<u64>, u64>>,
    name: impl Fn(u32) -> String,
) -> Vec<ArgumentsSeen> {
    let mut all = Vec::new();
    for ((number, phase), seen) in arguments {
        all.extend(seen.into_iter().map(|(values, count)| ArgumentsSeen {
            number,
            name: name(number),
            phase,
            values,
            count,
        }));
    }
    all
}

pub(super) fn capability_seen(
    key: CapabilityKey,
    tally: &Tally,
    names: &Numbered<'_>,
) -> CapabilitySeen {
    let (capability, call, phase, known, refused, user) = key;
    CapabilitySeen {
        capability,
        call,
        phase,
        count: tally.count(),
        known,
        refused,
        user,
        witness: names.witness(tally),
    }
}

pub(super) fn socket_seen(key: SocketKey, phase: Phase, witness: Witness) -> SocketSeen {
    let (action, family, kind, protocol, address, port) = key;
    SocketSeen {
        action,
        family,
        kind,
        protocol,
        address,
        port,
        phase,
        witness,
    }
}
