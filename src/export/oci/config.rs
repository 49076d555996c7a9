//! What the spec says, as a runtime reads it.

use std::path::{Path, PathBuf};

use super::runtime::{
    Capabilities, Config, DeviceRule, Limit, Linux, Most, Mount, Namespace, Node, Process,
    Resources, Root, User, VERSION,
};
use super::{ROOT, seccomp, text};
use crate::Result;
use crate::export::item::capability;
use crate::export::{Item, Ledger, Subject};
use crate::spec::Demand;

/// What nobody in a container has a use for (as `docker` and `podman` have it).
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
];

/// What is the host's to change.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// What a runtime makes in `/dev` by itself (`config-linux.md`, "Default Devices").
const DEV: &str = "/dev";

/// The whole configuration.
pub fn of(subject: &Subject<'_>, ledger: &mut Ledger) -> Result<Config> {
    Ok(Config {
        oci_version: VERSION.to_owned(),
        process: process(subject, ledger)?,
        root: Root {
            path: ROOT.to_owned(),
            readonly: true,
        },
        mounts: mounts(subject, ledger),
        linux: linux(subject, ledger)?,
    })
}

fn process(subject: &Subject<'_>, ledger: &mut Ledger) -> Result<Process> {
    let service = &subject.spec.service;
    for item in [
        Item::Command,
        Item::User,
        Item::Groups,
        Item::WorkingDirectory,
        Item::Umask,
        Item::NoNewPrivileges,
    ] {
        ledger.said(&item);
    }
    let (uid, gid) = match service.start_as_root {
        true => (0, 0),
        false => (subject.uid, subject.gid),
    };
    let variables = service.environment.iter();
    Ok(Process {
        terminal: false,
        user: User {
            uid,
            gid,
            umask: service.umask,
            additional_gids: subject.groups.to_vec(),
        },
        args: subject
            .command_as_user()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        env: variables
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        cwd: text(&service.workdir)?,
        capabilities: capabilities(subject, ledger),
        rlimits: limits(subject, ledger),
        no_new_privileges: true,
    })
}

fn capabilities(subject: &Subject<'_>, ledger: &mut Ledger) -> Capabilities {
    let spec = subject.spec;
    let kept: Vec<String> = spec
        .capabilities
        .iter()
        .map(|rule| capability(rule.capability))
        .collect();
    for rule in &spec.capabilities {
        ledger.said(&Item::Capability(rule.capability));
    }
    ledger.said(&Item::NoOtherCapability);
    let ambient = match spec.service.start_as_root {
        true => Vec::new(),
        false => kept.clone(),
    };
    Capabilities {
        bounding: kept.clone(),
        effective: kept.clone(),
        // What is ambient must be here (capabilities(7)), and nothing else may.
        inheritable: ambient.clone(),
        permitted: kept,
        ambient,
    }
}

fn limits(subject: &Subject<'_>, ledger: &mut Ledger) -> Vec<Limit> {
    let limits = &subject.spec.limits;
    let mut said = Vec::new();
    for (name, kind, value) in [
        // None, also where the spec does not say: as in the jail.
        ("core", "RLIMIT_CORE", Some(limits.core.unwrap_or(0))),
        ("descriptors", "RLIMIT_NOFILE", limits.descriptors),
        ("file_size", "RLIMIT_FSIZE", limits.file_size),
    ] {
        if let Some(value) = value {
            ledger.said(&Item::Limit(name));
            said.push(Limit {
                kind: kind.to_owned(),
                hard: value,
                soft: value,
            });
        }
    }
    said
}

/// Above what they lie in.
fn mounts(subject: &Subject<'_>, ledger: &mut Ledger) -> Vec<Mount> {
    let spec = subject.spec;
    for rule in &spec.files {
        ledger.said(&Item::File(rule.path.clone()));
    }
    let mut mounts = vec![
        // Processes alone: nothing of the kernel's tables.
        mount(
            "/proc",
            "proc",
            "proc",
            &["nosuid", "nodev", "noexec", "subset=pid"],
        ),
        mount(
            DEV,
            "tmpfs",
            "tmpfs",
            &["nosuid", "noexec", "strictatime", "mode=755", "size=64k"],
        ),
    ];
    let (uid, gid) = match spec.service.start_as_root {
        true => (0, subject.gid),
        false => (subject.uid, subject.gid),
    };
    for rule in &spec.scratch {
        ledger.said(&Item::Scratch(rule.path.clone()));
        let (size, owner) = (format!("size={}k", rule.size_kib), format!("uid={uid}"));
        let group = format!("gid={gid}");
        let mut options = vec![
            "nosuid", "nodev", "noexec", "mode=700", &size, &owner, &group,
        ];
        if spec
            .files_in_scratch()
            .any(|file| file.path.starts_with(&rule.path))
        {
            // What the tree has there is copied into it.
            options.push("tmpcopyup");
        }
        mounts.push(mount(&rule.path, "tmpfs", "tmpfs", &options));
    }
    for rule in &spec.binds {
        ledger.said(&Item::Bind(rule.path.clone(), rule.writable));
        let access = if rule.writable { "rw" } else { "ro" };
        let options = ["bind", access, "nosuid", "nodev", "noexec", "private"];
        mounts.push(mount(&rule.path, "bind", &rule.path, &options));
    }
    // A stable sort: of one path, the first stays first.
    mounts.sort_by(|one, other| one.destination.cmp(&other.destination));
    mounts
}

fn mount(
    destination: impl AsRef<Path>,
    kind: &str,
    source: impl AsRef<Path>,
    options: &[&str],
) -> Mount {
    Mount {
        destination: destination.as_ref().to_owned(),
        kind: kind.to_owned(),
        source: source.as_ref().to_owned(),
        options: options.iter().map(|&it| it.to_owned()).collect(),
    }
}

fn linux(subject: &Subject<'_>, ledger: &mut Ledger) -> Result<Linux> {
    let spec = subject.spec;
    Ok(Linux {
        devices: nodes(subject),
        namespaces: namespaces(subject, ledger),
        resources: resources(subject, ledger),
        seccomp: match spec.protections.seccomp {
            Demand::Off => None,
            Demand::Prefer | Demand::Require => Some(seccomp::of(subject, ledger)?),
        },
        masked_paths: MASKED.map(str::to_owned).to_vec(),
        readonly_paths: READ_ONLY.map(str::to_owned).to_vec(),
    })
}

/// Those that a runtime does not make in any case.
fn nodes(subject: &Subject<'_>) -> Vec<Node> {
    let rules = subject.spec.devices.iter();
    let more = rules.filter(|rule| rule.path.as_path() != rule.device.path());
    let node = |path: &PathBuf, (major, minor): (u32, u32)| Node {
        path: path.clone(),
        kind: "c".to_owned(),
        major,
        minor,
        file_mode: 0o666,
        uid: 0,
        gid: 0,
    };
    more.map(|rule| node(&rule.path, rule.device.number()))
        .collect()
}

fn namespaces(subject: &Subject<'_>, ledger: &mut Ledger) -> Vec<Namespace> {
    let wanted = &subject.spec.protections;
    let mut kinds = Vec::new();
    for (kind, name, demand) in [
        ("ipc", "ipc_namespace", wanted.ipc_namespace),
        ("pid", "pid_namespace", wanted.pid_namespace),
        ("uts", "uts_namespace", wanted.uts_namespace),
    ] {
        if demand != Demand::Off {
            ledger.said(&Item::Namespace(name));
            kinds.push(kind);
        }
    }
    // No runtime mounts anything without.
    ledger.said(&Item::Namespace("mount_namespace"));
    kinds.push("mount");
    let named = |kind: &str| Namespace {
        kind: kind.to_owned(),
    };
    kinds.into_iter().map(named).collect()
}

fn resources(subject: &Subject<'_>, ledger: &mut Ledger) -> Resources {
    let limits = &subject.spec.limits;
    let mut most = |name, limit: Option<u64>| {
        ledger.said(&Item::Limit(name));
        limit.map(|limit| Most { limit })
    };
    let rule = |allow, access: &str, number: Option<(u32, u32)>| DeviceRule {
        allow,
        access: access.to_owned(),
        kind: number.map(|_| "c".to_owned()),
        major: number.map(|(major, _)| major),
        minor: number.map(|(_, minor)| minor),
    };
    let mut devices = vec![rule(false, "rwm", None)];
    let allowed = subject.spec.devices.iter();
    devices.extend(allowed.map(|it| rule(true, "rw", Some(it.device.number()))));
    devices.dedup();
    Resources {
        devices,
        memory: most("memory_bytes", limits.memory),
        pids: most("processes", limits.processes),
    }
}
