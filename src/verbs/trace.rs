//! `trace show`: what was seen when a service was learned, and why that can be trusted.

pub(super) mod packages;
mod reached;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Places, jail, may_jail, must_be_ours, valid_name};
use crate::learn::coverage::Coverage;
use crate::learn::trace::{
    ArgumentsSeen, CallSeen, CapabilitySeen, Certificate, PathSeen, SocketSeen,
};
use crate::learn::{self, Trace};
use crate::{Error, Result};
pub(super) use reached::reached;

/// A trace, for looking at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownTrace {
    /// The jail's name.
    pub name: String,
    /// The file that it was read from.
    pub source: PathBuf,
    /// Files of other runs beside it: of one that goes on or was killed, or of one that was not
    /// accepted.
    pub others: Vec<PathBuf>,
    /// The service's command.
    pub command: Vec<String>,
    /// Why it can be trusted, or not.
    pub certificate: Certificate,
    /// What the service did that no stop shows: in an io_uring, or through another architecture's
    /// entry.
    pub unseen: Vec<String>,
    /// System calls, each once for each phase.
    pub calls: Vec<CallSeen>,
    /// The arguments that decide what a call does.
    pub arguments: Vec<ArgumentsSeen>,
    /// Paths.
    pub paths: Vec<PathSeen>,
    /// Sockets.
    pub sockets: Vec<SocketSeen>,
    /// Capabilities that a call needed.
    pub capabilities: Vec<CapabilitySeen>,
    /// What the run did not reach, as the host's files are now.
    pub coverage: Coverage,
}

/// Reads the trace of a jail. That of a run that is not finished, or that was not accepted, is
/// read only if there is no other; its certificate says that it is incomplete.
///
/// # Errors
/// There is none, others could have written it, or it cannot be read.
pub fn trace_show(places: &Places, name: &str) -> Result<ShownTrace> {
    valid_name(name)?;
    let doing = format!("show the trace of {name}");
    may_jail(&doing)?;
    let mut found = files(places, name).into_iter().filter(|path| exists(path));
    let Some(source) = found.next() else {
        return Err(Error::usage(doing, "there is none")
            .hint(format!("learn the service first: gaoler learn {name}")));
    };
    must_be_ours(&source, &doing)?;
    let trace = learn::load(&source)?;
    // A trace may be older than its spec, which may be gone.
    let exercises = if places.spec(name).exists() {
        jail::load_spec(places, name)?.exercises
    } else {
        Vec::new()
    };
    let coverage = reached(&trace, &exercises)?;
    Ok(shown(name, trace, source, found.collect(), coverage))
}

/// Where a trace may be, the best one first.
fn files(places: &Places, name: &str) -> [PathBuf; 3] {
    [
        places.trace(name),
        places.incomplete_trace(name),
        places.unfinished_trace(name),
    ]
}

/// Also a link that leads nowhere is there, to be refused.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn shown(
    name: &str,
    trace: Trace,
    source: PathBuf,
    others: Vec<PathBuf>,
    coverage: Coverage,
) -> ShownTrace {
    ShownTrace {
        name: name.to_owned(),
        source,
        others,
        unseen: trace.unseen(),
        command: trace.command,
        certificate: trace.certificate,
        calls: trace.calls,
        arguments: trace.arguments,
        paths: trace.paths,
        sockets: trace.sockets,
        capabilities: trace.capabilities,
        coverage,
    }
}
