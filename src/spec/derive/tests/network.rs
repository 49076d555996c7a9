//! Calls, capabilities, ports, readiness, exercises.
use super::*;

/// An exercise that passed.
fn use_it() -> ExerciseRun {
    ExerciseRun {
        name: "use it".to_owned(),
        command: Vec::new(),
        exit: Some(0),
        passed: true,
        pass: 1,
        phase: Phase::Serve,
    }
}

/// A call that was made once.
fn call(name: &str, phase: Phase) -> CallSeen {
    CallSeen {
        number: calls::number(name).unwrap(),
        name: name.to_owned(),
        phase,
        count: 1,
        witness: counted(phase, 1),
    }
}

/// The calls of a spec without those that every spec has.
fn allowed(derived: &Derived) -> Vec<(u32, &str)> {
    let rules = derived.spec.calls.iter();
    rules
        .map(|rule| (rule.number, rule.because.as_str()))
        .filter(|(_, because)| !because.starts_with("tells who") && !because.starts_with("timing"))
        .collect()
}

#[test]
fn calls_with_counts_and_rare_ones() {
    let number = |name: &str| calls::number(name).unwrap();
    let call = |name: &str, phase, count| CallSeen {
        number: number(name),
        name: name.to_owned(),
        phase,
        count,
        witness: counted(phase, count),
    };
    let mut trace = trace(Vec::new());
    trace.calls = vec![
        call("read", Phase::Start, 3),
        call("read", Phase::Serve, 17),
        call("accept4", Phase::Serve, 1),
        CallSeen {
            number: 99_999,
            name: "new".to_owned(),
            phase: Phase::Start,
            count: 1,
            witness: Witness::default(),
        },
    ];
    let rule = |name: &str| crate::spec::CallRule {
        number: number(name),
        start_only: false,
        because: "rare".to_owned(),
        evidence: crate::spec::Evidence::Person,
    };
    let knowledge = Knowledge {
        file: "services/web.toml".to_owned(),
        calls: vec![rule("read"), rule("tgkill")],
        ..Knowledge::default()
    };
    let derived = derive(&trace, Some(&knowledge), &facts());
    let mut expected = vec![
        (number("accept4"), "called while it serves"),
        (number("read"), "called at start and while it serves"),
        (number("tgkill"), "rare"),
    ];
    expected.sort_unstable();
    assert_eq!(allowed(&derived), expected);
    let evidence = |name| {
        let rules = &derived.spec.calls;
        let rule = rules.iter().find(|rule| rule.number == number(name));
        rule.unwrap().evidence.to_string()
    };
    assert_eq!(evidence("read"), "observed: start 3, serve 17");
    assert_eq!(evidence("tgkill"), "rule: services/web.toml");
    assert_eq!(evidence("getpid"), "rule: built in");
    assert_noted(&derived, "99999");
}

#[test]
fn the_launch_is_no_reason_to_execute() {
    let execve = |count| CallSeen {
        number: calls::number("execve").unwrap(),
        name: "execve".to_owned(),
        phase: Phase::Start,
        count,
        witness: counted(Phase::Start, count),
    };
    let mut trace = trace(Vec::new());
    trace.calls = vec![execve(1)];
    assert_eq!(allowed(&derive(&trace, None, &facts())), []);
    trace.calls = vec![execve(3)];
    let number = calls::number("execve").unwrap();
    let derived = derive(&trace, None, &facts());
    assert_eq!(allowed(&derived), [(number, "called at start")]);
    let rule = derived.spec.calls.iter().find(|rule| rule.number == number);
    assert_eq!(rule.unwrap().evidence.to_string(), "observed: start 2");
    // Every pass over the service, in every run, is a launch.
    trace.certificate.passes = 3;
    assert_eq!(allowed(&derive(&trace, None, &facts())), []);
}

#[test]
fn clone_comes_with_clone3() {
    let number = |name| calls::number(name).unwrap();
    let mut trace = trace(Vec::new());
    trace.calls = vec![CallSeen {
        number: number("clone3"),
        name: "clone3".to_owned(),
        phase: Phase::Start,
        count: 1,
        witness: Witness::default(),
    }];
    let derived = derive(&trace, None, &facts());
    let numbers: Vec<u32> = allowed(&derived).iter().map(|rule| rule.0).collect();
    let mut expected = vec![number("clone"), number("clone3")];
    expected.sort_unstable();
    assert_eq!(numbers, expected);
}

#[test]
fn who_counts_processors_can_do_so_without_sys() {
    let online = "/sys/devices/system/cpu/online";
    let mut trace = trace(vec![seen(online, PathKind::File, &[Use::Read])]);
    trace.certificate.processes = 1;
    let rule = |threads| {
        let mut trace = trace.clone();
        trace.certificate.threads = threads;
        let derived = derive(&trace, None, &facts());
        let mut rules = derived.spec.calls.into_iter();
        rules.find(|rule| Some(rule.number) == calls::number("sched_getaffinity"))
    };
    assert!(rule(1).unwrap().start_only, "it was read at start");
    assert!(!rule(4).unwrap().start_only, "threads ask again by load");
    trace.paths.clear();
    let derived = derive(&trace, None, &facts());
    assert_eq!(allowed(&derived), []);
}

#[test]
fn a_call_comes_with_those_that_take_its_place() {
    let mut trace = trace(Vec::new());
    trace.calls = vec![
        call("openat", Phase::Start),
        call("faccessat", Phase::Start),
        call("access", Phase::Serve),
    ];
    trace.certificate.exercises = vec![use_it()];
    let derived = derive(&trace, None, &facts());
    let rule = |name: &str| {
        let number = calls::number(name).unwrap();
        derived.spec.calls.iter().find(|rule| rule.number == number)
    };
    for name in ["open", "openat2"] {
        let rule = rule(name).unwrap();
        assert!(rule.start_only, "{rule:?}");
        assert_eq!(
            rule.evidence,
            crate::spec::Evidence::Closure("openat".to_owned())
        );
    }
    // Its first ones end with the start, and it looks at files while it serves.
    assert!(rule("faccessat").unwrap().start_only);
    assert!(!rule("faccessat2").unwrap().start_only);
    for name in ["stat", "fstat", "newfstatat", "statx"] {
        assert_eq!(rule(name), None);
    }
}

#[test]
fn clone_stays_as_long_as_clone3() {
    // The service forks to become a daemon, and makes threads while it serves.
    let mut trace = trace(Vec::new());
    trace.certificate.exercises = vec![use_it()];
    trace.calls = vec![call("clone", Phase::Start), call("clone3", Phase::Serve)];
    let derived = derive(&trace, None, &facts());
    assert_eq!(start_only(&derived, "clone"), Some(false));
    trace.calls = vec![call("clone", Phase::Start), call("clone3", Phase::Start)];
    let derived = derive(&trace, None, &facts());
    assert_eq!(start_only(&derived, "clone"), Some(true));
}

#[test]
fn memory_is_taken_at_any_time() {
    let mut trace = trace(Vec::new());
    trace.certificate.exercises = vec![use_it()];
    trace.calls = ["mmap", "mprotect", "bind"]
        .map(|name| CallSeen {
            number: calls::number(name).unwrap(),
            name: name.to_owned(),
            phase: Phase::Start,
            count: 1,
            witness: counted(Phase::Start, 1),
        })
        .into();
    (trace.certificate.processes, trace.certificate.threads) = (2, 2);
    let only = |trace: &Trace| {
        let derived = derive(trace, None, &facts());
        ["mmap", "mprotect", "bind"].map(|name| start_only(&derived, name))
    };
    assert_eq!(only(&trace), [Some(false), Some(true), Some(true)]);
    trace.certificate.threads = 3;
    assert_eq!(only(&trace), [Some(false), Some(false), Some(true)]);
    // An exercise of the start shows nothing of serving.
    trace.certificate.exercises[0].phase = Phase::Start;
    assert_eq!(only(&trace), [Some(false); 3]);
}

#[test]
fn a_service_that_could_not_log_when_it_was_learned_can_in_its_jail() {
    let mut log = seen("/dev/log", PathKind::Missing, &[]);
    assert_eq!(start_only(&derived(Vec::new()), "sendto"), None);
    log.failures = BTreeSet::from([(Use::Connect, 2)]);
    assert_eq!(start_only(&derived(vec![log]), "sendto"), Some(false));
}

#[test]
fn who_connects_to_a_port_of_its_own_that_the_kernel_picked_may_connect_to_any() {
    let connects = |trace: &Trace| -> Vec<u16> {
        let derived = derive(trace, None, &facts());
        let rules = derived.spec.ports.iter();
        rules
            .filter(|rule| rule.direction == Direction::Connect)
            .map(|rule| rule.port)
            .collect()
    };
    let mut trace = trace(Vec::new());
    trace.sockets = vec![
        socket(SocketUse::Bind, 1, 0),
        socket(SocketUse::Listen, 1, 33_193),
        socket(SocketUse::Connect, 1, 33_193),
    ];
    assert_eq!(connects(&trace), [0]);
    trace.sockets[0].port = 33_193;
    assert_eq!(connects(&trace), [33_193], "it chose that one");
    trace.sockets.remove(1);
    assert_eq!(connects(&trace), [33_193], "it is another's");
}

#[test]
fn it_may_take_as_long_to_end_as_it_took() {
    let mut trace = trace(Vec::new());
    for (took, given) in [(0, 10), (5, 10), (33, 66), (1000, 300)] {
        trace.certificate.ended_after_s = took;
        let derived = derive(&trace, None, &facts());
        assert_eq!(derived.spec.service.stop_timeout_s, given);
    }
}

/// Whether a call is only of the start; `None` if it is not given.
fn start_only(derived: &Derived, name: &str) -> Option<bool> {
    let number = calls::number(name);
    let mut rules = derived.spec.calls.iter();
    let rule = rules.find(|rule| Some(rule.number) == number);
    rule.map(|rule| rule.start_only)
}

#[test]
fn ports_picked_at_random_have_no_number() {
    let mut trace = trace(Vec::new());
    trace.sockets = vec![
        socket(SocketUse::Bind, 1, 0),
        socket(SocketUse::Bind, 2, 40_000),
        socket(SocketUse::Connect, 2, 50_000),
        socket(SocketUse::Connect, 2, 50_001),
    ];
    let rules = derive(&trace, None, &facts()).spec.ports;
    let found: Vec<_> = rules
        .iter()
        .map(|rule| (rule.direction, rule.port))
        .collect();
    let expected = [
        (Direction::Bind, 0),
        (Direction::Bind, 0),
        (Direction::Connect, 0),
    ];
    assert_eq!(found, expected);
    for rule in rules {
        assert!(!rule.because.contains("0000"), "{}", rule.because);
    }
}

#[test]
fn capabilities_that_only_root_s_drop_needs_are_left_out() {
    let needed = |capability, call: &str| CapabilitySeen {
        capability,
        call: call.to_owned(),
        phase: Phase::Start,
        count: 1,
        known: Known::Asked,
        refused: false,
        user: 0,
        witness: counted(Phase::Start, 1),
    };
    let mut trace = trace(Vec::new());
    trace.capabilities = vec![
        needed(7, "setuid(500)"),
        needed(6, "setgid(500)"),
        needed(13, "socket(AF_PACKET)"),
    ];
    trace.sockets = vec![
        socket(SocketUse::Bind, 1, 80),
        socket(SocketUse::Bind, 1, 8080),
    ];
    let derived = derive(&trace, None, &facts());
    let rules: Vec<_> = derived
        .spec
        .capabilities
        .iter()
        .map(|rule| (rule.capability, rule.because.as_str()))
        .collect();
    let expected = [
        (10, "bind(127.0.0.1:80) at start"),
        (13, "socket(AF_PACKET) at start"),
    ];
    assert_eq!(rules, expected);
    let evidence = derived.spec.capabilities[1].evidence.to_string();
    assert_eq!(evidence, "observed: start 1");
    let note = "needed CAP_SETGID, CAP_SETUID at start, not given: \
                it is its user from the start";
    assert_eq!(derived.notes, [note]);
    let open = Facts {
        unprivileged_port_start: 0,
        ..facts()
    };
    trace.capabilities.push(needed(10, "bind(127.0.0.1:80)"));
    assert_eq!(derive(&trace, None, &open).spec.capabilities.len(), 1);
}

#[test]
fn capabilities_that_it_kept_or_serves_with_are_given() {
    let seen = |capability, user, phase, known| CapabilitySeen {
        capability,
        call: format!("call({user})"),
        phase,
        count: 1,
        known,
        refused: false,
        user,
        witness: counted(phase, 1),
    };
    let mut trace = trace(Vec::new());
    trace.capabilities = vec![
        seen(1, 0, Phase::Serve, Known::Asked),
        seen(2, 500, Phase::Start, Known::Rule),
        seen(3, 500, Phase::Start, Known::Asked),
        seen(8, 500, Phase::Start, Known::Asked),
        seen(13, 0, Phase::Start, Known::Asked),
        seen(13, 500, Phase::Serve, Known::Asked),
        CapabilitySeen {
            refused: true,
            ..seen(24, 500, Phase::Serve, Known::Asked)
        },
    ];
    let derived = derive(&trace, None, &facts());
    let rules: Vec<_> = derived
        .spec
        .capabilities
        .iter()
        .map(|rule| (rule.capability, rule.because.as_str()))
        .collect();
    let expected = [
        (3, "call(500) at start"),
        (13, "call(0), call(500) at start and while it serves"),
    ];
    assert_eq!(rules, expected);
    let notes = [
        "needed CAP_DAC_OVERRIDE while it serves, not given: it is its user from the start",
        "needed CAP_DAC_READ_SEARCH, CAP_SETPCAP at start, not given: it is its user from the start",
        "was refused CAP_SYS_RESOURCE for call(500): not given",
    ];
    assert_eq!(derived.notes, notes);
}

#[test]
fn ports_and_families() {
    let mut trace = trace(Vec::new());
    trace.sockets = vec![
        socket(SocketUse::Create, 1, 0),
        socket(SocketUse::Bind, 1, 80),
        socket(SocketUse::Bind, 2, 53),
        socket(SocketUse::Bind, 2, 40_000),
        socket(SocketUse::Connect, 2, 50_000),
        socket(SocketUse::Connect, 1, 5432),
        socket(SocketUse::BindFailed(13), 1, 81),
    ];
    let derived = derive(&trace, None, &facts());
    let rules: Vec<_> = derived
        .spec
        .ports
        .iter()
        .map(|rule| (rule.direction, rule.protocol, rule.port))
        .collect();
    let expected = [
        (Direction::Bind, Protocol::Tcp, 80),
        (Direction::Bind, Protocol::Udp, 0),
        (Direction::Bind, Protocol::Udp, 53),
        (Direction::Connect, Protocol::Tcp, 5432),
    ];
    assert_eq!(rules, expected);
    assert_eq!(derived.spec.families[0].family, 2);
}

#[test]
fn many_peers_become_one_rule() {
    let mut trace = trace(Vec::new());
    trace.sockets = (1000..1017)
        .map(|port| socket(SocketUse::Connect, 1, port))
        .collect();
    let derived = derive(&trace, None, &facts());
    assert_eq!(derived.spec.ports.len(), 1);
    assert_eq!(
        (derived.spec.ports[0].direction, derived.spec.ports[0].port),
        (Direction::Connect, 0)
    );
}

#[test]
fn ready_by_the_lowest_port_and_what_is_known() {
    let mut trace = trace(Vec::new());
    assert_eq!(
        derive(&trace, None, &facts()).spec.service.ready,
        [Ready::Quiet(500)]
    );
    trace.sockets = vec![
        socket(SocketUse::Listen, 1, 953),
        socket(SocketUse::Listen, 1, 5353),
        socket(SocketUse::Bind, 2, 5353),
        socket(SocketUse::Bind, 2, 40_000),
    ];
    assert_eq!(
        derive(&trace, None, &facts()).spec.service.ready,
        [Ready::Tcp(953)]
    );
    let knowledge = Knowledge {
        ready: vec![
            Ready::Tcp(53),
            Ready::Udp(5353),
            Ready::File("/run/web/s".into()),
        ],
        ..Knowledge::default()
    };
    let derived = derive(&trace, Some(&knowledge), &facts());
    assert_eq!(
        derived.spec.service.ready,
        [Ready::Tcp(953), Ready::Udp(5353)]
    );
}

#[test]
fn exercises_that_worked_on_the_port_that_was_bound() {
    let exercise = |name: &str| Exercise {
        name: name.to_owned(),
        command: vec!["dig".to_owned(), "$PORT".to_owned()],
        expect: 0,
        output: String::new(),
        phase: Phase::Serve,
        because: "known".to_owned(),
    };
    let knowledge = Knowledge {
        exercises: vec![exercise("good"), exercise("bad"), exercise("own")],
        ready: vec![Ready::Udp(53)],
        port_default: Some(53),
        ..Knowledge::default()
    };
    let mut trace = trace(Vec::new());
    trace.sockets = vec![socket(SocketUse::Listen, 1, 53)];
    trace.certificate.exercises = vec![ExerciseRun {
        name: "bad".to_owned(),
        command: Vec::new(),
        exit: Some(9),
        passed: false,
        pass: 1,
        phase: Phase::Serve,
    }];
    let given = Exercise {
        command: vec!["own".to_owned()],
        ..exercise("own")
    };
    let facts = Facts {
        exercises: vec![given.clone()],
        ..facts()
    };
    let derived = derive(&trace, Some(&knowledge), &facts);
    let good = Exercise {
        command: vec!["dig".to_owned(), "53".to_owned()],
        ..exercise("good")
    };
    assert_eq!(derived.spec.exercises, [good, given]);
    assert_noted(&derived, "exercise bad");
}
