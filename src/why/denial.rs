//! A denial, and what would remedy it.

use serde::Serialize;

use crate::spec::{Allowance, Cost, Spec};

/// A raised limit is this much of the old one.
const RAISE: u64 = 2;

/// Where a denial was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The tree is not as it was built.
    Tree,
    /// The service did it in its jail, under the tracer.
    Run,
    /// A run in complain mode wrote it down.
    Complaint,
    /// What the service printed.
    Output,
    /// The kernel's audit records.
    Audit,
}

/// What would let the service do what it was denied.
#[derive(Clone, Debug, PartialEq)]
pub enum Remedy {
    /// More is allowed.
    Allow(Vec<Allowance>),
    /// A limit of `[limits]` is raised to this.
    Limit(Limit, u64),
    /// Nothing is known that would.
    None,
    /// The tree is built again.
    Rebuild,
}

/// A limit of a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `descriptors`
    Descriptors,
    /// `file_size_bytes`
    FileSize,
    /// `memory_bytes`
    Memory,
    /// `processes`
    Processes,
}

impl Limit {
    /// What the spec says of it.
    pub fn of(self, spec: &Spec) -> Option<u64> {
        let limits = &spec.limits;
        match self {
            Limit::Descriptors => limits.descriptors,
            Limit::FileSize => limits.file_size,
            Limit::Memory => limits.memory,
            Limit::Processes => limits.processes,
        }
    }

    /// Its key in `[limits]`.
    pub fn key(self) -> &'static str {
        match self {
            Limit::Descriptors => "descriptors",
            Limit::FileSize => "file_size_bytes",
            Limit::Memory => "memory_bytes",
            Limit::Processes => "processes",
        }
    }

    /// The next larger value, if the spec has one.
    pub fn raised(self, spec: &Spec) -> Remedy {
        match self.of(spec) {
            Some(value) => Remedy::Limit(self, value.saturating_mul(RAISE)),
            None => Remedy::None,
        }
    }

    fn set(self, spec: &mut Spec, value: u64) {
        let limits = &mut spec.limits;
        let limit = match self {
            Limit::Descriptors => &mut limits.descriptors,
            Limit::FileSize => &mut limits.file_size,
            Limit::Memory => &mut limits.memory,
            Limit::Processes => &mut limits.processes,
        };
        *limit = Some(value);
    }
}

impl Remedy {
    /// Changes the spec; what is not about the spec changes nothing.
    pub fn apply(&self, spec: &mut Spec) {
        match self {
            Remedy::Allow(allowances) => {
                for allowance in allowances {
                    allowance.clone().give(spec);
                }
            }
            Remedy::Limit(limit, value) => limit.set(spec, *value),
            Remedy::None | Remedy::Rebuild => {}
        }
    }

    /// Whether it gives no more than a look at files of the host that everybody may read, or
    /// nothing at all: what is done without asking. A capability, a device, a place to write, an
    /// identity and a protection are for a person to give. Who asks counts too:
    /// [`Denial::is_safe`].
    fn is_safe(&self) -> bool {
        match self {
            Remedy::Rebuild => true,
            Remedy::Limit(..) | Remedy::None => false,
            Remedy::Allow(allowances) => {
                allowances.iter().all(|allowance| match allowance.cost() {
                    Cost::Readable | Cost::Program => is_plain(allowance),
                    Cost::Call => !is_dangerous(allowance),
                    Cost::Family => is_usual(allowance),
                    Cost::Port => is_one_port(allowance),
                    _ => false,
                })
            }
        }
    }

    /// What the spec would have that it has not: empty if it is not about the spec.
    pub fn allowances(&self) -> &[Allowance] {
        match self {
            Remedy::Allow(allowances) => allowances,
            Remedy::Limit(..) | Remedy::None | Remedy::Rebuild => &[],
        }
    }
}

/// One file that everybody may read on the host, not a whole directory of it.
fn is_plain(allowance: &Allowance) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let path = match allowance {
        Allowance::File(rule) => &rule.path,
        Allowance::Bind(rule) if !rule.path.is_dir() => &rule.path,
        _ => return false,
    };
    path.metadata()
        .is_ok_and(|data| data.is_dir() || data.permissions().mode() & 0o004 != 0)
}

/// Not all of them: port 0 stands for any.
fn is_one_port(allowance: &Allowance) -> bool {
    matches!(allowance, Allowance::Port(rule) if rule.port != 0)
}

/// Calls that reach other processes or the machine.
fn is_dangerous(allowance: &Allowance) -> bool {
    match allowance {
        Allowance::Call(rule) => {
            crate::sys::calls::name(rule.number).is_none_or(crate::audit::is_dangerous_call)
        }
        _ => false,
    }
}

/// Families that services use among themselves and with their clients.
fn is_usual(allowance: &Allowance) -> bool {
    use crate::sys::abi;
    match allowance {
        Allowance::Family(rule) => {
            [abi::AF_UNIX, abi::AF_INET, abi::AF_INET6].contains(&i32::from(rule.family))
        }
        _ => false,
    }
}

/// Something that the service was denied.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial {
    /// Where it was seen.
    pub source: Source,
    /// What it is about: a path, a call, a capability.
    pub subject: String,
    /// What happened and what decided it, in one line.
    pub cause: String,
    /// What would let the service do it.
    pub remedy: Remedy,
    /// What a person can do outside of the spec, as a command or a line of a file; empty if nothing
    /// is known.
    pub advice: String,
    /// Somebody only says that the kernel said so: a line of text that anybody can have written.
    pub claimed: bool,
}

impl Denial {
    /// A denial that the kernel or gaoler itself has seen.
    pub fn new(
        source: Source,
        subject: impl Into<String>,
        cause: impl Into<String>,
        remedy: Remedy,
    ) -> Self {
        Self {
            source,
            subject: subject.into(),
            cause: cause.into(),
            remedy,
            advice: String::new(),
            claimed: false,
        }
    }

    /// Adds what a person can do outside of the spec.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// Whether there is something to decide or to do about it.
    pub fn matters(&self) -> bool {
        self.remedy != Remedy::None || !self.advice.is_empty()
    }

    /// Whether it is about something that no jail is given.
    pub fn is_never_given(&self) -> bool {
        self.cause.ends_with(super::NEVER_GIVEN)
    }

    /// Whether the remedy may be taken without asking: it gives little ([`Remedy::is_safe`]), and
    /// what asks for it was seen and not heard. What a jail prints is its own choice, and so are
    /// the name and the path of a program in the kernel's records: a service that somebody has
    /// taken over could ask for any file of the host by them.
    pub fn is_safe(&self) -> bool {
        match self.source {
            Source::Output | Source::Audit => false,
            Source::Tree | Source::Run | Source::Complaint => self.remedy.is_safe(),
        }
    }
}
