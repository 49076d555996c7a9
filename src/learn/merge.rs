//! Two traces of one service as one. Pure.
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::record::{MOST, MOST_NAMES};
use super::trace::{
    ArgumentsSeen, CallSeen, CapabilitySeen, CapabilitySource, Certificate, Known, PathKind,
    PathSeen, SocketSeen, Trace, Witness,
};
use crate::error::{Error, Result};

/// Unites two traces: what either shows is in the result, counts and numbers of runs add up, and
/// it is complete only if both are.
///
/// # Errors
/// They are of different commands, or show more than one trace may.
pub fn merge(one: Trace, other: Trace) -> Result<Trace> {
    let refused = |why: String| Error::usage("merge two traces", why);
    if one.command != other.command {
        let (one, other) = (one.command.join(" "), other.command.join(" "));
        let why = format!("they are of different commands: {one} and {other}");
        return Err(refused(why).hint("--again learns the new command, and keeps the old spec"));
    }
    let trace = Trace {
        command: one.command,
        certificate: certificates(one.certificate, other.certificate),
        calls: united(one.calls, other.calls),
        arguments: united(one.arguments, other.arguments),
        // What was denied in a jail is about that jail.
        failed: Vec::new(),
        foreign_calls: union(one.foreign_calls, other.foreign_calls),
        paths: united(one.paths, other.paths),
        sockets: united(one.sockets, other.sockets),
        ids: union(one.ids, other.ids),
        capabilities: united(one.capabilities, other.capabilities),
        writable_executable: one.writable_executable || other.writable_executable,
        handled_signals: union(one.handled_signals, other.handled_signals),
        blind: one.blind || other.blind,
    };
    for (count, what) in [
        (trace.paths.len(), "paths"),
        (trace.sockets.len(), "socket addresses"),
        (trace.capabilities.len(), "uses of capabilities"),
    ] {
        if count > MOST {
            return Err(refused(format!(
                "together they have more than {MOST} {what}"
            )));
        }
    }
    Ok(trace)
}

fn certificates(one: Certificate, other: Certificate) -> Certificate {
    Certificate {
        stops: one.stops.saturating_add(other.stops),
        records: one.records.saturating_add(other.records),
        complete: one.complete && other.complete,
        gaps: union(one.gaps, other.gaps),
        capabilities: if one.capabilities == other.capabilities {
            one.capabilities
        } else {
            CapabilitySource::Rule
        },
        by_rule: joined(&one.by_rule, &other.by_rule),
        processes: one.processes.saturating_add(other.processes),
        threads: one.threads.saturating_add(other.threads),
        runs: one.runs.saturating_add(other.runs),
        passes: one.passes.saturating_add(other.passes),
        one_pass: joined(&one.one_pass, &other.one_pass),
        free: union(one.free, other.free),
        watched: union(one.watched, other.watched),
        repeated: union(one.repeated, other.repeated),
        exercises: one.exercises.into_iter().chain(other.exercises).collect(),
        phases: union(one.phases, other.phases),
        kernel: joined(&one.kernel, &other.kernel),
        libc: joined(&one.libc, &other.libc),
        forked: one.forked || other.forked,
        ended_after_s: one.ended_after_s.max(other.ended_after_s),
    }
}

fn union<T: Ord>(one: Vec<T>, other: Vec<T>) -> Vec<T> {
    let both: BTreeSet<T> = one.into_iter().chain(other).collect();
    both.into_iter().collect()
}

/// Different texts one after the other.
fn joined(one: &str, other: &str) -> String {
    let texts = one.split("; ").chain(other.split("; "));
    let texts: BTreeSet<&str> = texts.filter(|text| !text.is_empty()).collect();
    texts.into_iter().collect::<Vec<_>>().join("; ")
}

/// Something that a trace has one of.
trait Item: Sized {
    /// What makes it the same thing in another trace.
    type Key: Ord;
    fn key(&self) -> Self::Key;
    /// Adds what another trace says of it.
    fn add(&mut self, other: Self);
}

fn united<T: Item>(one: Vec<T>, other: Vec<T>) -> Vec<T> {
    let mut all: BTreeMap<T::Key, T> = BTreeMap::new();
    for item in one.into_iter().chain(other) {
        match all.entry(item.key()) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut().add(item),
            std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(item)),
        }
    }
    all.into_values().collect()
}

impl Witness {
    fn add(&mut self, other: Self) {
        self.programs.extend(other.programs);
        self.exercises.extend(other.exercises);
        self.start = self.start.saturating_add(other.start);
        self.serve = self.serve.saturating_add(other.serve);
        self.runs = self.runs.saturating_add(other.runs);
    }
}

impl Item for CallSeen {
    type Key = (u32, String, super::trace::Phase);
    fn key(&self) -> Self::Key {
        (self.number, self.name.clone(), self.phase)
    }
    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.witness.add(other.witness);
    }
}

impl Item for ArgumentsSeen {
    type Key = (u32, String, super::trace::Phase, Vec<u64>);
    fn key(&self) -> Self::Key {
        (
            self.number,
            self.name.clone(),
            self.phase,
            self.values.clone(),
        )
    }
    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
    }
}

impl Item for PathSeen {
    type Key = PathBuf;
    fn key(&self) -> PathBuf {
        self.host.clone()
    }
    fn add(&mut self, other: Self) {
        // What was there after either run can be there.
        if (self.kind == PathKind::Missing, self.kind, self.device)
            > (other.kind == PathKind::Missing, other.kind, other.device)
        {
            (self.kind, self.device) = (other.kind, other.device);
        }
        self.asked.extend(other.asked);
        while self.asked.len() > MOST_NAMES {
            self.asked.pop_last();
        }
        let new = other.links.into_iter();
        let new: Vec<_> = new.filter(|link| !self.links.contains(link)).collect();
        self.links.extend(new);
        self.uses.extend(other.uses);
        self.failures.extend(other.failures);
        self.phase = self.phase.min(other.phase);
        self.count = self.count.saturating_add(other.count);
        self.witness.add(other.witness);
    }
}

impl Item for SocketSeen {
    type Key = (super::trace::SocketUse, u16, u16, i32, String, u16);
    fn key(&self) -> Self::Key {
        (
            self.action.clone(),
            self.family,
            self.kind,
            self.protocol,
            self.address.clone(),
            self.port,
        )
    }
    fn add(&mut self, other: Self) {
        self.phase = self.phase.min(other.phase);
        self.witness.add(other.witness);
    }
}

impl Item for CapabilitySeen {
    type Key = (u8, String, super::trace::Phase, Known, bool, u32);
    fn key(&self) -> Self::Key {
        let call = self.call.clone();
        let (known, refused, user) = (self.known, self.refused, self.user);
        (self.capability, call, self.phase, known, refused, user)
    }
    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.witness.add(other.witness);
    }
}
