//! System calls that the filter refused.

use super::denial::Source;
use super::explain::{Evidence, errno_name, when};
use crate::learn::trace::{CallFailed, Phase};
use crate::run::Complaint;
use crate::spec::Allowance;
use crate::sys::{abi, calls, families};

/// `PROT_WRITE | PROT_EXEC`.
const WRITE_EXECUTE: u64 = 6;

/// A call that the filter refused, or would have.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Where it was seen.
    pub source: Source,
    number: u32,
    arguments: [u64; 6],
    /// As the kernel answered; 0 in complain mode.
    errno: i32,
    phase: Phase,
    count: u64,
    /// Where in the program, and which program.
    place: String,
}

impl Refusal {
    fn name(&self) -> &'static str {
        calls::name(self.number).unwrap_or("unknown")
    }

    /// Whether the allowance would have let it run.
    pub fn is_about(&self, allowance: &Allowance) -> bool {
        let [first, _, third, ..] = self.arguments;
        let opens = matches!(self.name(), "socket" | "socketpair");
        match allowance {
            Allowance::Call(rule) => rule.number == self.number && !self.is_by_argument(),
            Allowance::Family(rule) => opens && first & 0xffff == u64::from(rule.family),
            Allowance::WritableExecutable => {
                matches!(self.name(), "mmap" | "mprotect" | "pkey_mprotect")
                    && third & WRITE_EXECUTE == WRITE_EXECUTE
            }
            _ => false,
        }
    }

    /// It was refused for what it asked, not for what it is.
    fn is_by_argument(&self) -> bool {
        self.errno == abi::EAFNOSUPPORT
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
            (_, number) => format!("was refused by the filter with {}", errno_name(number)),
        };
        let times = if *count == 1 { "once" } else { "several times" };
        format!("{call} {how}, {times}, {}{}", when(*phase), self.place)
    }
}

/// Everything that the filter refused.
pub(super) fn refused_calls(evidence: &Evidence<'_>) -> Vec<Refusal> {
    let run = evidence.run.into_iter().flat_map(|run| run.failed.iter());
    let run = run.filter(|failed| is_the_filter_s(failed)).map(of_run);
    let complaints = evidence.complaints.into_iter();
    let complaints = complaints.flat_map(|record| record.complaints.iter());
    run.chain(complaints.map(of_complaint)).collect()
}

/// What the filter answers (`plan::policy`): EPERM for known calls, ENOSYS for those whose time is
/// over, EAFNOSUPPORT for sockets. The kernel answers EPERM for other reasons, too; then the spec
/// has the call, and nothing is missing.
fn is_the_filter_s(failed: &CallFailed) -> bool {
    [abi::EPERM, abi::ENOSYS, abi::EAFNOSUPPORT].contains(&failed.errno)
}

fn of_run(failed: &CallFailed) -> Refusal {
    let programs: Vec<&str> = failed.witness.programs.iter().map(String::as_str).collect();
    let at = match &failed.at {
        Some(place) if !place.file.as_os_str().is_empty() => {
            format!(" at {}+{:#x}", place.file.display(), place.offset)
        }
        Some(place) => format!(" at {:#x}", place.address),
        None => String::new(),
    };
    Refusal {
        source: Source::Run,
        number: failed.number,
        arguments: failed.arguments,
        errno: failed.errno,
        phase: failed.phase,
        count: failed.count,
        place: format!(", by {}{at}", programs.join(", ")),
    }
}

fn of_complaint(complaint: &Complaint) -> Refusal {
    let phase = if complaint.serving {
        Phase::Serve
    } else {
        Phase::Start
    };
    Refusal {
        source: Source::Complaint,
        number: complaint.number,
        arguments: complaint.arguments,
        errno: 0,
        phase,
        count: complaint.count,
        place: format!(", by {} at {:#x}", complaint.program, complaint.instruction),
    }
}
