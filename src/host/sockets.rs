//! Who listens where: `/proc/PID/net/{tcp,tcp6,udp,udp6}` joined with the descriptors of the
//! processes.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// Its address; a mapped IPv4 address of an IPv6 socket as an IPv4 one.
    pub address: IpAddr,
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
            let (address, port) = local.rsplit_once(':')?;
            let port = u16::from_str_radix(port, 16).ok()?;
            Some(Listener {
                protocol,
                address: address_of(address)?,
                port,
                inode: inode.parse().ok()?,
            })
        })
        .collect()
}

/// An address as the tables have it: hexadecimal words of 32 bits in the machine's byte order.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = text.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    if text.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut bytes = [0; 16];
    for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
        part.copy_from_slice(&word(at)?);
    }
    Some(Ipv6Addr::from(bytes).to_canonical())
}

/// The flag of a Unix socket that listens (`__SO_ACCEPTCON` of the kernel).
const ACCEPTS: u32 = 0x0001_0000;

/// The listening Unix sockets of the network namespace of `pid`: inode and path, with `@` for the
/// first byte of an abstract one; nothing if the process has ended. The path is whatever somebody
/// chose.
pub fn unix_listeners(pid: i32) -> Vec<(u64, String)> {
    let bytes = fs::read(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    parse_unix(&String::from_utf8_lossy(&bytes))
}

/// `Num RefCount Protocol Flags Type St Inode Path` (`proc_pid_net(5)`). A path can hold line
/// ends; what comes after one is no line of the table.
fn parse_unix(table: &str) -> Vec<(u64, String)> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
            let inode = fields.nth(2)?;
            let (_, path) = line.split_once(&format!(" {inode}"))?;
            let path = path.strip_prefix(' ').unwrap_or_default();
            (flags & ACCEPTS != 0).then_some((inode.parse().ok()?, path.to_owned()))
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

/// Somebody who waits on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// At which address.
    pub address: IpAddr,
    /// A process that holds the socket; `None` if it cannot be seen from here.
    pub pid: Option<i32>,
    /// Its command line.
    pub command: Vec<String>,
}

/// Who holds `protocol` `port` in this network namespace.
///
/// # Errors
/// `/proc` not readable.
pub fn owners(protocol: Protocol, port: u16) -> Result<Vec<Owner>> {
    let own = std::process::id().cast_signed();
    let held: Vec<Listener> = listeners(own)?
        .into_iter()
        .filter(|listener| listener.protocol == protocol && listener.port == port)
        .collect();
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let mut holders: BTreeMap<u64, i32> = BTreeMap::new();
    for pid in process::all()? {
        for inode in held_by(pid) {
            holders.entry(inode).or_insert(pid);
        }
    }
    let owner = |listener: Listener| {
        let pid = holders.get(&listener.inode).copied();
        Owner {
            address: listener.address,
            pid,
            command: pid.map(process::command_line).unwrap_or_default(),
        }
    };
    Ok(held.into_iter().map(owner).collect())
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
                address: Ipv4Addr::LOCALHOST.into(),
                port: 53,
                inode: 4711
            }]
        );
    }

    #[test]
    fn a_socket_of_this_process_is_found_with_its_owner() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
        let port = socket.local_addr().expect("bound").port();
        let owners = owners(Protocol::Udp, port).expect("proc");
        let own = Some(std::process::id().cast_signed());
        assert!(
            owners
                .iter()
                .any(|owner| owner.pid == own && owner.address == Ipv4Addr::LOCALHOST),
            "{owners:?}"
        );
    }

    #[test]
    fn unix_sockets_that_listen_have_any_path() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            ffff9d: 00000002 00000000 00010000 0001 01 19210 /run/a b\n\
            ffff9e: 00000002 00000000 00010000 0001 01 19211 @abstract\n\
            ffff9f: 00000003 00000000 00000000 0001 03 19212 /run/c\n\
            nonsense\n\
            ffffa0: 00000002 00000000 00010000 0005 01    77\n";
        let all = [(19210, "/run/a b"), (19211, "@abstract"), (77, "")];
        let all = all.map(|(inode, path)| (inode, path.to_owned()));
        assert_eq!(parse_unix(table), all);
    }

    #[test]
    fn addresses_are_in_the_machines_byte_order() {
        let (one, two) = (
            u32::from_ne_bytes([127, 0, 0, 2]),
            u32::from_ne_bytes([0, 0, 0, 1]),
        );
        assert_eq!(
            address_of(&format!("{one:08X}")),
            Some(Ipv4Addr::new(127, 0, 0, 2).into())
        );
        let loopback = format!("{:024X}{two:08X}", 0);
        assert_eq!(address_of(&loopback), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(address_of("0100007"), None);
        assert_eq!(address_of("é00007F0"), None);
    }
}
