//! The profile for firejail, and the script that starts the service with it.

use rustix::process::Signal;

use crate::started::{curious, of_root, start};

#[test]
fn a_service_is_confined_answers_and_ends() {
    let place = curious();
    let mut started = start(&place, "firejail", "firejail");
    started.answers();
    started.is_confined();
    started.has_seen_what_it_may(&place);
    started.signal(Signal::TERM);
    started.ends();
    place.nothing_runs();
}

#[test]
fn a_service_that_starts_as_root_keeps_its_capabilities_alone() {
    let place = of_root();
    let started = start(&place, "firejail", "firejail");
    started.says("waiting");
    started.is_roots();
    started.signal(Signal::TERM);
    started.says("signal 15");
    started.ends();
    place.nothing_runs();
}
