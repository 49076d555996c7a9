//! Sockets: families that have no use in a jail, and those of the host.

use core::ffi::CStr;

use super::Probes;
use crate::raw::{self, Refused, Word};
use crate::scene::{DIRECTORY, Path, READ, Scene, open_at};
use crate::{At, Stop, Tried, numbers};

pub const PROBES: Probes = &[
    ("socket-raw", raw_socket),
    ("socket-raw-6", raw_socket_6),
    ("socket-packet", packet),
    ("socket-netlink", netlink),
    ("socket-netlink-audit", netlink_audit),
    ("socket-vsock", vsock),
    ("socket-alg", alg),
    ("socket-odd-families", odd_families),
    ("socket-host-unix", host_unix),
    ("socket-host-daemons", host_daemons),
    ("socket-host-abstract", host_abstract),
    ("socket-descriptor-abstract", descriptor_abstract),
    ("socket-descriptor-sibling", descriptor_sibling),
    ("socket-connect-host", connect_host),
    ("socket-bind-port", bind_port),
];

const UNIX: usize = 1;
const INET: usize = 2;
const STREAM: usize = 1;
const DATAGRAM: usize = 2;

const RAW: usize = 3;
const SEQUENCE: usize = 5;

fn socket(family: usize, kind: usize, protocol: usize) -> Result<usize, Refused> {
    raw::call(
        numbers::SOCKET,
        [family.into(), kind.into(), protocol.into()],
    )
}

fn made(family: usize, kind: usize, protocol: usize) -> Tried {
    socket(family, kind, protocol).at("make a socket")?;
    Ok("made a socket")
}

fn raw_socket(_: Scene) -> Tried {
    made(INET, RAW, 1)
}

fn raw_socket_6(_: Scene) -> Tried {
    made(10, RAW, 58)
}

fn packet(_: Scene) -> Tried {
    made(17, RAW, 0x0300)
}

fn netlink(_: Scene) -> Tried {
    made(16, RAW, 0)
}

/// NETLINK_AUDIT: messages into the host's audit log.
fn netlink_audit(_: Scene) -> Tried {
    made(16, RAW, 9)
}

fn vsock(_: Scene) -> Tried {
    made(40, STREAM, 0)
}

/// The kernel's ciphers, for whoever asks (`AF_ALG`).
fn alg(_: Scene) -> Tried {
    made(38, SEQUENCE, 0)
}

/// Families of which kernels had holes: CAN, RDS, TIPC, Bluetooth, X.25, AX.25, LLC, key, XDP, SMC.
fn odd_families(_: Scene) -> Tried {
    let mut last = Err(Stop::Nothing("there is none"));
    let families = [
        (29, 3, 1),
        (21, 5, 0),
        (30, 5, 0),
        (31, 3, 1),
        (9, 5, 0),
        (3, 2, 0),
        (26, 1, 0),
        (15, 3, 2),
        (44, 3, 0),
        (43, 1, 0),
        (35, 2, 0),
        (41, 2, 0),
    ];
    for (family, kind, protocol) in families {
        match socket(family, kind, protocol) {
            Ok(_) => return Ok("made a socket of an odd family"),
            refused => last = refused.at("make a socket of an odd family").map(|_| ""),
        }
    }
    last
}

/// An address: the family, then the path; an abstract name begins with NUL (`unix(7)`).
fn unix_address(name: &CStr, is_abstract: bool) -> ([u8; 110], usize) {
    let mut address = [0; 110];
    address[0] = UNIX as u8;
    let begin = if is_abstract { 3 } else { 2 };
    let mut length = begin;
    for (place, byte) in address[begin..109].iter_mut().zip(name.to_bytes()) {
        *place = *byte;
        length += 1;
    }
    (address, if is_abstract { length } else { length + 1 })
}

fn connect_unix(name: &CStr, is_abstract: bool) -> Result<usize, Stop> {
    connect(STREAM, name, is_abstract)
}

/// A socket that logs where `syslog(3)` would, at this path.
pub fn connect_log(path: &CStr) -> Result<usize, Stop> {
    connect(DATAGRAM, path, false)
}

fn connect(kind: usize, name: &CStr, is_abstract: bool) -> Result<usize, Stop> {
    let connection = socket(UNIX, kind, 0).at("make a Unix socket")?;
    let (address, length) = unix_address(name, is_abstract);
    raw::call(
        numbers::CONNECT,
        [connection.into(), (&address).into(), length.into()],
    )
    .at("connect to a socket of the host")?;
    Ok(connection)
}

fn host_unix(scene: Scene) -> Tried {
    connect_unix(scene.text("socket")?, false)?;
    Ok("connected to a socket of the host")
}

/// Daemons that do what they are told.
fn host_daemons(scene: Scene) -> Tried {
    let mut last = Err(Stop::Nothing("there is none"));
    let known = [
        c"/run/docker.sock",
        c"/var/run/docker.sock",
        c"/run/systemd/private",
        c"/run/dbus/system_bus_socket",
        c"/run/containerd/containerd.sock",
        c"/run/podman/podman.sock",
        c"/var/run/nscd/socket",
        c"/run/systemd/journal/stdout",
        c"/run/acpid.socket",
        c"/tmp/.X11-unix/X0",
    ];
    for path in known.into_iter().chain([scene.text("socket")?]) {
        match connect_unix(path, false) {
            Ok(_) => return Ok("connected to a daemon of the host"),
            Err(stop) => last = Err(stop),
        }
    }
    last
}

fn host_abstract(scene: Scene) -> Tried {
    connect_unix(scene.text("abstract")?, true)?;
    Ok("connected to an abstract socket of the host")
}

/// Who is connected gets a descriptor of the host's root directory (FreeBSD's jails, vuxml
/// a88f5b2d: two that share a directory).
fn through_descriptor(scene: Scene, connection: usize) -> Tried {
    let mut byte = [0_u8; 1];
    let mut part = [raw::address_to_change(&mut byte) as u64, 1];
    let mut control = [0_u64; 3];
    let mut message = [
        0,
        0,
        raw::address_to_change(&mut part) as u64,
        1,
        raw::address_to_change(&mut control) as u64,
        24,
        0,
    ];
    let message = Word::Room(raw::bytes_of(&mut message));
    raw::call(numbers::RECVMSG, [connection.into(), message, 0.into()])
        .at("receive a descriptor")?;
    let directory = control[2] as u32 as i32;
    if control[0] != 20 || directory == 0 {
        return Err(Stop::Nothing("no descriptor came"));
    }
    let path = Path::new()
        .with(b".")
        .with(scene.text("secret")?.to_bytes());
    let file = open_at(directory, path.text(), READ)
        .at("open a file from a directory that somebody outside passed")?;
    scene.read_secret(file)
}

fn descriptor_abstract(scene: Scene) -> Tried {
    let connection = connect_unix(scene.text("abstract")?, true)?;
    through_descriptor(scene, connection)
}

fn descriptor_sibling(scene: Scene) -> Tried {
    let connection = connect_unix(scene.text("sibling")?, false)?;
    through_descriptor(scene, connection)
}

fn inet_address(port: usize) -> [u8; 16] {
    let mut address = [0; 16];
    address[0] = INET as u8;
    address[2] = (port >> 8) as u8;
    address[3] = port as u8;
    address[4] = 127;
    address[7] = 1;
    address
}

/// A port of the host that the spec does not name.
fn connect_host(scene: Scene) -> Tried {
    let address = inet_address(scene.number("port")?);
    let connection = socket(INET, STREAM, 0).at("make a TCP socket")?;
    raw::call(
        numbers::CONNECT,
        [connection.into(), (&address).into(), 16.into()],
    )
    .at("connect to a port of the host")?;
    Ok("connected to a port of the host")
}

fn bind_port(scene: Scene) -> Tried {
    let address = inet_address(scene.number("free")?);
    let listener = socket(INET, STREAM, 0).at("make a TCP socket")?;
    raw::call(
        numbers::BIND,
        [listener.into(), (&address).into(), 16.into()],
    )
    .at("bind another port")?;
    raw::call(numbers::LISTEN, [listener.into(), 1.into()]).at("listen there")?;
    Ok("listens on a port that it has no business with")
}

/// Serves as the one outside: it binds both sockets and passes `/` to whoever connects. Not a
/// probe.
pub fn pass_root(listener: usize) -> Result<(), Stop> {
    let connection = raw::call(
        numbers::ACCEPT4,
        [listener.into(), 0.into(), 0.into(), 0.into()],
    )
    .at("accept")?;
    let root = crate::scene::open(c"/", DIRECTORY).at("open /")?;
    let byte = [b'x'];
    let part = [raw::address(&byte) as u64, 1];
    // SOL_SOCKET, SCM_RIGHTS, one descriptor (cmsg(3)).
    let control = [20, 1 | 1 << 32, root as u64];
    let mut message = [
        0,
        0,
        raw::address(&part) as u64,
        1,
        raw::address(&control) as u64,
        24,
        0,
    ];
    let message = Word::Room(raw::bytes_of(&mut message));
    // One that has gone again is no reason to die of SIGPIPE.
    const NO_SIGNAL: usize = 0x4000;
    let sent = raw::call(
        numbers::SENDMSG,
        [connection.into(), message, NO_SIGNAL.into()],
    );
    crate::scene::close(root);
    crate::scene::close(connection);
    sent.at("pass /").map(|_| ())
}

/// A socket of this name that listens.
pub fn listen(name: &CStr, is_abstract: bool) -> Result<usize, Stop> {
    let listener = socket(UNIX, STREAM, 0).at("make a Unix socket")?;
    let (address, length) = unix_address(name, is_abstract);
    raw::call(
        numbers::BIND,
        [listener.into(), (&address).into(), length.into()],
    )
    .at("bind it")?;
    raw::call(numbers::LISTEN, [listener.into(), 16.into()]).at("listen")?;
    Ok(listener)
}
