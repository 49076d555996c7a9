//! Starting what runs already, what ends at once, what is not ready, and what has no port.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::{
    Answer, DONE, FAILED, FINDINGS, NOT_SET_UP, Place, USAGE, answers, eventually, port, program,
};

/// A jail that listens, ready when it does.
fn server(program: &str) -> (Place, u16) {
    let port = port();
    let mut place = Place::with(program, &["serve", &port.to_string()]);
    place.text.service = format!("ready = [\"tcp:{port}\"]");
    place.text.tables += &format!(
        "[[allow.ports]]\ndirection = \"bind\"\nprotocol = \"tcp\"\nport = {port}\nbecause = \"a test\"\n"
    );
    (place, port)
}

/// The lock outlives what anybody can see of a jail that ends.
#[test]
fn a_start_waits_for_one_that_is_about_to_have_cleaned_up() {
    let (place, _) = server("service");
    place.start();
    place.verb("stop").is(DONE, &["stopped"]);
    let path = place.run().join(&place.name).join("lock");
    let lock = std::fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            lock.unlock().unwrap();
        });
        place.verb("start").is(DONE, &["started: process"]);
    });
    place.verb("stop").is(DONE, &["stopped"]);
    // One that stays is told of.
    lock.lock().unwrap();
    place
        .verb("start")
        .is(NOT_SET_UP, &["another supervisor has this jail"]);
    lock.unlock().unwrap();
    place.nothing_runs();
}

#[test]
fn it_starts_answers_stops_and_leaves_nothing() {
    for program in ["service", "dynamic"] {
        let (place, port) = server(program);
        place.write();
        place.verb("status").is(FINDINGS, &["is stopped"]);
        place.verb("stop").is(DONE, &["did not run"]);
        place.verb("start").is(DONE, &["started: process"]);
        assert!(answers(port));
        place.verb("status").is(DONE, &["is running"]);
        place.verb("stop").is(DONE, &["stopped"]);
        assert!(!answers(port));
        place.nothing_runs();
        place
            .verb("status")
            .is(FINDINGS, &["is stopped (signal 15 killed it)"]);
    }
}

#[test]
fn what_runs_already() {
    let (place, port) = server("service");
    place.start();
    let pid = place.pid();
    let number = pid.to_string();
    place.verb("start").is(DONE, &["runs already", &number]);
    for words in [&["run"][..], &["run", "--exec"]] {
        let mut words = words.to_vec();
        words.push(&place.name);
        place.gaoler(&words).is(
            NOT_SET_UP,
            &["it runs already, as process", &number, "gaoler stop"],
        );
    }
    assert_eq!(place.pid(), pid);
    assert!(answers(port));
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

#[test]
fn two_starts_at_once_give_one_service() {
    let (place, port) = server("service");
    place.write();
    place.verb("build").is(DONE, &[]);
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = place.command(&["start", &place.name]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let answers_given: Vec<Answer> = children
        .into_iter()
        .map(|child| Answer::of(child.wait_with_output().unwrap()))
        .collect();
    let started = answers_given
        .iter()
        .filter(|answer| answer.code == Some(0) && answer.out.contains("started"));
    assert_eq!(started.count(), 1, "{answers_given:#?}");
    assert!(
        answers_given
            .iter()
            .all(|answer| [Some(0), Some(125)].contains(&answer.code)),
        "{answers_given:#?}"
    );
    assert!(answers(port));
    let of_jail = place
        .processes()
        .iter()
        .filter(|(_, line)| line.contains("serve"))
        .count();
    assert_eq!(of_jail, 1, "{:?}", place.processes());
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

#[test]
fn a_service_that_ends_at_once() {
    let mut place = Place::new(&["say", "my last words", "exit", "9"]);
    place.text.service = "ready = [\"quiet:2000\"]".into();
    place.write();
    place.verb("start").is(
        FAILED,
        &[
            "before it was ready",
            "exited with code 9",
            "its last words",
            "my last words",
        ],
    );
    place.nothing_runs();
    place.verb("status").is(FINDINGS, &["exited with code 9"]);

    let mut place = Place::new(&["say", "my last words", "die", "11"]);
    place.text.service = "ready = [\"quiet:2000\"]".into();
    place.write();
    place
        .verb("start")
        .is(FAILED, &["signal 11 killed it", "my last words"]);
    place.nothing_runs();
}

const UNIX_SOCKETS: &str = "[[allow.families]]\nfamily = \"AF_UNIX\"\nbecause = \"the log\"\n";

/// Many services say to the system's log only why they do not start.
#[test]
fn the_last_words_are_in_the_log() {
    let long = "x".repeat(3000);
    let mut words = vec!["say", "printed", "log", "cannot\rload", "log", &long];
    words.extend(["exit", "9"]);
    let mut place = Place::new(&words);
    place.text.tables += UNIX_SOCKETS;
    place.text.service = "ready = [\"quiet:2000\"]".into();
    place.write();
    let answer = place.verb("start");
    answer.is(FAILED, &["its last words", "  logger: cannot#015load\n"]);
    let longest = answer.error.lines().map(str::len).max().unwrap();
    assert!((1000..1100).contains(&longest), "{longest}: {answer:#?}");
    assert!(answer.error.contains("printed"), "{answer:#?}");
    place.nothing_runs();

    // Of a storm, the end.
    let mut words = Vec::new();
    let lines: Vec<String> = (0..50).map(|number| format!("line {number}.")).collect();
    for line in &lines {
        words.extend(["log", line]);
    }
    words.extend(["exit", "9"]);
    let mut place = Place::new(&words);
    place.text.tables += UNIX_SOCKETS;
    place.text.service = "ready = [\"quiet:2000\"]".into();
    place.write();
    let answer = place.verb("start");
    answer.is(FAILED, &["logger: line 49."]);
    assert!(answer.error.contains("line 30."), "{answer:#?}");
    assert!(!answer.error.contains("line 29."), "{answer:#?}");
}

/// The port was changed in the configuration after the service was learned.
#[test]
fn a_service_that_waits_elsewhere() {
    for (verb, protocol) in [("serve-datagrams", "udp"), ("serve", "tcp")] {
        let (old, new) = (port(), port());
        let mut place = Place::new(&["say", "serving", verb, &new.to_string()]);
        place.text.service = format!("ready = [\"{protocol}:{old}\"]");
        place.text.tables += "[protections]\nlandlock = \"off\"\n";
        place.write();
        let begun = Instant::now();
        let answer = place.verb("start");
        let took = begun.elapsed();
        let shown = protocol.to_uppercase();
        answer.is(
            FAILED,
            &[
                &format!("it runs and waits on {shown} port {new}, which its spec does not have"),
                &format!("and not on {shown} port {old}"),
                &format!(
                    "gaoler learn {} --again -- {}",
                    place.name, place.text.command[0]
                ),
            ],
        );
        assert!(took > Duration::from_secs(5), "{took:?}: too early to tell");
        assert!(took < Duration::from_secs(30), "{took:?}");
        place.verb("status").is(DONE, &["is running"]);
        place.verb("stop").is(DONE, &[]);
        place.nothing_runs();
    }
}

/// A TCP port that is not in the spec cannot be bound at all.
#[test]
fn a_port_that_was_changed_and_is_denied() {
    let (mut place, _) = server("service");
    place.text.command[2] = port().to_string();
    place.write();
    place.verb("start").is(
        FAILED,
        &[
            "cannot listen: Permission denied",
            "configuration was changed",
            "--again",
        ],
    );
    place.nothing_runs();
}

/// The sign is a line, on whichever way it comes.
#[test]
fn a_line_is_a_sign() {
    let texts: [(&[&str], &str); 2] = [
        (
            &["say", "warming up", "sleep", "1", "say", "now ready"],
            "^now\\s+ready$",
        ),
        (
            &["say", "now ready", "sleep", "1", "log", "now ready"],
            "^logger: now ready$",
        ),
    ];
    for (words, sign) in texts {
        let mut place = Place::new(&[words, &["pause"]].concat());
        place.text.tables += UNIX_SOCKETS;
        place.text.service = format!("ready = [{:?}]", format!("log:{sign}"));
        place.write();
        let begun = Instant::now();
        place.verb("start").is(DONE, &["started"]);
        let took = begun.elapsed();
        assert!(took > Duration::from_millis(900), "{sign}: {took:?}");
        assert!(took < Duration::from_secs(20), "{sign}: {took:?}");
        place.verb("stop").is(DONE, &[]);
        place.nothing_runs();
    }
}

/// Whoever looks at it is not misled by the words of an earlier run.
#[test]
fn a_service_that_has_no_words_does_not_borrow_them() {
    let mut place = Place::new(&["say", "earlier words", "exit", "9"]);
    place.text.service = "ready = [\"quiet:2000\"]".into();
    place.write();
    place.verb("start").is(FAILED, &["earlier words"]);
    place.text.command.splice(1..3, []);
    place.write();
    let answer = place.verb("start");
    answer.is(FAILED, &["exited with code 9"]);
    assert!(!answer.error.contains("earlier words"), "{answer:#?}");
    place.nothing_runs();
}

#[test]
fn a_forbidden_call_ends_in_words() {
    let mut place = Place::new(&["serve", "20999"]);
    place.text.calls.retain(|call| *call != "socket");
    place.text.service = "ready = [\"tcp:20999\"]".into();
    place.write();
    place.verb("start").is(
        FAILED,
        &[
            "exited with code 1",
            "cannot make a socket: Operation not permitted",
        ],
    );
    place.nothing_runs();
}

#[test]
fn a_port_that_is_taken() {
    let (place, port) = server("service");
    place.write();
    let own = std::process::id().to_string();
    let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
    place.verb("start").is(
        NOT_SET_UP,
        &[
            &format!("TCP port {port} is taken by process {own}"),
            "refusals",
            "give the service another port",
        ],
    );
    place.nothing_runs();
    drop(listener);
    // At one address only: another one may be the service's, so it is tried.
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    place.verb("start").is(
        NOT_SET_UP,
        &[
            &format!("TCP port {port} is taken by process {own}"),
            "at 127.0.0.1",
            "cannot listen: Address already in use",
        ],
    );
    place.nothing_runs();
    drop(listener);
    place.verb("start").is(DONE, &["started"]);
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

#[test]
fn the_hosts_own_copy_runs() {
    let (place, port) = server("service");
    place.write();
    let mut copy = None;
    // Busy while another test's child still holds what was open when it was forked.
    eventually("the copy can be executed", || {
        let words = &place.text.command[1..];
        copy = std::process::Command::new(place.program())
            .args(words)
            .spawn()
            .ok();
        copy.is_some()
    });
    let mut copy = copy.unwrap();
    eventually("the copy runs", || answers(port));
    let answer = place.verb("start");
    copy.kill().unwrap();
    copy.wait().unwrap();
    answer.is(
        NOT_SET_UP,
        &[
            "the host's own copy runs",
            &format!("process {}", copy.id()),
            "hint",
        ],
    );
    place.nothing_runs();
    assert!(!answers(port));
}

#[test]
fn a_configuration_that_its_own_test_refuses() {
    let (mut place, _) = server("service");
    place.text.service += &format!(
        "\nconfig_test = [{:?}, \"say\", \"line 3 is wrong\", \"exit\", \"5\"]\nreload_signal = \"HUP\"",
        program("service")
    );
    place.write();
    place.start();
    let pid = place.pid();
    place
        .verb("reload")
        .is(FAILED, &["exit code 5", "line 3 is wrong"]);
    assert_eq!(place.pid(), pid, "it was left alone");
    place.verb("stop").is(DONE, &[]);
    place
        .verb("reload")
        .is(FAILED, &["it does not run", "gaoler start"]);
    place.nothing_runs();
}

/// After `run --exec` nobody is there to clean up: whoever looks next does, and the next start.
#[test]
fn what_an_ended_exec_leaves_goes_by_itself() {
    let mut place = Place::new(&["exit", "7"]);
    place.text.tables += "[limits]\nmemory_bytes = 100000000\nprocesses = 20\n";
    place.write();
    let state = place.run().join(&place.name).join("state.json");
    let exec = || {
        place.gaoler(&["run", "--exec", &place.name]).is(7, &[]);
        assert!(state.exists(), "nobody could have removed it yet");
    };
    exec();
    place.verb("status").is(FINDINGS, &["is stopped"]);
    place.nothing_runs();
    // Twice, with nobody looking in between.
    exec();
    exec();
    place.verb("run").is(7, &[]);
    place.nothing_runs();
    exec();
    place.verb("start").is(FAILED, &["exited with code 7"]);
    place.nothing_runs();
}

/// A state with the number of a process that is somebody else's by now is no running jail.
#[test]
fn a_number_that_is_used_again() {
    let mut place = Place::new(&["exit", "7"]);
    place.text.tables += "[limits]\nmemory_bytes = 100000000\nprocesses = 20\n";
    place.write();
    place.gaoler(&["run", "--exec", &place.name]).is(7, &[]);
    let path = place.run().join(&place.name).join("state.json");
    let mut state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    state["service"]["pid"] = std::process::id().into();
    std::fs::write(&path, state.to_string()).unwrap();
    place.verb("run").is(7, &[]);
    place.nothing_runs();
}

#[test]
fn a_supervisor_that_was_killed() {
    let (mut place, port) = server("service");
    place.text.tables += "[limits]\nmemory_bytes = 100000000\nprocesses = 20\n";
    place.start();
    let supervisor = place
        .processes()
        .into_iter()
        .find(|(_, line)| line.contains(" supervise "))
        .unwrap()
        .0;
    let killed = std::process::Command::new("kill")
        .args(["-9", &supervisor.to_string()])
        .status();
    assert!(killed.unwrap().success());
    assert!(answers(port), "the service goes on");
    // Another one is prevented from taking over, as by a command that hangs.
    let lock = std::fs::File::open(place.run().join(&place.name).join("lock")).unwrap();
    lock.lock().unwrap();
    let gone = "it has ended: nobody passes on what the service logs, or compares the jail";
    let status = place.verb("status");
    status.is(DONE, &["DRIFT", gone]);
    assert!(
        status.error.contains("no other could take over"),
        "{status:?}"
    );
    let check = place.gaoler(&["check", &place.name, "--live"]);
    check.is(DONE, &["live.supervisor", gone]);
    drop(lock);
    let status = place.verb("status");
    status.is(DONE, &["running"]);
    assert!(
        status.error.contains("another one has taken over"),
        "{status:?}"
    );
    assert!(!status.out.contains(gone), "{status:?}");
    let check = place.gaoler(&["check", &place.name, "--live"]);
    assert!(!check.out.contains("live.supervisor"), "{check:?}");
    place.verb("start").is(DONE, &["runs already"]);
    place.verb("stop").is(DONE, &["stopped"]);
    assert!(!answers(port));
    place.nothing_runs();
}

#[test]
fn exercises_that_a_jail_does_not_pass() {
    let (mut place, port) = server("service");
    place.write();
    place.verb("build").is(DONE, &[]);
    let check = |place: &Place, more: &[&str]| {
        place.gaoler(&[&["check", &place.name, "--exercise"], more].concat())
    };
    check(&place, &[]).is(FAILED, &["it does not run", "without --exercise"]);
    place.start();
    check(&place, &[]).is(FAILED, &["its spec has no exercise", "[[exercise]]"]);
    place.verb("stop").is(DONE, &[]);
    place.text.tables += &format!(
        "[[exercise]]\nname = \"asks\"\ncommand = [\"bash\", \"-c\", \": < /dev/tcp/127.0.0.1/{port}\"]\nbecause = \"a test\"\n\
         [[exercise]]\nname = \"expects\"\ncommand = [\"sh\", \"-c\", \"printf 'not\\\\033[2J today'; exit 4\"]\nbecause = \"a test\"\n"
    );
    place.start();
    let answer = check(&place, &["--json", "--fail-above", "9"]);
    let found: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    let found: Vec<_> = found["findings"].as_array().unwrap().iter().collect();
    let failed = |id: &str| found.iter().filter(|one| one["id"] == id).count();
    assert_eq!(failed("live.exercise"), 1, "{}", answer.out);
    let passed = serde_json::from_str::<serde_json::Value>(&answer.out).unwrap();
    assert_eq!(passed["passed"], serde_json::json!(["asks"]));
    check(&place, &[]).is(DONE, &["exercises passed: asks\n"]);
    let one = found
        .iter()
        .find(|one| one["id"] == "live.exercise")
        .unwrap();
    assert_eq!(one["subject"], "exercise expects");
    assert_eq!(one["severity"], "high");
    let evidence = one["evidence"].as_str().unwrap();
    assert!(
        evidence.contains("exit code 4") && evidence.contains("today"),
        "{evidence}"
    );
    assert!(!evidence.contains('\u{1b}'), "{evidence:?}");
    place.verb("stop").is(DONE, &[]);
    place.nothing_runs();
}

#[test]
fn the_trace_of_a_run_that_was_not_finished() {
    let place = Place::new(&[]);
    let show = || place.gaoler(&["trace", "show", &place.name]);
    show().is(USAGE, &[]);
    let state = place.state().join(&place.name);
    std::fs::create_dir_all(&state).unwrap();
    let trace = gaoler::learn::Trace::default();
    let save = |name: &str, gap: &str| {
        let mut trace = trace.clone();
        trace.blind = true;
        trace.foreign_calls = vec![("i386".to_owned(), 5)];
        trace.certificate.repeated = vec!["a doubt".to_owned()];
        trace.certificate.gaps = vec![gap.to_owned()];
        gaoler::learn::save(&trace, &state.join(name)).unwrap();
    };
    save("trace.unfinished.json", "the run goes on");
    show().is(
        DONE,
        &[
            "INCOMPLETE",
            "the run goes on",
            "one was run again: a doubt",
            "its C library was not looked at",
            "blind        io_uring was used",
            "blind        called 5 of i386, not given",
        ],
    );
    save("trace-incomplete.json", "a stop was lost");
    let answer = show();
    answer.is(
        DONE,
        &["INCOMPLETE", "a stop was lost", "trace.unfinished.json"],
    );
    std::fs::remove_file(state.join("trace-incomplete.json")).unwrap();
    std::os::unix::fs::symlink("trace.unfinished.json", state.join("trace.json")).unwrap();
    show().is(NOT_SET_UP, &["is a symbolic link"]);
}
