//! Everything that a spec says, one by one, so that an export can account for each.

use std::fmt;
use std::path::PathBuf;

use crate::spec::{Demand, Direction, Protocol, Ready, Restart, Spec};
use crate::sys::{calls, caps, families};

/// One thing that a spec says. What belongs to gaoler's own work with the jail (exercises, accepted
/// findings, the test of the configuration) is none: no enforcer runs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// `service.command`
    Command,
    /// `service.user` and `service.group`
    User,
    /// `service.groups`, exactly
    Groups,
    /// `service.workdir`
    WorkingDirectory,
    /// `service.umask`
    Umask,
    /// `[service.environment]`, exactly
    Environment,
    /// `service.forks`
    Forks,
    /// `service.host_pid_file`
    HostPidFile,
    /// One of `service.ready`
    Ready(Ready),
    /// `service.reload_command` or `service.reload_signal`
    Reload,
    /// `service.stop` and `service.stop_timeout_s`
    Stop,
    /// `service.writable_executable` is not set
    NoWritableExecutable,
    /// A socket that is handed in, by name
    Socket(String),
    /// A path in the tree
    File(PathBuf),
    /// A place of the host; whether it can be written
    Bind(PathBuf, bool),
    /// A place in memory
    Scratch(PathBuf),
    /// A device node
    Device(PathBuf),
    /// Nothing else of the host's file system is there
    NothingElse,
    /// A capability that is kept
    Capability(u8),
    /// No other capability is
    NoOtherCapability,
    /// A call that is allowed
    Call(u32),
    /// It is allowed until the service is ready
    StartOnly(u32),
    /// No other call is
    NoOtherCall,
    /// No call of another architecture is
    NoOtherArchitecture,
    /// Arguments that are refused: of `ioctl`, `clone`, `setgroups`, `execve`
    Arguments(&'static str),
    /// What is refused is written down
    Logged,
    /// A socket family
    Family(u16),
    /// No other family is
    NoOtherFamily,
    /// A port
    Port(Direction, Protocol, u16),
    /// No other port of that kind is bound or connected to
    NoOtherPort(Direction, Protocol),
    /// No abstract Unix socket of others is connected to
    NoAbstractSocket,
    /// No file is opened from a directory that another process passes it as a descriptor
    NoPassedDirectory,
    /// The host's tools neither follow nor believe what it leaves in the places that it writes to
    NothingBelieved,
    /// A limit, by its name in the file
    Limit(&'static str),
    /// A namespace, by its name in the file
    Namespace(&'static str),
    /// No program gains what its file gives (`no_new_privs`)
    NoNewPrivileges,
    /// `[restart]`
    Restart,
    /// `[liveness]`
    Liveness,
    /// `[check]`
    Check,
    /// What may be an attack is noticed: `[incidents]`
    Incidents,
    /// `[log]`
    Log,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Command => f.write_str("command"),
            Item::User => f.write_str("user"),
            Item::Groups => f.write_str("groups"),
            Item::WorkingDirectory => f.write_str("workdir"),
            Item::Umask => f.write_str("umask"),
            Item::Environment => f.write_str("environment"),
            Item::Forks => f.write_str("forks"),
            Item::HostPidFile => f.write_str("pid file for the host's tools"),
            Item::Ready(sign) => write!(f, "ready {sign}"),
            Item::Reload => f.write_str("reload"),
            Item::Stop => f.write_str("stop"),
            Item::NoWritableExecutable => f.write_str("no memory that is written and executed"),
            Item::Socket(name) => write!(f, "socket {name}"),
            Item::File(path) => write!(f, "file {}", path.display()),
            Item::Bind(path, true) => write!(f, "bind {}, writable", path.display()),
            Item::Bind(path, false) => write!(f, "bind {}", path.display()),
            Item::Scratch(path) => write!(f, "scratch {}", path.display()),
            Item::Device(path) => write!(f, "device {}", path.display()),
            Item::NothingElse => f.write_str("no other file"),
            Item::Capability(number) => write!(f, "capability {}", capability(*number)),
            Item::NoOtherCapability => f.write_str("no other capability"),
            Item::Call(number) => write!(f, "call {}", call(*number)),
            Item::StartOnly(number) => write!(f, "call {} at the start only", call(*number)),
            Item::NoOtherCall => f.write_str("no other call"),
            Item::NoOtherArchitecture => f.write_str("no call of another architecture"),
            Item::Arguments(call) => write!(f, "arguments of {call}"),
            Item::Logged => f.write_str("refused calls are logged"),
            Item::Family(number) => write!(f, "family {}", family(*number)),
            Item::NoOtherFamily => f.write_str("no other family"),
            Item::Port(direction, protocol, port) => {
                write!(f, "{} {port}", ports(*direction, *protocol))
            }
            Item::NoOtherPort(direction, protocol) => {
                write!(f, "no other port: {}", ports(*direction, *protocol))
            }
            Item::NoAbstractSocket => f.write_str("no abstract socket of others"),
            Item::NoPassedDirectory => f.write_str("no file by a descriptor of others"),
            Item::NothingBelieved => f.write_str("nothing that it leaves is believed"),
            Item::Limit(name) => write!(f, "limit {name}"),
            Item::Namespace(name) => write!(f, "protection {name}"),
            Item::NoNewPrivileges => f.write_str("no new privileges"),
            Item::Restart => f.write_str("restart"),
            Item::Liveness => f.write_str("liveness"),
            Item::Check => f.write_str("check"),
            Item::Incidents => f.write_str("incidents"),
            Item::Log => f.write_str("log"),
        }
    }
}

/// The name of a call; its number if it has none here.
pub fn call(number: u32) -> String {
    calls::name(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// The name of a capability as `capabilities(7)` has it.
pub fn capability(number: u8) -> String {
    format!(
        "CAP_{}",
        caps::name(number).map_or_else(|| number.to_string(), str::to_owned)
    )
}

/// The name of a family as `address_families(7)` has it.
pub fn family(number: u16) -> String {
    let name = families::name(number).map(str::to_ascii_uppercase);
    format!("AF_{}", name.unwrap_or_else(|| number.to_string()))
}

fn ports(direction: Direction, protocol: Protocol) -> String {
    let direction = match direction {
        Direction::Bind => "bind",
        Direction::Connect => "connect",
    };
    let protocol = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{direction} {protocol}")
}

/// Everything that `spec` says, sorted, each once.
pub fn items(spec: &Spec) -> Vec<Item> {
    let mut all = Vec::new();
    of_service(spec, &mut all);
    of_tree(spec, &mut all);
    of_calls(spec, &mut all);
    of_network(spec, &mut all);
    of_rights(spec, &mut all);
    of_life(spec, &mut all);
    all.sort();
    all.dedup();
    all
}

fn of_service(spec: &Spec, all: &mut Vec<Item>) {
    let service = &spec.service;
    all.extend([
        Item::Command,
        Item::User,
        Item::Groups,
        Item::WorkingDirectory,
        Item::Umask,
        Item::Environment,
        Item::Stop,
    ]);
    all.extend(service.ready.iter().cloned().map(Item::Ready));
    if service.forks {
        all.push(Item::Forks);
    }
    if service.host_pid_file.is_some() {
        all.push(Item::HostPidFile);
    }
    if service.reload.is_some() {
        all.push(Item::Reload);
    }
    let sockets = spec.sockets.iter();
    all.extend(sockets.map(|socket| Item::Socket(socket.name.clone())));
}

fn of_tree(spec: &Spec, all: &mut Vec<Item>) {
    let files = spec.files.iter();
    all.extend(files.map(|rule| Item::File(rule.path.clone())));
    let binds = spec.binds.iter();
    all.extend(binds.map(|rule| Item::Bind(rule.path.clone(), rule.writable)));
    let scratch = spec.scratch.iter();
    all.extend(scratch.map(|rule| Item::Scratch(rule.path.clone())));
    let devices = spec.devices.iter();
    all.extend(devices.map(|rule| Item::Device(rule.path.clone())));
    all.push(Item::NothingElse);
}

/// The calls whose arguments the filter looks at beside families and executable memory.
const WITH_ARGUMENTS: [&str; 3] = ["clone", "ioctl", "setgroups"];

fn of_calls(spec: &Spec, all: &mut Vec<Item>) {
    if spec.protections.seccomp == Demand::Off {
        return;
    }
    all.extend([
        Item::NoOtherCall,
        Item::NoOtherArchitecture,
        Item::Logged,
        Item::Arguments("execve"),
    ]);
    if !spec.service.writable_executable {
        all.push(Item::NoWritableExecutable);
    }
    for rule in &spec.calls {
        all.push(Item::Call(rule.number));
        if rule.start_only {
            all.push(Item::StartOnly(rule.number));
        }
        let looked_at = |name: &&&str| calls::number(name) == Some(rule.number);
        let with = WITH_ARGUMENTS.iter().find(looked_at);
        all.extend(with.map(|name| Item::Arguments(name)));
    }
}

/// AF_UNIX (`address_families(7)`).
const UNIX: u16 = 1;

fn of_network(spec: &Spec, all: &mut Vec<Item>) {
    // The filter is what knows them.
    if spec.protections.seccomp != Demand::Off {
        all.extend(spec.families.iter().map(|rule| Item::Family(rule.family)));
        all.push(Item::NoOtherFamily);
    }
    let ports = spec.ports.iter();
    all.extend(ports.map(|rule| Item::Port(rule.direction, rule.protocol, rule.port)));
    // No layer of gaoler's knows the ports of UDP.
    if spec.protections.landlock != Demand::Off {
        all.push(Item::NoOtherPort(Direction::Bind, Protocol::Tcp));
        all.push(Item::NoOtherPort(Direction::Connect, Protocol::Tcp));
        // Where the family is not allowed, that says it.
        let unfiltered = spec.protections.seccomp == Demand::Off;
        if unfiltered || spec.families.iter().any(|rule| rule.family == UNIX) {
            all.extend([Item::NoAbstractSocket, Item::NoPassedDirectory]);
        }
    }
}

fn of_rights(spec: &Spec, all: &mut Vec<Item>) {
    let capabilities = spec.capabilities.iter();
    all.extend(capabilities.map(|rule| Item::Capability(rule.capability)));
    all.extend([Item::NoOtherCapability, Item::NoNewPrivileges]);
    let limits = &spec.limits;
    let named = [
        ("core", limits.core),
        ("descriptors", limits.descriptors),
        ("file_size", limits.file_size),
        ("memory_bytes", limits.memory),
        ("processes", limits.processes),
    ];
    let set = named.into_iter().filter(|(_, limit)| limit.is_some());
    all.extend(set.map(|(name, _)| Item::Limit(name)));
    let wanted = &spec.protections;
    let namespaces = [
        ("ipc_namespace", wanted.ipc_namespace),
        ("mount_namespace", wanted.mount_namespace),
        ("pid_namespace", wanted.pid_namespace),
        ("uts_namespace", wanted.uts_namespace),
    ];
    let on = namespaces
        .into_iter()
        .filter(|(_, demand)| *demand != Demand::Off);
    all.extend(on.map(|(name, _)| Item::Namespace(name)));
}

fn of_life(spec: &Spec, all: &mut Vec<Item>) {
    all.extend([Item::Incidents, Item::Log, Item::NothingBelieved]);
    if spec.restart != Restart::default() {
        all.push(Item::Restart);
    }
    if spec.liveness.is_some() {
        all.push(Item::Liveness);
    }
    if spec.check.every_s != 0 {
        all.push(Item::Check);
    }
}
