//! Limits that were reached: which one, and whose.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::denial::{Denial, Limit, Remedy, Source};
use super::explain::{Evidence, errno_name, when};
use super::quote::quoted;
use crate::learn::trace::CallFailed;
use crate::spec::{Allowance, ScratchRule, Spec};
use crate::sys::{abi, calls};

/// A scratch place is made this much larger.
const RAISE: u32 = 2;

/// A limit of the host's that a service inherits (`getrlimit(2)`): the one that counts, and the one
/// that it can be raised to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// `rlim_cur`; `None` for none.
    pub soft: Option<u64>,
    /// `rlim_max`; `None` for none.
    pub hard: Option<u64>,
}

/// The limits that a jail inherits where its spec sets none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostLimits {
    /// RLIMIT_NOFILE
    pub descriptors: Inherited,
    /// RLIMIT_FSIZE, bytes
    pub file_size: Inherited,
    /// RLIMIT_NPROC
    pub processes: Inherited,
    /// RLIMIT_AS, bytes
    pub address_space: Inherited,
    /// RLIMIT_MEMLOCK, bytes
    pub locked: Inherited,
}

impl HostLimits {
    /// Those of this process, which are those of the jails that it starts.
    pub fn own() -> Self {
        let of = |resource| {
            let limit = getrlimit(resource);
            Inherited {
                soft: limit.current,
                hard: limit.maximum,
            }
        };
        Self {
            descriptors: of(Resource::Nofile),
            file_size: of(Resource::Fsize),
            processes: of(Resource::Nproc),
            address_space: of(Resource::As),
            locked: of(Resource::Memlock),
        }
    }
}

/// Calls that failed as they do when a limit is reached (`errno(3)`), and what the kernel counted.
pub(super) fn reached(evidence: &Evidence<'_>) -> Vec<Denial> {
    let failed = evidence.run.into_iter().flat_map(|run| run.failed.iter());
    let mut denials: Vec<Denial> = Vec::new();
    let found = failed.filter_map(|failed| of_call(evidence, failed));
    for denial in found.chain(killed(evidence)) {
        if denials.iter().all(|known| known.subject != denial.subject) {
            denials.push(denial);
        }
    }
    denials
}

fn of_call(evidence: &Evidence<'_>, failed: &CallFailed) -> Option<Denial> {
    let host = &evidence.host;
    let said = format!(
        "{} failed with {}, {}",
        failed.name,
        errno_name(failed.errno),
        when(failed.phase)
    );
    let makes_thread = matches!(failed.name.as_str(), "clone" | "clone3" | "fork" | "vfork");
    match (failed.name.as_str(), failed.errno) {
        (_, abi::EMFILE) => Some(of_resource(
            evidence.spec,
            Limit::Descriptors,
            host.descriptors,
            &said,
        )),
        (_, abi::EFBIG) => Some(of_resource(
            evidence.spec,
            Limit::FileSize,
            host.file_size,
            &said,
        )),
        (_, abi::ENFILE) => Some(of_host(
            "fs.file-max",
            &format!("{said}: the host has no descriptors left (fs.file-max)"),
            "sysctl fs.file-max",
        )),
        (_, abi::EAGAIN) if makes_thread => Some(of_processes(evidence, &said)),
        ("mlock" | "mlock2" | "mlockall", abi::ENOMEM | abi::EAGAIN | abi::EPERM) => Some(of_host(
            "RLIMIT_MEMLOCK",
            &format!("{said}: {}", inherited("RLIMIT_MEMLOCK", host.locked)),
            "raise it where gaoler is started (ulimit -l, LimitMEMLOCK=), or keep CAP_IPC_LOCK",
        )),
        (_, abi::ENOMEM) => of_memory(evidence, failed, &said),
        ("inotify_add_watch", abi::ENOSPC) => Some(of_host(
            "fs.inotify.max_user_watches",
            &format!("{said}: the user has no watches left"),
            "sysctl fs.inotify.max_user_watches",
        )),
        (_, abi::ENOSPC) => Some(of_space(evidence.spec, failed, &said)),
        _ => None,
    }
}

/// The spec's, or where it has none the host's.
fn of_resource(spec: &Spec, limit: Limit, host: Inherited, said: &str) -> Denial {
    let name = match limit {
        Limit::Descriptors => "RLIMIT_NOFILE",
        _ => "RLIMIT_FSIZE",
    };
    match limit.of(spec) {
        Some(value) => {
            let given = host.hard.map_or_else(
                || "the host sets none".to_owned(),
                |hard| format!("the host would give {hard}"),
            );
            let cause = format!("{said}: the spec's limit of {value} was reached; {given}");
            let denial = Denial::new(Source::Run, key(limit), cause, limit.raised(spec));
            match host.hard {
                Some(hard) if value >= hard => denial.advise(format!(
                    "the spec only lowers limits: raise {name} where gaoler is started"
                )),
                _ => denial,
            }
        }
        None => of_host(
            name,
            &format!("{said}: {}", inherited(name, host)),
            &format!("the spec only lowers limits: raise {name} where gaoler is started"),
        ),
    }
}

fn of_host(subject: &str, cause: &str, advice: &str) -> Denial {
    Denial::new(Source::Run, subject, cause, Remedy::None).advise(advice)
}

fn inherited(name: &str, limit: Inherited) -> String {
    format!(
        "the spec sets no such limit, and {name} of the host is {} (hard {})",
        number(limit.soft),
        number(limit.hard)
    )
}

fn number(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |value| value.to_string())
}

/// `fork(2)`: EAGAIN by the cgroup, by the user's limit, or by the host's.
fn of_processes(evidence: &Evidence<'_>, said: &str) -> Denial {
    let limit = Limit::Processes;
    let count = evidence.reached.processes;
    match limit.of(evidence.spec) {
        Some(value) if count > 0 => {
            let cause = format!(
                "{said}: the spec's limit of {value} was reached (pids.max of its cgroup, {count} times)"
            );
            Denial::new(Source::Run, key(limit), cause, limit.raised(evidence.spec))
        }
        _ => of_host(
            "RLIMIT_NPROC",
            &format!(
                "{said}: not by the jail's cgroup; {}, counted for the user on the whole host",
                inherited("RLIMIT_NPROC", evidence.host.processes)
            ),
            "raise it where gaoler is started (ulimit -u, LimitNPROC=), or look at kernel.threads-max",
        ),
    }
}

/// A full cgroup kills or waits; only what the kernel needs for itself fails with ENOMEM.
fn of_memory(evidence: &Evidence<'_>, failed: &CallFailed, said: &str) -> Option<Denial> {
    let limit = Limit::Memory;
    if let Some(value) = limit
        .of(evidence.spec)
        .filter(|_| evidence.reached.memory > 0)
    {
        let cause = format!(
            "{said}: the spec's limit of {value} bytes was reached (its cgroup was short of memory {} times)",
            evidence.reached.memory
        );
        let remedy = limit.raised(evidence.spec);
        return Some(Denial::new(Source::Run, key(limit), cause, remedy));
    }
    if calls::asks_for_huge_pages(&failed.name, &failed.arguments) {
        let cause = format!(
            "{said}: not by the jail: it asked for huge pages, and the host has none left \
             (vm.nr_hugepages); most that ask do without"
        );
        return Some(Denial::new(Source::Run, "huge pages", cause, Remedy::None));
    }
    let maps = [
        "brk", "mmap", "mremap", "mprotect", "clone", "clone3", "fork",
    ];
    maps.contains(&failed.name.as_str()).then(|| {
        let cause = match evidence.host.address_space.soft {
            Some(_) => inherited("RLIMIT_AS", evidence.host.address_space),
            None => "not by the jail: more than the host gives out at once".to_owned(),
        };
        of_host(
            "memory",
            &format!("{said}: {cause}"),
            "see vm.overcommit_memory and vm.max_map_count, and what the service asks for",
        )
    })
}

/// The kernel killed a process of the jail because the cgroup was full.
fn killed(evidence: &Evidence<'_>) -> Option<Denial> {
    let limit = Limit::Memory;
    let count = evidence.reached.memory_kills;
    let value = limit.of(evidence.spec).filter(|_| count > 0)?;
    let times = match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let cause = format!(
        "SIGKILL by the kernel, {times}: the spec's limit of {value} bytes was reached \
         (oom_kill of its cgroup)"
    );
    let remedy = limit.raised(evidence.spec);
    Some(Denial::new(Source::Run, key(limit), cause, remedy))
}

/// A scratch place has the size that the spec says; everything else is a disk of the host.
fn of_space(spec: &Spec, failed: &CallFailed, said: &str) -> Denial {
    let Some(file) = &failed.file else {
        let cause = format!("{said}: a scratch place or a disk of the host is full");
        return of_host("disk", &cause, "df, and size_kib of the scratch places");
    };
    let scratch = spec
        .scratch
        .iter()
        .filter(|rule| file.starts_with(&rule.path));
    match scratch.max_by_key(|rule| rule.path.as_os_str().len()) {
        Some(rule) => {
            let size = rule.size_kib;
            let cause = format!(
                "{said} on {}: the scratch place {} has {size} KiB",
                file.display(),
                rule.path.display()
            );
            let larger = Allowance::Scratch(ScratchRule {
                size_kib: size.saturating_mul(RAISE),
                ..rule.clone()
            });
            let subject = larger.name();
            Denial::new(Source::Run, subject, cause, Remedy::Allow(vec![larger]))
        }
        None => {
            let place = bind_of(spec, file);
            of_host(
                &format!("disk of {}", place.display()),
                &format!(
                    "{said} on {}: the disk of the host is full, or the service's quota",
                    file.display()
                ),
                &quoted(place).map_or_else(
                    || "on the host: df -h; df -i".to_owned(),
                    |place| format!("on the host: df -h {place}; df -i {place}"),
                ),
            )
        }
    }
}

fn bind_of<'a>(spec: &'a Spec, file: &'a Path) -> &'a Path {
    let binds = spec.binds.iter().map(|bind| bind.path.as_path());
    let binds = binds.filter(|bind| file.starts_with(bind));
    binds
        .max_by_key(|bind| bind.as_os_str().len())
        .unwrap_or(file)
}

fn key(limit: Limit) -> String {
    format!("limits.{}", limit.key())
}
