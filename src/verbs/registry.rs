//! What `push` and `pull` have in common.

use serde::Serialize;

use super::{Event, Report};
use crate::registry::{Notice, Reference};
use crate::{Error, Result};

/// How much went over the network, or need not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests and indexes.
    pub manifests: u64,
}

impl Moved {
    /// Counts a blob.
    pub(super) fn blob(&mut self, bytes: u64) {
        self.blobs += 1;
        self.bytes += bytes;
    }
}

/// Reads the name of an image that says which version of it is meant.
pub(super) fn reference(text: &str) -> Result<Reference> {
    let reference: Reference = text.parse()?;
    if reference.tag.is_some() || reference.digest.is_some() {
        return Ok(reference);
    }
    // The usual one of others, "latest", is another image each day.
    let doing = format!("read {text:?} as the name of an image");
    Err(Error::usage(doing, "it has neither a tag nor a digest")
        .hint(format!("name the version: {text}:1.0, or {text}:latest")))
}

/// Shows what goes on.
pub(super) fn tell(report: &Report<'_>, notice: Notice) {
    let moving = |what: &str, done: u64, all: u64| {
        let percent = (done * 100).checked_div(all).unwrap_or(100);
        Event::Doing(format!("{what}: {percent} % of {all} bytes"))
    };
    report(match notice {
        Notice::Again(text) => Event::Warning(text),
        Notice::Fetching(done, all) => moving("fetching", done, all),
        Notice::Sending(done, all) => moving("sending", done, all),
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_version_is_named() {
        assert!(reference("r.example/a:1").is_ok());
        let error = reference("r.example/a").unwrap_err();
        assert!(error.next().unwrap().contains("r.example/a:latest"));
    }

    #[test]
    fn progress_is_a_share() {
        let told = Mutex::new(Vec::new());
        let report = |event| told.lock().unwrap().push(event);
        tell(&report, Notice::Sending(5, 20));
        tell(&report, Notice::Fetching(0, 0));
        tell(&report, Notice::Again("again".to_owned()));
        let expected = [
            Event::Doing("sending: 25 % of 20 bytes".to_owned()),
            Event::Doing("fetching: 100 % of 0 bytes".to_owned()),
            Event::Warning("again".to_owned()),
        ];
        assert_eq!(told.into_inner().unwrap(), expected);
    }
}
