//! The event, on this kernel.

use super::*;
use std::process::{Command, Stdio};

#[test]
fn processors_are_listed() {
    assert_eq!(list("0-2,5,7-8\n"), [0, 1, 2, 5, 7, 8]);
    assert_eq!(list("0\n"), [0]);
    assert_eq!(list(""), [0; 0]);
}

#[test]
fn only_one_question_asked_in_two_ways_is_recognised() {
    let asked = |callers: &[u64]| vec![(9, callers.to_vec())];
    let known = compare(&asked(&[1, 2, 3, 40]), &asked(&[1, 2, 3, 50, 6])).unwrap();
    assert_eq!((known.home, known.memory), (9, vec![1, 2, 3]));
    assert_eq!(compare(&asked(&[1, 40]), &asked(&[1, 50])), None);
    assert_eq!(compare(&asked(&[1, 2, 3]), &asked(&[1, 2, 3])), None);
    assert_eq!(compare(&asked(&[1, 2, 3]), &[]), None);
    let twice = [asked(&[1, 2, 3]), asked(&[1, 2, 3])].concat();
    assert_eq!(compare(&twice, &asked(&[1, 2, 4])), None);
    let elsewhere = vec![(8, vec![1, 2, 4])];
    assert_eq!(compare(&asked(&[1, 2, 3]), &elsewhere), None);
}

/// Needs a kernel that has the event, and root.
#[test]
fn what_a_child_s_child_asks_is_seen_and_its_memory_is_not() {
    // It waits for a line; then it execs a program that changes its priority, in a process of
    // its own.
    let mut child = Command::new("/bin/sh")
        .args(["-c", "read line; (nice -n -1 /bin/true); exit 0"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let mut events = Event::find().unwrap().watch(pid).unwrap();
    use std::io::Write;
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert!(child.wait().unwrap().success());
    let mut asks = Vec::new();
    events.take(|ask| asks.push(ask));
    assert_eq!(events.lost().unwrap(), 0);
    let nice: Vec<&Ask> = asks.iter().filter(|ask| ask.capability == 23).collect();
    assert_eq!(nice.len(), 1, "{asks:?}");
    assert!(nice[0].granted && nice[0].tid != pid);
    assert!(
        asks.iter().all(|ask| ask.capability != SYS_ADMIN),
        "memory: {asks:?}"
    );
    assert!(events.covers_all_processors());
}

#[test]
fn what_does_not_fit_is_counted() {
    let format = tracefs::event("capability", "cap_capable").unwrap();
    let mut ring = Ring::open(format.id, Whom::Caller, 1).unwrap();
    for _ in 0..100 {
        take_a_page(Writable::Later).unwrap();
    }
    let mut records = 0u64;
    ring.take(|_| records += 1);
    assert!(records > 0 && records < 100, "{records}");
    assert_eq!(records + ring.lost().unwrap(), 100);
}
