//! The script for bubblewrap.

use rustix::process::Signal;

use crate::common::Place;
use crate::started::{curious, of_root, start};

#[test]
fn a_service_is_confined_answers_and_ends() {
    let place = curious();
    let mut started = start(&place, "bubblewrap", "bwrap");
    started.answers();
    started.is_confined();
    started.has_seen_what_it_may(&place);
    started.signal(Signal::TERM);
    assert_eq!(started.ends().code(), Some(128 + 15));
    place.nothing_runs();
}

#[test]
fn signals_and_the_exit_code_are_passed_on() {
    let mut place = Place::new(&["signals"]);
    place.text.service = "reload_signal = \"USR1\"\n".into();
    let started = start(&place, "bubblewrap", "bwrap");
    started.says("waiting");
    started.signal(Signal::HUP);
    started.says("signal 10");
    started.signal(Signal::TERM);
    started.says("signal 15");
    assert_eq!(started.ends().code(), Some(7));
    place.nothing_runs();
}

#[test]
fn a_service_that_starts_as_root_keeps_its_capabilities_alone() {
    let mut place = of_root();
    let (own, file) = (place.path("memory"), place.path("memory/there"));
    std::fs::create_dir(&own).unwrap();
    std::fs::write(&file, "of the tree").unwrap();
    place.text.tables += &format!(
        "[[tree.files]]\npath = {file:?}\nkind = \"data\"\nbecause = \"a test\"\n\
         [[tree.scratch]]\npath = {own:?}\nsize_kib = 64\nbecause = \"a test\"\n"
    );
    let words = ["read", file.to_str().unwrap()].map(str::to_owned);
    place.text.command.splice(1..1, words);
    let started = start(&place, "bubblewrap", "bwrap");
    started.says("waiting");
    started.is_roots();
    started.says(&format!("read {}: done", file.display()));
    started.signal(Signal::TERM);
    assert_eq!(started.ends().code(), Some(7));
    place.nothing_runs();
}

#[test]
fn a_service_in_the_background_is_found_and_ended() {
    let mut place = Place::new(&["daemon"]);
    let file = place.bind("data", true).join("pid");
    let words = [
        file.to_str().unwrap(),
        "say",
        "in the background",
        "signals",
    ];
    place.text.command.extend(words.map(str::to_owned));
    place.text.service = "forks = true\n".into();
    let started = start(&place, "bubblewrap", "bwrap");
    started.says("waiting");
    started.signal(Signal::TERM);
    started.says("signal 15");
    started.ends();
    place.nothing_runs();
}

#[test]
fn a_place_that_was_made_a_link_is_refused() {
    let mut place = Place::new(&["pause"]);
    let data = place.bind("data", true);
    let script = start(&place, "bubblewrap", "bwrap");
    drop(script);
    std::fs::remove_dir(&data).unwrap();
    std::os::unix::fs::symlink("/etc", &data).unwrap();
    let script = place
        .path("exported")
        .join(format!("{}.bwrap.sh", place.name));
    let told = std::process::Command::new(script).output().unwrap();
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("data is not there, or a link"), "{told}");
    place.nothing_runs();
}
