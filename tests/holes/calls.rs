//! The system call filter, and ways around one.

use std::process::{Command, Stdio};

use crate::common::{Answer, DONE, GAOLER};
use crate::lab::{Room, WAYS, done, finish, hostile, run, tells_apart};

/// Runs a command line where a terminal is, in the session that owns it.
fn at_a_terminal(line: &str) -> Answer {
    let mut command = Command::new("script");
    command
        .args(["-qec", line, "/dev/null"])
        .stdin(Stdio::null());
    finish(command)
}

#[test]
fn nothing_is_typed_into_the_callers_terminal() {
    let attempts = ["tiocsti", "tiocsti-high"];
    let place = hostile(&attempts);
    place.write();
    let right = WAYS.map(|way| {
        let line = format!(
            "{GAOLER} {} {} {}",
            place.arguments(&[]).join(" "),
            way.join(" "),
            place.name
        );
        let answer = at_a_terminal(&line);
        answer.is(DONE, &["tiocsti: EPERM", "tiocsti-high: EPERM"]);
        place.nothing_runs_after(way);
        answer
    });
    let [supervised, exec] = &right;
    let room = Room::new();
    let words: Vec<&str> = ["/hostile"].into_iter().chain(attempts).collect();
    let line = |mistakes: &str| {
        let command = room.launcher(mistakes, &words);
        let words = [command.get_program()]
            .into_iter()
            .chain(command.get_args());
        words
            .map(|word| word.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let other = at_a_terminal(&line("none"));
    for mistakes in ["session,filter", "session,whole-number"] {
        let wrong = at_a_terminal(&line(mistakes));
        tells_apart(done, &[supervised, exec, &other], &wrong);
        // Its own number is refused; what is typed comes before the line.
        let own = wrong.out.contains("tiocsti: done");
        assert_eq!(own, mistakes.ends_with("filter"), "{wrong:#?}");
    }
}

/// Calls by another architecture's numbers that were not the end of who made them.
fn ran(answer: &Answer) -> Vec<String> {
    const KILLED_BY_THE_FILTER: i32 = 128 + libc::SIGSYS;
    let survived = answer.code != Some(KILLED_BY_THE_FILTER);
    survived.then(|| answer.out.clone()).into_iter().collect()
}

#[test]
fn calls_of_another_architecture_kill() {
    let room = Room::new();
    for word in ["x32", "legacy"] {
        let place = hostile(&[word]);
        place.write();
        let [supervised, exec] = WAYS.map(|way| run(&place, way, &[]));
        let other = room.wrong("none", &[], &["/hostile", word]);
        // This kernel may be built without the one or the other; SIGSYS is the filter's.
        let wrong = room.wrong("architecture", &[], &["/hostile", word]);
        tells_apart(ran, &[&supervised, &exec, &other], &wrong);
    }
    let wrong = room.wrong("architecture", &[], &["/hostile", "legacy"]);
    wrong.is(DONE, &["legacy: done"]);
}
