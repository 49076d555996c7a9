//! The sockets of a jail that is started again: taken from what runs, handed to what follows.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::{Event, Report};
use crate::host::users;
use crate::run::sockets::{self, Offered};
use crate::run::state::State;
use crate::spec::{Ready, SocketRule, Spec};
use crate::{Error, Result};

/// Takes the sockets of the running jail in `directory`, so that they stay open while it is started
/// again. That they cannot be kept is no reason not to: then connections are refused for a moment.
pub(super) fn keep(directory: &Path, report: &Report<'_>) -> Result<Vec<Offered>> {
    let Some(state) = State::running(directory)? else {
        return Ok(Vec::new());
    };
    match sockets::keep(&state) {
        Ok(kept) => Ok(kept),
        Err(error) => {
            report(Event::Note(format!(
                "its sockets are bound anew, and connections refused meanwhile: {error}"
            )));
            Ok(Vec::new())
        }
    }
}

/// A supervisor's standard input, on which it finds the sockets. Nobody else has them from then on:
/// one that is not wanted any more is closed before its place is taken anew.
pub(super) fn channel(kept: Vec<Offered>) -> Result<Option<OwnedFd>> {
    if kept.is_empty() {
        return Ok(None);
    }
    let (own, other) = sockets::pair()?;
    sockets::send(own.as_fd(), &kept)?;
    Ok(Some(other))
}

/// Owner and group of each socket of a spec, as numbers.
pub(super) fn owners(spec: &Spec) -> Result<Vec<(u32, u32)>> {
    let missing = |socket: &SocketRule, what: &str, name: &str| {
        Error::usage(
            format!("find the {what} {name} of the socket {}", socket.name),
            format!("there is no such {what} on this host"),
        )
    };
    let owner = |socket: &SocketRule| {
        let uid = match &socket.user {
            None => 0,
            Some(name) => match users::user(name)? {
                Some(user) => user.uid,
                None => return Err(missing(socket, "user", name)),
            },
        };
        let gid = match &socket.group {
            None => 0,
            Some(name) => match users::group(name)? {
                Some(group) => group.gid,
                None => return Err(missing(socket, "group", name)),
            },
        };
        Ok((uid, gid))
    };
    spec.sockets.iter().map(owner).collect()
}

/// The signs of readiness that nobody else may show before the service is started: not those of a
/// port that is bound for it, which may be kept from the run before.
pub(super) fn signs_of_its_own(spec: &Spec) -> Vec<Ready> {
    let given: Vec<_> = spec
        .sockets
        .iter()
        .filter_map(|socket| socket.listen.port())
        .collect();
    let own = spec
        .service
        .ready
        .iter()
        .filter(|sign| sign.port().is_none_or(|port| !given.contains(&port)));
    own.cloned().collect()
}
