//! Ports that somebody else has. Two services may share a port at different addresses, as a name
//! server and a stub resolver do (systemd-resolved's 127.0.0.53).

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use crate::host::sockets::{self, Owner};
use crate::learn::trace::{SocketSeen, SocketUse};
use crate::learn::{self, Trace};
use crate::spec::{Protocol, Ready};
use crate::{Error, Result};

/// errno of a port that is taken (`bind(2)`).
const EADDRINUSE: i32 = 98;

/// `SOCK_STREAM` (`socket(2)`).
const STREAM: u16 = 1;

/// How long killed processes keep what they held.
const GOING: Duration = Duration::from_millis(300);

/// A port that somebody holds.
struct Held {
    protocol: Protocol,
    port: u16,
    owner: Owner,
}

impl Held {
    fn error(&self, name: &str) -> Error {
        let protocol = match self.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        let owner = &self.owner;
        let whose = match owner.pid {
            Some(pid) => format!("process {pid} ({})", owner.command.join(" ")),
            None => "a process that cannot be seen from here".to_owned(),
        };
        let address = match owner.address {
            address if address.is_unspecified() => "every address".to_owned(),
            address => address.to_string(),
        };
        let why = format!(
            "{protocol} port {} is taken by {whose}, at {address}",
            self.port
        );
        Error::setup(format!("jail {name}"), why)
            .hint("stop that process, or give the service another port or address")
    }
}

/// Refuses if somebody waits on one of the ports at every address. Where a service that has not
/// been learned will wait is not known, so somebody at one address may be no hindrance.
///
/// # Errors
/// The port is taken, with the process that has it.
pub(super) fn are_free_everywhere(name: &str, ready: &[Ready]) -> Result<()> {
    let mut held = held(ready)?.into_iter();
    match held.find(|held| held.owner.address.is_unspecified()) {
        Some(held) => Err(held.error(name)),
        None => Ok(()),
    }
}

/// Refuses if somebody waits on one of the ports at an address at which the service was seen to
/// wait in the trace that is kept in the file `trace`, or at every one.
///
/// # Errors
/// The port is taken, with the process that has it; the trace cannot be read.
pub(super) fn are_free(name: &str, ready: &[Ready], trace: &Path) -> Result<()> {
    let held = held(ready)?;
    if held.is_empty() || !trace.exists() {
        return are_free_everywhere(name, ready);
    }
    let trace = learn::load(trace)?;
    let own: Vec<_> = trace.sockets.iter().filter_map(waits_at).collect();
    let is_own = |held: &&Held| {
        held.owner.address.is_unspecified()
            || own.iter().any(|(protocol, port, address)| {
                (*protocol, *port) == (held.protocol, held.port)
                    && (address.is_unspecified() || *address == held.owner.address)
            })
    };
    match held.iter().find(is_own) {
        Some(held) => Err(held.error(name)),
        None => Ok(()),
    }
}

/// Refuses a trace in which the service found a port taken.
///
/// # Errors
/// The port that was taken, with the process that has it.
pub(super) fn were_free(name: &str, trace: &Trace) -> Result<()> {
    // Of a socket that is a file, it finds its own from an earlier run.
    let taken = |seen: &&SocketSeen| {
        matches!(seen.action, SocketUse::BindFailed(EADDRINUSE)) && seen.port != 0
    };
    let Some(socket) = trace.sockets.iter().find(taken) else {
        return Ok(());
    };
    let protocol = protocol(socket);
    let address: Option<IpAddr> = socket.address.parse().ok();
    let in_the_way = |owner: &Owner| {
        address.is_none_or(|address| {
            address.is_unspecified()
                || owner.address.is_unspecified()
                || owner.address == address.to_canonical()
        })
    };
    let owners = sockets::owners(protocol, socket.port)?;
    let port = socket.port;
    Err(match owners.into_iter().find(in_the_way) {
        Some(owner) => Held {
            protocol,
            port,
            owner,
        }
        .error(name),
        None => Error::setup(
            format!("jail {name}"),
            format!("port {port} was taken by something that has gone away since"),
        )
        .hint("run it again"),
    })
}

/// The error of a service that has ended before it was ready: if somebody waits on one of its
/// ports, at whatever address, that is told first. Its own processes, which are killed with it, may
/// take a moment to go.
pub(super) fn explain(name: &str, ready: &[Ready], error: Error) -> Error {
    blame(name, error, || held(ready).unwrap_or_default())
}

fn blame(name: &str, error: Error, held: impl Fn() -> Vec<Held>) -> Error {
    if held().is_empty() {
        return error;
    }
    std::thread::sleep(GOING);
    let held = held();
    let Some(held) = held.first() else {
        return error;
    };
    let (_, why, hint) = error.parts();
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    held.error(name).hint(format!(
        "stop that process, or give the service another port or address ({why}{hint})"
    ))
}

/// Everybody else who waits on one of the ports. What is held here is held for the service.
fn held(ready: &[Ready]) -> Result<Vec<Held>> {
    let own = i32::try_from(std::process::id()).ok();
    let mut all = held_by_anybody(ready)?;
    all.retain(|held| held.owner.pid != own);
    Ok(all)
}

fn held_by_anybody(ready: &[Ready]) -> Result<Vec<Held>> {
    let mut all = Vec::new();
    for sign in ready {
        let (protocol, port) = match sign {
            Ready::Tcp(port) => (Protocol::Tcp, *port),
            Ready::Udp(port) => (Protocol::Udp, *port),
            Ready::File(_) | Ready::Log(_) | Ready::Notify | Ready::Quiet(_) => continue,
        };
        let owners = sockets::owners(protocol, port)?;
        all.extend(owners.into_iter().map(|owner| Held {
            protocol,
            port,
            owner,
        }));
    }
    Ok(all)
}

fn protocol(socket: &SocketSeen) -> Protocol {
    if socket.kind == STREAM {
        Protocol::Tcp
    } else {
        Protocol::Udp
    }
}

/// The end of a socket that was bound.
fn waits_at(socket: &SocketSeen) -> Option<(Protocol, u16, IpAddr)> {
    let address: IpAddr = socket.address.parse().ok()?;
    (socket.action == SocketUse::Bind && socket.port != 0)
        .then(|| (protocol(socket), socket.port, address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::learn::trace::{Phase, Witness};

    #[test]
    fn a_socket_file_of_an_earlier_run_is_no_taken_port() {
        let failed = |family, kind, address: &str, port| SocketSeen {
            action: SocketUse::BindFailed(EADDRINUSE),
            family,
            kind,
            protocol: 0,
            address: address.to_owned(),
            port,
            phase: Phase::Start,
            witness: Witness::default(),
        };
        let mut trace = Trace {
            sockets: vec![failed(1, STREAM, "/srv/own/sock", 0)],
            ..Trace::default()
        };
        assert!(were_free("web", &trace).is_ok());
        trace.sockets.push(failed(2, STREAM, "127.0.0.1", 1));
        let error = were_free("web", &trace).unwrap_err().to_string();
        assert!(error.contains("port 1 "), "{error}");
    }

    /// What is told if somebody has the port, who goes after a time or stays.
    fn told(goes_after: Option<Duration>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let held = || held_by_anybody(&[Ready::Tcp(port)]).unwrap();
        let error = Error::new("start web", "it exited with code 1");
        let Some(after) = goes_after else {
            let told = blame("web", error, held).to_string();
            drop(listener);
            return told;
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(after);
                drop(listener);
            });
            blame("web", error, held).to_string()
        })
    }

    #[test]
    fn what_is_held_for_the_service_is_in_nobody_s_way() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ready = [Ready::Tcp(listener.local_addr().unwrap().port())];
        assert_eq!(held_by_anybody(&ready).unwrap().len(), 1);
        assert!(held(&ready).unwrap().is_empty());
    }

    #[test]
    fn only_who_stays_is_in_the_way() {
        let stays = told(None);
        assert!(stays.contains("is taken by process"), "{stays}");
        let goes = told(Some(GOING / 6));
        assert!(
            goes.contains("exited with code 1") && !goes.contains("taken"),
            "{goes}"
        );
    }
}
