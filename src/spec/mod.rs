//! The policy of one jail: the [`Spec`] type, its TOML, and the service knowledge that ships
//! with gaoler. A spec belongs to a person; each allowance says what needs it (`because`).
#![forbid(unsafe_code)]

mod accepted;
mod allowance;
mod derive;
mod diff;
mod evidence;
mod incidents;
mod keep;
mod living;
mod log;
mod names;
mod parse;
mod pattern;
mod schedule;
mod service;
mod socket;
mod types;
mod write;

pub use accepted::CHECKS;
pub use allowance::Allowance;
pub use derive::{
    Derived, DirectoryFacts, Facts, derive, is_kernel, is_ruling, is_secret, is_shared_place,
};
pub use diff::{Change, Cost, Difference, Field, diff};
pub use incidents::{IncidentKind, Incidents, Webhook};
pub use keep::keep;
pub use living::{Liveness, MOST_RESTARTS, Restart, When, duration_text};
pub use names::signal_name;
pub use parse::parse;
pub use pattern::LogSigns;
pub use service::{
    ConfigPaths, ConfigPorts, IsDirectory, Knowledge, Place, PortLines, Resolved, config_paths,
    config_port, listed_port, peer_ports, shipped, shipped_program,
};
pub use socket::{BACKLOG, Listen, MOST_SOCKETS, SOCKET_MODE, SocketRule};
pub use types::*;
#[cfg(test)]
pub(crate) use write::tests::generate;
pub use write::{to_toml, turns_writing};

/// Reads a sign of readiness as `--ready` takes it: `tcp:80`, `udp:53`, `file:/run/x`,
/// `log:REGEX`, `notify`, `quiet:500`.
///
/// # Errors
/// It is none of these, or the regular expression is none.
pub fn ready(text: &str) -> crate::Result<Ready> {
    if let Some(expression) = text.strip_prefix("log:") {
        pattern::pattern(expression)?;
    }
    names::ready(text).ok_or_else(|| {
        crate::Error::usage(format!("use {text:?} as a sign of readiness"), "it is none")
            .hint(names::SIGNS)
    })
}

/// Splits a command line into words as a shell would, without its expansions.
///
/// # Errors
/// An open quote, or something that only a shell could carry out.
pub fn words(text: &str) -> crate::Result<Vec<String>> {
    service::words(text)
        .map_err(|bad| crate::Error::usage(format!("read the command {text:?}"), bad.why))
}

/// Splits the command line of an exercise into words as a shell would, without its expansions; the
/// word `$PID` stays as it is.
///
/// # Errors
/// An open quote, or something that only a shell could carry out.
pub fn exercise_words(text: &str) -> crate::Result<Vec<String>> {
    service::words_with_pid(text).map_err(|bad| {
        crate::Error::usage(format!("read the command {text:?}"), bad.why).hint(
            "$PID, as a word of its own, is the service's process; for anything else have a shell \
             do it, in single quotes: --exercise \"sh -c '...'\"",
        )
    })
}
