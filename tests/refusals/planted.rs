//! Directories, files and links that somebody else could have put there.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::common::{Answer, DONE, FAILED, NOT_SET_UP, Place, files, mode};

const SOMEBODY: u32 = 47_011;

#[test]
fn an_ordinary_user_has_no_part_in_roots_places() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    for verb in [
        "build", "plan", "run", "start", "stop", "restart", "reload", "check", "perms",
    ] {
        let mut command = place.command(&[verb, &place.name]);
        let output = command.uid(SOMEBODY).gid(SOMEBODY).output().unwrap();
        Answer::of(output).is(NOT_SET_UP, &["belongs to uid 0", "sudo", &place.name]);
    }
    for verb in ["up", "learn"] {
        let mut command = place.command(&[verb, "new", "--", "/bin/true"]);
        let output = command.uid(SOMEBODY).gid(SOMEBODY).output().unwrap();
        Answer::of(output).is(NOT_SET_UP, &["uid 47011 has no name", "/etc/passwd"]);
    }
    place.nothing_was_done();
}

/// Each way in which a file or directory is not root's alone.
fn spoil(path: &Path, how: &str) {
    match how {
        "writable by its group" => mode(path, fs::metadata(path).unwrap().mode() | 0o020),
        "writable by everybody" => mode(path, fs::metadata(path).unwrap().mode() | 0o002),
        "somebody else's" => chown(path, Some(SOMEBODY), None).unwrap(),
        "a link" => {
            let away = path.with_extension("away");
            fs::rename(path, &away).unwrap();
            symlink(&away, path).unwrap();
        }
        other => panic!("{other}"),
    }
}

#[test]
fn specs_that_others_could_have_written() {
    for (how, word) in [
        ("writable by its group", "others can write to"),
        ("writable by everybody", "others can write to"),
        ("somebody else's", "belongs to uid 47011"),
        ("a link", "is a symbolic link"),
    ] {
        for directory in [false, true] {
            let place = Place::new(&["serve", "20999"]);
            place.write();
            place.verb("build").is(DONE, &[]);
            let path = if directory { place.etc() } else { place.spec() };
            spoil(&path, how);
            for verb in ["build", "start", "run", "check", "stop", "status"] {
                place
                    .verb(verb)
                    .is(NOT_SET_UP, &[path.to_str().unwrap(), word]);
            }
            place
                .gaoler(&["run", "--exec", &place.name])
                .is(NOT_SET_UP, &[path.to_str().unwrap(), word]);
            place.nothing_runs();
        }
    }
}

#[test]
fn a_state_directory_that_others_can_change() {
    for (how, word) in [
        ("writable by its group", "can write to it"),
        ("writable by everybody", "everybody can write to it"),
        ("somebody else's", "belongs to uid 47011"),
    ] {
        for below in ["", "NAME", "NAME/generations"] {
            let place = Place::new(&["serve", "20999"]);
            place.write();
            place.verb("build").is(DONE, &[]);
            let below = below.replace("NAME", &place.name);
            let path = place.state().join(below.as_str());
            let path = Path::new(path.to_str().unwrap().trim_end_matches('/')).to_owned();
            spoil(&path, how);
            let words = [path.to_str().unwrap(), word, "chmod go-w"];
            for verb in ["build", "check"] {
                place.verb(verb).is(FAILED, &words);
            }
            for verb in ["start", "run"] {
                place.verb(verb).is(NOT_SET_UP, &words);
            }
            place.nothing_runs();
        }
    }
}

#[test]
fn a_state_directory_below_one_that_others_can_change() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    mode(place.directory.path(), 0o777);
    place
        .verb("build")
        .is(FAILED, &["everybody can write to it"]);
    place
        .verb("start")
        .is(NOT_SET_UP, &["everybody can write to it"]);
    place.nothing_was_done();
}

#[test]
fn a_link_in_the_place_of_a_jails_state() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    let elsewhere = place.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(place.state()).unwrap();
    symlink(&elsewhere, place.state().join(&place.name)).unwrap();
    place.verb("build").is(FAILED, &[&place.name]);
    place.verb("start").is(NOT_SET_UP, &[&place.name]);
    assert_eq!(files(&elsewhere).len(), 0);
}

#[test]
fn what_was_planted_in_a_tree_is_reported_and_a_new_build_leaves_it_alone() {
    let place = Place::with("dynamic", &["serve", "20999"]);
    place.write();
    place.verb("build").is(DONE, &[]);
    let precious = place.path("precious");
    fs::write(&precious, "untouched").unwrap();
    let hard = place.path("hard");
    fs::write(&hard, "untouched").unwrap();
    let (passwd, program) = (
        place.inside(1, Path::new("/etc/passwd")),
        place.inside(1, &place.program()),
    );
    for (path, target) in [(&passwd, &precious), (&program, &precious)] {
        fs::remove_file(path).unwrap();
        symlink(target, path).unwrap();
    }
    let group = place.inside(1, Path::new("/etc/group"));
    fs::remove_file(&group).unwrap();
    fs::hard_link(&hard, &group).unwrap();
    symlink("/", place.inside(1, Path::new("/etc/extra"))).unwrap();

    let check = place.gaoler(&["check", &place.name, "--fail-above", "0"]);
    check.is(
        3,
        &[
            "/etc/passwd",
            "/etc/group",
            "/etc/extra",
            "is a symlink, not a file",
            "is not in the manifest",
        ],
    );
    place.verb("build").is(DONE, &["generation 2 (new)"]);
    for path in [&precious, &hard] {
        assert_eq!(fs::read_to_string(path).unwrap(), "untouched");
        let metadata = fs::metadata(path).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o644));
    }
    let passwd = place.inside(2, Path::new("/etc/passwd"));
    assert!(fs::symlink_metadata(passwd).unwrap().is_file());
    let answer = place.gaoler(&["check", &place.name]);
    assert!(!answer.out.contains("/etc/extra"), "{answer:#?}");
}

#[test]
fn a_program_in_the_tree_that_became_a_link_is_not_started() {
    let place = Place::new(&["say", "started"]);
    place.write();
    place.verb("build").is(DONE, &[]);
    let inside = place.inside(1, &place.program());
    fs::remove_file(&inside).unwrap();
    symlink("/bin/sh", &inside).unwrap();
    for words in [&["start"][..], &["run"], &["run", "--exec"]] {
        let mut words = words.to_vec();
        words.push(&place.name);
        let answer = place.gaoler(&words);
        answer.is(NOT_SET_UP, &["hint"]);
        assert!(!answer.out.contains("started"), "{answer:#?}");
        place.nothing_runs();
    }
}

#[test]
fn a_state_file_that_somebody_planted() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    place.verb("build").is(DONE, &[]);
    let directory = place.run().join(&place.name);
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("state.json");
    // Process 1 must not be taken for the service, and above all not be signalled.
    let state = format!(
        "{{\"name\":{:?},\"generation\":1,\"service\":{{\"pid\":{},\"start_time\":0}},\
         \"init\":null,\"supervisor\":null,\"cgroups\":[\"/sys/fs/cgroup\"]}}",
        place.name,
        std::process::id()
    );
    let plant = |how: &str| {
        drop(fs::remove_file(&file));
        fs::write(&file, &state).unwrap();
        spoil(&file, how);
    };
    for how in [
        "somebody else's",
        "writable by everybody",
        "writable by its group",
        "a link",
    ] {
        plant(how);
        for verb in ["start", "run"] {
            place.verb(verb).is(
                NOT_SET_UP,
                &[
                    file.to_str().unwrap(),
                    "somebody else could have written it",
                    "remove it",
                ],
            );
        }
        for verb in ["stop", "status", "reload"] {
            place.verb(verb).is(
                FAILED,
                &[
                    file.to_str().unwrap(),
                    "somebody else could have written it",
                    "remove it",
                ],
            );
        }
        assert!(
            fs::symlink_metadata(&file).is_ok(),
            "it is not ours to remove"
        );
    }
    fs::remove_dir_all(&directory).unwrap();
    place.nothing_runs();
}

#[test]
fn a_run_directory_that_is_somebody_elses() {
    for how in ["somebody else's", "a link"] {
        let place = Place::new(&["serve", "20999"]);
        place.write();
        let directory = place.run().join(&place.name);
        fs::create_dir_all(&directory).unwrap();
        spoil(&directory, how);
        for verb in ["start", "run"] {
            place
                .verb(verb)
                .is(NOT_SET_UP, &[directory.to_str().unwrap(), "hint"]);
        }
        if how == "a link" {
            fs::remove_file(&directory).unwrap();
        }
        place.nothing_runs();
    }
}

#[test]
fn a_log_directory_that_is_a_link() {
    let place = Place::new(&["serve", "20999"]);
    place.write();
    let (directory, elsewhere) = (place.run().join(&place.name), place.path("elsewhere"));
    fs::create_dir_all(&directory).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("log"), "untouched").unwrap();
    symlink(&elsewhere, directory.join("log")).unwrap();
    let answer = place.verb("start");
    answer.is(
        NOT_SET_UP,
        &[directory.join("log").to_str().unwrap(), "symbolic link"],
    );
    assert_eq!(
        fs::read_to_string(elsewhere.join("log")).unwrap(),
        "untouched"
    );
}

#[test]
fn a_directory_of_run_directories_that_others_can_change() {
    for how in [
        "somebody else's",
        "writable by everybody",
        "writable by its group",
    ] {
        let place = Place::new(&["serve", "20999"]);
        place.write();
        fs::create_dir(place.run()).unwrap();
        spoil(&place.run(), how);
        for verb in ["start", "run"] {
            place.verb(verb).is(
                NOT_SET_UP,
                &[
                    "others can rename what is in",
                    place.run().to_str().unwrap(),
                    "chmod go-w",
                ],
            );
        }
        place.nothing_runs();
    }
}
