//! `metrics`: to standard output, into a file, or to whoever asks.

use std::time::Duration;

use super::args;
use super::output::Output;
use crate::Result;
use crate::run::manager::Manager;
use crate::verbs::{self, Event, Places};

/// Prints, writes or serves the metrics.
pub(super) fn metrics(
    places: &Places,
    asked: &args::Metrics,
    manager: Result<Manager>,
    output: &Output,
) -> Result<u8> {
    let report = |event: Event| output.event(&event);
    let name = asked.name.as_deref();
    match (&asked.listen, &asked.textfile, asked.every) {
        (Some(address), _, _) => {
            let managed = manager?.managed;
            verbs::metrics_serve(places, name, address, &managed, &report)?;
        }
        (None, Some(path), Some(every)) => {
            let every = Duration::from_secs(every);
            verbs::metrics_keep(places, name, path, every, &report)?;
        }
        (None, Some(path), None) => verbs::metrics_write(places, name, path)?,
        (None, None, _) => return output.print(&verbs::metrics(places, name)?),
    }
    Ok(0)
}
