//! The pid of a service is where the host's own tools look for it: `service.host_pid_file`.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use crate::common::{DONE, NOT_SET_UP, Place, UID, eventually, mode};
use crate::supervision::{kill, state};

fn with_pid_file(words: &[&str], path: &str) -> Place {
    let mut place = Place::new(words);
    let path = place.path(path);
    place.text.service += &format!("ready = [\"quiet:50\"]\nhost_pid_file = {path:?}\n");
    place
}

/// Root's alone, and the service's pid is in it.
fn is_right(path: &Path, place: &Place) {
    let file = fs::symlink_metadata(path).unwrap();
    assert!(file.is_file());
    assert_eq!((file.uid(), file.mode() & 0o7777), (0, 0o644));
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text, format!("{}\n", place.pid()));
}

#[test]
fn it_is_there_while_the_service_is() {
    let mut place = with_pid_file(&["pause"], "tools/service.pid");
    place.text.tables += "[restart]\nwhen = \"always\"\ndelay = \"50ms\"\n";
    place.start();
    let path = place.path("tools/service.pid");
    is_right(&path, &place);
    let first = place.pid();
    kill(first);
    eventually("another service", || {
        place.status()["state"] == "running" && place.pid() != first
    });
    is_right(&path, &place);
    kill(i32::try_from(state(&place)["supervisor"]["pid"].as_i64().unwrap()).unwrap());
    is_right(&path, &place);
    place.verb("stop").is(DONE, &["stopped"]);
    assert!(!path.exists());
    place.nothing_runs();
}

#[test]
fn what_is_in_its_place_is_neither_followed_nor_kept() {
    let place = with_pid_file(&["pause"], "service.pid");
    let (path, other) = (place.path("service.pid"), place.path("other"));
    fs::write(&other, "1\n").unwrap();
    symlink(&other, &path).unwrap();
    place.start();
    is_right(&path, &place);
    // Another one of the host's has put its own there: that one is not this jail's to remove.
    fs::write(&path, "1\n").unwrap();
    place.verb("stop").is(DONE, &["stopped"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
    assert_eq!(fs::read_to_string(&other).unwrap(), "1\n");
    place.nothing_runs();
}

#[test]
fn nobody_else_can_say_whom_root_signals() {
    let of_everybody = |path: &Path| mode(path, 0o777);
    let of_the_service = |path: &Path| std::os::unix::fs::chown(path, Some(UID), None).unwrap();
    let plant: [&dyn Fn(&Path); 2] = [&of_everybody, &of_the_service];
    for plant in plant {
        let place = with_pid_file(&["pause"], "tools/service.pid");
        fs::create_dir(place.path("tools")).unwrap();
        plant(&place.path("tools"));
        place.write();
        let answer = place.verb("start");
        answer.is(NOT_SET_UP, &["pid file", "others than root can write"]);
        assert_eq!(fs::read_dir(place.path("tools")).unwrap().count(), 0);
        place.nothing_runs();
    }
}
