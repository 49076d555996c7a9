//! One thing that a spec allows: to give it, to take it away, to name it. Pure.
#[cfg(test)]
mod tests;

use super::diff::Cost;
use super::{
    BindRule, CallRule, CapabilityRule, DeviceRule, Direction, Evidence, FamilyRule, FileKind,
    FileRule, PortRule, Protocol, ScratchRule, Spec,
};
use crate::sys::{calls, caps, families};

/// Something that the service may do or see. What a spec can allow once is one of these, whatever
/// else it says about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Allowance {
    /// A place of the host that is bound in.
    Bind(BindRule),
    /// A system call.
    Call(CallRule),
    /// A capability that is kept.
    Capability(CapabilityRule),
    /// A device node.
    Device(DeviceRule),
    /// A family of sockets.
    Family(FamilyRule),
    /// A path of the tree.
    File(FileRule),
    /// A supplementary group, by name.
    Group(String),
    /// A port.
    Port(PortRule),
    /// An empty writable place.
    Scratch(ScratchRule),
    /// Memory that is executable and writable, or was before.
    WritableExecutable,
}

impl Allowance {
    /// Everything that the spec allows.
    pub fn all_of(spec: &Spec) -> Vec<Self> {
        let Spec {
            name: _,
            incomplete: _,
            service,
            sockets: _,
            exercises: _,
            files,
            binds,
            scratch,
            devices,
            capabilities,
            calls,
            families,
            ports,
            limits: _,
            protections: _,
            check: _,
            restart: _,
            liveness: _,
            incidents: _,
            log: _,
            accepted: _,
        } = spec;
        let mut all: Vec<Self> = Vec::new();
        all.extend(binds.iter().cloned().map(Self::Bind));
        all.extend(calls.iter().cloned().map(Self::Call));
        all.extend(capabilities.iter().cloned().map(Self::Capability));
        all.extend(devices.iter().cloned().map(Self::Device));
        all.extend(families.iter().cloned().map(Self::Family));
        all.extend(files.iter().cloned().map(Self::File));
        all.extend(service.groups.iter().cloned().map(Self::Group));
        all.extend(ports.iter().cloned().map(Self::Port));
        all.extend(scratch.iter().cloned().map(Self::Scratch));
        all.extend(
            service
                .writable_executable
                .then_some(Self::WritableExecutable),
        );
        all
    }

    /// What it is called where specs are compared ([`super::diff`]).
    pub fn name(&self) -> String {
        match self {
            Self::Bind(rule) => format!("bind {}", rule.path.display()),
            Self::Call(rule) => named("call", calls::name(rule.number), rule.number),
            Self::Capability(rule) => {
                named("capability", caps::name(rule.capability), rule.capability)
            }
            Self::Device(rule) => format!("device {}", rule.path.display()),
            Self::Family(rule) => named("family", families::name(rule.family), rule.family),
            Self::File(rule) => format!("file {}", rule.path.display()),
            Self::Group(name) => format!("group {name}"),
            Self::Port(rule) => port_name(rule),
            Self::Scratch(rule) => format!("scratch {}", rule.path.display()),
            Self::WritableExecutable => "service.writable_executable".to_owned(),
        }
    }

    /// What having it costs.
    pub fn cost(&self) -> Cost {
        match self {
            Self::Bind(rule) if rule.writable => Cost::Writable,
            Self::Scratch(_) => Cost::Writable,
            Self::Bind(_) => Cost::Readable,
            Self::Call(_) => Cost::Call,
            Self::Capability(_) => Cost::Capability,
            Self::Device(_) => Cost::Device,
            Self::Family(_) => Cost::Family,
            Self::File(rule) => match rule.kind {
                FileKind::Data | FileKind::Directory | FileKind::Library => Cost::Readable,
                FileKind::Program => Cost::Program,
            },
            Self::Group(_) => Cost::Identity,
            Self::Port(_) => Cost::Port,
            Self::WritableExecutable => Cost::Protection,
        }
    }

    /// What needs it, and how that is known; `None` for what has neither in the file.
    pub fn reason(&self) -> Option<(&str, &Evidence)> {
        let (because, evidence) = match self {
            Self::Bind(rule) => (&rule.because, &rule.evidence),
            Self::Call(rule) => (&rule.because, &rule.evidence),
            Self::Capability(rule) => (&rule.because, &rule.evidence),
            Self::Device(rule) => (&rule.because, &rule.evidence),
            Self::Family(rule) => (&rule.because, &rule.evidence),
            Self::File(rule) => (&rule.because, &rule.evidence),
            Self::Port(rule) => (&rule.because, &rule.evidence),
            Self::Scratch(rule) => (&rule.because, &rule.evidence),
            Self::Group(_) | Self::WritableExecutable => return None,
        };
        Some((because, evidence))
    }

    /// Adds to what needs it.
    #[must_use]
    pub fn also_because(mut self, reason: &str) -> Self {
        let because = match &mut self {
            Self::Bind(rule) => &mut rule.because,
            Self::Call(rule) => &mut rule.because,
            Self::Capability(rule) => &mut rule.because,
            Self::Device(rule) => &mut rule.because,
            Self::Family(rule) => &mut rule.because,
            Self::File(rule) => &mut rule.because,
            Self::Port(rule) => &mut rule.because,
            Self::Scratch(rule) => &mut rule.because,
            Self::Group(_) | Self::WritableExecutable => return self,
        };
        if !because.is_empty() {
            because.push_str("; ");
        }
        because.push_str(reason);
        self
    }

    /// Gives it, in place of one of the same name.
    pub fn give(self, spec: &mut Spec) {
        self.take(spec);
        match self {
            Self::Bind(rule) => spec.binds.push(rule),
            Self::Call(rule) => spec.calls.push(rule),
            Self::Capability(rule) => spec.capabilities.push(rule),
            Self::Device(rule) => spec.devices.push(rule),
            Self::Family(rule) => spec.families.push(rule),
            Self::File(rule) => spec.files.push(rule),
            Self::Group(name) => spec.service.groups.push(name),
            Self::Port(rule) => spec.ports.push(rule),
            Self::Scratch(rule) => spec.scratch.push(rule),
            Self::WritableExecutable => spec.service.writable_executable = true,
        }
    }

    /// Puts it in the place of one of the same name, if there is one.
    pub fn replace(self, spec: &mut Spec) {
        let order = Self::all_of(spec);
        if !order.iter().any(|one| one.name() == self.name()) {
            return;
        }
        // Each goes to the end of its list in turn, so that their order stays.
        for one in order {
            let new = if one.name() == self.name() {
                self.clone()
            } else {
                one
            };
            new.give(spec);
        }
    }

    /// Takes it away, whatever else the spec says about it. `false` if the spec does not have it.
    pub fn take(&self, spec: &mut Spec) -> bool {
        let port = |rule: &PortRule| (rule.direction, rule.protocol, rule.port);
        match self {
            Self::Bind(own) => remove(&mut spec.binds, |rule| rule.path == own.path),
            Self::Call(own) => remove(&mut spec.calls, |rule| rule.number == own.number),
            Self::Capability(own) => remove(&mut spec.capabilities, |rule| {
                rule.capability == own.capability
            }),
            Self::Device(own) => remove(&mut spec.devices, |rule| rule.path == own.path),
            Self::Family(own) => remove(&mut spec.families, |rule| rule.family == own.family),
            Self::File(own) => remove(&mut spec.files, |rule| rule.path == own.path),
            Self::Group(own) => remove(&mut spec.service.groups, |name| name == own),
            Self::Port(own) => remove(&mut spec.ports, |rule| port(rule) == port(own)),
            Self::Scratch(own) => remove(&mut spec.scratch, |rule| rule.path == own.path),
            Self::WritableExecutable => std::mem::take(&mut spec.service.writable_executable),
        }
    }
}

fn remove<T>(rules: &mut Vec<T>, is: impl Fn(&T) -> bool) -> bool {
    let before = rules.len();
    rules.retain(|rule| !is(rule));
    rules.len() != before
}

fn named(kind: &str, name: Option<&str>, number: impl ToString) -> String {
    match name {
        Some(name) => format!("{kind} {name}"),
        None => format!("{kind} {}", number.to_string()),
    }
}

fn port_name(rule: &PortRule) -> String {
    let direction = match rule.direction {
        Direction::Bind => "bind",
        Direction::Connect => "connect",
    };
    let protocol = match rule.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    let port = match rule.port {
        0 => "any".to_owned(),
        port => port.to_string(),
    };
    format!("port {protocol} {direction} {port}")
}
