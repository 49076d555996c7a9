//! Waiting for threads to stop, each in its turn.

use super::Tracer;
use crate::error::{Doing, Result};
use crate::sys::abi;
use crate::sys::ptrace::{self, Report};

/// As often may a thread stop again before others are looked for.
const TURNS: u8 = 16;

impl Tracer<'_> {
    /// Waits for one report, and takes all others that are there. `true` if none will ever come.
    ///
    /// As long as only one thread does anything, the others are looked for now and then: each look
    /// costs a call, and a thread that stops again at once would otherwise be found first for ever.
    pub(super) fn wait(&mut self, batch: &mut Vec<Report>) -> Result<bool> {
        let mut block = true;
        loop {
            match ptrace::wait(block) {
                Ok(Some(report)) => batch.push(report),
                Ok(None) => break,
                Err(error) if error.raw_os_error() == Some(abi::ECHILD) => return Ok(true),
                Err(error) => return Err(error).doing(|| "wait for the service"),
            }
            block = false;
            if self.alone > 0 {
                self.alone -= 1;
                return Ok(false);
            }
        }
        if batch.len() == 1 {
            self.alone = TURNS;
        }
        Ok(false)
    }
}
