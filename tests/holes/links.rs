//! Links that lead out of a tree, planted for whoever builds in it, mounts in it, or makes
//! something in a place that everybody can guess.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{DONE, GID, NOT_SET_UP, Place, UID, USER, mode};
use crate::lab::{
    NULL, Precious, Room, WAYS, builder, finish, jail, lines, odd, rig, run, scratch, tells_apart,
};

/// Puts a link in the place of what is there.
fn replace(path: &Path, target: &Path) {
    let removed = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
    removed.unwrap();
    symlink(target, path).unwrap();
}

/// Builds and runs a jail whose tree somebody has changed, and answers with the next generation.
fn build_and_run(place: &Place, plant: impl Fn(&Path)) -> PathBuf {
    place.write();
    place.verb("build").is(DONE, &["generation 1"]);
    plant(&place.tree(1));
    for way in WAYS {
        run(place, way, &[]);
    }
    for words in [&["start"][..], &["stop"], &["check"]] {
        place.gaoler(&[words, &[place.name.as_str()]].concat());
    }
    place.nothing_runs();
    place.verb("build").is(DONE, &["generation 2 (new)"]);
    place.tree(2)
}

#[test]
fn a_host_whose_null_device_is_something_else() {
    let place = jail(&["ids"]);
    place.write();
    let fake = place.path("fake");
    fs::write(&fake, "").unwrap();
    let host = [odd::over(&fake, Path::new("/dev/null"))];
    for way in WAYS {
        let answer = run(&place, way, &host);
        if way.contains(&"--exec") {
            // It opens none: the service has what the caller gave it.
            answer.is(DONE, &[]);
        } else {
            answer.is(NOT_SET_UP, &["it is not the null device"]);
        }
    }
    assert_eq!(fs::read(&fake).unwrap(), b"");
}

#[test]
fn a_null_device_that_is_a_link() {
    let words = ["walk"];
    let mut place = jail(&words);
    place.text.tables += NULL;
    let precious = Precious::new(place.path("precious"));
    let treasure = precious.path.join("treasure");
    place.write();
    place.verb("build").is(DONE, &[]);
    let null = place.tree(1).join("dev/null");
    let stat = fs::symlink_metadata(&null).unwrap();
    assert!(stat.file_type().is_char_device());
    assert_eq!(stat.rdev(), rustix::fs::makedev(1, 3));
    replace(&null, &treasure);
    let room = Room::new();
    symlink(&treasure, room.root().join("dev/null")).unwrap();
    fs::write(room.root().join("secret"), "").unwrap();
    let wrong = room.wrong("mask", &[], &["/payload", "walk"]);
    for way in WAYS {
        let right = run(&place, way, &[]);
        right.is(NOT_SET_UP, &["is not the character device 1:3"]);
        tells_apart(|answer| lines(answer, &["writable "]), &[&right], &wrong);
    }
    // Nor is any other device in its place.
    fs::remove_file(&null).unwrap();
    let device = rustix::fs::makedev(1, 5);
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &null,
        kind,
        rustix::fs::Mode::from_raw_mode(0o666),
        device,
    )
    .unwrap();
    place
        .verb("run")
        .is(NOT_SET_UP, &["is not the character device 1:3"]);
    place.nothing_runs();
    assert_eq!(precious.changes(), Vec::<String>::new());
}

#[test]
fn a_directory_of_devices_that_is_a_link() {
    let mut place = jail(&["ids"]);
    place.text.tables += NULL;
    let precious = Precious::new(place.path("precious"));
    let tree = build_and_run(&place, |tree| replace(&tree.join("dev"), &precious.path));
    let null = fs::symlink_metadata(tree.join("dev/null")).unwrap();
    assert!(null.file_type().is_char_device());
    assert_eq!(precious.changes(), Vec::<String>::new());

    let room = Room::new();
    replace(&room.root().join("dev"), &precious.path);
    builder("device", &room.root()).is(DONE, &[]);
    assert_ne!(precious.changes(), Vec::<String>::new());
}

#[test]
fn parents_that_are_links_through_the_old_root() {
    for target in [
        "/oldroot/TARGET",
        "../../../../../../../../../TARGET",
        "/TARGET",
    ] {
        let mut place = jail(&["ids"]);
        place.bind("data", true);
        let precious = Precious::new(place.path("precious"));
        let target = target.replace("/TARGET", precious.path.to_str().unwrap());
        // What is above the bind in the tree leads to a directory that has one of its name.
        fs::create_dir(precious.path.join("data")).unwrap();
        let precious = Precious::new(precious.path);
        let above = place.directory.path().strip_prefix("/").unwrap().to_owned();
        build_and_run(&place, |tree| {
            replace(&tree.join(&above), Path::new(&target));
        });
        assert_eq!(precious.changes(), Vec::<String>::new());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(
            !mounts.contains(precious.path.to_str().unwrap()),
            "{mounts}"
        );
    }
    let room = Room::new();
    let precious = Precious::new(room.path("precious"));
    replace(&room.root().join("etc"), &precious.path);
    builder("parents", &room.root()).is(DONE, &[]);
    assert_ne!(precious.changes(), Vec::<String>::new());
}

/// What bubblewrap's first remedy broke: a link of the host's own, below which something is
/// mounted.
#[test]
fn an_ordinary_link_is_followed_inside() {
    assert_eq!(fs::read_link("/var/run").unwrap(), Path::new("/run"));
    let name = format!("gaoler-holes-{}", std::process::id());
    let mut place = jail(&["walk"]);
    place.text.tables += &scratch(&format!("/var/run/{name}"));
    place.write();
    for way in WAYS {
        let answer = run(&place, way, &[]);
        answer.is(
            DONE,
            &[&format!("reached /run/{name}\n"), "reached /var/run\n"],
        );
    }
    assert!(!Path::new("/run").join(name).exists());
}

#[test]
fn files_that_are_links_are_not_copied_over() {
    let place = Place::with("dynamic", &["ids"]);
    let precious = Precious::new(place.path("precious"));
    let passwd = precious.path.join("passwd");
    let tree = build_and_run(&place, |tree| {
        replace(&tree.join("etc/passwd"), &passwd);
        let group = tree.join("etc/group");
        fs::remove_file(&group).unwrap();
        fs::hard_link(precious.path.join("treasure"), &group).unwrap();
    });
    assert!(
        fs::symlink_metadata(tree.join("etc/passwd"))
            .unwrap()
            .is_file()
    );
    assert_eq!(precious.changes(), Vec::<String>::new());

    let room = Room::new();
    symlink(&passwd, room.root().join("etc/passwd")).unwrap();
    builder("copy", &room.root()).is(DONE, &[]);
    let changes = precious.changes();
    assert!(
        changes.iter().any(|change| change.contains("5:60")),
        "{changes:?}"
    );
}

/// A file that the service made as root while it was learned is given to its user: what has been
/// put in its place by then is not.
#[test]
fn what_is_swapped_before_its_owner_is_changed() {
    let service = crate::common::program("service");
    for swap in ["ln -s", "ln"] {
        let place = jail(&[]);
        let precious = Precious::new(place.path("precious"));
        let data = place.path("data");
        fs::create_dir(&data).unwrap();
        std::os::unix::fs::chown(&data, Some(UID), Some(GID)).unwrap();
        let own = data.join("service.pid");
        let (own, treasure) = (own.to_str().unwrap(), precious.path.join("treasure"));
        let swapper = place.path("swapper");
        let script = format!(
            "#!/bin/sh\nrm {own} && {swap} {} {own} && echo swapped\n",
            treasure.display()
        );
        fs::write(&swapper, script).unwrap();
        mode(&swapper, 0o755);
        let words = ["learn", &place.name, "--user", USER, "--ready", "quiet:100"];
        let mut learn = place.command(&words);
        learn.arg("--").arg(&service).args(["daemon", own, "pause"]);
        let hold = [format!("hold={}:{}", libc::SYS_fchownat, swapper.display())];
        let answer = finish(rig(&hold, &learn));
        answer.is(DONE, &["swapped", "was made by root during learning"]);
        assert_eq!(precious.changes(), Vec::<String>::new(), "{swap}");
        place.nothing_runs();

        let tree = place.path("tree");
        fs::create_dir_all(tree.join("etc")).unwrap();
        fs::hard_link(&treasure, tree.join("etc/passwd")).unwrap();
        builder("copy", &tree).is(DONE, &[]);
        assert_ne!(precious.changes(), Vec::<String>::new(), "{swap}");
    }
}

#[test]
fn nothing_is_made_where_everybody_can_guess_it() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut place = jail(&["pause"]);
    // Not below /tmp, which is hidden here.
    let program = directory.path().join("payload");
    fs::copy(place.program(), &program).unwrap();
    place.text.command[0] = program.to_str().unwrap().to_owned();
    let name = place.name.clone();
    let (etc, state, running) = ("etc", "state", "run");
    fs::create_dir(directory.path().join(etc)).unwrap();
    let spec = directory.path().join(etc).join(format!("{name}.toml"));
    fs::write(&spec, place.text.render(&name)).unwrap();
    let options: String = [etc, state, running]
        .map(|which| format!(" --{which} {}", directory.path().join(which).display()))
        .concat();
    let verbs = ["build", "start", "check", "status", "stop"];
    let verbs =
        verbs.map(|verb| format!("{}{options} {verb} {name} || exit 9", crate::common::GAOLER));
    let learn = format!(
        "{}{options} learn {name}-2 --user games --ready quiet:100 -- {} pause || exit 8",
        crate::common::GAOLER,
        program.display()
    );
    let host = ["/tmp", "/var/tmp", "/dev/shm"].map(odd::hide);
    let list = "echo; find /tmp /var/tmp /dev/shm ! -type d | sed 's/^/made /'";
    let script = format!(
        "TMPDIR=/tmp; export TMPDIR; {}; {learn}; {list}",
        verbs.join("; ")
    );
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]);
    let answer = finish(rig(&host, &command));
    answer.is(DONE, &[]);
    let made = |answer: &crate::common::Answer| lines(answer, &["made "]);

    let script = format!(
        "{} temporary /tmp; {list}",
        crate::lab::program("builder").display()
    );
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]);
    let wrong = finish(rig(&host, &command));
    tells_apart(made, &[&answer], &wrong);
    // And what comes of that.
    let room = Room::new();
    let precious = Precious::new(room.path("precious"));
    symlink(&precious.path, room.path("launcher")).unwrap();
    builder("temporary", &room.path("")).is(DONE, &[]);
    assert_ne!(precious.changes(), Vec::<String>::new());
}
