//! Sockets that a service is given when it is started, instead of making them: `[[socket]]`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Protocol;
use super::names::is_plain_absolute;

/// As many can be given: each has a descriptor number of its own, from 3 on (`sd_listen_fds(3)`).
pub const MOST_SOCKETS: usize = 32;

/// How many connections wait if the file does not say: what the kernel allows at most
/// (`net.core.somaxconn`, `listen(2)`).
pub const BACKLOG: u32 = 4096;

/// Who can connect to a Unix socket if the file does not say: everybody who gets at its path
/// (`systemd.socket(5)`, SocketMode).
pub const SOCKET_MODE: u32 = 0o666;

/// The longest path of a Unix socket, bytes: `sun_path` less its NUL (`unix(7)`).
const LONGEST_PATH: usize = 107;

/// One socket that the service is given: `[[socket]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketRule {
    /// What the service finds it by (`LISTEN_FDNAMES`).
    pub name: String,
    /// Where it listens, and who makes it.
    pub listen: Listen,
    /// How many connections may wait.
    pub backlog: u32,
    /// Of an IPv6 address: IPv4 connections do not come in here (IPV6_V6ONLY).
    pub only_ipv6: bool,
    /// Others may bind the same port too (SO_REUSEPORT).
    pub reuse_port: bool,
    /// Of a Unix socket: who can connect.
    pub mode: u32,
    /// Of a Unix socket: its owner, by name; root if there is none.
    pub user: Option<String>,
    /// Of a Unix socket: its group, by name; root's if there is none.
    pub group: Option<String>,
    /// What needs it.
    pub because: String,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listen {
    /// `tcp:127.0.0.1:80`, `tcp:[::]:443`
    Tcp(SocketAddr),
    /// `udp:127.0.0.1:53`
    Udp(SocketAddr),
    /// `unix:/run/web/sock`: a stream socket at this path of the host.
    Unix(PathBuf),
    /// `manager`: whoever starts `gaoler run` hands it over under this name.
    Manager,
}

impl Listen {
    /// What can be written.
    pub const FORMS: &str =
        "\"tcp:ADDRESS:PORT\", \"udp:ADDRESS:PORT\", \"unix:/PATH\" or \"manager\"";

    /// Reads one. `None`: it is none.
    pub fn read(text: &str) -> Option<Self> {
        if text == "manager" {
            return Some(Self::Manager);
        }
        let (kind, place) = text.split_once(':')?;
        let address = || {
            let address: SocketAddr = place.parse().ok()?;
            (address.port() != 0).then_some(address)
        };
        match kind {
            "tcp" => address().map(Self::Tcp),
            "udp" => address().map(Self::Udp),
            "unix" => {
                let path = PathBuf::from(place);
                (is_plain_absolute(&path) && place.len() <= LONGEST_PATH && path.parent().is_some())
                    .then_some(Self::Unix(path))
            }
            _ => None,
        }
    }

    /// The port that it takes, if it takes one.
    pub fn port(&self) -> Option<(Protocol, u16)> {
        match self {
            Self::Tcp(address) => Some((Protocol::Tcp, address.port())),
            Self::Udp(address) => Some((Protocol::Udp, address.port())),
            Self::Unix(_) | Self::Manager => None,
        }
    }

    /// Whether connections wait at it.
    pub fn has_backlog(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Unix(_))
    }

    /// Whether it is of IPv6.
    pub fn is_ipv6(&self) -> bool {
        matches!(self, Self::Tcp(address) | Self::Udp(address) if address.is_ipv6())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Manager => f.write_str("manager"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_back() {
        for text in [
            "tcp:127.0.0.1:80",
            "tcp:[::]:443",
            "udp:[fe80::1%3]:53",
            "udp:0.0.0.0:53",
            "unix:/run/web/sock",
            "manager",
        ] {
            let read = Listen::read(text).unwrap();
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_place_to_listen_at_is_none() {
        for text in [
            "",
            "80",
            "tcp:80",
            "tcp:127.0.0.1:0",
            "tcp:localhost:80",
            "tcp:127.0.0.1:65536",
            "tcp:::1:80",
            "unix:sock",
            "unix:/run/../sock",
            "unix:@name",
            "unix:/",
            "sctp:127.0.0.1:80",
            "manager:web",
        ] {
            assert_eq!(Listen::read(text), None, "{text}");
        }
        assert_eq!(Listen::read(&format!("unix:/{}", "x".repeat(107))), None);
    }
}
