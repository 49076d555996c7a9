//! A jail that runs in complain mode: what was written down is explained while its processes are
//! there to be looked at.

use super::super::{Event, Places, Report, jail};
use super::{Weighed, Why, WhyOptions, conclude, logged, weighed};
use crate::Result;
use crate::host::process;
use crate::plan::Mode;
use crate::run::state::State;
use crate::run::{ComplaintRecord, Reached};
use crate::why::{self, Evidence, HostLimits};

/// Whether a jail's supervisor lets run what its filter would refuse.
pub(super) fn complains(state: &State) -> bool {
    let supervisor = state.supervisor.filter(|supervisor| supervisor.is_alive());
    supervisor.is_some_and(|supervisor| {
        let command = process::command_line(supervisor.pid);
        command.iter().any(|word| word == "--complain")
    })
}

pub(super) fn why(
    places: &Places,
    options: &WhyOptions,
    state: &State,
    report: &Report<'_>,
) -> Result<Why> {
    let name = &options.name;
    report(Event::Doing(format!("looking what {name} would be denied")));
    let jail = jail::plan(places, name, Mode::Complaining, report)?;
    let record = ComplaintRecord::load(&places.state.join(name))?.unwrap_or_default();
    let root = process::root(state.service.pid)?;
    // A thread's number may be another's by now; one with this root is the jail's.
    let is_of_jail = |thread: i32| process::root(thread).is_ok_and(|its| its == root);
    let symbols = why::Places::of_running(&record.complaints, is_of_jail);
    let denials = why::explain(&Evidence {
        spec: &jail.spec,
        wanted: &jail.spec,
        run: None,
        refused: &[],
        drift: &[],
        complaints: Some(&record),
        said: &[],
        places: &symbols,
        inside: None,
        reached: Reached::default(),
        host: HostLimits::own(),
    });
    let records = logged::of_host(&jail, report);
    let why = weighed(&Weighed::of_jail(&jail), denials, records);
    conclude(places, &jail.spec, why, options, report)
}
