//! Waiting, with an ear for what the kernel denies.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::look::Looker;
use crate::{Doing, Result};

/// Records of denials are taken no more often: whoever makes many must not keep this busy.
const HEAR_EVERY: Duration = Duration::from_secs(1);

/// Until there is a signal, one of these others is ready, it is due, or somebody was denied something, which
/// is counted.
///
/// # Errors
/// The kernel does not let it.
pub(super) fn wait(
    looker: &mut Looker<'_>,
    signals: &OwnedFd,
    others: &[PollFd<'_>],
    due: Option<Instant>,
) -> Result<()> {
    let hears_from = looker.heard + HEAR_EVERY;
    let can_hear = Instant::now() >= hears_from;
    let denials = looker.descriptor();
    let due = match (&denials, can_hear) {
        (Some(_), false) => Some(due.map_or(hears_from, |due| due.min(hears_from))),
        _ => due,
    };
    let due = due.map(|due| timespec(due.saturating_duration_since(Instant::now())));
    let mut ready = vec![PollFd::new(signals, PollFlags::IN)];
    if let (Some(denials), true) = (&denials, can_hear) {
        ready.push(PollFd::new(denials, PollFlags::IN));
    }
    let own = ready.len();
    ready.extend(others.iter().cloned());
    match poll(&mut ready, due.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno).doing(|| "wait for somebody who asks"),
    }
    let told = ready.get(1..own).unwrap_or_default();
    let told = told.iter().any(|it| !it.revents().is_empty());
    drop(ready);
    if told {
        // What keeps it from that keeps it from the next look, too, which tells.
        match looker.hear() {
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}
