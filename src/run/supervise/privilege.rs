//! What the supervisor can do while it only waits: see docs/decisions/0019-supervision.md.

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::{Doing, Result};

/// To signal processes of other users, and to see in their `/proc/PID/fd` which ports they wait at
/// (`capabilities(7)`, `proc_pid_fd(5)`).
const WAITING: CapabilitySet = CapabilitySet::KILL
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::SYS_PTRACE);

/// Takes every other capability out of effect.
///
/// # Errors
/// As `capset(2)`.
pub(super) fn lower() -> Result<()> {
    set_effective(|permitted| permitted & WAITING)
}

/// Puts all that there are into effect again, for a start.
///
/// # Errors
/// As `capset(2)`.
pub(super) fn raise() -> Result<()> {
    set_effective(|permitted| permitted)
}

fn set_effective(of: impl Fn(CapabilitySet) -> CapabilitySet) -> Result<()> {
    let doing = || "change which capabilities are in effect";
    let mut sets = capabilities(None).doing(doing)?;
    sets.effective = of(sets.permitted);
    set_capabilities(None, sets).doing(doing)
}
