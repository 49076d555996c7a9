//! Where a jailed service says how it is (`sd_notify(3)`): a socket beside that of its log.

use std::os::fd::{AsFd, BorrowedFd};

use super::log::LogSocket;
use crate::Result;
use crate::host::notifications::{self, Said};
use crate::plan::{NOTIFY_SOCKET, Plan, Step};

/// The socket, and whether the service has said it.
#[derive(Debug, Default)]
pub(super) struct Notified {
    socket: Option<LogSocket>,
    ready: bool,
}

impl Notified {
    /// Opens the socket in the directory of the log's, if the plan has one. Only the service's own
    /// user may send to it: nobody else is to say when its start is over.
    ///
    /// # Errors
    /// As [`LogSocket::bind_for`].
    pub fn open(plan: &Plan, directory: BorrowedFd<'_>) -> Result<Self> {
        let uid = plan.steps.iter().find_map(|planned| match planned.step {
            Step::OpenNotifySocket { uid, .. } => Some(uid),
            _ => None,
        });
        let socket = uid
            .map(|uid| LogSocket::bind_for(directory, NOTIFY_SOCKET, uid))
            .transpose()?;
        Ok(Self {
            socket,
            ready: false,
        })
    }

    /// Readable when there is something to hear; `None` if nobody can say anything.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// The socket of a jail that is taken over; whether its service has said that it is ready.
    pub fn take_over(socket: Option<LogSocket>, ready: bool) -> Self {
        Self { socket, ready }
    }

    /// Another start of the service: it is not ready, and what the one before said is forgotten.
    pub fn begin(&mut self) {
        self.hear(&mut |_| ());
        self.ready = false;
    }

    /// Takes what has come. Whether it is ready, and that was not known before.
    pub fn hear(&mut self, each: &mut dyn FnMut(Said)) -> bool {
        let mut ready = false;
        if let Some(socket) = self.socket() {
            notifications::take(socket, &mut |said| {
                ready |= said.ready;
                each(said);
            });
        }
        let news = ready && !self.ready;
        self.ready |= ready;
        news
    }

    /// Whether the service has said that it is ready.
    pub fn is_ready(&self) -> bool {
        self.ready
    }
}
