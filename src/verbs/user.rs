//! The user that a service runs as: found, or made.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ordinary::own_user;
use super::{Beginning, is_ordinary};
use rustix::process::Gid;
use rustix::thread::CapabilitySet;

use crate::host::command;
use crate::host::users::{self, Group, User};
use crate::learn::{Ids, Trace};
use crate::{Error, Result};

/// Users that several services share, so that one could get at the other's processes and files
/// ("never use an existing generic user like nobody", Chroot-BIND8 HOWTO).
const GENERIC: [&str; 4] = ["root", "nobody", "daemon", "bin"];

/// The same for groups: a spec may not name them (docs/decisions/0008-shared-groups.md).
const GENERIC_GROUPS: [&str; 3] = ["root", "nobody", "nogroup"];

/// `useradd(8)`, by its absolute path.
const USERADD: &str = "/usr/sbin/useradd";

/// A user with its primary and supplementary groups.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub user: User,
    pub group: Group,
    pub groups: Vec<Group>,
    /// Users that it changes to, beside this one.
    pub others: Vec<User>,
}

/// What is known about the user before the service has run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// The jail's name.
    pub name: &'a str,
    /// The user that was asked for.
    pub asked: Option<&'a str>,
    /// The user that the service is known to run as, if it does not show another one.
    pub known: Option<&'a str>,
    /// The group in place of the user's own.
    pub group: Option<&'a str>,
    /// Make one if there is none.
    pub create: bool,
    /// Whom it starts as.
    pub beginning: Beginning,
}

/// Whom the service starts as while it is learned; `None` for root.
pub(super) fn from_the_start(wish: Wish<'_>) -> Result<Option<Ids>> {
    if is_ordinary() {
        return Ok(None);
    }
    let asked = wish.asked.or(wish.known);
    let Some(name) = asked.filter(|_| wish.beginning == Beginning::AsUser) else {
        return Ok(None);
    };
    let identity = named(name, wish)?;
    Ok(Some(Ids {
        uid: identity.user.uid,
        gid: identity.group.gid,
        groups: identity
            .groups
            .iter()
            .map(|group| Gid::from_raw(group.gid))
            .collect(),
        // In its jail it has that if it binds a low port, which is what shows that it does.
        capability: CapabilitySet::NET_BIND_SERVICE,
    }))
}

/// The user that the service shall run as: the one that was asked for, else the one that it
/// changed to by itself, else the one that is known, else one of its own; an ordinary user's is
/// that user.
pub(super) fn choose(wish: Wish<'_>, trace: &Trace) -> Result<Identity> {
    if let Some(own) = own_user()? {
        refuse_generic(&own.name)?;
        return complete(own, wish);
    }
    if wish.beginning == Beginning::StaysRoot {
        return root(trace);
    }
    if let Some(name) = wish.asked {
        return named(name, wish);
    }
    let changed_to = trace
        .ids
        .iter()
        .rev()
        .map(|ids| (ids.uids[1], ids.gids[1]))
        .find(|(uid, _)| *uid != 0);
    if let Some((uid, gid)) = changed_to {
        let user = users::user_by_id(uid)?.ok_or_else(|| {
            Error::setup(
                format!("find the user of {}", wish.name),
                format!("it changed to uid {uid}, which has no name on this host"),
            )
            .hint("name a user: --user USER")
        })?;
        refuse_generic(&user.name)?;
        // The group that it took, which need not be the user's own.
        let gid = if gid == 0 { user.gid } else { gid };
        return complete(User { gid, ..user }, wish);
    }
    if let Some(name) = wish.known {
        return named(name, wish);
    }
    if wish.create || users::user(wish.name)?.is_some() {
        return named(wish.name, wish);
    }
    Err(Error::setup(
        format!("find the user of {}", wish.name),
        "the service stays root, and a jail for root is only an extra hurdle",
    )
    .hint(format!(
        "--create-user makes a system user {} for it; --user USER takes one that is there; \
         --start-as-root if it must change users by itself",
        wish.name
    )))
}

/// Root, and every user with a name that the service changed to.
fn root(trace: &Trace) -> Result<Identity> {
    let missing = || Error::setup("find the user root", "this host has none");
    let user = users::user_by_id(0)?.ok_or_else(missing)?;
    let group = users::group_by_id(user.gid)?.ok_or_else(missing)?;
    let taken: BTreeSet<u32> = trace.ids.iter().flat_map(|ids| ids.uids).collect();
    let mut others = Vec::new();
    for uid in taken.into_iter().filter(|uid| *uid != 0) {
        if let Some(other) = users::user_by_id(uid)? {
            if GENERIC.contains(&other.name.as_str()) {
                return Err(Error::setup(
                    format!("let a service become {}", other.name),
                    "other services run as it too: each could get at the other",
                )
                .hint("name another user in its configuration"));
            }
            others.push(other);
        }
    }
    Ok(Identity {
        user,
        group,
        groups: Vec::new(),
        others,
    })
}

fn named(name: &str, wish: Wish<'_>) -> Result<Identity> {
    refuse_generic(name)?;
    match users::user(name)? {
        Some(user) => complete(user, wish),
        None if wish.create => {
            make(name)?;
            let made = users::user(name)?.ok_or_else(|| {
                Error::setup(
                    format!("make the user {name}"),
                    "useradd succeeded and it is not there",
                )
            })?;
            complete(made, wish)
        }
        None => Err(
            Error::setup(format!("find the user {name}"), "there is no such user")
                .hint("--create-user makes it: a system user without shell and home"),
        ),
    }
}

fn refuse_generic(name: &str) -> Result<()> {
    if name == "root" {
        return Err(Error::setup(
            "run a service as root",
            "a jail for root is only an extra hurdle",
        )
        .hint(
            "--create-user makes a user of its own; --start-as-root is for one that has to begin \
             as root and changes users by itself",
        ));
    }
    if GENERIC.contains(&name) {
        return Err(Error::setup(
            format!("run a service as {name}"),
            "other services run as it too: each could get at the other",
        )
        .hint("--create-user makes one of its own"));
    }
    Ok(())
}

fn complete(user: User, wish: Wish<'_>) -> Result<Identity> {
    let group = match wish.group {
        Some(name) => users::group(name)?.ok_or_else(|| {
            Error::setup(format!("find the group {name}"), "there is no such group")
                .hint(format!("make it: groupadd --system {name}"))
        })?,
        None => users::group_by_id(user.gid)?.ok_or_else(|| {
            Error::setup(
                format!("find the group of {}", user.name),
                format!("its gid {} has no name on this host", user.gid),
            )
            .hint("--group GROUP takes another one")
        })?,
    };
    if GENERIC_GROUPS.contains(&group.name.as_str()) {
        return Err(Error::setup(
            format!("run a service as {} in the group {}", user.name, group.name),
            "other services are in that group too: each could get at the other's files",
        )
        .hint(format!(
            "give it a group of its own: groupadd --system {0}; then --group {0}, and the same in \
             its configuration if that names one",
            user.name
        )));
    }
    let groups = users::supplementary_groups(&user.name)?
        .into_iter()
        .filter(|found| found.gid != group.gid)
        .collect();
    Ok(Identity {
        user,
        group,
        groups,
        others: Vec::new(),
    })
}

/// A system user with free numbers, no home and no way to log in.
fn make(name: &str) -> Result<()> {
    let words = [
        USERADD,
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        "/nonexistent",
        "--shell",
        "/usr/sbin/nologin",
        name,
    ];
    let outcome = command::run(&words.map(str::to_owned), Duration::from_secs(30))?;
    if outcome.succeeded() {
        return Ok(());
    }
    Err(Error::setup(
        format!("make the user {name}"),
        outcome.last_lines(3),
    ))
}
