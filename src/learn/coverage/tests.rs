use proptest::prelude::*;

use super::super::trace::{CallSeen, ExerciseRun, PathKind, PathSeen, Phase, Witness};
use super::*;

fn call(name: &str) -> CallSeen {
    CallSeen {
        number: 0,
        name: name.to_owned(),
        phase: Phase::Start,
        count: 1,
        witness: Witness::default(),
    }
}

fn path(host: &str, asked: &str, uses: &[Use]) -> PathSeen {
    PathSeen {
        host: host.into(),
        asked: [asked.into()].into(),
        links: Vec::new(),
        kind: PathKind::File,
        device: None,
        uses: uses.iter().copied().collect(),
        failures: BTreeSet::new(),
        phase: Phase::Start,
        count: 1,
        witness: Witness::default(),
    }
}

fn exercise(name: &str) -> Exercise {
    Exercise {
        name: name.to_owned(),
        command: vec!["true".to_owned()],
        expect: 0,
        output: String::new(),
        phase: Phase::Serve,
        because: String::new(),
    }
}

fn run(name: &str, pass: u32, passed: bool) -> ExerciseRun {
    ExerciseRun {
        name: name.to_owned(),
        command: vec!["true".to_owned()],
        exit: Some(0),
        passed,
        pass,
        phase: Phase::Serve,
    }
}

fn file(path: &str, executable: bool) -> PackageFile {
    PackageFile {
        path: path.into(),
        executable,
    }
}

#[test]
fn exercises_that_did_not_run_or_failed_once() {
    let mut trace = Trace::default();
    trace.certificate.exercises = vec![run("a", 1, true), run("b", 1, true), run("b", 2, false)];
    let facts = Facts {
        exercises: ["a", "b", "c", "c"].map(exercise).into(),
        ..Facts::default()
    };
    let found = coverage(&trace, &facts);
    let names = |missed: &[Missed]| -> Vec<String> {
        missed.iter().map(|missed| missed.name.clone()).collect()
    };
    assert_eq!(names(&found.exercises_not_run), ["c"]);
    assert_eq!(names(&found.exercises_failed), ["b"]);
    assert!(!found.is_full());
}

#[test]
fn files_that_matter_and_were_not_opened() {
    let trace = Trace {
        paths: vec![
            path("/usr/sbin/web", "/usr/sbin/web", &[Use::Execute]),
            path("/etc/web/site", "/etc/web/site", &[Use::Read]),
            path("/etc/web/other", "/etc/web/other", &[Use::Look]),
        ],
        ..Trace::default()
    };
    let packages = Packages {
        names: vec!["web".to_owned()],
        files: vec![
            file("/usr/sbin/web", true),
            file("/usr/sbin/webctl", true),
            file("/usr/lib/web/mod_fast.so", false),
            file("/usr/lib/web/libweb.so.1.2", false),
            file("/usr/lib/web/data.bin", false),
            file("/etc/web/site", false),
            file("/etc/web/other", false),
            file("/etc/init.d/web", true),
            file("/usr/share/doc/web/example.sh", true),
            file("/usr/share/man/man8/web.8.gz", false),
        ],
        why_none: None,
    };
    let facts = Facts {
        packages,
        ..Facts::default()
    };
    let found = coverage(&trace, &facts).files_not_opened;
    let found: Vec<_> = found
        .iter()
        .map(|missed| (missed.path.to_str().unwrap(), missed.kind))
        .collect();
    let expected = [
        ("/etc/web/other", FileKind::Configuration),
        ("/usr/lib/web/libweb.so.1.2", FileKind::Library),
        ("/usr/lib/web/mod_fast.so", FileKind::Module),
        ("/usr/sbin/webctl", FileKind::Program),
    ];
    assert_eq!(found, expected);
}

#[test]
fn names_of_shared_objects_that_nobody_asked_for() {
    let trace = Trace {
        paths: vec![
            path("/lib/liba.so.1.0", "/lib/liba.so.1", &[Use::Map]),
            // Tried, and not there.
            path("/lib/plug/libtried.so", "/lib/plug/libtried.so", &[]),
        ],
        ..Trace::default()
    };
    let bytes = b"\0liba.so.1\0plug/libtried.so\0libnever.so.2\0load %s.so or a.sock\0linux-vdso.so.1\0/lib64/ld-linux-x86-64.so.2\0see ld.so(8)\0.so\0x.so.\0";
    let object = Object {
        path: "/usr/sbin/web".into(),
        names: shared_object_names(bytes),
        imports: Vec::new(),
    };
    let facts = Facts {
        objects: vec![object],
        ..Facts::default()
    };
    let found = coverage(&trace, &facts).names_not_asked;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].name, "libnever.so.2");
    assert_eq!(found[0].objects, [PathBuf::from("/usr/sbin/web")]);
}

#[test]
fn calls_of_imported_functions() {
    let trace = Trace {
        calls: vec![
            call("openat"),
            call("sendto"),
            call("clone3"),
            call("pselect6"),
        ],
        ..Trace::default()
    };
    let imports = [
        // Seen, by whatever name the library makes them.
        "open64",
        "fopen",
        "fork",
        "select",
        // Answered without a call.
        "clock_gettime",
        // No call at all.
        "strlen",
        // Not syslog(2), and sendto was seen.
        "syslog",
        // Never seen.
        "sendfile64",
        "__read_chk",
        "read",
        "system",
    ];
    let object = Object {
        path: "/lib/libweb.so.1".into(),
        names: BTreeSet::new(),
        imports: imports.map(str::to_owned).into(),
    };
    let facts = Facts {
        objects: vec![object],
        ..Facts::default()
    };
    let found = coverage(&trace, &facts);
    let hints: Vec<(&str, Vec<&str>)> = found
        .calls_hinted
        .iter()
        .map(|hint| {
            let symbols = hint.symbols.iter().map(String::as_str);
            (hint.name.as_str(), symbols.collect())
        })
        .collect();
    let expected = [
        ("execve", vec!["system"]),
        ("read", vec!["__read_chk", "read"]),
        ("sendfile", vec!["sendfile64"]),
    ];
    assert_eq!(hints, expected);
    assert!(found.is_full(), "a hint is no more than that");
}

#[test]
fn every_wrapper_names_a_call() {
    for symbol in ["fexecve", "sigwait", "posix_fadvise", "seteuid", "statvfs"] {
        let call = wrappers::call_of(symbol).unwrap();
        assert!(
            crate::sys::calls::number(call).is_some(),
            "{symbol}: {call}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_looked_through(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for name in shared_object_names(&bytes) {
            prop_assert!(name.contains(".so"));
        }
    }

    #[test]
    fn nothing_is_missed_that_looking_at_each_byte_finds(
        text in "([a.s/o% ]|\\.so|lib[a-c]\\.so\\.[0-9]){0,40}",
    ) {
        let of_name = |c: char| c.is_ascii_alphanumeric() || "._-+~/%$@".contains(c);
        let words: BTreeSet<&str> = text.split(|c| !of_name(c)).collect();
        let alone = words.into_iter().flat_map(|word| shared_object_names(word.as_bytes()));
        prop_assert_eq!(shared_object_names(text.as_bytes()), alone.collect());
    }

    #[test]
    fn a_name_between_other_bytes_is_found(
        before in "[ \\x00\\n\"]{1,5}",
        name in "lib[a-z_+-]{1,20}\\.so(\\.[0-9]{1,3}){0,3}",
        after in "[ \\x00\\n\"]{1,5}",
    ) {
        let text = format!("{before}{name}{after}");
        prop_assert!(shared_object_names(text.as_bytes()).contains(&name));
    }
}
