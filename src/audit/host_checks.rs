//! Checks of the host around a jail: its user, its places, and the other jails.

use super::facts::{Plant, Planted};
use super::rule::rule;
use super::{Check, Finding, Severity, Subject};
use crate::spec::Demand;

const OWN_USER: &str = "give each jail a user of its own: gaoler up NAME --create-user";
const LOOK_INTO_IT: &str = "find out who put it there, and remove it";

/// The table.
pub(super) const CHECKS: &[Check] = &[
    rule(
        "host.login-shell",
        Severity::Info,
        "nobody logs in as a service: its user has a shell that refuses",
        "",
        "usermod --shell /usr/sbin/nologin USER",
        login_shell,
    ),
    rule(
        "host.same-number",
        Severity::Medium,
        "the number of the service's user is unique: two names with one number are one user",
        "",
        "give the service's user a number of its own",
        same_number,
    ),
    rule(
        "host.outside",
        Severity::Medium,
        "a copy of the service that runs outside of the jail is not confined by it",
        "",
        "stop it, and see what started it",
        outside,
    ),
    rule(
        "host.guard",
        Severity::Medium,
        "what keeps the host's own copy from being started (gaoler guard) is still there",
        "",
        "gaoler guard NAME puts it back",
        guard,
    ),
    rule(
        "shared.processes",
        Severity::Low,
        "a process outside with the jail's user can trace the jail's processes and change its \
         files",
        "ptrace(2); kill(2)",
        OWN_USER,
        processes,
    ),
    rule(
        "shared.generic-user",
        Severity::Info,
        "a generic user is shared with others sooner or later; `nobody` and `daemon` a spec \
         cannot even name",
        "",
        OWN_USER,
        generic_user,
    ),
    rule(
        "shared.uid",
        Severity::Medium,
        "two jails with one user are one jail for whoever breaks into either",
        "",
        OWN_USER,
        shared_uid,
    ),
    rule(
        "shared.place",
        Severity::Medium,
        "a place that two jails have, and one can write to, is a way from one into the other; \
         through it a descriptor can be handed over that leads out",
        "field: FreeBSD's advisory on jails that share a directory",
        "give each jail a place of its own",
        shared_places,
    ),
    rule(
        "shared.socket",
        Severity::Medium,
        "a socket that reaches two jails carries descriptors from one to the other \
         (unix(7), SCM_RIGHTS)",
        "field: FreeBSD's advisory on jails that share a directory",
        "give each jail a place of its own",
        shared_sockets,
    ),
    rule(
        "place.setuid",
        Severity::High,
        "a set-user-id file in a place that is bound in: the jail cannot use it, the host can, \
         and the service may have made it",
        "execve(2)",
        LOOK_INTO_IT,
        planted_setuid,
    ),
    rule(
        "place.device",
        Severity::High,
        "a device node in a place that is bound in: the mount forbids it inside, not on the host",
        "mount(8), nodev",
        LOOK_INTO_IT,
        planted_devices,
    ),
    rule(
        "place.link",
        Severity::Low,
        "a symbolic link of the service's that leads out of its places waits for a tool of the \
         host to follow it as root",
        "field: launchers that follow planted links (CVE-2025-31133, firecracker#5631)",
        LOOK_INTO_IT,
        planted_links,
    ),
    rule(
        "place.executable",
        Severity::Medium,
        "what is writable is not executable: a program in a place that the service writes to is \
         what it, or an intruder, made",
        "",
        "move programs to the tree; keep mount_namespace = \"require\", which mounts noexec",
        planted_programs,
    ),
    rule(
        "place.volume",
        Severity::Info,
        "what the service writes can fill the volume of the host's root",
        "",
        "put the place on a volume of its own, or set a quota",
        volumes,
    ),
];

/// Users that a Debian system has for everybody (base-passwd) and those of other systems.
const GENERIC_USERS: [&str; 18] = [
    "_apt", "apache", "backup", "bin", "daemon", "games", "http", "irc", "list", "lp", "mail",
    "man", "news", "nobody", "operator", "proxy", "www", "www-data",
];

/// Shells that refuse, by their names.
const REFUSING: [&str; 4] = ["false", "nologin", "sync", ""];

fn login_shell(subject: &Subject<'_>) -> Vec<Finding> {
    let user = subject.facts.user.iter();
    user.filter(|user| {
        let shell = user.shell.rsplit('/').next().unwrap_or_default();
        // An empty field means /bin/sh (passwd(5)).
        !REFUSING.contains(&shell) || user.shell.is_empty()
    })
    .map(|user| {
        let evidence = format!("its shell is {:?}", user.shell);
        Finding::plain(Severity::Info, format!("user {}", user.name), evidence)
    })
    .collect()
}

fn same_number(subject: &Subject<'_>) -> Vec<Finding> {
    let others = &subject.facts.same_number;
    if others.is_empty() {
        return Vec::new();
    }
    let evidence = format!(
        "uid {} is also that of {}",
        subject.facts.uid,
        others.join(", ")
    );
    let user = format!("user {}", subject.spec.service.user);
    vec![Finding::plain(Severity::Medium, user, evidence)]
}

fn outside(subject: &Subject<'_>) -> Vec<Finding> {
    let copies = subject.facts.outside.iter().filter(|it| it.is_copy);
    copies
        .map(|copy| {
            let evidence = format!("process {} runs {:?} in no jail", copy.pid, copy.executable);
            Finding::plain(Severity::Medium, "the host's own copy", evidence)
        })
        .collect()
}

fn guard(subject: &Subject<'_>) -> Vec<Finding> {
    let problems = subject.facts.unguarded.iter();
    problems
        .map(|problem| Finding::plain(Severity::Medium, "the host's own copy", problem))
        .collect()
}

fn processes(subject: &Subject<'_>) -> Vec<Finding> {
    let mut others: Vec<String> = subject
        .facts
        .outside
        .iter()
        .filter(|it| it.same_uid && !it.is_copy)
        .map(|it| format!("{} ({:?})", it.pid, it.executable))
        .collect();
    others.truncate(8);
    if others.is_empty() {
        return Vec::new();
    }
    let evidence = format!(
        "processes outside have uid {}: {}",
        subject.facts.uid,
        others.join(", ")
    );
    let user = format!("user {}", subject.spec.service.user);
    vec![Finding::plain(Severity::Low, user, evidence)]
}

fn generic_user(subject: &Subject<'_>) -> Vec<Finding> {
    let service = &subject.spec.service;
    let users = service
        .accounts
        .iter()
        .chain(std::iter::once(&service.user));
    users
        .filter(|user| GENERIC_USERS.contains(&user.as_str()))
        .map(|user| {
            let evidence = "other services run as the same user on other machines, or on this one";
            Finding::plain(Severity::Info, format!("user {user}"), evidence)
        })
        .collect()
}

fn shared_uid(subject: &Subject<'_>) -> Vec<Finding> {
    let service = &subject.spec.service;
    let users: Vec<&String> = service.accounts.iter().chain([&service.user]).collect();
    let jails = subject.facts.jails.iter();
    jails
        .filter_map(|jail| {
            let by_name = jail.users.iter().find(|user| users.contains(user));
            let by_number = jail.uid == Some(subject.facts.uid) && subject.facts.uid != 0;
            let shared = by_name.or_else(|| jail.users.first().filter(|_| by_number))?;
            // Root is said by `spec.root`, of each.
            (shared != "root").then(|| {
                let evidence = format!("it runs as {shared} too");
                Finding::plain(Severity::Medium, format!("jail {}", jail.name), evidence)
            })
        })
        .collect()
}

fn shared_places(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for jail in &subject.facts.jails {
        for bind in &subject.spec.binds {
            let meet = |place: &&std::path::PathBuf| {
                place.starts_with(&bind.path) || bind.path.starts_with(place)
            };
            let theirs = if bind.writable {
                &jail.places
            } else {
                &jail.writable
            };
            if let Some(place) = theirs.iter().find(meet) {
                findings.push(Finding::plain(
                    Severity::Medium,
                    format!("{}, jail {}", bind.path.display(), jail.name),
                    format!("that jail has {}", place.display()),
                ));
            }
        }
    }
    findings
}

fn shared_sockets(subject: &Subject<'_>) -> Vec<Finding> {
    let sockets = planted(subject, |what| matches!(what, Plant::Socket));
    let mut findings: Vec<Finding> = Vec::new();
    for socket in sockets {
        for jail in &subject.facts.jails {
            if jail
                .places
                .iter()
                .any(|place| socket.path.starts_with(place))
            {
                findings.push(Finding::plain(
                    Severity::Medium,
                    format!("{}, jail {}", socket.path.display(), jail.name),
                    "that jail can reach it too",
                ));
            }
        }
    }
    let held = subject.live.into_iter().flat_map(|live| &live.processes);
    for process in held {
        for (inode, jail) in &subject.facts.foreign_sockets {
            if process.sockets.contains(inode) {
                findings.push(Finding::plain(
                    Severity::Medium,
                    format!("process {}, jail {jail}", process.pid),
                    format!("both hold the socket {inode}"),
                ));
            }
        }
    }
    findings
}

fn planted<'a>(
    subject: &Subject<'a>,
    wanted: impl Fn(&Plant) -> bool,
) -> impl Iterator<Item = &'a Planted> {
    let all = subject.facts.planted.iter();
    all.filter(move |planted| wanted(&planted.what))
}

fn plainly(
    subject: &Subject<'_>,
    severity: Severity,
    evidence: &str,
    wanted: impl Fn(&Plant) -> bool,
) -> Vec<Finding> {
    planted(subject, wanted)
        .map(|it| Finding::plain(severity, it.path.display().to_string(), evidence))
        .collect()
}

fn planted_setuid(subject: &Subject<'_>) -> Vec<Finding> {
    let evidence = "it changes the user or the group of who executes it";
    let is_it = |what: &Plant| matches!(what, Plant::Setuid);
    plainly(subject, Severity::High, evidence, is_it)
}

fn planted_devices(subject: &Subject<'_>) -> Vec<Finding> {
    let is_it = |what: &Plant| matches!(what, Plant::Device);
    plainly(subject, Severity::High, "it is a device node", is_it)
}

fn planted_links(subject: &Subject<'_>) -> Vec<Finding> {
    let links = planted(subject, |what| matches!(what, Plant::Link(_)));
    links
        .filter_map(|it| match &it.what {
            Plant::Link(target) => {
                let evidence = format!("the service's own, to {}", target.display());
                let path = it.path.display().to_string();
                Some(Finding::plain(Severity::Low, path, evidence))
            }
            _ => None,
        })
        .collect()
}

fn planted_programs(subject: &Subject<'_>) -> Vec<Finding> {
    // Without mounts of its own the jail can execute it.
    let severity = match subject.spec.protections.mount_namespace {
        Demand::Off => Severity::Medium,
        Demand::Prefer | Demand::Require => Severity::Info,
    };
    let evidence = "the service's own, and executable";
    let is_it = |what: &Plant| matches!(what, Plant::Executable);
    plainly(subject, severity, evidence, is_it)
}

fn volumes(subject: &Subject<'_>) -> Vec<Finding> {
    let places = subject.facts.on_root_volume.iter();
    places
        .map(|place| {
            let evidence = "it is on the volume of /";
            Finding::plain(Severity::Info, place.display().to_string(), evidence)
        })
        .collect()
}
