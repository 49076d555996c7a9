//! Families, ports, and sockets that are handed in.

use std::path::PathBuf;

use super::confine::allows;
use super::keys;
use super::text::{comment, plain};
use super::unit::Unit;
use crate::audit::Severity;
use crate::export::item::family;
use crate::export::{ExportedFile, Item, Loss};
use crate::spec::{Demand, Direction, Listen, Protocol, SocketRule, Spec};
use crate::sys::{caps, families};
use crate::{Error, Result};

/// Below this, a port needs a capability (`net.ipv4.ip_unprivileged_port_start`, `ip(7)`).
const FIRST_UNPRIVILEGED: u16 = 1024;

/// The file that opens the service's low ports to everybody, if that is wanted.
///
/// # Errors
/// It has none, or does not bind them by a capability.
pub fn open_ports(unit: &Unit<'_>, wanted: bool) -> Result<Option<ExportedFile>> {
    if !wanted {
        return Ok(None);
    }
    let spec = unit.subject.spec;
    let name = &spec.name;
    let number = caps::number("NET_BIND_SERVICE");
    let mut kept = spec.capabilities.iter();
    let lowest = low_ports(spec).min();
    let (Some(lowest), true) = (lowest, kept.any(|rule| Some(rule.capability) == number)) else {
        return Err(Error::usage(
            format!("open the low ports of {name} to everybody"),
            "it keeps no capability for one",
        )
        .hint("leave --open-ports out: there is nothing to gain"));
    };
    let path = PathBuf::from(format!("50-gaoler-{name}.conf"));
    let text = format!(
        "{}\nnet.ipv4.ip_unprivileged_port_start = {lowest}\n",
        comment(&format!(
            "{name} binds port {lowest} without a capability; so can everybody else from here on up."
        ))
    );
    Ok(Some(ExportedFile {
        install: PathBuf::from("/etc/sysctl.d").join(&path),
        path,
        text,
        executable: false,
    }))
}

fn low_ports(spec: &Spec) -> impl Iterator<Item = u16> {
    spec.ports
        .iter()
        .filter(|rule| rule.direction == Direction::Bind)
        .map(|rule| rule.port)
        .filter(|port| (1..FIRST_UNPRIVILEGED).contains(port))
}

/// Says families, ports and sockets. `open_ports`: low ports are everybody's.
pub fn say(unit: &mut Unit<'_>, open_ports: bool) {
    say_families(unit);
    say_ports(unit);
    say_sockets(unit);
    if open_ports {
        let low: Vec<u16> = low_ports(unit.subject.spec).collect();
        let ports = unit.subject.spec.ports.iter();
        let items = ports
            .filter(|rule| low.contains(&rule.port))
            .map(|rule| Item::Port(rule.direction, rule.protocol, rule.port));
        unit.ledger.gap(
            items,
            Loss::Loosened,
            Severity::Low,
            "every user of the host may bind these ports and those above, and so be there before the \
             service is",
        );
    }
}

fn say_families(unit: &mut Unit<'_>) {
    let spec = unit.subject.spec;
    if spec.protections.seccomp == Demand::Off {
        return;
    }
    for rule in &spec.families {
        unit.set(
            "RestrictAddressFamilies",
            family(rule.family),
            rule.because.clone(),
        );
        unit.ledger.said(&Item::Family(rule.family));
    }
    let unix = families::number("unix");
    let has_unix = spec.families.iter().any(|rule| Some(rule.family) == unix);
    let none_said = !spec.families.is_empty()
        || (unit.version >= keys::NO_FAMILY
            && unit.set("RestrictAddressFamilies", "none", "it makes no sockets"));
    if !none_said && allows(spec, "socket") {
        unit.ledger.gap(
            [Item::NoOtherFamily],
            Loss::Loosened,
            Severity::Medium,
            "sockets of any family: systemd 249 is the first that can allow none",
        );
    } else if allows(spec, "socketpair") && !has_unix {
        unit.ledger.gap(
            [Item::NoOtherFamily],
            Loss::Loosened,
            Severity::Info,
            "it can make pairs of Unix sockets, which are connected with each other alone",
        );
    } else {
        unit.ledger.said(&Item::NoOtherFamily);
    }
    alone(unit);
}

/// Without a family that leads anywhere, it needs no network.
fn alone(unit: &mut Unit<'_>) {
    let spec = unit.subject.spec;
    let unix = families::number("unix");
    let is_local = |socket: &SocketRule| matches!(socket.listen, Listen::Unix(_));
    let local = spec.families.iter().all(|rule| Some(rule.family) == unix);
    if local && spec.sockets.iter().all(is_local) {
        unit.set(
            "PrivateNetwork",
            "yes",
            "it speaks with nobody over a network",
        );
    }
}

fn say_ports(unit: &mut Unit<'_>) {
    let spec = unit.subject.spec;
    for rule in &spec.ports {
        unit.ledger
            .said(&Item::Port(rule.direction, rule.protocol, rule.port));
    }
    let no_other = [Item::NoOtherPort(Direction::Bind, Protocol::Tcp)];
    let bound = |protocol| {
        let rules = spec
            .ports
            .iter()
            .filter(move |rule| rule.direction == Direction::Bind && rule.protocol == protocol);
        rules.collect::<Vec<_>>()
    };
    let (tcp, udp) = (bound(Protocol::Tcp), bound(Protocol::Udp));
    // 0 is any port that is free: systemd can say a port or all of them.
    let any = |rules: &[&crate::spec::PortRule]| rules.iter().any(|rule| rule.port == 0);
    if any(&tcp) && any(&udp) {
        unit.ledger.gap(
            no_other,
            Loss::Loosened,
            Severity::Low,
            "it binds any TCP port: it needs any that is free, and systemd can allow one or all",
        );
        return;
    }
    if !unit.set("SocketBindDeny", "any", "no port but these") {
        unit.ledger.gap(
            no_other,
            Loss::Loosened,
            Severity::Low,
            "it binds any port: systemd 249 is the first that can forbid it",
        );
        return;
    }
    for (protocol, rules) in [("tcp", &tcp), ("udp", &udp)] {
        for rule in rules {
            let value = match any(rules) {
                true => protocol.to_owned(),
                false => format!("{protocol}:{}", rule.port),
            };
            unit.set("SocketBindAllow", value, rule.because.clone());
        }
    }
    let why = match any(&tcp) {
        true => {
            "it binds any TCP port: it needs any that is free, and systemd can allow one or all"
        }
        false => {
            "it binds any port where systemd has been built without BPF (-BPF_FRAMEWORK in \
             \"systemctl --version\", as Debian 12's) or the kernel has none: SocketBindDeny does nothing there"
        }
    };
    unit.ledger
        .gap(no_other, Loss::Loosened, Severity::Low, why);
}

fn say_sockets(unit: &mut Unit<'_>) {
    let spec = unit.subject.spec;
    let name = &spec.name;
    for socket in &spec.sockets {
        let item = Item::Socket(socket.name.clone());
        if socket.listen == Listen::Manager {
            unit.ledger.gap(
                [item],
                Loss::Lost,
                Severity::Info,
                "the spec leaves it to the manager where it listens: it needs a socket unit that \
                 says so",
            );
            continue;
        }
        unit.say(
            &[item],
            "Sockets",
            format!("{name}-{}.socket", socket.name),
            socket.because.clone(),
        );
    }
}

/// A socket unit for each socket that is handed in.
///
/// # Errors
/// A path or name that a unit file cannot hold.
pub fn sockets(unit: &Unit<'_>, options: &super::Options) -> Result<Vec<ExportedFile>> {
    let spec = unit.subject.spec;
    let mut files = Vec::new();
    for socket in &spec.sockets {
        let Some(listen) = listens(&socket.listen)? else {
            continue;
        };
        let service = super::service_name(&spec.name, options);
        let path = PathBuf::from(format!("{}-{}.socket", spec.name, socket.name));
        files.push(ExportedFile {
            install: PathBuf::from("/etc/systemd/system").join(&path),
            path,
            text: socket_unit(socket, &listen, &service)?,
            executable: false,
        });
    }
    Ok(files)
}

/// The line that says where it listens; `None` if that is the manager's.
fn listens(listen: &Listen) -> Result<Option<String>> {
    Ok(match listen {
        Listen::Tcp(address) => Some(format!("ListenStream={address}")),
        Listen::Udp(address) => Some(format!("ListenDatagram={address}")),
        Listen::Unix(path) => Some(format!("ListenStream={}", plain(&path.to_string_lossy())?)),
        Listen::Manager => None,
    })
}

fn socket_unit(socket: &SocketRule, listen: &str, service: &str) -> Result<String> {
    let mut text = format!(
        "{}\n[Socket]\n{listen}\nFileDescriptorName={}\nService={service}\n",
        comment(&socket.because),
        plain(&socket.name)?
    );
    if socket.listen.has_backlog() {
        text += &format!("Backlog={}\n", socket.backlog);
    }
    if socket.listen.is_ipv6() {
        let only = if socket.only_ipv6 {
            "ipv6-only"
        } else {
            "both"
        };
        text += &format!("BindIPv6Only={only}\n");
    }
    if socket.reuse_port {
        text.push_str("ReusePort=yes\n");
    }
    if matches!(socket.listen, Listen::Unix(_)) {
        text += &format!("SocketMode={:04o}\n", socket.mode);
        for (key, name) in [("SocketUser", &socket.user), ("SocketGroup", &socket.group)] {
            if let Some(name) = name {
                text += &format!("{key}={}\n", plain(name)?);
            }
        }
    }
    text.push_str("\n[Install]\nWantedBy=sockets.target\n");
    Ok(text)
}
