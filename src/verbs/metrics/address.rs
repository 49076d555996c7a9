//! Where metrics are served: a Unix socket, or an address that only this machine reaches.

use std::fmt;
use std::fs;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::str::FromStr;

use rustix::process::{getegid, geteuid};

use crate::error::Kind;
use crate::plan::Socket;
use crate::run::sockets;
use crate::spec::Listen;
use crate::{Doing, Error, Result};

/// Who may ask by a Unix socket: its owner and group, who run `gaoler metrics`.
const MODE: u32 = 0o660;

/// How many may wait to be accepted.
const BACKLOG: u32 = 64;

/// Where metrics are to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// `127.0.0.1:9877`, `[::1]:9877`
    Loopback(SocketAddr),
    /// `unix:/run/gaoler-metrics/socket`
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let doing = || format!("serve metrics at {text:?}");
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') && !path.ends_with('/') {
                true => Ok(Self::Unix(path.into())),
                // Whoever knows the name of an abstract socket may connect to it.
                false => Err(Error::usage(doing(), "it is no absolute path of a file")
                    .hint("unix:/PATH, as in unix:/run/gaoler-metrics/socket")),
            };
        }
        let address: SocketAddr = text.parse().map_err(|_| {
            Error::usage(doing(), "it is no address with a port").hint(
                "127.0.0.1:PORT, [::1]:PORT or unix:/PATH; a name, as localhost is one, is not \
                 looked up",
            )
        })?;
        match address.ip().is_loopback() {
            true => Ok(Self::Loopback(address)),
            false => Err(Error::usage(
                doing(),
                "others than this machine reach that address, and nobody is asked who they are: \
                 metrics say which services run here, and how well they are confined",
            )
            .hint(
                "serve them at 127.0.0.1:PORT or [::1]:PORT, and put a reverse proxy with TLS and \
                 authentication before it",
            )),
        }
    }
}

impl Address {
    /// Listens there.
    ///
    /// # Errors
    /// The address is in use; the directory of the socket is not there, or others can write in it;
    /// something else is in its place.
    pub(super) fn bind(self) -> Result<Bound> {
        let doing = || "listen for who asks for metrics";
        let listen = match &self {
            Self::Loopback(address) => Listen::Tcp(*address),
            Self::Unix(path) => Listen::Unix(path.clone()),
        };
        let socket = Socket {
            name: "of the metrics".to_owned(),
            listen,
            backlog: BACKLOG,
            only_ipv6: true,
            reuse_port: false,
            mode: MODE,
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
        };
        let listener = sockets::bind(&socket).map_err(|error| error.kind(Kind::Failed))?;
        rustix::io::ioctl_fionbio(&listener, true).doing(doing)?;
        let (address, file) = match self {
            // Port 0 has become another one.
            Self::Loopback(_) => (Self::Loopback(own_address(&listener).doing(doing)?), None),
            Self::Unix(path) => {
                let file = SocketFile::of(path.clone()).doing(doing)?;
                (Self::Unix(path), Some(file))
            }
        };
        Ok(Bound {
            listener,
            address,
            _file: file,
        })
    }
}

fn own_address(listener: &OwnedFd) -> rustix::io::Result<SocketAddr> {
    let bound = rustix::net::getsockname(listener)?;
    let v4 = |bound| SocketAddrV4::try_from(bound).map(SocketAddr::V4);
    let v6 = |bound| SocketAddrV6::try_from(bound).map(SocketAddr::V6);
    v4(bound.clone()).or_else(|_| v6(bound))
}

/// What is listened at. A Unix socket is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Bound {
    listener: OwnedFd,
    address: Address,
    _file: Option<SocketFile>,
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// As one would ask there.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Loopback(address) => write!(f, "http://{address}/metrics"),
            Address::Unix(path) => write!(f, "unix:{}, as /metrics", path.display()),
        }
    }
}

/// The file of a Unix socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Its device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: PathBuf) -> std::io::Result<Self> {
        let identity = identity(&path)?;
        Ok(Self { path, identity })
    }
}

fn identity(path: &std::path::Path) -> std::io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it, and started another one in its place.
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // One that stays is removed by the next start.
            match fs::remove_file(&self.path) {
                Ok(()) | Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn only_what_this_machine_alone_reaches_is_an_address() {
        let tcp = |text: &str| Address::Loopback(text.parse().unwrap());
        for text in ["127.0.0.1:9877", "127.8.0.1:0", "[::1]:9877"] {
            assert_eq!(text.parse::<Address>().unwrap(), tcp(text));
        }
        let unix = Address::Unix("/run/a".into());
        assert_eq!("unix:/run/a".parse::<Address>().unwrap(), unix);
        for (text, why) in [
            ("0.0.0.0:9877", "authentication"),
            ("[::]:9877", "authentication"),
            ("192.0.2.1:80", "authentication"),
            ("[::ffff:127.0.0.1]:80", "authentication"),
            ("localhost:9877", "not looked up"),
            ("127.0.0.1", "PORT"),
            (":9877", "PORT"),
            ("unix:run/a", "unix:/PATH"),
            ("unix:@a", "unix:/PATH"),
            ("unix:/run/", "unix:/PATH"),
            ("", "PORT"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.next().unwrap().contains(why), "{text}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn a_socket_is_made_for_its_group_and_removed_at_the_end() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        let address = Address::Unix(path.clone());
        let bound = address.clone().bind().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, MODE);
        let taken = address.clone().bind().unwrap_err();
        assert!(taken.why().contains("in use"), "{taken}");
        drop(bound);
        assert!(!path.exists());
        // One that somebody has left is no obstacle, and something else is.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(address.clone().bind().unwrap());
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        let refused = address.bind().unwrap_err();
        assert!(refused.why().contains("something else"), "{refused}");
        assert_eq!(refused.exit_code(), 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn what_took_its_place_is_not_removed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        let bound = Address::Unix(path.clone()).bind().unwrap();
        // Kept until the end, so that its inode is not given again.
        fs::rename(&path, place.path().join("aside")).unwrap();
        fs::write(&path, "another").unwrap();
        drop(bound);
        assert!(path.exists());
    }

    #[test]
    fn a_free_port_is_told() {
        let address = Address::Loopback((Ipv4Addr::LOCALHOST, 0).into());
        let text = address.bind().unwrap().to_string();
        let port = text.strip_prefix("http://127.0.0.1:").unwrap();
        assert_ne!(port, "0/metrics");
        // A kernel without IPv6 has no such address.
        if let Ok(bound) = Address::Loopback((Ipv6Addr::LOCALHOST, 0).into()).bind() {
            assert!(bound.to_string().starts_with("http://[::1]:"));
        }
    }
}
