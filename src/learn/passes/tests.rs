//! What runs in the second pass, and what stops, decided by the filter itself.

use super::*;
use crate::filter::tests::interpreter::{Call, run};
use crate::learn::record::{Event, When};
use crate::sys::calls::number;
use crate::sys::seccomp::answers;

fn recorder(calls: &[(&str, Phase, &[u64])]) -> Recorder {
    let mut recorder = Recorder::default();
    for (name, phase, values) in calls {
        let when = When {
            phase: *phase,
            exercise: 0,
            program: 0,
        };
        let number = number(name).unwrap();
        recorder.record(when, Event::Call(number));
        if !values.is_empty() {
            recorder.record(when, Event::Arguments(number, values.to_vec()));
        }
    }
    recorder
}

fn runs(free: &Free, name: &str, arguments: [u64; 6]) -> bool {
    let call = Call {
        architecture: Architecture::native().unwrap().audit(),
        number: number(name).unwrap(),
        arguments,
    };
    run(&free.program, &call).answer == answers::ALLOW
}

fn names(free: &Free) -> Vec<String> {
    free.calls
        .iter()
        .map(|call| calls::name((*call).into()))
        .collect()
}

#[test]
fn what_serving_showed_runs() {
    let free = free(
        &recorder(&[
            ("read", Phase::Serve, &[]),
            ("brk", Phase::Start, &[]),
            ("epoll_wait", Phase::Start, &[]),
            ("epoll_wait", Phase::Serve, &[]),
        ]),
        std::iter::empty(),
    )
    .unwrap();
    assert_eq!(names(&free), ["read", "epoll_wait"]);
}

#[test]
fn what_names_something_or_takes_a_capability_stops() {
    let calls = [
        "openat",
        "newfstatat",
        "execve",
        "connect",
        "bind",
        "setuid",
        "prctl",
        "clone3",
        "kill",
        "ftruncate",
        "io_uring_setup",
        "rt_sigaction",
    ];
    let seen: Vec<(&str, Phase, &[u64])> = calls
        .iter()
        .map(|name| (*name, Phase::Serve, [].as_slice()))
        .collect();
    assert_eq!(
        names(&free(&recorder(&seen), std::iter::empty()).unwrap()),
        [""; 0]
    );
}

#[test]
fn only_arguments_that_were_seen_run() {
    let free = free(
        &recorder(&[
            ("ioctl", Phase::Serve, &[0x5421]),
            ("ioctl", Phase::Start, &[0x5401]),
            ("mmap", Phase::Serve, &[3, 0x22]),
            ("mmap", Phase::Serve, &[5, 2]),
            ("mprotect", Phase::Serve, &[5]),
            ("setsockopt", Phase::Serve, &[6, 1]),
            ("setsockopt", Phase::Serve, &[1, 36]),
        ]),
        std::iter::empty(),
    )
    .unwrap();
    assert_eq!(names(&free), ["mmap", "ioctl", "setsockopt"]);
    let runs = |name: &str, arguments| runs(&free, name, arguments);
    assert!(runs("ioctl", [3, 0x5421, 0, 0, 0, 0]));
    assert!(
        runs("ioctl", [3, 0xffff_0000_5421, 0, 0, 0, 0]),
        "the high half means nothing to the kernel"
    );
    assert!(!runs("ioctl", [3, 0x5401, 0, 0, 0, 0]), "only at start");
    assert!(!runs("ioctl", [3, 0x5412, 0, 0, 0, 0]), "never seen");
    assert!(runs("mmap", [0, 4096, 3, 0x22, 0, 0]));
    assert!(!runs("mmap", [0, 4096, 3, 0x21, 0, 0]));
    assert!(!runs("mmap", [0, 4096, 5, 2, 3, 0]), "a library is a path");
    assert!(!runs("mprotect", [0, 4096, 5, 0, 0, 0]));
    assert!(runs("setsockopt", [4, 6, 1, 0, 0, 0]));
    assert!(
        !runs("setsockopt", [4, 1, 36, 0, 0, 0]),
        "SO_MARK takes NET_ADMIN"
    );
}

#[test]
fn a_look_at_a_descriptor_runs_and_one_at_a_path_does_not() {
    let seen = recorder(&[
        ("newfstatat", Phase::Serve, &[0x1000]),
        ("newfstatat", Phase::Serve, &[0]),
        ("newfstatat", Phase::Start, &[0x1100]),
        ("openat", Phase::Serve, &[0x1000]),
    ]);
    let free = free(&seen, std::iter::empty()).unwrap();
    assert_eq!(names(&free), ["newfstatat"]);
    assert!(runs(&free, "newfstatat", [3, 0, 0, 0x1000, 0, 0]));
    for flags in [0, 0x1100, 0x1_0000_1000] {
        assert!(
            !runs(&free, "newfstatat", [3, 0, 0, flags, 0, 0]),
            "{flags:#x}"
        );
    }
    assert!(
        !runs(&free, "openat", [0, 0, 0x1000, 0, 0, 0]),
        "the same bit is O_DSYNC there"
    );
}

#[test]
fn watched_calls_run_with_their_flags() {
    let mut seen = recorder(&[
        ("openat", Phase::Serve, &[0x800]),
        ("openat", Phase::Serve, &[0x241]),
        ("access", Phase::Serve, &[]),
    ]);
    for _ in 0..20 {
        seen.named(number("openat").unwrap(), 0x800, "/a".as_ref());
        seen.named(number("access").unwrap(), 0, "/a".as_ref());
    }
    let watched = crate::learn::names::watched(&seen);
    let free = free(&seen, watched.iter()).unwrap();
    assert!(runs(&free, "access", [0; 6]));
    assert!(runs(&free, "openat", [0, 0, 0x800, 0, 0, 0]));
    for flags in [0, 0x241, 0x1_0000_0800] {
        assert!(!runs(&free, "openat", [0, 0, flags, 0, 0, 0]), "{flags:#x}");
    }
}
