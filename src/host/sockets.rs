//! Who listens where: `/proc/PID/net/{tcp,tcp6,udp,udp6}` joined with the descriptors of the
//! processes.

use std::collections::BTreeMap;
use std::fs;

use super::process;
use crate::spec::Protocol;
use crate::{Doing, Result};

/// The state of a listening TCP socket in `/proc/net/tcp` (`TCP_LISTEN` of the kernel).
const LISTENING: &str = "0A";

/// A bound UDP socket without a peer (`TCP_CLOSE`).
const BOUND: &str = "07";

/// A socket that waits for others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Its port.
    pub port: u16,
    /// Its inode.
    pub inode: u64,
}

/// The listening sockets of the network namespace of `pid`.
///
/// # Errors
/// `/proc/PID/net` not readable.
pub fn listeners(pid: i32) -> Result<Vec<Listener>> {
    let tables = [
        ("tcp", Protocol::Tcp, LISTENING),
        ("tcp6", Protocol::Tcp, LISTENING),
        ("udp", Protocol::Udp, BOUND),
        ("udp6", Protocol::Udp, BOUND),
    ];
    let mut found = Vec::new();
    for (table, protocol, state) in tables {
        let path = format!("/proc/{pid}/net/{table}");
        match fs::read_to_string(&path) {
            Ok(text) => found.extend(parse(&text, protocol, state)),
            // A kernel without IPv6 has no such table.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).doing(|| format!("read {path}")),
        }
    }
    Ok(found)
}

fn parse(table: &str, protocol: Protocol, wanted: &str) -> Vec<Listener> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            if *state != wanted {
                return None;
            }
            let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
            Some(Listener {
                protocol,
                port,
                inode: inode.parse().ok()?,
            })
        })
        .collect()
}

/// The inodes of the sockets that a process holds. Empty if it has ended meanwhile.
pub fn held_by(pid: i32) -> Vec<u64> {
    let Ok(descriptors) = process::descriptors(pid) else {
        return Vec::new();
    };
    descriptors
        .iter()
        .filter_map(|(_, target)| {
            target
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
        .collect()
}

/// The process that holds `protocol` `port` in this network namespace: pid and command line.
///
/// # Errors
/// `/proc` not readable.
pub fn owner(protocol: Protocol, port: u16) -> Result<Option<(i32, Vec<String>)>> {
    let own = std::process::id().cast_signed();
    let inodes: BTreeMap<u64, ()> = listeners(own)?
        .into_iter()
        .filter(|listener| listener.protocol == protocol && listener.port == port)
        .map(|listener| (listener.inode, ()))
        .collect();
    if inodes.is_empty() {
        return Ok(None);
    }
    let holds = |pid: &i32| held_by(*pid).iter().any(|inode| inodes.contains_key(inode));
    let pid = process::all()?.into_iter().find(holds).unwrap_or(0);
    Ok(Some((pid, process::command_line(pid))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 4711 1\n\
            1: 0100007F:0036 0100007F:1234 01 00000000:00000000 00:00000000 00000000   105        0 4712 1\n";
        let found = parse(table, Protocol::Tcp, LISTENING);
        assert_eq!(
            found,
            [Listener {
                protocol: Protocol::Tcp,
                port: 53,
                inode: 4711
            }]
        );
    }

    #[test]
    fn a_socket_of_this_process_is_found_with_its_owner() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
        let port = socket.local_addr().expect("bound").port();
        let (pid, _) = owner(Protocol::Udp, port)
            .expect("proc")
            .expect("it is bound");
        assert_eq!(pid, std::process::id().cast_signed());
    }
}
