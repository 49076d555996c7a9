//! What an ordinary user cannot have, said before anything is done (docs/rootless.md).

use super::{LearnOptions, is_ordinary};
use crate::host::Host;
use crate::host::user_namespaces::OrdinaryUser;
use crate::host::users::{self, User};
use crate::spec::{Demand, Ready, Spec};
use crate::{Error, Result};

/// The name and numbers of the ordinary user who runs this; `None` for root.
///
/// # Errors
/// The number has no name, and a service looks its user up by name.
pub(super) fn own_user() -> Result<Option<User>> {
    if !is_ordinary() {
        return Ok(None);
    }
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    match users::user_by_id(uid)? {
        Some(user) => Ok(Some(User { gid, ..user })),
        None => Err(Error::setup(
            "find who runs gaoler",
            format!("uid {uid} has no name on this host"),
        )
        .hint("run it as a user who is in /etc/passwd")),
    }
}

/// Refuses what takes root, before the service is run.
///
/// # Errors
/// Another user than the caller is asked for, or root; a port that only root can have; this host
/// has no user namespaces for ordinary users.
pub(super) fn may_be_learned(options: &LearnOptions) -> Result<()> {
    let Some(own) = own_user()? else {
        return Ok(());
    };
    let doing = || format!("learn {} without root", options.name);
    if options.create_user || options.beginning == Some(super::Beginning::StaysRoot) {
        return Err(
            Error::usage(doing(), "making users and starting as root take root")
                .hint("leave the option out, or: sudo gaoler"),
        );
    }
    if let Some(user) = options.user.as_ref().filter(|user| **user != own.name) {
        let why = format!("its user would be {user}, and you are {}", own.name);
        return Err(Error::usage(doing(), why).hint("leave --user out, or: sudo gaoler"));
    }
    let host = Host::probe()?;
    if let Some(OrdinaryUser {
        refused: Some((why, hint)),
        ..
    }) = host.user
    {
        return Err(Error::setup(doing(), why).hint(hint));
    }
    let first = host.unprivileged_port_start;
    let ports = options
        .ready
        .iter()
        .filter_map(|text| match crate::spec::ready(text) {
            Ok(Ready::Tcp(port) | Ready::Udp(port)) => Some(port),
            _ => None,
        });
    match ports.into_iter().find(|port| *port < first) {
        None => Ok(()),
        Some(port) => Err(Error::setup(
            doing(),
            format!("port {port} is root's: net.ipv4.ip_unprivileged_port_start is {first}"),
        )
        .hint(format!(
            "let it listen on a port from {first} on; or, as root: sysctl \
             net.ipv4.ip_unprivileged_port_start={port}; or: sudo gaoler"
        ))),
    }
}

/// What learning without root gives a spec, and what is to be said of that.
pub(super) fn settle(spec: &mut Spec) -> Option<String> {
    if !is_ordinary() {
        return None;
    }
    // It had none, so none was needed; an access list can make it look otherwise.
    spec.capabilities.clear();
    spec.protections.cgroup = Demand::Prefer;
    // It lies where root alone can write.
    spec.service.host_pid_file = None;
    Some(
        "the limits of memory and processes: they take a cgroup, which an ordinary user does not \
         have (protections.cgroup is \"prefer\"; check says so)"
            .to_owned(),
    )
}
