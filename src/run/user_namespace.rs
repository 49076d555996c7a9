//! The user namespace of an ordinary user's jails: a process enters one, once, and what it starts
//! from then on is in it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::Result;
use crate::host::user_namespaces;
use crate::plan::{Plan, PlannedStep};
use crate::sys;

/// Whether this process is in one that gaoler made.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Enters it, if that has not been done.
///
/// # Errors
/// This host refuses it; the setting is named.
pub(super) fn enter(plan: &Plan, planned: &PlannedStep, uid: u32, gid: u32) -> Result<()> {
    if ENTERED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let doing = || format!("start the jail {}: {}", plan.name, planned.step);
    sys::user_namespace::enter(uid, gid)
        .map_err(|refused| user_namespaces::error(doing(), refused))?;
    ENTERED.store(true, Ordering::Relaxed);
    Ok(())
}
