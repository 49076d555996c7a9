//! Every process of the machine that listens, and what confines it. Judged by what the kernel
//! says of it, never by what it calls itself.

mod look;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::Serialize;

pub use look::{Jailed, look};

use super::{Finding, Severity};
use crate::host::confinement::AppArmor;
use crate::sys::caps;

/// The id of the findings of a scan.
pub const RULE: &str = "scan.listener";
/// What the rule looks for, and why.
pub const ABOUT: &str =
    "a process that listens is confined: whoever breaks into it gets what it may do";
/// What to do about it.
pub const REMEDY: &str = "jail it: gaoler up NAME -- COMMAND; what nobody needs, turn off";

/// A process that listens.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Listening {
    /// Its pid.
    pub pid: i32,
    /// What it calls itself (`comm` of proc(5)): its own choice.
    pub name: String,
    /// Its executable, as the kernel names it; null if that cannot be told.
    pub executable: Option<String>,
    /// Its effective user.
    pub uid: u32,
    /// That user's name on this host.
    pub user: Option<String>,
    /// What it listens on.
    pub sockets: Vec<Socket>,
    /// How exposed it is: 0 is best, 10 is worst.
    pub exposure: f64,
    /// What adds to that.
    pub because: Vec<Exposure>,
    /// The jail of gaoler's that it is in.
    pub jail: Option<String>,
    /// The unit of systemd that it belongs to.
    pub unit: Option<String>,
    /// The profile of AppArmor that confines it.
    pub apparmor: Option<AppArmor>,
    /// By the measure of aa-unconfined(8): it has a profile of AppArmor, in whatever mode.
    pub apparmor_confined: bool,
    /// The context of SELinux that confines it.
    pub selinux: Option<String>,
    /// It is under a filter of system calls.
    pub seccomp: bool,
    /// execve cannot add privileges.
    pub no_new_privs: bool,
    /// The kinds of namespaces that are not the host's.
    pub namespaces: Vec<String>,
    /// Its root directory is not the host's.
    pub own_root: bool,
    /// The capabilities that it has in effect, or can take.
    pub capabilities: Vec<String>,
    /// Landlock confines it: known of gaoler's jails only, the kernel does not tell.
    pub landlock: bool,
}

/// Something that a process listens on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Socket {
    /// `tcp`, `udp` or `unix`.
    pub protocol: String,
    /// Its address; of a Unix socket its path, `@` for the first byte of an abstract one.
    pub address: String,
    /// Its port; null for a Unix socket.
    pub port: Option<u16>,
}

/// One thing that adds to the exposure of a process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exposure {
    /// What it is.
    pub what: &'static str,
    /// How much it adds.
    pub weight: f64,
}

/// Whether a weight applies to a process.
type Applies = fn(&Listening) -> bool;

/// Weights that add up to 10, with what they are for and when they apply.
pub const WEIGHTS: [(&str, f64, Applies); 9] = [
    ("it runs as root", 2.5, |it| it.uid == 0),
    ("it has capabilities that are as good as root", 2.0, |it| {
        it.most_weighty() >= Severity::High
    }),
    (
        "it has capabilities that a listener rarely needs",
        0.5,
        |it| it.most_weighty() >= Severity::Low,
    ),
    ("no filter of system calls", 1.5, |it| !it.seccomp),
    ("no AppArmor, SELinux or Landlock", 1.0, |it| {
        let enforced = it.apparmor.as_ref().is_some_and(AppArmor::enforces);
        !enforced && it.selinux.is_none() && !it.landlock
    }),
    ("it sees the host's files", 1.0, |it| !it.own_root),
    ("execve can add privileges", 0.5, |it| !it.no_new_privs),
    ("it sees the host's processes", 0.5, |it| {
        !it.is_apart("pid")
    }),
    ("other machines can reach it", 0.5, Listening::is_reachable),
];

impl Listening {
    fn most_weighty(&self) -> Severity {
        let all = self.capabilities.iter();
        all.map(|name| super::weights::capability_severity(name))
            .max()
            .unwrap_or(Severity::Info)
    }

    fn is_apart(&self, kind: &str) -> bool {
        self.namespaces.iter().any(|own| own == kind)
    }

    fn is_reachable(&self) -> bool {
        self.sockets.iter().any(|socket| {
            let address = socket.address.parse::<IpAddr>();
            socket.port.is_some() && address.is_ok_and(|address| !address.is_loopback())
        })
    }

    /// Fills in what follows from the rest.
    fn judged(mut self) -> Self {
        self.apparmor_confined = self.apparmor.is_some();
        let applying = WEIGHTS.into_iter().filter(|(_, _, applies)| applies(&self));
        self.because = applying
            .map(|(what, weight, _)| Exposure { what, weight })
            .collect();
        let sum: f64 = self.because.iter().map(|one| one.weight).sum();
        self.exposure = (sum * 10.0).round() / 10.0 + 0.0;
        self
    }

    /// As a finding of `check`.
    pub fn finding(&self) -> Finding {
        let severity = match self.exposure {
            high if high >= 7.0 => Severity::High,
            medium if medium >= 4.0 => Severity::Medium,
            low if low >= 2.0 => Severity::Low,
            _ => Severity::Info,
        };
        let because: Vec<&str> = self.because.iter().map(|one| one.what).collect();
        let executable = self.executable.as_deref().unwrap_or("unknown");
        Finding {
            id: RULE.to_owned(),
            ..Finding::new(
                severity,
                format!("process {} ({executable:?})", self.pid),
                format!("exposure {:.1}: {}", self.exposure, because.join("; ")),
                REMEDY,
            )
        }
    }
}

/// The names of the capabilities in a set.
fn capability_names(set: u64) -> Vec<String> {
    (0..64)
        .filter(|number| set >> number & 1 != 0)
        .filter_map(|number| caps::name(number).map(str::to_owned))
        .collect()
}

/// Worst first, then by pid.
fn sort(found: &mut [Listening]) {
    found.sort_by(|left, right| {
        let worse = right.exposure.total_cmp(&left.exposure);
        worse.then(left.pid.cmp(&right.pid))
    });
}
