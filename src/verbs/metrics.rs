//! `metrics`: what is known of the jails, for Prometheus: printed once, kept in a file, or served.

mod address;
mod http;
mod look;
mod serve;
mod textfile;
mod wait;

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Event, Places, Report, jail, valid_name};
use crate::plan::Managed;
use crate::watch::metrics::{open_metrics, prometheus_text};
use crate::{Doing, Result, sys};
use address::Address;
pub use http::{Asked as HttpAsked, LONGEST_HEAD as HTTP_LONGEST_HEAD};
use look::Looker;
use wait::wait;

/// What ends it in good order: HUP, INT, TERM.
const SIGNALS: [i32; 3] = [1, 2, 15];

/// The metrics of the jail of this name, or of all, in the text format of OpenMetrics. What only can be
/// counted over a while is not there.
///
/// # Errors
/// There is no such jail; `/proc` or a directory cannot be read; the kernel does not tell of sockets.
pub fn metrics(places: &Places, name: Option<&str>) -> Result<String> {
    open_metrics(looker(places, name, Looker::once)?.look()?)
}

/// Writes them into a file for node_exporter's textfile collector, in the text format that it reads.
///
/// # Errors
/// As [`metrics`]; the file cannot be written.
pub fn metrics_write(places: &Places, name: Option<&str>, path: &Path) -> Result<()> {
    textfile::write(path, &prometheus_text(&metrics(places, name)?))
}

/// The same again and again, until a signal ends it. Once it has worked, what fails is told, and tried
/// again the next time.
///
/// # Errors
/// As [`metrics_write`], the first time.
pub fn metrics_keep(
    places: &Places,
    name: Option<&str>,
    path: &Path,
    every: Duration,
    report: &Report<'_>,
) -> Result<()> {
    let signals = sys::signals::descriptor(&SIGNALS).doing(|| "block the signals")?;
    let mut looker = looker(places, name, Looker::again_and_again)?;
    let write = |looker: &mut Looker<'_>| {
        textfile::write(path, &prometheus_text(&open_metrics(looker.look()?)?))
    };
    write(&mut looker)?;
    let mut next = Instant::now() + every;
    loop {
        wait(&mut looker, &signals, &[], Some(next))?;
        if signalled(&signals)? {
            return Ok(());
        }
        if Instant::now() >= next {
            next = Instant::now() + every;
            if let Err(error) = write(&mut looker) {
                report(Event::Warning(error.to_string()));
            }
        }
    }
}

/// Serves them at an address of this machine, until a signal ends it. The manager, if there is one, is
/// told when that can be asked.
///
/// # Errors
/// There is no such jail; it is no such address, or cannot be listened at. What fails later is told, and
/// whoever asked is told that it did.
pub fn metrics_serve(
    places: &Places,
    name: Option<&str>,
    address: &str,
    managed: &Managed,
    report: &Report<'_>,
) -> Result<()> {
    let address: Address = address.parse()?;
    let looker = looker(places, name, Looker::again_and_again)?;
    let signals = sys::signals::descriptor(&SIGNALS).doing(|| "block the signals")?;
    let bound = address.bind()?;
    report(Event::Did(format!("the metrics are served at {bound}")));
    serve::serve(looker, &bound, &signals, managed, report)
}

/// Whoever looks at these jails, if there are such.
fn looker<'a>(
    places: &'a Places,
    name: Option<&'a str>,
    make: fn(&'a Places, Option<&'a str>) -> Looker<'a>,
) -> Result<Looker<'a>> {
    if let Some(name) = name {
        valid_name(name)?;
        jail::load_spec(places, name)?;
    }
    Ok(make(places, name))
}

fn signalled(signals: &std::os::fd::OwnedFd) -> Result<bool> {
    let signal = sys::signals::next(signals).doing(|| "read a signal")?;
    Ok(signal.is_some())
}
