//! The calls of the second pass that run while they name what is known: whoever names something
//! else is stopped by a signal, and each of those signals is counted by the kernel, too.

use std::path::Path;

use super::asked::overlaid;
use super::names::Watched;
use crate::sys::perf::Watch;
use crate::sys::{ptrace, tracefs};

/// As many watches are held: each program that is executed takes one for each call. One more, and
/// the pass cannot be trusted.
const MOST: usize = 128;

/// The watches of a pass. Without a call to watch, nothing of it does anything.
#[derive(Debug, Default)]
pub struct Watches {
    calls: Vec<(Watched, u64)>,
    /// Some of the names are on an overlayfs.
    overlaid: bool,
    watches: Vec<Watch>,
    /// Signals that were answered.
    told: u64,
    doubt: Option<String>,
}

impl Watches {
    /// What this kernel can watch of these calls.
    pub fn new(watched: Vec<Watched>) -> Self {
        let mut calls = Vec::new();
        for one in watched {
            if ptrace::TELLS_RETURNED_CALL
                && let Ok(event) = tracefs::event("syscalls", &one.named.event())
                && Watch::check(event.id, &one.filter).is_ok()
            {
                calls.push((one, event.id));
            }
        }
        let mut names = calls.iter().flat_map(|(one, _)| &one.names);
        let overlaid = names.any(|name| overlaid(name));
        Self {
            calls,
            overlaid,
            ..Self::default()
        }
    }

    /// A capability was asked of a thread that has it, for a call that did not stop. Whether that
    /// makes the pass doubtful: overlayfs may have asked in its name, as for
    /// [`super::asked::judge`], and which call it was is not known.
    pub fn asked_for(&mut self) -> bool {
        if self.overlaid {
            self.doubts("a capability was asked for where names on an overlayfs ran");
        }
        self.overlaid
    }

    /// What is watched.
    pub fn calls(&self) -> impl Iterator<Item = &Watched> {
        self.calls.iter().map(|(watched, _)| watched)
    }

    /// Is anything?
    pub fn are_on(&self) -> bool {
        !self.calls.is_empty()
    }

    /// A process has executed a program, which ends all watches on it.
    pub fn attach(&mut self, tid: i32) {
        if self.watches.len() + self.calls.len() > MOST {
            return self.doubts("it executed more programs than can be watched");
        }
        for (watched, tracepoint) in &self.calls {
            match Watch::start(tid, *tracepoint, &watched.filter, watched.call.into()) {
                Ok(watch) => self.watches.push(watch),
                // Killed meanwhile: it makes no calls.
                Err(error) if error.raw_os_error() == Some(crate::sys::abi::ESRCH) => {}
                Err(error) => {
                    return self.doubts(&format!("a program could not be watched: {error}"));
                }
            }
        }
    }

    /// A watch's signal has led to the record of its call.
    pub fn told(&mut self) {
        self.told += 1;
    }

    /// Something makes the pass doubtful.
    pub fn doubts(&mut self, why: &str) {
        if self.are_on() {
            self.doubt.get_or_insert_with(|| why.to_owned());
        }
    }

    /// The pass is over and everything is gone: why a name may have been missed, if it may.
    pub fn conclude(&mut self) -> Option<String> {
        let counts: Result<Vec<u64>, _> = self.watches.iter().map(Watch::count).collect();
        match counts {
            Err(error) => self.doubts(&format!("the calls of a watch cannot be read: {error}")),
            Ok(counts) => {
                let (seen, told) = (counts.iter().sum::<u64>(), self.told);
                if seen != told {
                    self.doubts(&format!("{seen} calls with new names, but {told} records"));
                }
            }
        }
        let moved = self
            .calls()
            .flat_map(|watched| &watched.names)
            .find(|name| !leads_to_itself(name))
            .map(|name| format!("{} leads elsewhere now", name.display()));
        if let Some(text) = moved {
            self.doubts(&text);
        }
        self.doubt.take()
    }
}

/// As it did when the first pass showed it. What is gone leads nowhere.
fn leads_to_itself(path: &Path) -> bool {
    match path.canonicalize() {
        Ok(found) => found == path,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leads_elsewhere_has_moved() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        std::fs::write(base.join("file"), "").unwrap();
        std::os::unix::fs::symlink("file", base.join("link")).unwrap();
        assert!(leads_to_itself(&base.join("file")));
        assert!(leads_to_itself(&base.join("none")));
        assert!(!leads_to_itself(&base.join("link")));
    }

    #[test]
    fn without_calls_there_is_no_doubt() {
        let mut watches = Watches::default();
        watches.doubts("something");
        watches.attach(1);
        assert_eq!((watches.are_on(), watches.conclude()), (false, None));
    }
}
