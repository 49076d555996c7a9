//! Who listens, as `/proc` shows it: sockets by network namespace, joined with the descriptors of
//! the processes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Listening, Socket, capability_names, sort};
use crate::Result;
use crate::host::sockets::{self, Listener};
use crate::host::{confinement, process, users};
use crate::spec::Protocol;

/// What is known of a process in a jail of gaoler's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jailed {
    /// The jail's name.
    pub name: String,
    /// Landlock confines it.
    pub landlock: bool,
}

/// Every process that listens on TCP or UDP, in whatever network namespace, and on Unix sockets
/// if asked for; worst first.
///
/// # Errors
/// `/proc` cannot be read.
pub fn look(jailed: &BTreeMap<i32, Jailed>, unix: bool) -> Result<Vec<Listening>> {
    let own = std::process::id().cast_signed();
    let mut tables: BTreeMap<u64, BTreeMap<u64, Socket>> = BTreeMap::new();
    let mut found = Vec::new();
    for pid in process::all()? {
        // What ends while it is looked at does not listen any more.
        let (Ok(network), held) = (process::namespace(pid, "net"), sockets::held_by(pid)) else {
            continue;
        };
        if held.is_empty() {
            continue;
        }
        let table = tables.entry(network).or_insert_with(|| table(pid, unix));
        let held: BTreeSet<u64> = held.into_iter().collect();
        let sockets: Vec<Socket> = held
            .iter()
            .filter_map(|inode| table.get(inode).cloned())
            .collect();
        if sockets.is_empty() {
            continue;
        }
        found.extend(look_at(pid, own, sockets, jailed.get(&pid))?);
    }
    sort(&mut found);
    Ok(found)
}

/// What listens in the network namespace of a process, by inode; nothing if it has ended.
fn table(pid: i32, unix: bool) -> BTreeMap<u64, Socket> {
    let internet = sockets::listeners(pid).unwrap_or_default();
    let mut table: BTreeMap<u64, Socket> = internet
        .into_iter()
        .map(|listener| (listener.inode, socket(&listener)))
        .collect();
    if unix {
        let local = sockets::unix_listeners(pid).into_iter();
        table.extend(local.map(|(inode, address)| {
            let socket = Socket {
                protocol: "unix".to_owned(),
                address,
                port: None,
            };
            (inode, socket)
        }));
    }
    table
}

fn socket(listener: &Listener) -> Socket {
    let protocol = match listener.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    Socket {
        protocol: protocol.to_owned(),
        address: listener.address.to_string(),
        port: Some(listener.port),
    }
}

fn look_at(
    pid: i32,
    own: i32,
    mut sockets: Vec<Socket>,
    jail: Option<&Jailed>,
) -> Result<Option<Listening>> {
    let Ok(status) = process::status(pid) else {
        return Ok(None);
    };
    sockets
        .sort_by(|a, b| (&a.protocol, a.port, &a.address).cmp(&(&b.protocol, b.port, &b.address)));
    sockets.dedup();
    let uid = status.uids.get(1).copied().unwrap_or_default();
    // Root and saved root are one for whoever breaks in (setresuid(2)).
    let uid = if status.uids.contains(&0) { 0 } else { uid };
    let labels = confinement::labels(pid);
    let own_root = process::root(pid).ok().zip(process::root(own).ok());
    let apart = confinement::namespaces_apart(pid, own);
    let executable = process::executable(pid);
    let listening = Listening {
        pid,
        name: process::command_name(pid).unwrap_or_default(),
        executable: executable.map(|path| path.to_string_lossy().into_owned()),
        uid,
        user: users::user_by_id(uid)?.map(|user| user.name),
        sockets,
        jail: jail.map(|jail| jail.name.clone()),
        landlock: jail.is_some_and(|jail| jail.landlock),
        unit: confinement::unit(pid),
        selinux: labels.selinux_domain().map(str::to_owned),
        apparmor: labels.apparmor,
        seccomp: status.seccomp != 0,
        no_new_privs: status.no_new_privs,
        namespaces: apart.into_iter().map(str::to_owned).collect(),
        own_root: own_root.is_some_and(|(its, mine)| its != mine),
        capabilities: capability_names(status.effective | status.permitted),
        ..Listening::default()
    };
    Ok(Some(listening.judged()))
}
