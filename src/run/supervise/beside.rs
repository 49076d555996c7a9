//! What stays beside a jail from one start of its service to the next: log, output, what is known
//! of earlier restarts.

use std::os::fd::OwnedFd;

use super::super::events::{self, Event, timestamp};
use super::super::launch::{Given, Keep, Launched, Stdio, launch_given};
use super::super::log::Relay;
use super::super::manager::Speaker;
use super::super::notified::Notified;
use super::super::output::Output;
use super::super::restarts::{Cause, Restarts, now_ms};
use super::super::sockets::Held;
use super::Supervision;
use crate::Result;

/// All of that.
pub(super) struct Beside {
    pub(super) relay: Relay,
    pub(super) notified: Notified,
    /// Who is told how the service is.
    pub(super) manager: Option<Speaker>,
    /// The sockets that the service is given: connections wait at them from one start to the next.
    pub(super) sockets: Vec<OwnedFd>,
    /// Under which numbers this process has them.
    pub(super) held: Vec<Held>,
    pub(super) output: Option<Output>,
    pub(super) restarts: Restarts,
}

impl Beside {
    /// Starts the service, with these descriptors kept by its jail's first process.
    pub(super) fn launch(
        &self,
        supervision: &Supervision<'_>,
        forked: &mut dyn FnMut(&Launched, &Self) -> Result<()>,
    ) -> Result<Launched> {
        let stdio = match &self.output {
            Some(output) => Stdio::To(output.for_service()?),
            None => Stdio::Inherit,
        };
        let keep = Keep {
            output: self.output.as_ref().map(Output::fifo),
            log: Some(self.relay.socket()),
            notify: self.notified.socket(),
            journal: self.relay.journal(),
        };
        let given = Given {
            sockets: &self.sockets,
            ..Given::default()
        };
        launch_given(supervision.plan, given, &stdio, keep, &mut |launched| {
            forked(launched, self)
        })
    }

    /// Writes down that the service was started again. The jail is not the worse for a disk that
    /// is full: that is only told.
    pub(super) fn count(&mut self, supervision: &Supervision<'_>, cause: Cause, by_itself: bool) {
        let Some(history) = supervision.history else {
            return;
        };
        let detail = format!("{cause}, number {}", self.restarts.count + 1);
        self.restarts.add(cause, by_itself);
        if let Err(error) = self.restarts.save(history) {
            self.relay.tell(&error.to_string());
        }
        self.event(supervision, "restart", None, detail);
    }

    /// Writes an event down.
    pub(super) fn event(
        &mut self,
        supervision: &Supervision<'_>,
        event: &str,
        pid: Option<i32>,
        detail: String,
    ) {
        let event = Event {
            time: timestamp(now_ms() / 1000),
            jail: supervision.plan.name.clone(),
            event: event.to_owned(),
            pid,
            detail,
        };
        if let Err(error) = events::append(supervision.directory, &[event]) {
            self.relay.tell(&error.to_string());
        }
    }

    /// Passes on what was printed, as of process `pid`.
    pub(super) fn pump_output(&mut self, supervision: &Supervision<'_>, pid: i32) {
        if let Some(output) = &mut self.output {
            output.pump(&mut self.relay, &supervision.plan.name, pid);
        }
    }
}
