//! What a run of the service begins with: which calls stop, and what is known already.

use super::super::record::Recorder;
use super::super::trace::CapabilitySource;
use super::super::watch::Watches;
use crate::sys::seccomp::{self, Instruction, answers};

/// Which calls stop, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Halts {
    /// All, for a filter that answers TRACE: only where something is seen of its end does a call
    /// stop there, too. A filter of the service's own could hide calls from this one, so its
    /// threads go from step to step from then on.
    #[default]
    All,
    /// Those for which this filter answers TRACE, in the same way.
    Filtered(Vec<Instruction>),
    /// All, before and after, by steps of `PTRACE_SYSCALL`: nothing can hide, no privilege is
    /// needed, and it takes twice the time.
    Steps,
}

impl Halts {
    /// The filter that makes them stop; empty if none does.
    pub(super) fn filter(&self) -> Vec<Instruction> {
        match self {
            Halts::All => seccomp::always(answers::TRACE),
            Halts::Filtered(filter) => filter.clone(),
            Halts::Steps => Vec::new(),
        }
    }
}

/// What a run of the service goes on from, and adds to.
#[derive(Debug, Default)]
pub struct Before {
    /// What earlier passes have shown.
    pub recorder: Recorder,
    /// How capabilities shall be known.
    pub capabilities: CapabilitySource,
    /// Which calls stop.
    pub halts: Halts,
    /// Calls that this filter lets run while they name what is known.
    pub watches: Watches,
}
