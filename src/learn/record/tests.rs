//! What was seen adds up.

use super::super::trace::Witness;
use super::*;

fn when(phase: Phase) -> When {
    When {
        phase,
        exercise: 0,
        program: 0,
    }
}

fn path(host: &str, asked: &str, used: Use, failure: Option<i32>) -> Event {
    let found = Resolved {
        host: host.into(),
        asked: asked.into(),
        ..Resolved::default()
    };
    Event::Path {
        found,
        uses: vec![used],
        failure,
    }
}

#[test]
fn calls_add_up_by_phase() {
    let mut recorder = Recorder::default();
    for phase in [Phase::Serve, Phase::Start, Phase::Serve] {
        recorder.record(when(phase), Event::Call(39));
    }
    let trace = recorder.finish(&[], |number| format!("call {number}"));
    let counts: Vec<_> = trace
        .calls
        .iter()
        .map(|seen| (seen.number, seen.phase, seen.count))
        .collect();
    assert_eq!(counts, [(39, Phase::Start, 1), (39, Phase::Serve, 2)]);
    assert_eq!(trace.calls[0].name, "call 39");
}

#[test]
fn uses_of_one_path_come_together() {
    let mut recorder = Recorder::default();
    recorder.record(
        when(Phase::Start),
        path("/usr/lib/a", "/lib/a", Use::Read, None),
    );
    recorder.record(
        when(Phase::Serve),
        path("/usr/lib/a", "/usr/lib/a", Use::Map, None),
    );
    recorder.record(
        when(Phase::Serve),
        path("/etc/b", "/etc/b", Use::Look, Some(2)),
    );
    let trace = recorder.finish(&[], |_| String::new());
    let [missing, library] = trace.paths.as_slice() else {
        panic!("{:?}", trace.paths)
    };
    assert_eq!(missing.failures, BTreeSet::from([(Use::Look, 2)]));
    assert!(missing.uses.is_empty());
    assert_eq!(library.uses, BTreeSet::from([Use::Read, Use::Map]));
    assert_eq!(library.asked.len(), 2);
    assert_eq!((library.phase, library.count), (Phase::Start, 2));
}

#[test]
fn handlers_are_inherited_and_lost_by_exec() {
    let mut recorder = Recorder::default();
    recorder.record(
        when(Phase::Start),
        Event::Handler {
            process: 1,
            signal: 15,
        },
    );
    recorder.forked(1, 2);
    recorder.record(
        when(Phase::Start),
        Event::Handler {
            process: 2,
            signal: 1,
        },
    );
    recorder.executed(1);
    recorder.end_pass(2);
    assert_eq!(
        recorder.finish(&[], |_| String::new()).handled_signals,
        [1, 15]
    );
}

#[test]
fn a_socket_keeps_its_first_phase() {
    let mut recorder = Recorder::default();
    let seen = SocketSeen {
        action: SocketUse::Bind,
        family: 2,
        kind: 2,
        protocol: 17,
        address: "127.0.0.1".to_owned(),
        port: 53,
        phase: Phase::Serve,
        witness: Witness::default(),
    };
    recorder.record(when(Phase::Start), Event::Socket(seen.clone()));
    recorder.record(when(Phase::Serve), Event::Socket(seen));
    let trace = recorder.finish(&[], |_| String::new());
    assert_eq!(trace.sockets.len(), 1);
    assert_eq!(trace.sockets[0].phase, Phase::Start);
}

#[test]
fn too_many_arguments_decide_nothing() {
    let mut recorder = Recorder::default();
    let most = u64::try_from(MOST_ARGUMENTS).unwrap();
    for value in 0..most {
        recorder.record(when(Phase::Serve), Event::Arguments(16, vec![value]));
    }
    let seen = recorder.arguments_in(16, Phase::Serve).unwrap();
    assert_eq!(seen.len(), MOST_ARGUMENTS);
    assert_eq!(recorder.arguments_in(16, Phase::Start), Some(Vec::new()));
    for value in [most, most + 1] {
        recorder.record(when(Phase::Serve), Event::Arguments(16, vec![value]));
    }
    assert_eq!(recorder.arguments_in(16, Phase::Serve), None);
}

#[test]
fn a_tally_says_which_program_and_exercise() {
    let mut recorder = Recorder::default();
    let program = recorder.program(Path::new("/usr/sbin/named"));
    let helper = recorder.program(Path::new("/usr/lib/helper"));
    assert_eq!(recorder.program(Path::new("/other/named")), program);
    for (program, exercise) in [(program, 0), (helper, 2), (helper, 2)] {
        let when = When {
            phase: Phase::Serve,
            exercise,
            program,
        };
        recorder.record(when, Event::Call(39));
    }
    let exercises = ["first".to_owned(), "second".to_owned()];
    let trace = recorder.finish(&exercises, |_| String::new());
    let [seen] = trace.calls.as_slice() else {
        panic!("{:?}", trace.calls)
    };
    let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
    assert_eq!(names(&seen.witness.programs), ["helper", "named"]);
    assert_eq!(names(&seen.witness.exercises), ["second"]);
    assert_eq!(seen.count, 3);
}
