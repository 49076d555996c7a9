//! What is different in the plan of an ordinary user, who has no privilege on the host: a user
//! namespace first, devices that are mounted, ids that stay. And what is weaker then.

use super::assemble::{Assembly, Inputs};
use super::step::{Phase, Step};
use crate::host::user_namespaces::OrdinaryUser;
use crate::spec::{BindRule, Demand, Direction, Spec};
use crate::{Error, Result};

impl Assembly<'_> {
    /// Whether an ordinary user makes this plan.
    pub(super) fn is_ordinary(&self) -> bool {
        self.inputs.host.user.is_some()
    }

    /// Refuses what takes root, and says what is weaker.
    ///
    /// # Errors
    /// The spec wants what an ordinary user does not have; this host has no user namespaces for
    /// ordinary users.
    pub(super) fn judge_ordinary(&mut self) -> Result<()> {
        let Inputs { spec, uid, gid, .. } = self.inputs;
        let Some(user) = self.inputs.host.user.as_ref() else {
            return Ok(());
        };
        let doing = || format!("plan the jail {} without root", spec.name);
        if (uid, gid) != (user.uid, user.gid) {
            let why = format!(
                "it runs as {} in the group {}, and without root a jail is its owner's",
                spec.service.user, spec.service.group
            );
            return Err(Error::setup(doing(), why)
                .hint("set service.user and service.group to your own, or run gaoler as root"));
        }
        if let Some((why, hint)) = &user.refused {
            return Err(Error::setup(doing(), why.clone()).hint(hint.clone()));
        }
        takes_root(spec, self.inputs.host.unprivileged_port_start)?;
        self.keeps_its_own_from_the_jail()?;
        self.lacking.extend(weaker(spec, user));
        Ok(())
    }

    /// In a home, a place that is mounted may well hold gaoler's own: the user of the service could
    /// change its tree, or read its policy.
    fn keeps_its_own_from_the_jail(&self) -> Result<()> {
        let Inputs {
            spec,
            tree,
            runtime,
            ..
        } = self.inputs;
        let holds =
            |bind: &&BindRule| tree.starts_with(&bind.path) || runtime.starts_with(&bind.path);
        match spec.binds.iter().find(holds) {
            None => Ok(()),
            Some(bind) => Err(Error::setup(
                format!("plan the jail {} without root", spec.name),
                format!(
                    "{} is mounted in it, and gaoler keeps this very jail there",
                    bind.path.display()
                ),
            )
            .hint(
                "mount what the service needs of it, and nothing more: see tree.binds in its spec",
            )),
        }
    }

    pub(super) fn user_namespace(&mut self) {
        let Some(&OrdinaryUser { uid, gid, .. }) = self.inputs.host.user.as_ref() else {
            return;
        };
        self.add(
            Phase::Host,
            Step::EnterUserNamespace { uid, gid },
            "without root, mounts and namespaces take capabilities, and this gives them over what \
             is made in it and over nothing else; no set-user-ID program takes part",
        );
    }

    /// The ids stay: they are the caller's, and nothing else exists in the namespace.
    pub(super) fn own_ids(&mut self) {
        let Inputs { uid, gid, host, .. } = self.inputs;
        let groups = host.user.as_ref().map(|user| user.groups.clone());
        self.add(
            Phase::Ids,
            Step::SetCapabilities { keep: 0 },
            "those of the user namespace have done their work",
        );
        self.add(
            Phase::Ids,
            Step::SetAmbient { keep: 0 },
            "nothing that execve could give back",
        );
        self.add(
            Phase::Ids,
            Step::VerifyOwnIds {
                uid,
                gid,
                groups: groups.unwrap_or_default(),
            },
            "a drop that was half done is never recovered from; the groups cannot be changed here",
        );
    }

    /// The devices of the spec, which cannot be made.
    pub(super) fn devices(&mut self) {
        if !self.is_ordinary() {
            return;
        }
        for rule in &self.inputs.spec.devices {
            self.add(
                Phase::Mounts,
                Step::BindDevice {
                    path: rule.path.clone(),
                    device: rule.device,
                },
                rule.because.clone(),
            );
        }
    }
}

/// What no ordinary user can give a service.
fn takes_root(spec: &Spec, first_port: u16) -> Result<()> {
    let refuse = |why: String, hint: String| {
        let doing = format!("plan the jail {} without root", spec.name);
        Err(Error::setup(doing, why).hint(hint))
    };
    let mut ports = spec.ports.iter();
    let low = ports
        .find(|rule| rule.direction == Direction::Bind && rule.port != 0 && rule.port < first_port);
    if let Some(rule) = low {
        return refuse(
            format!(
                "it binds port {}, and net.ipv4.ip_unprivileged_port_start is {first_port}",
                rule.port
            ),
            format!(
                "let it listen on a port from {first_port} on; or, as root: sysctl \
                 net.ipv4.ip_unprivileged_port_start={}; or run gaoler as root: sudo gaoler",
                rule.port
            ),
        );
    }
    let mut given = spec.sockets.iter().filter_map(|it| it.listen.port());
    if let Some((_, port)) = given.find(|(_, port)| *port < first_port) {
        return refuse(
            format!(
                "it is given port {port}, and net.ipv4.ip_unprivileged_port_start is {first_port}"
            ),
            format!("take a port from {first_port} on; or run gaoler as root: sudo gaoler"),
        );
    }
    if spec.service.start_as_root {
        return refuse(
            "its service starts as root".to_owned(),
            "set start_as_root = false, or run gaoler as root: sudo gaoler".to_owned(),
        );
    }
    if !spec.capabilities.is_empty() {
        return refuse(
            "it keeps capabilities, which an ordinary user does not have".to_owned(),
            "take them out of capabilities, or run gaoler as root: sudo gaoler".to_owned(),
        );
    }
    if spec.protections.mount_namespace == Demand::Off {
        return refuse(
            "mount_namespace is off, and without root there is no plain chroot".to_owned(),
            "set mount_namespace = \"require\", or run gaoler as root: sudo gaoler".to_owned(),
        );
    }
    Ok(())
}

/// What is weaker than in a jail of root's, for good.
fn weaker(spec: &Spec, user: &OrdinaryUser) -> Vec<String> {
    let mut weaker = vec![format!(
        "{OWNER}: the tree belongs to the service's own user, uid {}: only the read-only mount and \
         Landlock keep it from writing there, not the owner; and its supervisor compares nothing \
         with what was started: check --live does, when you ask",
        user.uid
    )];
    if !user.groups.is_empty() {
        let groups: Vec<String> = user.groups.iter().map(u32::to_string).collect();
        weaker.push(format!(
            "{GROUPS}: the supplementary groups {} stay, which only root can take away: what they \
             may read and write of the places that are mounted, the service may",
            groups.join(", ")
        ));
    }
    let named: Vec<&str> = [
        ("pid_namespace", spec.protections.pid_namespace),
        ("landlock", spec.protections.landlock),
    ]
    .into_iter()
    .filter(|(_, demand)| *demand == Demand::Off)
    .map(|(name, _)| name)
    .collect();
    if !named.is_empty() {
        weaker.push(format!(
            "{NEIGHBOURS}: without {} the service can signal every process of its user",
            named.join(" and ")
        ));
    }
    weaker
}

/// How what is lacking begins, for a rule of `check` each.
pub const OWNER: &str = "rootless.owner";
/// The same.
pub const GROUPS: &str = "rootless.groups";
/// The same.
pub const NEIGHBOURS: &str = "rootless.neighbours";
