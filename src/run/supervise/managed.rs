//! What a service manager is told of a jail: what the service says of itself, translated, and what
//! gaoler sees of it.

use std::time::Instant;

use rustix::io::Errno;

use super::super::manager::Speaker;
use super::jail::{Jail, LOOK};
use crate::Result;
use crate::host::notifications::Said;
use crate::host::process;

impl Jail<'_> {
    /// Hears what the service says of itself, and passes it on. Whether it says that it does not
    /// live.
    pub(super) fn hear(&mut self) -> Result<bool> {
        let mut all = Vec::new();
        let news = self.beside.notified.hear(&mut |said| all.push(said));
        let failed = all.iter().any(|said| said.failed);
        if all.iter().any(|said| said.lives) {
            self.liveness.beats();
        }
        let mut moved = false;
        // One look at all processes for what came at once.
        let last = all.iter().rposition(|said| said.main.is_some());
        for (index, mut said) in all.into_iter().enumerate() {
            said.main = said.main.filter(|_| Some(index) == last);
            moved |= self.pass_on(said)?;
        }
        if news || moved {
            self.record()?;
        }
        Ok(failed)
    }

    /// Whether a manager waits to hear that the service is ready.
    pub(super) fn is_awaited(&self) -> bool {
        self.beside
            .manager
            .as_ref()
            .is_some_and(Speaker::is_waited_for)
    }

    /// Tells the manager that the service is ready, once all signs show: also for one that does not
    /// speak the protocol, and not before for one that does.
    pub(super) fn attend_manager(&mut self) {
        if !self.is_awaited() || !self.ready || Instant::now() < self.signs_at {
            return;
        }
        // Its queue may be full.
        self.signs_at = Instant::now() + LOOK;
        if let Some(errno) = self.beside.manager.as_mut().and_then(Speaker::announce) {
            self.cannot_tell(errno);
        }
    }

    fn cannot_tell(&mut self, errno: Errno) {
        let text = format!("the service manager cannot be told: {errno}");
        self.beside.relay.tell(&text);
    }

    /// Whether another process is the service from now on.
    fn pass_on(&mut self, said: Said) -> Result<bool> {
        let manager = self.beside.manager.as_mut();
        if said.leaves_descriptors && manager.is_some_and(Speaker::refuses_first_descriptor) {
            self.beside.relay.tell(
                "it wants to leave descriptors with the service manager (FDSTORE): nothing that \
                 was opened in a jail is kept outside",
            );
        }
        let main = said.main.and_then(|inside| self.main_process(inside));
        let mut lines = said.lines;
        // After a reload, say; the first time it is told when all signs show.
        if said.ready && !self.is_awaited() {
            lines.insert(0, "READY=1".to_owned());
        }
        lines.extend(main.map(|pid| format!("MAINPID={pid}")));
        if let Some(manager) = &mut self.beside.manager
            && let Some(errno) = manager.pass_on(&lines)
        {
            self.cannot_tell(errno);
        }
        if said.ready {
            // The other signs may have shown before; and what comes next is to come behind it.
            self.signs_at = Instant::now();
            self.attend_start()?;
            self.attend_signs()?;
            self.attend_manager();
        }
        let Some(pid) = main else {
            return Ok(false);
        };
        self.launched.follow_process(pid);
        self.handed_over = true;
        Ok(true)
    }

    /// The number outside of the jail's process that has this one inside, if that is not the one
    /// which is taken for the service anyway: for that one this process stands, whose end tells the
    /// manager how it ended. Nothing outside of the jail can be named.
    fn main_process(&self, inside: i32) -> Option<i32> {
        let first = self.launched.child_pid;
        if !self.launched.has_init() {
            return None;
        }
        let own = process::namespace(first, "pid").ok()?;
        let is_meant = |pid: &i32| {
            *pid != first
                && process::namespace(*pid, "pid").is_ok_and(|found| found == own)
                && process::status(*pid).is_ok_and(|status| status.pids.last() == Some(&inside))
        };
        let pid = process::all().ok()?.into_iter().find(is_meant)?;
        (Some(pid) != self.launched.service_pid).then_some(pid)
    }
}
