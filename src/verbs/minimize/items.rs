//! What is taken away in turn, and what becomes of a spec then.

use std::path::{Path, PathBuf};

use crate::spec::{Allowance, Evidence, Protocol, Spec};
use crate::sys::calls;

/// Calls that the filter lets any process make (`plan`'s policy): taking them out of a spec changes
/// nothing.
const ALWAYS: [&str; 4] = ["exit", "exit_group", "rt_sigreturn", "restart_syscall"];

/// One thing that may be superfluous.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// An allowance as a whole.
    Allowance(Allowance),
    /// That a place which is bound is writable.
    Writable(PathBuf),
}

impl Item {
    /// What it is called, here and in the progress that is kept.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Allowance(allowance) => allowance.name(),
            Self::Writable(path) => format!("writable {}", path.display()),
        }
    }

    /// Takes it out of a spec.
    pub(super) fn take(&self, spec: &mut Spec) {
        match self {
            Self::Allowance(allowance) => {
                allowance.take(spec);
            }
            Self::Writable(path) => {
                let binds = spec.binds.iter_mut().filter(|bind| bind.path == *path);
                binds.for_each(|bind| bind.writable = false);
            }
        }
    }

    /// Notes in a spec how it is known, where the spec has room for that.
    pub(super) fn mark(&self, spec: &mut Spec, known: impl Fn(Evidence) -> Evidence) {
        let Self::Allowance(allowance) = self else {
            return;
        };
        let mut allowance = allowance.clone();
        let evidence = match &mut allowance {
            Allowance::Bind(rule) => &mut rule.evidence,
            Allowance::Call(rule) => &mut rule.evidence,
            Allowance::Capability(rule) => &mut rule.evidence,
            Allowance::Device(rule) => &mut rule.evidence,
            Allowance::Family(rule) => &mut rule.evidence,
            Allowance::File(rule) => &mut rule.evidence,
            Allowance::Port(rule) => &mut rule.evidence,
            Allowance::Scratch(rule) => &mut rule.evidence,
            Allowance::Group(_) | Allowance::WritableExecutable => return,
        };
        *evidence = known(std::mem::take(evidence));
        allowance.replace(spec);
    }
}

/// The kinds of items, by the first word of their names.
pub(super) const KINDS: [&str; 11] = [
    "bind",
    "call",
    "capability",
    "device",
    "family",
    "file",
    "group",
    "port",
    "scratch",
    "service.writable_executable",
    "writable",
];

/// Everything that is tried, in groups of a kind, and what is not, with the reason. `only` these
/// kinds, if there are any.
pub(super) fn items(
    spec: &Spec,
    interpreter: &[String],
    only: &[String],
) -> (Vec<Vec<Item>>, Vec<(String, String)>) {
    let wanted = |name: &str| {
        let kind = name.split(' ').next().unwrap_or_default();
        only.is_empty() || only.iter().any(|only| only == kind)
    };
    let mut groups: Vec<Vec<Item>> = vec![Vec::new(); 10];
    let mut not_tried = Vec::new();
    for allowance in Allowance::all_of(spec) {
        if !wanted(&allowance.name()) {
            continue;
        }
        if let Some(why) = untouchable(&allowance, spec, interpreter) {
            not_tried.push((allowance.name(), why.to_owned()));
            continue;
        }
        // The most costly first; a place before what it is allowed.
        let kind = match &allowance {
            Allowance::Capability(_) => 0,
            Allowance::Call(_) => 1,
            Allowance::Device(_) => 2,
            Allowance::Family(_) => 3,
            Allowance::Port(_) => 4,
            Allowance::Scratch(_) => 5,
            Allowance::Group(_) | Allowance::WritableExecutable => 6,
            Allowance::Bind(_) => 7,
            Allowance::File(_) => 9,
        };
        if let Some(group) = groups.get_mut(kind) {
            group.push(Item::Allowance(allowance));
        }
    }
    let writable = spec.binds.iter().filter(|bind| bind.writable);
    if let Some(group) = groups.get_mut(8).filter(|_| wanted("writable")) {
        group.extend(writable.map(|bind| Item::Writable(bind.path.clone())));
    }
    groups.retain(|group| !group.is_empty());
    (groups, not_tried)
}

/// Why there is no use in taking it away.
fn untouchable(allowance: &Allowance, spec: &Spec, interpreter: &[String]) -> Option<&'static str> {
    let mut programs = spec
        .service
        .command
        .first()
        .into_iter()
        .chain(interpreter.first());
    match allowance {
        Allowance::File(rule) if programs.any(|program| Path::new(program) == rule.path) => {
            Some("it is the service's program")
        }
        Allowance::Call(rule) => {
            let name = calls::name(rule.number).unwrap_or_default();
            let why = "the filter lets any process make it";
            ALWAYS.contains(&name).then_some(why)
        }
        Allowance::Port(rule) if rule.protocol == Protocol::Udp => {
            Some("no layer enforces ports of datagrams")
        }
        _ => None,
    }
}
