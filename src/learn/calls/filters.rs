//! Filters that a service puts on itself. One of them can answer a call before the learner's own
//! filter does: the kernel takes the strictest answer (`seccomp(2)`).

use crate::sys::abi;
use crate::sys::ptrace::Call;

/// What a call does about filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnFilter {
    /// Nothing.
    None,
    /// Strict mode, which a thread that has a filter cannot enter.
    Strict,
    /// It installs one on the calling thread.
    Thread,
    /// It installs one on every thread of the process.
    Process,
}

/// What this native call does, if it succeeds.
pub fn own_filter(call: &Call) -> OwnFilter {
    let [operation, second, ..] = call.arguments;
    let is = |value: u32| operation & u64::from(u32::MAX) == u64::from(value);
    if call.number == abi::SYS_prctl.unsigned_abs() {
        match second {
            _ if !is(abi::PR_SET_SECCOMP.unsigned_abs()) => OwnFilter::None,
            mode if mode == u64::from(abi::SECCOMP_MODE_STRICT) => OwnFilter::Strict,
            _ => OwnFilter::Thread,
        }
    } else if call.number != abi::SYS_seccomp.unsigned_abs() {
        OwnFilter::None
    } else if is(abi::SECCOMP_SET_MODE_STRICT) {
        OwnFilter::Strict
    } else if !is(abi::SECCOMP_SET_MODE_FILTER) {
        OwnFilter::None
    } else if second & abi::SECCOMP_FILTER_FLAG_TSYNC == 0 {
        OwnFilter::Thread
    } else {
        OwnFilter::Process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_calls_and_all_modes_are_known() {
        let made = |number: i64, operation, second| {
            own_filter(&Call {
                number: number.unsigned_abs(),
                arguments: [operation, second, 0, 0, 0, 0],
                ..Call::default()
            })
        };
        // The numbers of prctl(2) and seccomp(2).
        assert_eq!(made(abi::SYS_prctl, 22, 1), OwnFilter::Strict);
        assert_eq!(made(abi::SYS_prctl, 22, 2), OwnFilter::Thread);
        assert_eq!(made(abi::SYS_prctl, 38, 1), OwnFilter::None);
        assert_eq!(made(abi::SYS_seccomp, 0, 0), OwnFilter::Strict);
        assert_eq!(made(abi::SYS_seccomp, 1 << 32 | 1, 2), OwnFilter::Thread);
        assert_eq!(made(abi::SYS_seccomp, 1, 1), OwnFilter::Process);
        assert_eq!(made(abi::SYS_seccomp, 2, 0), OwnFilter::None);
        assert_eq!(made(abi::SYS_getpid, 22, 1), OwnFilter::None);
    }
}
