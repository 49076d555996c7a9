mod properties;

use std::collections::BTreeSet;

use super::*;
use crate::learn::trace::{
    CallSeen, CapabilitySeen, ExerciseRun, PathKind, PathSeen, Phase, SocketSeen, SocketUse,
};
use crate::spec::{
    ConfigPaths, Device, Direction, FileKind, Place, Protocol, Ready, parse, to_toml,
};
use crate::sys::calls;

/// An observed path that was asked for by its own name.
pub(super) fn seen(path: &str, kind: PathKind, uses: &[Use]) -> PathSeen {
    PathSeen {
        host: path.into(),
        asked: BTreeSet::from([path.into()]),
        links: Vec::new(),
        kind,
        device: None,
        uses: uses.iter().copied().collect(),
        failures: BTreeSet::new(),
        phase: Phase::Start,
        count: 1,
    }
}

fn socket(action: SocketUse, kind: u16, port: u16) -> SocketSeen {
    SocketSeen {
        action,
        family: 2,
        kind,
        protocol: 0,
        address: "127.0.0.1".to_owned(),
        port,
        phase: Phase::Start,
    }
}

fn trace(paths: Vec<PathSeen>) -> Trace {
    let mut trace = Trace {
        command: vec!["/usr/sbin/web".to_owned()],
        paths,
        ..Trace::default()
    };
    trace.certificate.complete = true;
    trace
}

/// The user `web` (500), on a host with the usual directories and some of web's own.
pub(super) fn facts() -> Facts {
    let mut facts = Facts {
        name: "web".to_owned(),
        user: "web".to_owned(),
        group: "web".to_owned(),
        uid: 500,
        gid: 500,
        unprivileged_port_start: 1024,
        ..Facts::default()
    };
    let root_owned = [
        "/", "/etc", "/run", "/usr", "/usr/lib", "/var", "/var/lib", "/var/log", "/etc/web",
    ];
    for path in root_owned {
        facts.directories.insert(
            path.into(),
            DirectoryFacts {
                uid: 0,
                gid: 0,
                mode: 0o755,
            },
        );
    }
    for path in ["/tmp", "/var/tmp", "/var/spool/drop"] {
        facts.directories.insert(
            path.into(),
            DirectoryFacts {
                uid: 0,
                gid: 0,
                mode: 0o1777,
            },
        );
    }
    for path in ["/var/lib/web", "/var/lib/web/keys", "/run/web"] {
        facts.directories.insert(
            path.into(),
            DirectoryFacts {
                uid: 0,
                gid: 500,
                mode: 0o775,
            },
        );
    }
    facts
}

fn derived(paths: Vec<PathSeen>) -> Derived {
    let derived = derive(&trace(paths), None, &facts());
    let text = to_toml(&derived.spec);
    assert_eq!(parse(&text, "web.toml").unwrap(), derived.spec, "{text}");
    derived
}

fn derived_knowing(paths: Vec<PathSeen>, knowledge: &Knowledge, facts: &Facts) -> Derived {
    derive(&trace(paths), Some(knowledge), facts)
}

fn files(derived: &Derived) -> Vec<(&str, FileKind)> {
    derived
        .spec
        .files
        .iter()
        .map(|rule| (rule.path.to_str().unwrap(), rule.kind))
        .collect()
}

fn binds(derived: &Derived) -> Vec<(&str, bool)> {
    derived
        .spec
        .binds
        .iter()
        .map(|rule| (rule.path.to_str().unwrap(), rule.writable))
        .collect()
}

fn scratch(derived: &Derived) -> Vec<&str> {
    derived
        .spec
        .scratch
        .iter()
        .map(|rule| rule.path.to_str().unwrap())
        .collect()
}

fn assert_noted(derived: &Derived, path: &str) {
    assert!(
        derived.notes.iter().any(|note| note.contains(path)),
        "{:?}",
        derived.notes
    );
}

#[test]
fn programs_and_libraries_are_copied_as_asked_for() {
    let mut library = seen(
        "/usr/lib/libx.so.1.2",
        PathKind::File,
        &[Use::Map, Use::Read],
    );
    library.asked = BTreeSet::from(["/lib/libx.so.1".into()]);
    let mut program = seen("/usr/sbin/web", PathKind::File, &[Use::Execute, Use::Read]);
    program.count = 2;
    let derived = derived(vec![library, program]);
    let expected = [
        ("/lib/libx.so.1", FileKind::Library),
        ("/usr/sbin/web", FileKind::Program),
    ];
    assert_eq!(files(&derived), expected);
    assert_eq!(
        derived.spec.files[1].because,
        "observed: executed and read 2 times from start"
    );
}

#[test]
fn data_in_shared_directories_is_copied() {
    let derived = derived(vec![
        seen("/etc/passwd", PathKind::File, &[Use::Read]),
        seen("/usr/share/zoneinfo/UTC", PathKind::File, &[Use::Look]),
    ]);
    let expected = [
        ("/etc/passwd", FileKind::Data),
        ("/usr/share/zoneinfo/UTC", FileKind::Data),
    ];
    assert_eq!(files(&derived), expected);
}

#[test]
fn a_name_that_climbs_is_replaced_by_the_host_s() {
    let mut config = seen("/etc/openssl.cnf", PathKind::File, &[Use::Read]);
    config.asked = BTreeSet::from(["/usr/lib/ssl/../openssl.cnf".into()]);
    assert_eq!(
        files(&derived(vec![config])),
        [("/etc/openssl.cnf", FileKind::Data)]
    );
}

#[test]
fn passwords_and_the_kernel_s_files_are_never_given() {
    let derived = derived(vec![
        seen("/etc/shadow", PathKind::File, &[Use::Read]),
        seen("/proc/self/status", PathKind::File, &[Use::Read]),
        seen("/sys/kernel/mm", PathKind::Directory, &[Use::List]),
    ]);
    assert_eq!(files(&derived), []);
    for path in ["/etc/shadow", "/proc/self/status", "/sys/kernel/mm"] {
        assert_noted(&derived, path);
    }
}

#[test]
fn what_failed_is_not_needed() {
    let mut missing = seen("/etc/web/extra.conf", PathKind::Missing, &[]);
    missing.failures = BTreeSet::from([(Use::Read, 2)]);
    let derived = derived(vec![missing]);
    assert_eq!((files(&derived).len(), binds(&derived).len()), (0, 0));
    assert_eq!(derived.notes, Vec::<String>::new());
}

#[test]
fn devices_by_number() {
    let mut null = seen("/dev/null", PathKind::Character, &[Use::Read, Use::Write]);
    null.device = Some((1, 3));
    let mut terminal = seen("/dev/tty", PathKind::Character, &[Use::Write]);
    terminal.device = Some((5, 0));
    let derived = derived(vec![null, terminal]);
    let device = &derived.spec.devices[0];
    assert_eq!(
        (device.path.to_str(), device.device),
        (Some("/dev/null"), Device::Null)
    );
    assert_eq!(derived.spec.devices.len(), 1);
    assert_noted(&derived, "/dev/tty");
}

#[test]
fn the_log_socket_is_gaoler_s_own() {
    let mut log = seen(
        "/run/systemd/journal/dev-log",
        PathKind::Socket,
        &[Use::Connect],
    );
    log.asked = BTreeSet::from(["/dev/log".into()]);
    let derived = derived(vec![
        log,
        seen("/dev/log", PathKind::Missing, &[Use::Connect]),
    ]);
    assert_eq!(derived.notes, Vec::<String>::new());
    assert_eq!(derived.spec.binds, []);
}

#[test]
fn sockets_of_the_host_s_daemons_are_not_given() {
    let derived = derived(vec![
        seen(
            "/run/dbus/system_bus_socket",
            PathKind::Socket,
            &[Use::Connect],
        ),
        seen(
            "/run/docker.sock",
            PathKind::Socket,
            &[Use::Connect, Use::Write],
        ),
    ]);
    assert_eq!(derived.spec.binds, []);
    assert_noted(&derived, "/run/dbus/system_bus_socket");
    assert_noted(&derived, "/run/docker.sock");
}

#[test]
fn own_directories_are_mounted_and_writable_if_written() {
    let derived = derived(vec![
        seen("/etc/web/web.conf", PathKind::File, &[Use::Read]),
        seen("/var/lib/web/db", PathKind::File, &[Use::Read, Use::Write]),
        seen(
            "/run/web/gone.tmp",
            PathKind::Missing,
            &[Use::Create, Use::Delete],
        ),
    ]);
    let expected = [
        ("/etc/web", false),
        ("/run/web", true),
        ("/var/lib/web", true),
    ];
    assert_eq!(binds(&derived), expected);
    assert_eq!(
        derived.spec.binds[2].because,
        "observed: db written and read"
    );
}

#[test]
fn nested_directories_collapse_only_into_one_that_is_used() {
    let file = |path| seen(path, PathKind::File, &[Use::Read]);
    let write = |path| seen(path, PathKind::File, &[Use::Write]);
    let apart = derived(vec![file("/var/lib/web/a/x"), file("/var/lib/web/b/y")]);
    assert_eq!(
        binds(&apart),
        [("/var/lib/web/a", false), ("/var/lib/web/b", false)]
    );
    let used = derived(vec![file("/var/lib/web/z"), file("/var/lib/web/b/y")]);
    assert_eq!(binds(&used), [("/var/lib/web", false)]);
    let written = derived(vec![file("/var/lib/web/z"), write("/var/lib/web/b/y")]);
    assert_eq!(
        binds(&written),
        [("/var/lib/web", false), ("/var/lib/web/b", true)]
    );
    let above = derived(vec![write("/var/lib/web/z"), file("/var/lib/web/b/y")]);
    assert_eq!(binds(&above), [("/var/lib/web", true)]);
}

#[test]
fn a_directory_with_code_is_copied_from_not_mounted() {
    let derived = derived(vec![
        seen("/srv/app/bin/app", PathKind::File, &[Use::Execute]),
        seen("/srv/app/bin/app.conf", PathKind::File, &[Use::Read]),
        seen("/srv/app/data/x", PathKind::File, &[Use::Write]),
    ]);
    let expected = [
        ("/srv/app/bin/app", FileKind::Program),
        ("/srv/app/bin/app.conf", FileKind::Data),
    ];
    assert_eq!(files(&derived), expected);
    assert_eq!(binds(&derived), [("/srv/app/data", true)]);
}

#[test]
fn writes_in_shared_directories() {
    let derived = derived(vec![
        seen(
            "/var/log/web.log",
            PathKind::File,
            &[Use::Create, Use::Write],
        ),
        seen("/run/web.pid", PathKind::File, &[Use::Create, Use::Write]),
        seen("/tmp/web.X", PathKind::Missing, &[Use::Create, Use::Delete]),
        seen("/var/spool/drop/job", PathKind::File, &[Use::Create]),
        seen("/etc/passwd", PathKind::File, &[Use::Write]),
        seen("/usr/lib/libx.so", PathKind::File, &[Use::Write]),
        seen(
            "/var/log/gone",
            PathKind::Missing,
            &[Use::Create, Use::Delete],
        ),
    ]);
    assert_eq!(binds(&derived), [("/var/log/web.log", true)]);
    assert_eq!(scratch(&derived), ["/run", "/tmp", "/var/spool/drop"]);
    assert!(
        derived
            .spec
            .scratch
            .iter()
            .all(|rule| rule.size_kib == 16384)
    );
    for path in ["/etc/passwd", "/usr/lib/libx.so", "/var/log/gone"] {
        assert_noted(&derived, path);
    }
}

#[test]
fn a_private_directory_in_tmp_is_in_memory_with_all_below() {
    let derived = derived(vec![
        seen(
            "/tmp/web.9",
            PathKind::Directory,
            &[Use::Create, Use::Enter],
        ),
        seen("/tmp/web.9/a", PathKind::File, &[Use::Create, Use::Write]),
    ]);
    assert_eq!(scratch(&derived), ["/tmp"]);
    assert_eq!(binds(&derived), []);
}

#[test]
fn a_directory_made_in_run_is_the_service_s_own() {
    let derived = derived(vec![seen("/run/web", PathKind::Directory, &[Use::Create])]);
    assert_eq!(binds(&derived), [("/run/web", true)]);
    assert_eq!(scratch(&derived), Vec::<&str>::new());
}

#[test]
fn shared_directories_are_made_empty() {
    let derived = derived(vec![
        seen("/", PathKind::Directory, &[Use::Look]),
        seen("/var/log", PathKind::Directory, &[Use::Enter]),
        seen("/etc/ssl/certs", PathKind::Directory, &[Use::List]),
    ]);
    let expected = [
        ("/etc/ssl/certs", FileKind::Directory),
        ("/var/log", FileKind::Directory),
    ];
    assert_eq!(files(&derived), expected);
    assert_noted(&derived, "/etc/ssl/certs");
}

#[test]
fn names_that_are_not_text_are_noted() {
    use std::os::unix::ffi::OsStringExt;
    let mut odd = seen("/etc/web/x", PathKind::File, &[Use::Read]);
    odd.host = PathBuf::from(std::ffi::OsString::from_vec(b"/etc/web/\xff".to_vec()));
    let derived = derived(vec![odd]);
    assert_eq!(derived.spec.binds, []);
    assert_noted(&derived, "UTF-8");
}

fn knowledge() -> Knowledge {
    let place = |path: &str, writable| Place {
        path: path.into(),
        writable,
        because: "known".to_owned(),
    };
    Knowledge {
        name: "web".to_owned(),
        places: vec![
            place("/var/lib/web", false),
            place("/run/web", true),
            place("/opt/no", true),
        ],
        config_paths: Some(ConfigPaths {
            command: Vec::new(),
            base: "directory".to_owned(),
            base_default: "/".into(),
            files: Vec::new(),
            directories: Vec::new(),
            because: "named in its configuration".to_owned(),
        }),
        ..Knowledge::default()
    }
}

#[test]
fn known_places_are_mounted_if_they_exist() {
    let derived = derived_knowing(Vec::new(), &knowledge(), &facts());
    assert_eq!(
        binds(&derived),
        [("/run/web", true), ("/var/lib/web", false)]
    );
    assert_noted(&derived, "/opt/no");
}

#[test]
fn configured_directories_are_writable_if_the_host_lets_the_user() {
    let mut facts = facts();
    facts.config_paths = vec![
        ("/var/lib/web/keys".into(), true),
        ("/etc/web/zone".into(), false),
        ("/etc/missing.d".into(), true),
        ("/var/log/web.stats".into(), false),
    ];
    let derived = derived_knowing(Vec::new(), &knowledge(), &facts);
    let expected = [
        ("/etc/web", false),
        ("/run/web", true),
        ("/var/lib/web", false),
        ("/var/lib/web/keys", true),
    ];
    assert_eq!(binds(&derived), expected);
    let keys = &derived.spec.binds[3].because;
    assert_eq!(
        keys,
        "named in its configuration; web may write there (mode 0775)"
    );
    assert_noted(&derived, "/etc/missing.d");
    assert_noted(&derived, "/var/log/web.stats");
}

#[test]
fn mode_bits_of_the_class_that_applies() {
    let mut facts = facts();
    let path = Path::new("/x");
    for (uid, gid, mode, may) in [
        (500, 0, 0o700, true),
        (500, 0, 0o077, false),
        (0, 500, 0o770, true),
        (0, 77, 0o070, true),
        (0, 500, 0o707, false),
        (0, 0, 0o777, true),
        (0, 0, 0o775, false),
        (0, 0, 0o772, false),
    ] {
        facts.group_ids = vec![77];
        facts
            .directories
            .insert(path.into(), DirectoryFacts { uid, gid, mode });
        assert_eq!(
            shared::user_may_write(path, &facts).is_some(),
            may,
            "{uid} {gid} {mode:o}"
        );
    }
}

#[test]
fn calls_with_counts_and_rare_ones() {
    let number = |name: &str| calls::number(name).unwrap();
    let call = |name: &str, phase, count| CallSeen {
        number: number(name),
        name: name.to_owned(),
        phase,
        count,
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
        },
    ];
    let rule = |name: &str| crate::spec::CallRule {
        number: number(name),
        because: "rare".to_owned(),
    };
    let knowledge = Knowledge {
        calls: vec![rule("read"), rule("tgkill")],
        ..Knowledge::default()
    };
    let derived = derive(&trace, Some(&knowledge), &facts());
    let rules: Vec<_> = derived
        .spec
        .calls
        .iter()
        .map(|rule| (rule.number, rule.because.as_str()))
        .collect();
    let expected = [
        (number("accept4"), "observed: serve 1"),
        (number("read"), "observed: start 3, serve 17"),
        (number("tgkill"), "rare"),
    ];
    assert_eq!(rules, expected);
    assert_noted(&derived, "99999");
}

#[test]
fn capabilities_that_only_root_s_drop_needs_are_left_out() {
    let needed = |capability, call: &str| CapabilitySeen {
        capability,
        call: call.to_owned(),
        phase: Phase::Start,
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
        (10, "observed: bind(127.0.0.1:80)"),
        (13, "observed: socket(AF_PACKET)"),
    ];
    assert_eq!(rules, expected);
    let open = Facts {
        unprivileged_port_start: 0,
        ..facts()
    };
    trace.capabilities.push(needed(10, "bind(127.0.0.1:80)"));
    assert_eq!(derive(&trace, None, &open).spec.capabilities.len(), 1);
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
    }];
    let given = Exercise {
        command: vec!["own".to_owned()],
        ..exercise("own")
    };
    let facts = Facts {
        exercises: vec![given.clone()],
        ..facts()
    };
    let exercises = derive(&trace, Some(&knowledge), &facts).spec.exercises;
    let good = Exercise {
        command: vec!["dig".to_owned(), "53".to_owned()],
        ..exercise("good")
    };
    assert_eq!(exercises, [good, given]);
}

#[test]
fn the_program_has_its_absolute_path() {
    let mut trace = trace(vec![seen("/usr/sbin/web", PathKind::File, &[Use::Execute])]);
    trace.command = vec!["web".to_owned(), "-f".to_owned()];
    let spec = derive(&trace, None, &facts()).spec;
    assert_eq!(spec.service.command, ["/usr/sbin/web", "-f"]);
}

#[test]
fn doubts_about_the_trace_are_noted() {
    let mut trace = trace(vec![seen("/srv/jail", PathKind::Directory, &[Use::Root])]);
    trace.certificate.complete = false;
    trace.certificate.gaps = vec!["lost 3 stops".to_owned()];
    trace.blind = true;
    trace.foreign_calls = vec![("x32".to_owned(), 1)];
    let derived = derive(&trace, None, &facts());
    for doubt in ["lost 3 stops", "io_uring", "x32", "/srv/jail"] {
        assert_noted(&derived, doubt);
    }
}
