//! A spec that was derived anew, with what a person made of the old one. Pure.
//!
//! Three specs are compared: what was derived at first, what the person has now, and what is
//! derived from more than then. Where the person's differs from the first, the person's stays.
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{
    BindRule, CallRule, CapabilityRule, Derived, DeviceRule, Direction, Evidence, FamilyRule,
    FileRule, Log, PortRule, Protocol, ScratchRule, Service, Spec,
};
use crate::sys::{calls, caps, families};

/// `new` with everything that a person wrote, changed or took out of `mine`, which was derived as
/// `first`. What was taken out is named in the notes.
pub fn keep(mine: &Spec, first: &Spec, new: Derived) -> Derived {
    let Derived {
        spec: new,
        mut notes,
    } = new;
    let notes_of = &mut notes;
    let mut spec = Spec {
        files: rules(&mine.files, &first.files, new.files, notes_of),
        binds: rules(&mine.binds, &first.binds, new.binds, notes_of),
        scratch: rules(&mine.scratch, &first.scratch, new.scratch, notes_of),
        devices: rules(&mine.devices, &first.devices, new.devices, notes_of),
        capabilities: rules(
            &mine.capabilities,
            &first.capabilities,
            new.capabilities,
            notes_of,
        ),
        calls: rules(&mine.calls, &first.calls, new.calls, notes_of),
        families: rules(&mine.families, &first.families, new.families, notes_of),
        ports: rules(&mine.ports, &first.ports, new.ports, notes_of),
        name: new.name,
        incomplete: new.incomplete,
        service: service(&mine.service, &first.service, new.service),
        exercises: pick(&mine.exercises, &first.exercises, new.exercises),
        limits: pick(&mine.limits, &first.limits, new.limits),
        protections: pick(&mine.protections, &first.protections, new.protections),
        restart: pick(&mine.restart, &first.restart, new.restart),
        liveness: pick(&mine.liveness, &first.liveness, new.liveness),
        check: pick(&mine.check, &first.check, new.check),
        incidents: pick(&mine.incidents, &first.incidents, new.incidents),
        log: Log {
            sink: pick(&mine.log.sink, &first.log.sink, new.log.sink),
            journal: pick(&mine.log.journal, &first.log.journal, new.log.journal),
        },
        accepted: mine.accepted.clone(),
        sockets: mine.sockets.clone(),
    };
    one_thing_each(&mut spec, mine);
    notes.sort();
    notes.dedup();
    Derived { spec, notes }
}

/// The person's, if it is not what was derived.
fn pick<T: Clone + PartialEq>(mine: &T, first: &T, new: T) -> T {
    if mine == first { new } else { mine.clone() }
}

fn service(mine: &Service, first: &Service, new: Service) -> Service {
    Service {
        command: pick(&mine.command, &first.command, new.command),
        user: pick(&mine.user, &first.user, new.user),
        group: pick(&mine.group, &first.group, new.group),
        groups: pick(&mine.groups, &first.groups, new.groups),
        start_as_root: pick(&mine.start_as_root, &first.start_as_root, new.start_as_root),
        refuses_root: pick(&mine.refuses_root, &first.refuses_root, new.refuses_root),
        unaided: pick(&mine.unaided, &first.unaided, new.unaided),
        accounts: pick(&mine.accounts, &first.accounts, new.accounts),
        workdir: pick(&mine.workdir, &first.workdir, new.workdir),
        environment: pick(&mine.environment, &first.environment, new.environment),
        umask: pick(&mine.umask, &first.umask, new.umask),
        config_test: pick(&mine.config_test, &first.config_test, new.config_test),
        ready: pick(&mine.ready, &first.ready, new.ready),
        reload: pick(&mine.reload, &first.reload, new.reload),
        stop: pick(&mine.stop, &first.stop, new.stop),
        stop_timeout_s: pick(
            &mine.stop_timeout_s,
            &first.stop_timeout_s,
            new.stop_timeout_s,
        ),
        pid_file: pick(&mine.pid_file, &first.pid_file, new.pid_file),
        host_pid_file: pick(&mine.host_pid_file, &first.host_pid_file, new.host_pid_file),
        forks: pick(&mine.forks, &first.forks, new.forks),
        writable_executable: pick(
            &mine.writable_executable,
            &first.writable_executable,
            new.writable_executable,
        ),
    }
}

/// A rule of one of the lists.
trait Rule: Clone + PartialEq {
    /// What can stand in its list only once.
    type Key: Ord;
    fn key(&self) -> Self::Key;
    fn evidence(&self) -> &Evidence;
    /// As if a person had written it.
    fn plain(&self) -> Self;
    /// For a note.
    fn in_words(&self) -> String;
}

fn rules<R: Rule>(mine: &[R], first: &[R], new: Vec<R>, notes: &mut Vec<String>) -> Vec<R> {
    let by_key = |rules: &[R]| -> BTreeMap<R::Key, R> {
        rules
            .iter()
            .map(|rule| (rule.key(), rule.clone()))
            .collect()
    };
    let (mut mine, mut first) = (by_key(mine), by_key(first));
    let mut kept: BTreeMap<R::Key, R> = BTreeMap::new();
    for rule in new {
        let key = rule.key();
        match (mine.remove(&key), first.remove(&key)) {
            (Some(own), first) if is_a_person_s(&own, first.as_ref()) => kept.insert(key, own),
            (None, Some(first)) if matches!(first.evidence(), Evidence::Observed(_)) => {
                let what = rule.in_words();
                notes.push(format!("{what}, not given: it was taken out of the spec"));
                None
            }
            _ => kept.insert(key, rule),
        };
    }
    for (key, own) in mine {
        if is_a_person_s(&own, first.get(&key)) {
            kept.insert(key, own);
        }
    }
    kept.into_values().collect()
}

/// Whether a person wrote the rule or changed something in it.
fn is_a_person_s<R: Rule>(own: &R, first: Option<&R>) -> bool {
    *own.evidence().origin() == Evidence::Person
        || first.is_none_or(|first| first.plain() != own.plain())
}

/// A path is one thing only: where the person made something else of it, that.
fn one_thing_each(spec: &mut Spec, mine: &Spec) {
    let mut taken: BTreeSet<PathBuf> = BTreeSet::new();
    for whose_turn in [true, false] {
        retain(&mut spec.files, &mine.files, whose_turn, &mut taken);
        retain(&mut spec.binds, &mine.binds, whose_turn, &mut taken);
        retain(&mut spec.scratch, &mine.scratch, whose_turn, &mut taken);
        retain(&mut spec.devices, &mine.devices, whose_turn, &mut taken);
    }
}

/// Takes the paths of those that are (not) in `mine`; of the others, those stay that are free.
fn retain<R: Rule<Key = PathBuf>>(
    rules: &mut Vec<R>,
    mine: &[R],
    own: bool,
    taken: &mut BTreeSet<PathBuf>,
) {
    rules.retain(|rule| mine.contains(rule) != own || taken.insert(rule.key()));
}

/// The same for every kind of rule, but for its key and its name.
macro_rules! rule {
    ($type:ty, $key:ty, $rule:ident, $own:expr, $words:expr) => {
        impl Rule for $type {
            type Key = $key;
            fn key(&self) -> $key {
                let $rule = self;
                $own
            }
            fn evidence(&self) -> &Evidence {
                &self.evidence
            }
            fn plain(&self) -> Self {
                Self {
                    evidence: Evidence::Person,
                    ..self.clone()
                }
            }
            fn in_words(&self) -> String {
                let $rule = self;
                $words
            }
        }
    };
}

rule!(
    FileRule,
    PathBuf,
    rule,
    rule.path.clone(),
    rule.path.display().to_string()
);
rule!(
    BindRule,
    PathBuf,
    rule,
    rule.path.clone(),
    rule.path.display().to_string()
);
rule!(
    ScratchRule,
    PathBuf,
    rule,
    rule.path.clone(),
    rule.path.display().to_string()
);
rule!(
    DeviceRule,
    PathBuf,
    rule,
    rule.path.clone(),
    rule.path.display().to_string()
);
rule!(CapabilityRule, u8, rule, rule.capability, {
    format!("CAP_{}", caps::name(rule.capability).unwrap_or("unknown"))
});
rule!(CallRule, u32, rule, rule.number, {
    format!("call {}", calls::name(rule.number).unwrap_or("unknown"))
});
rule!(FamilyRule, u16, rule, rule.family, {
    format!(
        "family {}",
        families::name(rule.family).unwrap_or("unknown")
    )
});
rule!(
    PortRule,
    (Direction, Protocol, u16),
    rule,
    (rule.direction, rule.protocol, rule.port),
    format!("port {}", rule.port)
);
