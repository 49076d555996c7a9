//! Asking the service to end.

use std::collections::BTreeSet;

use rustix::process::Signal;

use super::{Halts, Tracer, process, send};

impl Tracer<'_> {
    /// It is about to be asked to end: what ends from now on does not do so by itself.
    ///
    /// A first process that made no call while the others served has left the service to them: it
    /// waits for ever, or for longer than anybody looked. In a second pass its calls may have run
    /// without a stop, and the first one has told.
    pub fn begin_ending(&mut self) {
        if self.ending {
            return;
        }
        self.ending = true;
        let others = self.tasks.values().any(|task| task.process != self.first);
        let tells = !matches!(self.halts, Halts::Filtered(_));
        self.forked |= tells && others && !self.first_serves;
    }

    /// Asks the main process to end.
    pub fn terminate(&mut self) {
        self.begin_ending();
        self.ask_to_end(self.main);
    }

    /// Whether the main process has ended and others have not.
    pub fn is_left_to_others(&self) -> bool {
        let main = self.tasks.values().any(|task| task.process == self.main);
        !main && self.has_processes()
    }

    /// After the main process has ended: asks those to end that it has left behind. What these made
    /// is their own business.
    pub fn terminate_others(&mut self) {
        self.follow_oldest();
        let left: BTreeSet<i32> = self.tasks.values().map(|task| task.process).collect();
        let is_orphan = |process: &&i32| {
            process::parent_of(**process).is_none_or(|parent| !left.contains(&parent))
        };
        for process in left.iter().filter(is_orphan) {
            self.ask_to_end(*process);
        }
    }

    pub(super) fn follow_oldest(&mut self) {
        let oldest = self.tasks.values().min_by_key(|task| task.born);
        self.main = oldest.map_or(self.main, |task| task.process);
    }

    fn ask_to_end(&self, process: i32) {
        send(process, Signal::TERM);
        // One that is stopped would not notice. For one that is not, SIGCONT is left out: it
        // interrupts calls of a traced process, which are then restarted and look like new ones.
        if self
            .tasks
            .values()
            .any(|task| task.process == process && task.stopped)
        {
            send(process, Signal::CONT);
        }
    }
}
