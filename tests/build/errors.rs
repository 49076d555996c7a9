//! What a spec may ask for and not get, in words.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;

use gaoler::spec::{FileKind, ScratchRule};

use crate::common::{Place, bind, file, somebody, spec_of};

fn mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_cannot_be_copied_is_named_with_its_reason() {
    let place = Place::new();
    fs::write(place.path("text"), "text").unwrap();
    fs::write(place.path("foreign"), {
        let mut elf = fs::read("/bin/true").unwrap();
        elf[18] = 183; // e_machine: AArch64
        elf
    })
    .unwrap();
    mode(&place.path("foreign"), 0o755);
    symlink("b", place.path("a")).unwrap();
    symlink("a", place.path("b")).unwrap();
    let _socket = UnixListener::bind(place.path("socket")).unwrap();
    let at = |name: &str| place.path(name);
    for (path, kind, expected) in [
        (
            at("gone"),
            FileKind::Data,
            "is in the spec (a test) and no longer exists on the host",
        ),
        (
            at("foreign"),
            FileKind::Program,
            "made for another kind of machine",
        ),
        (at("text"), FileKind::Library, "it is no ELF file"),
        (at("text"), FileKind::Program, "not executable"),
        (at("a"), FileKind::Data, "go round in a circle"),
        (at("text/deeper"), FileKind::Data, "is not a directory"),
        (at(""), FileKind::Data, "it is a directory | list the files"),
        (
            at("socket"),
            FileKind::Data,
            "socket or pipe, which lives on the host | bind it",
        ),
        (
            "/dev/null".into(),
            FileKind::Data,
            "it is a device | list it under [[device]]",
        ),
        (
            "/proc/version".into(),
            FileKind::Data,
            "the kernel makes it when it is read",
        ),
        ("relative".into(), FileKind::Data, "not an absolute path"),
        (
            at("text"),
            FileKind::Directory,
            "the spec calls it a directory, and it is none",
        ),
    ] {
        let mut spec = spec_of("/bin/true");
        spec.files = vec![file(&path, kind)];
        let text = place.refused(&spec, &somebody());
        assert!(text.contains(expected), "{}: {text}", path.display());
    }
}

#[test]
fn a_private_file_is_copied_as_privately_or_not_at_all() {
    let place = Place::new();
    let key = place.path("key");
    fs::write(&key, "secret").unwrap();
    let inside = key.to_str().unwrap().to_owned();
    let mut spec = spec_of("/bin/true");
    spec.files = vec![file(&key, FileKind::Data)];
    let somebody = somebody();
    let gid = somebody.group.gid;

    mode(&key, 0o600);
    let text = place.refused(&spec, &somebody);
    assert!(
        text.contains("jailed could not read it in the jail either | give jailed"),
        "{text}"
    );
    spec.service.start_as_root = true;
    assert_eq!(
        place.build(&spec, &somebody).permission(&inside),
        (0, 0, 0o400)
    );
    spec.service.start_as_root = false;

    mode(&key, 0o4660);
    chown(&key, Some(0), Some(gid)).unwrap();
    assert_eq!(
        place.build(&spec, &somebody).permission(&inside),
        (0, gid, 0o440)
    );
    chown(&key, Some(somebody.user.uid), Some(0)).unwrap();
    mode(&key, 0o600);
    assert_eq!(
        place.build(&spec, &somebody).permission(&inside),
        (0, gid, 0o440)
    );
    chown(&key, Some(0), Some(0)).unwrap();
    mode(&key, 0o7777);
    assert_eq!(
        place.build(&spec, &somebody).permission(&inside),
        (0, 0, 0o444)
    );

    fs::create_dir(place.path("private")).unwrap();
    fs::rename(&key, place.path("private/key")).unwrap();
    mode(&place.path("private"), 0o700);
    spec.files = vec![file(place.path("private/key"), FileKind::Data)];
    let text = place.try_build(&spec, &somebody).unwrap_err().to_string();
    assert!(
        text.contains("could not read it"),
        "a public file in a private directory: {text}"
    );
}

#[test]
fn a_program_that_may_be_executed_and_not_read_is_copied_so() {
    let place = Place::new();
    let program = place.path("program");
    fs::copy("/bin/true", &program).unwrap();
    let inside = program.to_str().unwrap().to_owned();
    let mut spec = spec_of("/bin/true");
    spec.files = vec![file(&program, FileKind::Program)];
    let somebody = somebody();
    let gid = somebody.group.gid;

    mode(&program, 0o4711);
    assert_eq!(
        place.build(&spec, &somebody).permission(&inside),
        (0, 0, 0o111)
    );
    mode(&program, 0o710);
    chown(&program, Some(0), Some(gid)).unwrap();
    assert_eq!(
        place.build(&spec, &somebody).permission(&inside),
        (0, gid, 0o110)
    );
    mode(&program, 0o700);
    let text = place.try_build(&spec, &somebody).unwrap_err().to_string();
    assert!(
        text.contains("not executable for the service's user"),
        "{text}"
    );
}

#[test]
fn code_under_a_mount_and_two_things_at_one_path_are_refused() {
    let place = Place::new();
    let mut spec = spec_of("/bin/true");
    spec.files = vec![file("/usr/bin/env", FileKind::Program)];
    spec.binds = vec![bind("/usr/bin", false)];
    let text = place.refused(&spec, &somebody());
    assert!(text.contains("mounted over it without execution"), "{text}");

    let mut spec = spec_of("/bin/true");
    let scratch = ScratchRule {
        path: "/bin/true".into(),
        size_kib: 4,
        because: "s".into(),
        evidence: gaoler::spec::Evidence::Person,
    };
    spec.scratch = vec![scratch];
    let text = place.refused(&spec, &somebody());
    assert!(
        text.contains("two different things") || text.contains("without execution"),
        "{text}"
    );
}

#[test]
fn a_state_directory_that_others_can_write_to_is_refused() {
    let place = Place::new();
    let spec = spec_of("/bin/true");
    fs::create_dir(place.state()).unwrap();
    mode(&place.state(), 0o775);
    let text = place.try_build(&spec, &somebody()).unwrap_err().to_string();
    assert!(text.contains("its group, gid 0, can write to it"), "{text}");
    mode(&place.state(), 0o755);
    chown(place.state(), Some(47_011), None).unwrap();
    let text = place.try_build(&spec, &somebody()).unwrap_err().to_string();
    assert!(text.contains("it belongs to uid 47011"), "{text}");
    chown(place.state(), Some(0), None).unwrap();
    fs::create_dir(place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), place.state().join("test")).unwrap();
    assert!(
        place.try_build(&spec, &somebody()).is_err(),
        "a planted link as the state"
    );
    assert_eq!(fs::read_dir(place.path("elsewhere")).unwrap().count(), 0);
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let place = Place::new();
    for name in ["..", "", "a/b", ".hidden", "-x"] {
        let mut spec = spec_of("/bin/true");
        spec.name = name.into();
        let error = place.try_build(&spec, &somebody()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{name}: {error}");
    }
}
