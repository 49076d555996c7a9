//! Hosts on which a protection is not what it seems: a call that succeeds and does nothing, a
//! `/proc` that is somebody's.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::{Answer, DONE, NOT_SET_UP};
use crate::lab::{
    Precious, Room, WAYS, bind, builder, done, finish, hostile, jail, lines, odd, rig, run,
    tells_apart,
};

/// What each call is for, and what a payload can do where it does nothing.
const SILENT: [(libc::c_long, &str); 10] = [
    (libc::SYS_landlock_restrict_self, "apply Landlock"),
    (libc::SYS_seccomp, "install the system call filter"),
    (libc::SYS_prctl, "no_new_privs"),
    (
        libc::SYS_setgroups,
        "read ids, groups and capabilities back",
    ),
    (
        libc::SYS_setresgid,
        "read ids, groups and capabilities back",
    ),
    (
        libc::SYS_setresuid,
        "read ids, groups and capabilities back",
    ),
    (libc::SYS_capset, "read ids, groups and capabilities back"),
    (libc::SYS_mount_setattr, "read-only"),
    (libc::SYS_pivot_root, "change directory to /"),
    (libc::SYS_umount2, "change directory to /"),
];

/// What a protection was to stop.
const ATTEMPTS: [&str; 8] = [
    "setuid",
    "unshare",
    "netlink",
    "bind=20997",
    "open=/etc/shadow",
    "create=PLACE/new",
    "execute=/srv/scratch/program",
    "climb",
];

#[test]
fn a_protection_that_is_silently_off() {
    let mut place = hostile(&[]);
    let data = place.path("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(5), Some(60)).unwrap();
    place.text.tables += &bind(&data, false);
    let attempts = ATTEMPTS.map(|word| word.replace("PLACE", data.to_str().unwrap()));
    place.text.command.extend(attempts.clone());
    place.write();
    let mut right = Vec::new();
    for way in WAYS {
        let all_there = run(&place, way, &[]);
        all_there.is(DONE, &["setuid: EPERM", "bind: EACCES", "create: EROFS"]);
        assert_eq!(all_there.out.lines().count(), ATTEMPTS.len());
        right.push(all_there);
        for (call, words) in SILENT {
            let host = ["group=1234".to_owned(), odd::answer(call, 0)];
            let answer = run(&place, way, &host);
            answer.is(NOT_SET_UP, &[words]);
            right.push(answer);
        }
    }
    let right: Vec<&Answer> = right.iter().collect();
    let room = Room::new();
    let words: Vec<&str> = ["/hostile"]
        .into_iter()
        .chain(attempts.iter().map(String::as_str).take(3))
        .collect();
    for (call, mistakes) in [(libc::SYS_seccomp, "none"), (libc::SYS_setresuid, "none")] {
        let wrong = room.wrong(mistakes, &[odd::answer(call, 0)], &words);
        tells_apart(done, &right, &wrong);
    }
}

/// runc wrote labels and more through a `/proc` that the container could choose.
#[test]
fn a_proc_that_is_somebodys() {
    let place = jail(&["ids"]);
    place.write();
    place.verb("build").is(DONE, &[]);
    let precious = Precious::new(place.path("precious"));
    let fake = place.path("proc");
    fs::create_dir_all(fake.join("self/fd")).unwrap();
    for number in 0..128 {
        let link = fake.join(format!("self/fd/{number}"));
        symlink(precious.path.join("treasure"), link).unwrap();
    }
    let host = [odd::over(&fake, "/proc".as_ref())];
    let mut right = Vec::new();
    for way in WAYS {
        let answer = run(&place, way, &host);
        answer.is(
            NOT_SET_UP,
            &["what is mounted on /proc is not the kernel's"],
        );
        right.push(answer);
    }
    fs::remove_dir_all(place.state()).unwrap();
    for verb in ["build", "start", "check", "stop"] {
        finish(rig(&host, &place.command(&[verb, &place.name]))).is(NOT_SET_UP, &["/proc"]);
    }
    assert_eq!(precious.changes(), Vec::<String>::new());
    let before: Vec<String> = lines(&right[0], &["uids"]);
    assert_eq!(before, Vec::<String>::new(), "it ran");
    place.nothing_runs();

    builder("mode", &fake).is(DONE, &[]);
    assert_ne!(precious.changes(), Vec::<String>::new());
}

/// What gaoler set is read back, not believed: the kernel's own account of a running service.
#[test]
fn what_was_set_is_what_the_kernel_says() {
    let place = jail(&["pause"]);
    place.start();
    let status = fs::read_to_string(format!("/proc/{}/status", place.pid())).unwrap();
    for line in [
        "Uid:\t5\t5\t5\t5\n",
        "Gid:\t60\t60\t60\t60\n",
        "NoNewPrivs:\t1\n",
        "Seccomp:\t2\n",
        "CapBnd:\t0000000000000000\n",
    ] {
        assert!(status.contains(line), "no {line:?} in {status}");
    }
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}
