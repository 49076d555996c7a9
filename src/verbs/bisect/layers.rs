//! The layers of a jail, as what can be turned off, and the rules of each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::candidates::{self, Candidates};
use crate::spec::{
    Allowance, BindRule, CallRule, CapabilityRule, Demand, Device, DeviceRule, Direction, Evidence,
    FamilyRule, Limits, PortRule, Protections, Protocol, ScratchRule, Spec,
};
use crate::sys::{calls, caps, families};

/// Why a rule is in a spec that is tried out.
const BECAUSE: &str = "bisect";

/// The last capability that a table has a name for is below this.
const MOST_CAPABILITIES: u8 = 64;

/// How large a writable place in memory may get, in KiB.
const SCRATCH_KIB: u32 = 64 << 10;

/// Where services write that need a place for a moment.
pub(super) const SCRATCH: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];

/// One thing that may be loosened.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The layer that it belongs to.
    pub layer: &'static str,
    /// What it is called.
    pub name: String,
    edit: Edit,
}

#[derive(Clone, Debug)]
enum Edit {
    Give(Allowance),
    Always(u32),
    Environment(String, String),
    Limit(fn(&mut Limits)),
    Enlarge(PathBuf),
    Off(fn(&mut Protections)),
    OffMounts,
    StartAsRoot,
}

impl Rule {
    fn give(layer: &'static str, allowance: Allowance) -> Self {
        Self {
            layer,
            name: allowance.name(),
            edit: Edit::Give(allowance),
        }
    }

    /// Loosens it in a spec.
    pub(super) fn apply(&self, spec: &mut Spec) {
        match &self.edit {
            Edit::Give(allowance) => allowance.clone().give(spec),
            Edit::Always(number) => {
                let rules = spec.calls.iter_mut();
                rules
                    .filter(|rule| rule.number == *number)
                    .for_each(|rule| rule.start_only = false);
            }
            Edit::Environment(name, value) => {
                let environment = &mut spec.service.environment;
                environment.insert(name.clone(), value.clone());
            }
            Edit::Limit(lift) => lift(&mut spec.limits),
            Edit::Enlarge(path) => {
                let places = spec.scratch.iter_mut();
                places
                    .filter(|place| place.path == *path)
                    .for_each(|place| place.size_kib = place.size_kib.max(SCRATCH_KIB));
            }
            Edit::Off(off) => off(&mut spec.protections),
            // Without a mount namespace nothing can be mounted.
            Edit::OffMounts if spec.binds.is_empty() && spec.scratch.is_empty() => {
                spec.protections.mount_namespace = Demand::Off;
            }
            Edit::OffMounts => {}
            Edit::StartAsRoot => spec.service.start_as_root = true,
        }
    }
}

/// One layer.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// What it is called as a whole.
    pub name: &'static str,
    /// Turns all of it off.
    pub off: Vec<Rule>,
    /// Turns it off bit by bit.
    pub rules: Vec<Rule>,
}

impl Layer {
    fn of(name: &'static str, rules: Vec<Rule>) -> Self {
        Self {
            name,
            off: rules.clone(),
            rules,
        }
    }

    fn protection(name: &'static str, off: fn(&mut Protections), rules: Vec<Rule>) -> Self {
        let off = Rule {
            layer: name,
            name: format!("protections.{name}"),
            edit: Edit::Off(off),
        };
        let rules = if rules.is_empty() {
            vec![off.clone()]
        } else {
            rules
        };
        Self {
            name,
            off: vec![off],
            rules,
        }
    }
}

/// All layers of a spec that have something to turn off, those first that say most. `too_large`
/// are places that must not be made writable, since they are the host's own.
pub(super) fn layers(spec: &Spec, known: &Candidates, too_large: &[PathBuf]) -> Vec<Layer> {
    let on = |demand: Demand| demand != Demand::Off;
    let wanted = &spec.protections;
    let mut layers = vec![
        Layer::of("environment", environment(known)),
        Layer::of("groups", groups(known)),
        Layer::of("limits", limits(spec)),
        Layer::of("devices", devices(spec)),
        Layer::of("capabilities", capabilities(spec, known.capabilities)),
    ];
    if on(wanted.seccomp) {
        let off = |protections: &mut Protections| protections.seccomp = Demand::Off;
        layers.push(Layer::protection("seccomp", off, filter(spec)));
    }
    if on(wanted.landlock) {
        let off = |protections: &mut Protections| protections.landlock = Demand::Off;
        layers.push(Layer::protection("landlock", off, ports(spec, known)));
    }
    layers.push(Layer::of("tree", tree(known)));
    layers.push(Layer::of("writable", writable(spec, known, too_large)));
    if !spec.service.start_as_root {
        let root = Rule {
            layer: "ids",
            name: "service.start_as_root".to_owned(),
            edit: Edit::StartAsRoot,
        };
        layers.push(Layer::of("ids", vec![root]));
    }
    type Off = fn(&mut Protections);
    let namespaces: [(&str, bool, Off); 4] = [
        ("cgroup", on(wanted.cgroup), |protections| {
            protections.cgroup = Demand::Off;
        }),
        ("ipc_namespace", on(wanted.ipc_namespace), |protections| {
            protections.ipc_namespace = Demand::Off;
        }),
        ("uts_namespace", on(wanted.uts_namespace), |protections| {
            protections.uts_namespace = Demand::Off;
        }),
        ("pid_namespace", on(wanted.pid_namespace), |protections| {
            protections.pid_namespace = Demand::Off;
        }),
    ];
    for (name, on, off) in namespaces {
        if on {
            layers.push(Layer::protection(name, off, Vec::new()));
        }
    }
    if on(wanted.mount_namespace) && spec.binds.is_empty() && spec.scratch.is_empty() {
        let off = Rule {
            layer: "mount_namespace",
            name: "protections.mount_namespace".to_owned(),
            edit: Edit::OffMounts,
        };
        layers.push(Layer::of("mount_namespace", vec![off]));
    }
    layers.retain(|layer| !layer.off.is_empty());
    layers
}

fn environment(known: &Candidates) -> Vec<Rule> {
    let variables = known.environment.iter();
    variables
        .map(|(name, value)| Rule {
            layer: "environment",
            name: format!("service.environment.{name}"),
            edit: Edit::Environment(name.clone(), value.clone()),
        })
        .collect()
}

fn groups(known: &Candidates) -> Vec<Rule> {
    let groups = known.groups.iter().cloned();
    groups
        .map(|group| Rule::give("groups", Allowance::Group(group)))
        .collect()
}

/// Those that are set; and how much its places in memory hold.
fn limits(spec: &Spec) -> Vec<Rule> {
    let limits = &spec.limits;
    type Lift = fn(&mut Limits);
    let all: [(&str, Option<u64>, Lift); 5] = [
        ("descriptors", limits.descriptors, |limits| {
            limits.descriptors = None;
        }),
        ("file_size_bytes", limits.file_size, |limits| {
            limits.file_size = None;
        }),
        ("processes", limits.processes, |limits| {
            limits.processes = None
        }),
        ("memory_bytes", limits.memory, |limits| limits.memory = None),
        ("core_bytes", limits.core, |limits| limits.core = None),
    ];
    let set = all.into_iter().filter(|(_, limit, _)| limit.is_some());
    let set = set.map(|(name, _, lift)| Rule {
        layer: "limits",
        name: format!("limits.{name}"),
        edit: Edit::Limit(lift),
    });
    let small = spec.scratch.iter();
    let small = small.filter(|place| place.size_kib < SCRATCH_KIB);
    let small = small.map(|place| Rule {
        layer: "limits",
        name: Allowance::Scratch(place.clone()).name(),
        edit: Edit::Enlarge(place.path.clone()),
    });
    set.chain(small).collect()
}

fn devices(spec: &Spec) -> Vec<Rule> {
    let all = [
        (Device::Null, "/dev/null"),
        (Device::Urandom, "/dev/urandom"),
        (Device::Random, "/dev/random"),
        (Device::Zero, "/dev/zero"),
        (Device::Full, "/dev/full"),
    ];
    let missing = all
        .into_iter()
        .filter(|(_, path)| is_free(spec, Path::new(path)));
    missing
        .map(|(device, path)| DeviceRule {
            path: path.into(),
            device,
            because: BECAUSE.to_owned(),
            evidence: Evidence::Person,
        })
        .map(|rule| Rule::give("devices", Allowance::Device(rule)))
        .collect()
}

/// Those that gaoler has itself: it cannot give others.
fn capabilities(spec: &Spec, own: u64) -> Vec<Rule> {
    let kept: BTreeSet<u8> = spec
        .capabilities
        .iter()
        .map(|rule| rule.capability)
        .collect();
    (0..MOST_CAPABILITIES)
        .filter(|number| caps::name(*number).is_some() && !kept.contains(number))
        .filter(|number| own >> number & 1 == 1)
        .map(|capability| CapabilityRule {
            capability,
            because: BECAUSE.to_owned(),
            evidence: Evidence::Person,
        })
        .map(|rule| Rule::give("capabilities", Allowance::Capability(rule)))
        .collect()
}

/// What the filter of system calls decides: families, phases, memory, and the calls themselves.
fn filter(spec: &Spec) -> Vec<Rule> {
    let allowed: BTreeSet<u16> = spec.families.iter().map(|rule| rule.family).collect();
    let families = families::names()
        .filter_map(families::number)
        .filter(|family| !allowed.contains(family))
        .map(|family| FamilyRule {
            family,
            because: BECAUSE.to_owned(),
            evidence: Evidence::Person,
        })
        .map(|rule| Rule::give("families", Allowance::Family(rule)));
    let start = spec.calls.iter().filter(|rule| rule.start_only);
    let phases = start.map(|rule| Rule {
        layer: "phase",
        name: Allowance::Call(rule.clone()).name(),
        edit: Edit::Always(rule.number),
    });
    let memory = (!spec.service.writable_executable)
        .then(|| Rule::give("write-xor-execute", Allowance::WritableExecutable));
    let known: BTreeSet<u32> = spec.calls.iter().map(|rule| rule.number).collect();
    let calls = (0..=calls::highest())
        .filter(|number| calls::name(*number).is_some() && !known.contains(number))
        .map(|number| CallRule {
            number,
            start_only: false,
            because: BECAUSE.to_owned(),
            evidence: Evidence::Person,
        })
        .map(|rule| Rule::give("seccomp", Allowance::Call(rule)));
    families.chain(phases).chain(memory).chain(calls).collect()
}

/// TCP ports: no layer enforces others.
fn ports(spec: &Spec, known: &Candidates) -> Vec<Rule> {
    let has = |direction, port| {
        let mut rules = spec.ports.iter();
        rules.any(|rule| {
            (rule.direction, rule.protocol, rule.port) == (direction, Protocol::Tcp, port)
        })
    };
    let mut rules = Vec::new();
    for direction in [Direction::Bind, Direction::Connect] {
        // Any port at all comes last: it says least.
        for port in known.ports.iter().copied().chain([0]) {
            if !has(direction, port) {
                let rule = PortRule {
                    direction,
                    protocol: Protocol::Tcp,
                    port,
                    because: BECAUSE.to_owned(),
                    evidence: Evidence::Person,
                };
                rules.push(Rule::give("ports", Allowance::Port(rule)));
            }
        }
    }
    rules
}

fn tree(known: &Candidates) -> Vec<Rule> {
    let files = known.files.iter().cloned().map(Allowance::File);
    let binds = known.directories.iter().map(|path| bind(path, false));
    files
        .chain(binds)
        .map(|allowance| Rule::give("tree", allowance))
        .collect()
}

/// Places that were read-only, and places that were not there.
fn writable(spec: &Spec, known: &Candidates, too_large: &[PathBuf]) -> Vec<Rule> {
    let fits = |path: &Path| !too_large.iter().any(|large| large == path);
    let read_only = spec.binds.iter().filter(|rule| !rule.writable);
    let bound = read_only
        .filter(|rule| fits(&rule.path))
        .map(|rule| BindRule {
            writable: true,
            ..rule.clone()
        })
        .map(|rule| Rule::give("binds", Allowance::Bind(rule)));
    let missing = known.writable.iter().filter(|path| fits(path));
    let missing = missing.map(|path| Rule::give("writable", bind(path, true)));
    let inside = known.files.iter().map(|rule| &rule.path);
    let others: Vec<&PathBuf> = inside
        .chain(&known.directories)
        .chain(&known.writable)
        .collect();
    let taken = |path: &Path| others.iter().any(|other| candidates::touch(other, path));
    let scratch = SCRATCH
        .into_iter()
        .map(Path::new)
        .filter(|path| is_free(spec, path) && !taken(path))
        .map(|path| ScratchRule {
            path: path.to_owned(),
            size_kib: SCRATCH_KIB,
            because: BECAUSE.to_owned(),
            evidence: Evidence::Person,
        })
        .map(|rule| Rule::give("writable", Allowance::Scratch(rule)));
    bound.chain(missing).chain(scratch).collect()
}

fn bind(path: &Path, writable: bool) -> Allowance {
    Allowance::Bind(BindRule {
        path: path.to_owned(),
        writable,
        because: BECAUSE.to_owned(),
        evidence: Evidence::Person,
    })
}

/// Whether nothing in the spec is at this path, above it or below.
pub(super) fn is_free(spec: &Spec, path: &Path) -> bool {
    let mounted = spec.binds.iter().map(|rule| &rule.path);
    let mounted = mounted.chain(spec.scratch.iter().map(|rule| &rule.path));
    let inside = spec.files.iter().map(|rule| &rule.path);
    let inside = inside.chain(spec.devices.iter().map(|rule| &rule.path));
    let program = spec.service.command.first().map(Path::new);
    program.is_none_or(|program| !program.starts_with(path))
        && !mounted.clone().any(|other| candidates::touch(other, path))
        && !inside.clone().any(|other| other.starts_with(path))
}
