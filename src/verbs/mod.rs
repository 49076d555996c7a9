//! The verbs: each a sequence of what the modules do, without printing. [`crate::cli`] calls
//! them and shows what they answer.
#![forbid(unsafe_code)]

mod apparmor;
mod attack;
mod attest;
mod bisect;
mod check;
mod closure;
mod config_test;
mod elsewhere;
mod export;
mod generations;
mod guard;
mod handed;
mod handover;
mod heal;
mod incidents;
mod incomplete;
mod jail;
mod learn;
mod lifecycle;
mod list;
mod listening;
mod logs;
mod merge;
mod metrics;
mod minimize;
mod observe;
mod ordinary;
mod perms;
mod places;
mod ports;
mod preflight;
mod pull;
mod push;
mod readiness;
mod registry;
mod running;
mod sbom;
mod scan;
mod score;
mod spec;
mod stale;
mod stamp;
mod status;
mod supervisor;
mod switch;
mod takeover;
mod trace;
mod trial;
mod unseen;
mod up;
mod upgrade;
mod user;
mod why;
mod worker;

use std::path::Path;

pub use apparmor::{
    AppArmorStatus, Confined, ProfileMode, Profiled, Unconfined, apparmor_disable, apparmor_load,
    apparmor_status,
};
pub use attack::{AttackOptions, Attacked, Phase, Tried, attack, attack_worker};
pub use attest::attest;
pub use bisect::{BisectOptions, Bisected, Culprit, Verdict, bisect};
pub use check::{Look, Report as CheckReport, check};
pub use export::{Enforcer, Export, export, export_write};
pub use generations::{Generation, Generations, RolledBack, generations, rollback};
pub use guard::{Guarded, guard, guard_status, guard_undo};
pub use heal::{Healed, heal};
pub use incidents::{Incidents, IncidentsOptions, freeze, incident, incidents, thaw};
pub use incomplete::Incomplete;
pub use jail::{Jail, build, plan, standalone};
pub use learn::{Beginning, LearnOptions, Learned, learn};
pub use lifecycle::{Announcement, reload, restart, start, stop};
pub use list::{List, Listed, list};
pub use logs::{LogsOptions, logs};
pub use metrics::{
    HTTP_LONGEST_HEAD, HttpAsked, metrics, metrics_keep, metrics_serve, metrics_write,
};
pub use minimize::{MinimizeOptions, Minimized, NotTried, Proven, Unproven, minimize};
pub use observe::{Top, monitor, netstats, tree};
pub use perms::{Drifted, Permissions, perms, perms_script};
pub use places::Places;
use places::TRIAL;
pub use pull::{PullOptions, Pulled, pull};
pub use push::{PushOptions, Pushed, push};
pub use registry::Moved;
pub use running::{run, supervise, take_over};
pub use sbom::{SbomFormat, sbom, sbom_write};
pub use scan::{Report as ScanReport, scan};
pub use spec::{spec_diff, spec_show};
pub use status::{Status, status};
pub use trace::{ShownTrace, trace_show};
pub use trial::{Need, Way, killed_trial, trial_keeper, trial_worker};
pub use up::{Up, UpOptions, up};
pub use upgrade::{
    Agree, PackageChange, UpgradeOptions, UpgradeOutcome, Upgraded, built_jails, upgrade,
};
pub use why::{Explained, Why, WhyOptions, why, why_take};

use crate::{Error, Result};

/// The longest name of a jail, in bytes: it becomes part of paths and of log lines.
const LONGEST_NAME: usize = 64;

/// What a verb is doing, for whoever shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Something began that may take a while.
    Doing(String),
    /// Something worth a line was done.
    Did(String),
    /// Something the user should know.
    Note(String),
    /// Something that did not work, though the verb goes on.
    Warning(String),
}

/// Where events go.
pub type Report<'a> = dyn Fn(Event) + Sync + 'a;

/// Refuses what could not be a jail's name, before it becomes part of a path.
pub(crate) fn valid_name(name: &str) -> Result<()> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fine = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with(['.', '-'])
        && name.bytes().all(good);
    if fine {
        return Ok(());
    }
    Err(Error::usage(
        format!("use {name:?} as the name of a jail"),
        "a name has letters, digits, '-', '_' and '.', begins with neither '.' nor '-', and is at \
         most 64 bytes long",
    ))
}

/// What root does for everybody, and an ordinary user for themselves (docs/rootless.md).
pub(crate) fn may_jail(doing: &str) -> Result<()> {
    proc_is_the_kernels(doing)
}

/// Whether an ordinary user runs this.
pub(crate) fn is_ordinary() -> bool {
    !rustix::process::geteuid().is_root()
}

/// What changes the machine, or reads what is root's.
pub(crate) fn must_be_root(doing: &str) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::setup(doing, "it needs root").hint("run it with sudo"));
    }
    proc_is_the_kernels(doing)
}

/// What `/proc` says of processes, and whom `/proc/self/fd/N` leads to, is believed: it must not be
/// a directory of somebody's (CVE-2019-19921).
fn proc_is_the_kernels(doing: &str) -> Result<()> {
    let why = match rustix::fs::statfs("/proc") {
        Ok(found) if found.f_type == rustix::fs::PROC_SUPER_MAGIC => return Ok(()),
        Ok(_) => "what is mounted on /proc is not the kernel's".to_owned(),
        Err(errno) => format!("/proc: {}", crate::error::explain(&errno.into())),
    };
    Err(Error::setup(doing, why).hint("mount -t proc proc /proc"))
}

/// Refuses a file or directory through which somebody else could change a policy or a jail.
pub(crate) fn must_be_ours(path: &Path, doing: &str) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::symlink_metadata(path)
        .map_err(|error| Error::setup(doing, crate::error::explain(&error)))?;
    let own = rustix::process::geteuid().as_raw();
    if metadata.is_symlink() {
        return Err(Error::setup(
            doing,
            format!("{} is a symbolic link", path.display()),
        ));
    }
    if metadata.uid() != own {
        let why = format!("{} belongs to uid {}", path.display(), metadata.uid());
        let hint = match metadata.uid() {
            0 => "what is root's is root's: sudo gaoler; or leave --etc, --state and --run out",
            _ => "chown it to root, or to yourself if the jail is yours",
        };
        return Err(Error::setup(doing, why).hint(hint));
    }
    if metadata.mode() & 0o022 != 0 {
        let why = format!(
            "others can write to {} (mode {:04o})",
            path.display(),
            metadata.mode() & 0o7777
        );
        return Err(Error::setup(doing, why).hint(format!("chmod go-w {}", path.display())));
    }
    Ok(())
}
