//! What a record's process would have needed, and whether a spec gives it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::audit::{AppArmor, Landlock, Object, Record, Seccomp, Selinux, What};
use super::super::calls;
use super::{Scope, paths};
use crate::learn::trace::Use;
use crate::spec::{Allowance, CapabilityRule, Direction, Evidence, FamilyRule, PortRule, Protocol};
use crate::sys::{caps, families};

/// Something that was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A system call; without a number, or foreign, no spec can allow it.
    Call {
        number: Option<u32>,
        name: String,
        /// The first four arguments, if the record has them.
        arguments: Option<[u64; 6]>,
    },
    Capability(u8),
    Family(u16),
    Path(PathBuf, BTreeSet<Use>),
    Port(Direction, Protocol, u16),
    WritableExecutable,
    /// Something that no spec is about.
    Other(String),
}

/// What a spec says to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Grant {
    /// It gives it.
    Has,
    /// It would, with this.
    Give(Box<Allowance>),
    /// No spec gives it.
    Never(&'static str),
}

/// What a record's process needed.
pub(super) fn of(record: &Record) -> Vec<Need> {
    match &record.what {
        What::Seccomp(seccomp) => vec![of_seccomp(seccomp, record)],
        What::AppArmor(apparmor) => vec![of_apparmor(apparmor)],
        What::Selinux(selinux) => of_selinux(selinux),
        What::Landlock(landlock) => of_landlock(landlock),
    }
}

fn of_seccomp(seccomp: &Seccomp, record: &Record) -> Need {
    let call = &seccomp.call;
    let native = call.arch.is_none_or(|arch| arch.is_native());
    let same = record.syscall.as_ref().filter(|made| made.call == *call);
    let arguments = same.map(|made| {
        let [first, second, third, fourth] = made.arguments.map(Option::unwrap_or_default);
        [first, second, third, fourth, 0, 0]
    });
    let arch = call
        .arch
        .and_then(|arch| arch.name())
        .unwrap_or("another architecture");
    // A name means the same on every architecture, a number does not.
    let by_name = call.name.as_deref().and_then(crate::sys::calls::number);
    let is_compat = seccomp.compat == Some(true);
    let number = match (native, is_compat) {
        (true, false) => call.number.or(by_name),
        (false, false) if !is_sibling(arch) => by_name,
        _ => None,
    };
    let name = number.and_then(crate::sys::calls::name).map(str::to_owned);
    let name = name
        .or_else(|| call.name.clone())
        .unwrap_or_else(|| match call.number {
            Some(number) if native => number.to_string(),
            Some(number) => format!("{number} of {arch}"),
            None => "of no number".to_owned(),
        });
    Need::Call {
        number,
        name,
        arguments,
    }
}

/// Another entry to the kernel of this machine, which the filter of a jail kills.
fn is_sibling(arch: &str) -> bool {
    cfg!(target_arch = "x86_64") && matches!(arch, "i386" | "x32")
}

fn of_apparmor(apparmor: &AppArmor) -> Need {
    if let Some(capability) = apparmor.capability {
        return Need::Capability(capability);
    }
    let is_network = apparmor.class.as_deref() == Some("net") || apparmor.family.is_some();
    if let Some(family) = apparmor.family.as_deref().filter(|_| is_network) {
        return match families::number(family) {
            Some(number) => Need::Family(number),
            None => Need::Other(format!("network {family}")),
        };
    }
    let is_file = apparmor
        .class
        .as_deref()
        .is_none_or(|class| class == "file")
        && !matches!(
            apparmor.operation.as_str(),
            "mount"
                | "umount"
                | "pivotroot"
                | "ptrace"
                | "signal"
                | "change_profile"
                | "change_hat"
        );
    let name = apparmor.name.as_ref().map(PathBuf::from);
    match name.filter(|_| is_file) {
        Some(path) if path.is_absolute() => {
            let mask = apparmor.denied.as_deref().or(apparmor.requested.as_deref());
            let mut uses = of_mask(mask.unwrap_or("r"), &apparmor.operation);
            // The name of a directory ends with a slash (apparmor.d(5)): who reads it, lists it.
            let is_directory = path.as_os_str().as_encoded_bytes().ends_with(b"/");
            if is_directory && uses.remove(&Use::Read) {
                uses.insert(Use::List);
            }
            Need::Path(path.components().collect(), uses)
        }
        _ => {
            let target = apparmor.name.as_ref().or(apparmor.peer.as_ref());
            let target = target.map(|target| target.to_string_lossy());
            let target = target.map_or_else(String::new, |target| format!(" {target}"));
            Need::Other(format!("{}{target}", apparmor.operation))
        }
    }
}

/// The letters of apparmor.d(5), and those that only records have: `c` to make, `d` to remove.
fn of_mask(mask: &str, operation: &str) -> BTreeSet<Use> {
    let mut uses: BTreeSet<Use> = mask
        .chars()
        .filter_map(|letter| match letter {
            'r' => Some(Use::Read),
            'w' | 'a' | 'k' => Some(Use::Write),
            'c' | 'l' => Some(Use::Create),
            'd' => Some(Use::Delete),
            'm' => Some(Use::Map),
            'x' => Some(Use::Execute),
            _ => None,
        })
        .collect();
    match operation {
        "connect" => uses.extend([Use::Connect]),
        "mknod" | "mkdir" | "link" | "symlink" | "rename_dest" => uses.extend([Use::Create]),
        "unlink" | "rmdir" | "rename_src" => uses.extend([Use::Delete]),
        _ => {}
    }
    uses
}

fn of_selinux(selinux: &Selinux) -> Vec<Need> {
    let has = |wanted: &str| selinux.permissions.iter().any(|one| one == wanted);
    let other = || {
        vec![Need::Other(format!(
            "{} {}",
            selinux.tclass,
            selinux.permissions.join(" ")
        ))]
    };
    if let Some(capability) = selinux.capability {
        return vec![Need::Capability(capability)];
    }
    match selinux.tclass.as_str() {
        class if class.starts_with("capability") => {
            let names = selinux.permissions.iter();
            let known: Vec<Need> = names
                .filter_map(|name| caps::number(name))
                .map(Need::Capability)
                .collect();
            if known.is_empty() { other() } else { known }
        }
        "file" | "dir" | "lnk_file" | "sock_file" | "fifo_file" | "chr_file" | "blk_file" => {
            match &selinux.object.path {
                Some(path) if path.is_absolute() => {
                    vec![Need::Path(path.clone(), of_permissions(selinux))]
                }
                _ => vec![Need::Other(format!(
                    "{} {}",
                    selinux.tclass,
                    unnamed(&selinux.object)
                ))],
            }
        }
        "process" if has("execmem") || has("execheap") || has("execstack") => {
            vec![Need::WritableExecutable]
        }
        class if class.ends_with("socket") => {
            of_socket(selinux, class).map_or_else(other, |need| vec![need])
        }
        _ => other(),
    }
}

fn unnamed(object: &Object) -> String {
    match &object.name {
        Some(name) => name.to_string_lossy().into_owned(),
        None => "of no name".to_owned(),
    }
}

fn of_permissions(selinux: &Selinux) -> BTreeSet<Use> {
    let is_directory = selinux.tclass == "dir";
    let permission = |name: &String| match name.as_str() {
        "read" | "ioctl" | "watch" if is_directory => Some(Use::List),
        "read" | "ioctl" | "open" | "watch" => Some(Use::Read),
        "write" | "append" | "lock" if !is_directory => Some(Use::Write),
        "write" | "add_name" | "create" | "link" | "rename" | "reparent" => Some(Use::Create),
        "remove_name" | "unlink" | "rmdir" => Some(Use::Delete),
        "setattr" | "relabelfrom" | "relabelto" => Some(Use::Change),
        "execute" | "execute_no_trans" | "entrypoint" => Some(Use::Execute),
        "map" => Some(Use::Map),
        "search" => Some(Use::Enter),
        "getattr" => Some(Use::Look),
        _ => None,
    };
    selinux.permissions.iter().filter_map(permission).collect()
}

fn of_socket(selinux: &Selinux, class: &str) -> Option<Need> {
    let has = |wanted: &str| selinux.permissions.iter().any(|one| one == wanted);
    let protocol = match class {
        "tcp_socket" => Some(Protocol::Tcp),
        "udp_socket" => Some(Protocol::Udp),
        _ => None,
    };
    let network = &selinux.network;
    if let (true, Some(protocol), Some(port)) = (has("name_bind"), protocol, network.source.port) {
        return Some(Need::Port(Direction::Bind, protocol, port));
    }
    let to = network.destination.port;
    if let (true, Some(protocol), Some(port)) = (has("name_connect"), protocol, to) {
        return Some(Need::Port(Direction::Connect, protocol, port));
    }
    let family = match class {
        "tcp_socket" | "udp_socket" | "rawip_socket" => "inet",
        "packet_socket" => "packet",
        class if class.starts_with("unix_") => "unix",
        class if class.starts_with("netlink_") => "netlink",
        _ => return None,
    };
    let makes = has("create");
    families::number(family).filter(|_| makes).map(Need::Family)
}

fn of_landlock(landlock: &Landlock) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let mut uses = BTreeSet::new();
    for blocker in &landlock.blockers {
        match blocker.as_str() {
            "net.bind_tcp" => needs.extend(port(landlock, Direction::Bind)),
            "net.connect_tcp" => needs.extend(port(landlock, Direction::Connect)),
            "fs.execute" => uses.extend([Use::Execute]),
            "fs.read_file" => uses.extend([Use::Read]),
            "fs.read_dir" => uses.extend([Use::List]),
            "fs.write_file" | "fs.truncate" => uses.extend([Use::Write]),
            "fs.ioctl_dev" => uses.extend([Use::Read]),
            name if name.starts_with("fs.make_") => uses.extend([Use::Create]),
            name if name.starts_with("fs.remove_") => uses.extend([Use::Delete]),
            "fs.refer" => uses.extend([Use::Create, Use::Delete]),
            other => needs.push(Need::Other(other.to_owned())),
        }
    }
    match &landlock.object.path {
        Some(path) if !uses.is_empty() => {
            // For a name in a directory, the kernel names the directory.
            let names = uses.contains(&Use::Create) || uses.contains(&Use::Delete);
            let path = if names { path.join("*") } else { path.clone() };
            needs.push(Need::Path(path, uses));
        }
        _ if !uses.is_empty() => needs.push(Need::Other(landlock.blockers.join(", "))),
        _ => {}
    }
    needs
}

fn port(landlock: &Landlock, direction: Direction) -> Option<Need> {
    let network = &landlock.network;
    let end = match direction {
        Direction::Bind => network.source,
        Direction::Connect => network.destination,
    };
    end.port
        .map(|port| Need::Port(direction, Protocol::Tcp, port))
}

/// Why something is in a spec that came of a record.
pub(super) const BECAUSE: &str = "a record of the kernel, allowed by a person";

impl Need {
    /// In words.
    pub fn name(&self) -> String {
        match self {
            Need::Call { name, .. } => format!("call {name}"),
            Need::Capability(number) => {
                format!("CAP_{}", caps::name(*number).unwrap_or("unknown"))
            }
            Need::Family(number) => {
                format!("family {}", families::name(*number).unwrap_or("unknown"))
            }
            Need::Path(path, _) => path.display().to_string(),
            Need::Port(direction, protocol, port) => rule(*direction, *protocol, *port).name(),
            Need::WritableExecutable => "memory that is written and executed".to_owned(),
            Need::Other(name) => name.clone(),
        }
    }

    pub fn grant(&self, scope: &Scope<'_>) -> Grant {
        let spec = scope.spec;
        let given = |there: bool, allowance: Allowance| {
            if there {
                Grant::Has
            } else {
                Grant::Give(Box::new(allowance))
            }
        };
        match self {
            Need::Call { number: None, .. } => Grant::Never(
                "a spec names the calls of its own machine, and the filter kills those of its \
                 other entries",
            ),
            Need::Call {
                number: Some(number),
                ..
            } if crate::sys::calls::name(*number).is_none() => {
                Grant::Never("a spec names its calls, and this one has no name here")
            }
            Need::Call {
                number: Some(number),
                arguments,
                ..
            } => {
                let made = arguments.unwrap_or_default();
                let allowance = calls::allowance(spec, *number, made, false, BECAUSE);
                // What it asked for is only known with its arguments.
                let is_known =
                    |one: &Allowance| arguments.is_some() || matches!(one, Allowance::Call(_));
                match allowance.filter(is_known) {
                    Some(allowance) => Grant::Give(Box::new(allowance)),
                    None => Grant::Has,
                }
            }
            Need::Capability(number) => given(
                spec.capabilities
                    .iter()
                    .any(|rule| rule.capability == *number),
                Allowance::Capability(CapabilityRule {
                    capability: *number,
                    because: BECAUSE.to_owned(),
                    evidence: Evidence::default(),
                }),
            ),
            Need::Family(number) => given(
                spec.families.iter().any(|rule| rule.family == *number),
                Allowance::Family(FamilyRule {
                    family: *number,
                    because: BECAUSE.to_owned(),
                    evidence: Evidence::default(),
                }),
            ),
            Need::Port(direction, protocol, port) => {
                let is_there = spec.ports.iter().any(|rule| {
                    (rule.direction, rule.protocol) == (*direction, *protocol)
                        && (rule.port == *port || rule.port == 0)
                });
                given(is_there, rule(*direction, *protocol, *port))
            }
            Need::WritableExecutable => given(
                spec.service.writable_executable,
                Allowance::WritableExecutable,
            ),
            Need::Path(path, uses) => paths::grant(scope, path, uses),
            Need::Other(_) => Grant::Never("no spec is about that"),
        }
    }
}

fn rule(direction: Direction, protocol: Protocol, port: u16) -> Allowance {
    Allowance::Port(PortRule {
        direction,
        protocol,
        port,
        because: BECAUSE.to_owned(),
        evidence: Evidence::default(),
    })
}
