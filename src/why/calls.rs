//! System calls that the filter refused.

use super::denial::{Denial, Remedy, Source};
use super::explain::{Evidence, errno_name, subject, when};
use crate::learn::trace::{CallFailed, Phase};
use crate::run::Complaint;
use crate::spec;
use crate::spec::{Allowance, CallRule, Demand, FamilyRule, Spec};
use crate::sys::ptrace::NATIVE_ARCH;
use crate::sys::{abi, calls, families};

/// Set in the numbers of x32's calls (`asm/unistd.h`).
const X32: u32 = 0x4000_0000;
/// `AUDIT_ARCH_I386` of `linux/audit.h`.
const I386: u32 = 0x4000_0003;

/// A call that the filter refused, or would have.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Where it was seen.
    pub source: Source,
    number: u32,
    /// The architecture whose entry it came through; empty for this machine's own.
    architecture: String,
    arguments: [u64; 6],
    /// As the kernel answered; 0 in complain mode, and where it killed.
    errno: i32,
    phase: Phase,
    count: u64,
    /// Where in the program, and which program.
    place: String,
}

impl Refusal {
    fn name(&self) -> &'static str {
        if self.is_foreign() {
            return "a call";
        }
        calls::name(self.number).unwrap_or("unknown")
    }

    fn is_foreign(&self) -> bool {
        !self.architecture.is_empty()
    }

    /// Whether the allowance would have let it run.
    pub fn is_about(&self, allowance: &Allowance) -> bool {
        let first = self.arguments[0];
        let opens = matches!(self.name(), "socket" | "socketpair");
        match allowance {
            Allowance::Call(rule) => {
                rule.number == self.number && !self.is_by_argument() && !self.is_foreign()
            }
            Allowance::Family(rule) => opens && first & 0xffff == u64::from(rule.family),
            Allowance::WritableExecutable => {
                calls::executes_what_is_written(self.name(), &self.arguments)
            }
            _ => false,
        }
    }

    /// It was refused for what it asked, not for what it is.
    fn is_by_argument(&self) -> bool {
        self.errno == abi::EAFNOSUPPORT
    }

    /// What the spec would have to have for it to run; `None` if nothing would do.
    fn allowance(&self, spec: &Spec) -> Option<Allowance> {
        if self.is_foreign() {
            return None;
        }
        let start_only = self.phase == Phase::Start;
        allowance(
            spec,
            self.number,
            self.arguments,
            start_only,
            &self.in_words(),
        )
    }

    pub fn in_words(&self) -> String {
        let Self {
            phase,
            count,
            arguments: [first, second, third, ..],
            ..
        } = self;
        let name = self.name();
        let call = match name {
            _ if self.is_foreign() => format!(
                "call {} of {} ({first:#x}, {second:#x}, {third:#x}, ...)",
                self.number, self.architecture
            ),
            "socket" | "socketpair" => {
                let family = u16::try_from(first & 0xffff).ok();
                let family = family
                    .and_then(families::name)
                    .unwrap_or("an unknown family");
                format!("{name}(AF_{family})")
            }
            _ => format!("{name}({first:#x}, {second:#x}, {third:#x}, ...)"),
        };
        let how = match (self.source, self.errno) {
            (Source::Complaint, _) => "would be refused by the filter".to_owned(),
            (_, 0) => "was refused by the filter, which killed it with SIGSYS".to_owned(),
            (_, number) => format!("was refused by the filter with {}", errno_name(number)),
        };
        let times = if *count == 1 { "once" } else { "several times" };
        format!("{call} {how}, {times}, {}{}", when(*phase), self.place)
    }
}

/// What a spec would have to have for a call to run that it refuses; `None` if it refuses it
/// whatever else it says, or does not refuse it.
pub(super) fn allowance(
    spec: &Spec,
    number: u32,
    arguments: [u64; 6],
    start_only: bool,
    because: &str,
) -> Option<Allowance> {
    let first = arguments[0];
    let known = spec.calls.iter().find(|rule| rule.number == number);
    let is_there = known.is_some_and(|rule| start_only || !rule.start_only);
    let evidence = spec::Evidence::default;
    if !is_there {
        return Some(Allowance::Call(CallRule {
            number,
            start_only,
            because: because.to_owned(),
            evidence: evidence(),
        }));
    }
    let name = calls::name(number)?;
    match name {
        "socket" | "socketpair" => {
            let family = u16::try_from(first & u64::from(u32::MAX)).ok()?;
            families::name(family)?;
            let is_there = spec.families.iter().any(|rule| rule.family == family);
            (!is_there).then(|| {
                Allowance::Family(FamilyRule {
                    family,
                    because: because.to_owned(),
                    evidence: evidence(),
                })
            })
        }
        "mmap" | "mprotect" | "pkey_mprotect" | "shmat" => {
            let asks = calls::executes_what_is_written(name, &arguments);
            (asks && !spec.service.writable_executable).then_some(Allowance::WritableExecutable)
        }
        _ => None,
    }
}

/// Everything that the filter refused.
pub(super) fn refused_calls(evidence: &Evidence<'_>) -> Vec<Refusal> {
    let run = evidence.run.into_iter().flat_map(|run| run.failed.iter());
    let filters = evidence.spec.protections.seccomp != Demand::Off;
    let run = run.filter(|failed| filters && is_the_filter_s(failed));
    let run = run.map(|failed| of_run(evidence, failed));
    let complaints = evidence.complaints.into_iter();
    let complaints = complaints.flat_map(|record| record.complaints.iter());
    let complaints = complaints.map(|complaint| of_complaint(evidence, complaint));
    run.chain(complaints).collect()
}

/// Refused calls that no comparison of specs shows: those of another architecture, those that only
/// complain mode has seen, and those that no spec can allow.
pub(super) fn others(evidence: &Evidence<'_>, refusals: &[Refusal]) -> Vec<Denial> {
    let mut denials: Vec<Denial> = Vec::new();
    for refusal in refusals {
        let denial = match refusal.allowance(evidence.spec) {
            _ if refusal.is_foreign() => foreign(refusal),
            Some(allowance) if refusal.source == Source::Complaint => Denial::new(
                refusal.source,
                subject(&allowance),
                refusal.in_words(),
                Remedy::Allow(vec![allowance]),
            ),
            Some(_) => continue,
            None => match never(refusal) {
                Some(denial) => denial,
                None => continue,
            },
        };
        if denials.iter().all(|known| known.subject != denial.subject) {
            denials.push(denial);
        }
    }
    denials
}

fn foreign(refusal: &Refusal) -> Denial {
    let name = format!("call {} of {}", refusal.number, refusal.architecture);
    let cause = format!(
        "{}: the filter knows only this machine's own calls, because the numbers of the others \
         mean something else",
        refusal.in_words()
    );
    Denial::new(refusal.source, name, cause, Remedy::None)
        .advise("use a program that is built for this architecture; a spec cannot allow this")
}

/// What the filter refuses by its arguments in every jail.
fn never(refusal: &Refusal) -> Option<Denial> {
    let why = match (refusal.name(), refusal.errno) {
        ("clone", abi::EPERM) | ("clone", 0) => {
            "with these flags it makes namespaces, which gives it capabilities in them: no jail may"
        }
        ("ioctl", abi::EPERM) | ("ioctl", 0) if is_injection(refusal) => {
            "TIOCSTI and TIOCLINUX type into a terminal: no jail may (CVE-2017-5226)"
        }
        _ => return None,
    };
    let cause = format!("{}: {why}", refusal.in_words());
    let name = refusal.name();
    Some(Denial::new(
        refusal.source,
        format!("call {name} (its arguments)"),
        cause,
        Remedy::None,
    ))
}

/// `TIOCSTI` and `TIOCLINUX` of `asm-generic/ioctls.h`.
fn is_injection(refusal: &Refusal) -> bool {
    let [_, request, ..] = refusal.arguments;
    [0x5412, 0x541c].contains(&(request & u64::from(u32::MAX)))
}

/// What the filter answers (`plan::policy`): EPERM for known calls, ENOSYS for those whose time is
/// over, EAFNOSUPPORT for sockets; calls of another architecture it kills. The kernel answers
/// EPERM for other reasons, too; then the spec has the call, and nothing is missing.
fn is_the_filter_s(failed: &CallFailed) -> bool {
    !failed.architecture.is_empty()
        || [abi::EPERM, abi::ENOSYS, abi::EAFNOSUPPORT].contains(&failed.errno)
}

fn of_run(evidence: &Evidence<'_>, failed: &CallFailed) -> Refusal {
    let programs: Vec<&str> = failed.witness.programs.iter().map(String::as_str).collect();
    let at = match &failed.at {
        Some(place) => format!(" at {}", evidence.places.name(place)),
        None => String::new(),
    };
    let thread = match failed.thread.as_str() {
        "" => String::new(),
        thread => format!(" (thread {thread})"),
    };
    Refusal {
        source: Source::Run,
        number: failed.number,
        architecture: failed.architecture.clone(),
        arguments: failed.arguments,
        errno: failed.errno,
        phase: failed.phase,
        count: failed.count,
        place: format!(", by {}{thread}{at}", programs.join(", ")),
    }
}

fn of_complaint(evidence: &Evidence<'_>, complaint: &Complaint) -> Refusal {
    let phase = if complaint.serving {
        Phase::Serve
    } else {
        Phase::Start
    };
    let architecture = match (complaint.architecture, complaint.number & X32) {
        (NATIVE_ARCH, 0) => String::new(),
        (NATIVE_ARCH, _) if cfg!(target_arch = "x86_64") => "x32".to_owned(),
        (NATIVE_ARCH, _) => String::new(),
        (I386, _) => "i386".to_owned(),
        (other, _) => format!("{other:#x}"),
    };
    Refusal {
        source: Source::Complaint,
        number: complaint.number,
        architecture,
        arguments: complaint.arguments,
        errno: 0,
        phase,
        count: complaint.count,
        place: format!(
            ", by thread {} ({}) at {}",
            complaint.thread,
            complaint.program,
            evidence.places.name_in(complaint)
        ),
    }
}
