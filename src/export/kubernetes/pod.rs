//! The pod: its program, who that is, and what it may.

use std::collections::BTreeMap;

use super::keys::{self, Version};
use super::network;
use super::probes::Probes;
use super::storage::Storage;
use super::types::{
    Capabilities, Container, ContainerSecurity, Pair, PodSecurity, PodSpec, Profile, Resources,
};
use super::{profiles, text};
use crate::audit::Severity;
use crate::export::item::capability;
use crate::export::{Item, Ledger, Loss, Subject};
use crate::spec::Demand;
use crate::sys::caps;
use crate::{Error, Result};

/// What a pod is made of beside the spec.
#[derive(Debug)]
pub struct Parts<'a> {
    pub name: &'a str,
    pub image: &'a str,
    pub version: Version,
    pub storage: &'a Storage,
    pub probes: Probes,
}

/// The pod.
///
/// # Errors
/// Something that no manifest can hold.
pub fn of(subject: &Subject<'_>, parts: Parts<'_>, ledger: &mut Ledger) -> Result<PodSpec> {
    for namespace in [
        "ipc_namespace",
        "mount_namespace",
        "pid_namespace",
        "uts_namespace",
    ] {
        ledger.said(&Item::Namespace(namespace));
    }
    let sysctls = Vec::from_iter(network::opened(subject, ledger));
    Ok(PodSpec {
        automount_service_account_token: false,
        enable_service_links: false,
        host_ipc: false,
        host_network: false,
        host_pid: false,
        share_process_namespace: false,
        termination_grace_period_seconds: subject.spec.service.stop_timeout_s,
        security_context: security(subject, &parts, sysctls, ledger),
        volumes: parts.storage.volumes.clone(),
        containers: vec![container(subject, parts, ledger)?],
    })
}

fn security(
    subject: &Subject<'_>,
    parts: &Parts<'_>,
    sysctls: Vec<Pair>,
    ledger: &mut Ledger,
) -> PodSecurity {
    let service = &subject.spec.service;
    let (uid, gid) = match service.start_as_root {
        true => (0, 0),
        false => (subject.uid, subject.gid),
    };
    ledger.said(&Item::User);
    let strict = parts.version >= keys::GROUPS_POLICY;
    let shares = !parts.storage.mounts.is_empty();
    groups(subject, parts, strict, shares, ledger);
    PodSecurity {
        run_as_non_root: !service.start_as_root,
        run_as_user: uid,
        run_as_group: gid,
        supplemental_groups: subject.groups.to_vec(),
        supplemental_groups_policy: strict.then_some("Strict"),
        // Volumes are root's: that it can use them goes by its group.
        fs_group: shares.then_some(subject.gid),
        fs_group_change_policy: shares.then_some("OnRootMismatch"),
        sysctls,
    }
}

fn groups(
    subject: &Subject<'_>,
    parts: &Parts<'_>,
    strict: bool,
    shares: bool,
    ledger: &mut Ledger,
) {
    let service = &subject.spec.service;
    // As a supplementary group, its own gives nothing more.
    match strict && !(shares && service.start_as_root) {
        true => ledger.said(&Item::Groups),
        false if strict => ledger.gap(
            [Item::Groups],
            Loss::Loosened,
            Severity::Info,
            format!(
                "volumes belong to the group {} (fsGroup), which root has besides here",
                service.group
            ),
        ),
        false => ledger.gap(
            [Item::Groups],
            Loss::Loosened,
            Severity::Info,
            format!(
                "Kubernetes {}.{} adds the groups that the image's /etc/group has for the user; {}.{} is the \
                 first that does not (supplementalGroupsPolicy)",
                parts.version.0,
                parts.version.1,
                keys::GROUPS_POLICY.0,
                keys::GROUPS_POLICY.1
            ),
        ),
    }
}

fn seccomp(subject: &Subject<'_>, name: &str) -> Profile {
    match subject.spec.protections.seccomp {
        Demand::Off => Profile {
            kind: "Unconfined",
            localhost_profile: None,
        },
        Demand::Prefer | Demand::Require => Profile {
            kind: "Localhost",
            localhost_profile: Some(profiles::place(name)),
        },
    }
}

fn container(subject: &Subject<'_>, parts: Parts<'_>, ledger: &mut Ledger) -> Result<Container> {
    let service = &subject.spec.service;
    for item in [
        Item::Command,
        Item::WorkingDirectory,
        Item::NoNewPrivileges,
        Item::NoOtherCapability,
    ] {
        ledger.said(&item);
    }
    let mut words = subject.command_as_user().into_iter().map(literal);
    Ok(Container {
        name: parts.name.to_owned(),
        image: parts.image.to_owned(),
        image_pull_policy: "IfNotPresent",
        command: words.by_ref().take(1).collect(),
        args: words.collect(),
        working_dir: text(&service.workdir)?,
        env: environment(subject)?,
        ports: network::ports(subject.spec),
        resources: memory(subject, ledger),
        security_context: ContainerSecurity {
            privileged: false,
            allow_privilege_escalation: false,
            read_only_root_filesystem: true,
            capabilities: Capabilities {
                drop: vec!["ALL"],
                add: added(subject, ledger),
            },
            seccomp_profile: seccomp(subject, parts.name),
        },
        startup_probe: parts.probes.startup,
        readiness_probe: parts.probes.readiness,
        liveness_probe: parts.probes.liveness,
        volume_mounts: parts.storage.mounts.clone(),
    })
}

/// Text that means itself: `$(NAME)` would be replaced in commands and variables, and `$$` is `$`
/// (`third_party/forked/golang/expansion`).
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

fn environment(subject: &Subject<'_>) -> Result<Vec<Pair>> {
    let variables = subject.spec.service.environment.iter();
    variables
        .map(|(name, value)| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let begins = !name.starts_with(|c: char| c.is_ascii_digit());
            if name.is_empty() || !begins || !name.chars().all(plain) {
                return Err(Error::usage(
                    format!("give the service the variable {name:?}"),
                    "Kubernetes takes names of letters, digits, -, _ and .",
                ));
            }
            Ok(Pair {
                name: name.clone(),
                value: literal(value),
            })
        })
        .collect()
}

/// The limit, if a quantity can be that large. What it needs at least nobody has measured.
fn memory(subject: &Subject<'_>, ledger: &mut Ledger) -> Option<Resources> {
    let limit = i64::try_from(subject.spec.limits.memory?).ok()?;
    ledger.said(&Item::Limit("memory_bytes"));
    Some(Resources {
        limits: BTreeMap::from([("memory", limit.to_string())]),
    })
}

/// The capabilities of a service that is root. Another user's processes get none of these: nothing of
/// Kubernetes makes them ambient.
fn added(subject: &Subject<'_>, ledger: &mut Ledger) -> Vec<String> {
    let rules = &subject.spec.capabilities;
    if subject.spec.service.start_as_root {
        for rule in rules {
            ledger.said(&Item::Capability(rule.capability));
        }
        let names = rules.iter().map(|rule| capability(rule.capability));
        return names.map(|name| name.replace("CAP_", "")).collect();
    }
    let bind = caps::number("NET_BIND_SERVICE").map(Item::Capability);
    let kept = rules.iter().map(|rule| Item::Capability(rule.capability));
    // Its ports are opened instead, and that is told.
    let opened = |item: &Item| Some(item) == bind.as_ref() && !ledger.is_open(item);
    let missing: Vec<Item> = kept.filter(|item| !opened(item)).collect();
    ledger.gap(
        missing,
        Loss::Lost,
        Severity::High,
        "Kubernetes gives capabilities to root alone (KEP-2763), and it is another user: what needs them \
         fails",
    );
    Vec::new()
}
