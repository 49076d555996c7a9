//! Rules of the file tree.
use super::*;

#[test]
fn programs_and_libraries_are_copied_as_asked_for() {
    let mut library = seen(
        "/usr/lib/libx.so.1.2",
        PathKind::File,
        &[Use::Map, Use::Read],
    );
    library.asked = BTreeSet::from(["/lib/libx.so.1".into()]);
    let mut program = seen("/usr/sbin/web", PathKind::File, &[Use::Execute, Use::Read]);
    program.witness = Witness {
        programs: BTreeSet::from(["web".to_owned()]),
        exercises: BTreeSet::from(["page".to_owned()]),
        start: 1,
        serve: 4,
        ..Witness::default()
    };
    let derived = derived(vec![library, program]);
    let expected = [
        ("/lib/libx.so.1", FileKind::Library),
        ("/usr/sbin/web", FileKind::Program),
    ];
    assert_eq!(files(&derived), expected);
    assert_eq!(
        derived.spec.files[1].because,
        "executed and read by web at start and while it serves"
    );
    assert_eq!(
        derived.spec.files[1].evidence.to_string(),
        "observed: start 1, serve 4, by web, in page"
    );
}

#[test]
fn what_the_build_brings_is_not_listed() {
    let library = |path| seen(path, PathKind::File, &[Use::Map, Use::Read]);
    let mut asked = library("/usr/lib/libplugin.so.1.2");
    asked.asked = BTreeSet::from([
        "/usr/lib/libplugin.so.1".into(),
        "/usr/lib/libplugin.so.1.2".into(),
    ]);
    let paths = vec![
        asked,
        library("/usr/lib/libc.so.6"),
        library("/usr/lib/libnss_ldap.so.2"),
        library("/usr/lib/libnss_systemd.so.2"),
        seen("/etc/ld.so.cache", PathKind::File, &[Use::Read]),
        seen("/etc/passwd", PathKind::File, &[Use::Read]),
        seen("/etc/nsswitch.conf", PathKind::File, &[Use::Look]),
    ];
    let facts = Facts {
        closure: BTreeSet::from(["/usr/lib/libc.so.6".into()]),
        ..facts()
    };
    let derived = derive(&trace(paths), None, &facts);
    assert_eq!(
        files(&derived),
        [("/usr/lib/libplugin.so.1", FileKind::Library)]
    );
    assert_eq!(derived.notes.len(), 1, "{:?}", derived.notes);
    assert_noted(&derived, "libnss_ldap");
}

#[test]
fn directories_that_were_only_asked_about_are_empty_or_there_already() {
    let look = |path| seen(path, PathKind::Directory, &[Use::Look]);
    let derived = derived(vec![
        look("/etc/web"),
        look("/srv/web"),
        look("/usr/lib"),
        look("/var/lib/web"),
        look("/var/lib/web/keys"),
        seen("/var/lib/web/keys/a", PathKind::File, &[Use::Read]),
    ]);
    let expected = [
        ("/etc/web", FileKind::Directory),
        ("/srv/web", FileKind::Directory),
    ];
    assert_eq!(files(&derived), expected);
    assert_eq!(binds(&derived), [("/var/lib/web/keys", false)]);
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
fn so_is_the_journal_s_and_the_spec_asks_for_it() {
    for kind in [PathKind::Socket, PathKind::Missing] {
        let journal = seen("/run/systemd/journal/socket", kind, &[Use::Connect]);
        let derived = derived(vec![journal]);
        assert_eq!(derived.notes, Vec::<String>::new());
        assert_eq!(derived.spec.binds, []);
        assert!(derived.spec.log.journal);
    }
    assert!(!derived(Vec::new()).spec.log.journal);
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
fn nothing_is_made_in_dev() {
    let printer = seen("/dev/printer", PathKind::Socket, &[Use::Create]);
    let derived = derive(&trace(vec![printer]), None, &facts());
    assert!(derived.spec.binds.is_empty() && derived.spec.scratch.is_empty());
    let said = "/dev/printer (made), not given: a jail's /dev has nothing but devices";
    let mut notes = derived.notes.iter();
    assert!(
        notes.any(|note| note.starts_with(said)),
        "{:?}",
        derived.notes
    );
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
    assert_eq!(derived.spec.binds[2].because, "db written and read");
    assert_eq!(
        derived.spec.binds[2].evidence.to_string(),
        "observed: start 1"
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
        seen("/", PathKind::Directory, &[Use::List]),
        seen("/var/lib", PathKind::Directory, &[Use::Look]),
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

pub(super) fn knowledge() -> Knowledge {
    let place = |path: &str, writable| Place {
        path: path.into(),
        writable,
        because: "known".to_owned(),
    };
    Knowledge {
        name: "web".to_owned(),
        file: "services/web.toml".to_owned(),
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
    assert_eq!(
        derived.spec.binds[0].evidence.to_string(),
        "rule: services/web.toml"
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
fn links_lead_to_what_is_in_memory_or_mounted() {
    let mut pid_file = seen(
        "/run/web.pid",
        PathKind::Missing,
        &[Use::Create, Use::Write],
    );
    pid_file.asked = BTreeSet::from(["/var/run/web.pid".into()]);
    pid_file.links = vec![("/var/run".into(), "/run".into())];
    let mut state = seen("/var/lib/web/state", PathKind::File, &[Use::Write]);
    state.asked = BTreeSet::from(["/opt/web/state/state".into()]);
    state.links = vec![
        ("/opt/web".into(), "/var/lib/web/tree".into()),
        // Comes with the directory that it is in.
        ("/var/lib/web/tree/state".into(), "..".into()),
    ];
    let mut own = seen("/var/lib/web/log", PathKind::File, &[Use::Write]);
    own.asked = BTreeSet::from(["/srv/log".into()]);
    // A name of the file itself: no directory.
    own.links = vec![("/srv/log".into(), "/var/lib/web/log".into())];
    let derived = derived(vec![pid_file, state, own]);
    let links = [
        ("/opt/web", FileKind::Directory),
        ("/var/run", FileKind::Directory),
    ];
    assert_eq!(files(&derived), links);
    assert_eq!(scratch(&derived), ["/run"]);
    assert_eq!(binds(&derived), [("/var/lib/web", true)]);
    assert_eq!(
        derived.spec.files[1].because,
        "a link to what is used at start"
    );
}
