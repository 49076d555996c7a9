//! Programs that cannot be run, and files that cannot be had.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::{DONE, FAILED, NOT_SET_UP, Place, USAGE, files, mode};

/// The program of a jail is made into something else, and every verb that needs it says so.
fn refused(change: impl Fn(&Place), words: &[&str]) {
    refused_with((FAILED, NOT_SET_UP), change, words);
}

/// The same with the exit codes of `build` and of the verbs that start.
fn refused_with((build, start): (i32, i32), change: impl Fn(&Place), words: &[&str]) {
    let place = Place::new(&["serve", "20999"]);
    change(&place);
    place.write();
    let path = place.program();
    let mut all = vec![path.to_str().unwrap()];
    all.extend(words);
    place.verb("build").is(build, &all);
    for verb in ["start", "run"] {
        place.verb(verb).is(start, &all);
    }
    place.nothing_was_done();
}

fn overwrite(place: &Place, content: &[u8]) {
    let path = place.program();
    fs::remove_file(&path).unwrap();
    fs::write(&path, content).unwrap();
    mode(&path, 0o755);
}

#[test]
fn of_another_architecture() {
    refused(
        |place| {
            let mut elf = fs::read(place.program()).unwrap();
            elf[18] = 183; // e_machine: EM_AARCH64
            overwrite(place, &elf);
        },
        &["another kind of machine", "AArch64"],
    );
}

#[test]
fn of_the_other_word_size_or_byte_order() {
    for (index, value) in [(4, 1), (5, 2)] {
        refused(
            |place| {
                let mut elf = fs::read(place.program()).unwrap();
                elf[index] = value;
                overwrite(place, &elf);
            },
            &[],
        );
    }
}

#[test]
fn neither_elf_nor_script() {
    let neither = ["it is neither ELF nor a script"];
    refused_with(
        (USAGE, USAGE),
        |place| overwrite(place, b"#!\n"),
        &["names no interpreter"],
    );
    for content in [&b"just text\n"[..], b""] {
        refused_with((USAGE, USAGE), |place| overwrite(place, content), &neither);
    }
}

#[test]
fn a_truncated_elf() {
    for length in [4, 20, 64, 100] {
        refused(
            |place| {
                let elf = fs::read(place.program()).unwrap();
                overwrite(place, &elf[..length]);
            },
            &[],
        );
    }
}

#[test]
fn a_link_that_goes_round() {
    refused(
        |place| {
            fs::remove_file(place.program()).unwrap();
            symlink("service", place.program()).unwrap();
        },
        &["circle"],
    );
}

#[test]
fn a_directory() {
    refused_with(
        (USAGE, USAGE),
        |place| {
            fs::remove_file(place.program()).unwrap();
            fs::create_dir(place.program()).unwrap();
        },
        &["directory"],
    );
}

#[test]
fn not_there_or_not_executable() {
    refused(
        |place| fs::remove_file(place.program()).unwrap(),
        &["no longer exists"],
    );
    refused(|place| mode(&place.program(), 0o644), &["not executable"]);
}

#[test]
fn a_script_whose_interpreter_is_missing() {
    let place = Place::new(&[]);
    overwrite(&place, b"#!/no/such/interpreter\n");
    place.write();
    place
        .verb("start")
        .is(NOT_SET_UP, &["/no/such/interpreter"]);
    place.nothing_was_done();
}

#[test]
fn a_bind_source_that_vanished() {
    let mut place = Place::new(&["serve", "20999"]);
    let data = place.bind("data", true);
    place.write();
    place.verb("build").is(DONE, &[]);
    fs::remove_dir(&data).unwrap();
    for verb in ["start", "run"] {
        place.verb(verb).is(
            NOT_SET_UP,
            &[
                data.to_str().unwrap(),
                "No such file or directory",
                "hint",
                "binds",
            ],
        );
        place.nothing_runs();
    }
    place
        .gaoler(&["run", "--exec", &place.name])
        .is(NOT_SET_UP, &[data.to_str().unwrap()]);
    place.nothing_runs();
    // Not there when it is built, either.
    fs::remove_dir_all(place.state()).unwrap();
    place
        .verb("build")
        .is(FAILED, &[data.to_str().unwrap(), "hint"]);
    assert_eq!(
        files(&place.state().join(&place.name).join("generations")).len(),
        0
    );
}

#[test]
fn a_bind_source_that_became_a_link() {
    let mut place = Place::new(&["serve", "20999"]);
    let data = place.bind("data", true);
    let precious = place.path("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), "untouched").unwrap();
    place.write();
    place.verb("build").is(DONE, &[]);
    fs::remove_dir(&data).unwrap();
    symlink(&precious, &data).unwrap();
    for words in [&["start"][..], &["run"], &["run", "--exec"]] {
        let mut words = words.to_vec();
        words.push(&place.name);
        place.gaoler(&words).is(
            NOT_SET_UP,
            &[data.to_str().unwrap(), "symbolic link", "hint"],
        );
        place.nothing_runs();
    }
    assert_eq!(
        fs::read_to_string(precious.join("file")).unwrap(),
        "untouched"
    );
    assert_eq!(files(&precious).len(), 1);
}

#[test]
fn a_place_to_mount_on_that_became_a_link() {
    for scratch in [false, true] {
        let mut place = Place::new(&["serve", "20999"]);
        let target = if scratch {
            place.text.tables +=
                "[[tree.scratch]]\npath = \"/srv/scratch\"\nsize_kib = 64\nbecause = \"a test\"\n";
            "/srv/scratch".into()
        } else {
            place.bind("data", true)
        };
        place.write();
        place.verb("build").is(DONE, &[]);
        let inside = place.inside(1, &target);
        fs::remove_dir(&inside).unwrap();
        let precious = place.path("precious");
        fs::create_dir(&precious).unwrap();
        symlink(&precious, &inside).unwrap();
        let path = target.to_str().unwrap();
        for words in [&["start"][..], &["run"], &["run", "--exec"]] {
            let mut words = words.to_vec();
            words.push(&place.name);
            place
                .gaoler(&words)
                .is(NOT_SET_UP, &[path, "symbolic link", "hint"]);
            place.nothing_runs();
        }
        place
            .gaoler(&["check", &place.name])
            .is(DONE, &[path, "symlink"]);
        assert_eq!(files(&precious).len(), 0);
    }
}
