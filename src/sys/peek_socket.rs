//! Looks at a socket of another process: `pidfd_getfd(2)`.
#![forbid(unsafe_code)]

use rustix::io::Result;
use rustix::net::{self, sockopt};
use rustix::process::{self, Pid, PidfdFlags, PidfdGetfdFlags};

/// What a socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// `AF_` number.
    pub family: u16,
    /// `SOCK_` number.
    pub kind: u16,
    /// `IPPROTO_` number.
    pub protocol: i32,
    /// Its own address, as `struct sockaddr`.
    pub address: Vec<u8>,
}

/// The socket behind a descriptor of process `process`. It is held open meanwhile: if the
/// process closes it at the same moment, it closes a moment later.
///
/// # Errors
/// `ESRCH`, `EBADF`, `ENOTSOCK`; `EPERM` without the right to trace the process.
pub fn peek(process: i32, descriptor: i32) -> Result<Socket> {
    let pid = Pid::from_raw(process).ok_or(rustix::io::Errno::SRCH)?;
    let process = process::pidfd_open(pid, PidfdFlags::empty())?;
    let socket = process::pidfd_getfd(&process, descriptor, PidfdGetfdFlags::empty())?;
    let address = net::getsockname(&socket)?;
    Ok(Socket {
        family: sockopt::socket_domain(&socket)?.as_raw(),
        kind: u16::try_from(sockopt::socket_type(&socket)?.as_raw()).unwrap_or_default(),
        protocol: sockopt::socket_protocol(&socket)?.map_or(0, |protocol| {
            i32::try_from(protocol.as_raw().get()).unwrap_or_default()
        }),
        address: bytes(&address),
    })
}

fn bytes(address: &net::SocketAddrAny) -> Vec<u8> {
    let family = address.address_family().as_raw().to_ne_bytes();
    let mut bytes = family.to_vec();
    if let Ok(v4) = net::SocketAddrV4::try_from(address.clone()) {
        bytes.extend(v4.port().to_be_bytes());
        bytes.extend(v4.ip().octets());
    } else if let Ok(v6) = net::SocketAddrV6::try_from(address.clone()) {
        bytes.extend(v6.port().to_be_bytes());
        bytes.extend(v6.flowinfo().to_ne_bytes());
        bytes.extend(v6.ip().octets());
    } else if let Ok(unix) = net::SocketAddrUnix::try_from(address.clone()) {
        if let Some(name) = unix.abstract_name() {
            bytes.push(0);
            bytes.extend(name);
        } else if let Some(path) = unix.path_bytes() {
            bytes.extend(path);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_listener_is_described() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let socket = peek(own, listener.as_raw_fd()).unwrap();
        assert_eq!((socket.family, socket.kind, socket.protocol), (2, 1, 6));
        let port = listener.local_addr().unwrap().port();
        assert_eq!(socket.address[2..4], port.to_be_bytes());
    }

    #[test]
    fn a_file_is_no_socket() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(peek(own, file.as_raw_fd()), Err(rustix::io::Errno::NOTSOCK));
    }
}
