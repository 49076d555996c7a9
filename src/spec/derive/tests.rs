mod distributions;
mod evidence;
mod network;
mod properties;
mod staying_root;
mod tree;

use std::collections::BTreeSet;

use super::*;
use crate::learn::trace::{
    CallSeen, CapabilitySeen, ExerciseRun, Known, PathKind, PathSeen, Phase, SocketSeen, SocketUse,
    Witness,
};
use crate::spec::{
    ConfigPaths, Device, Direction, FileKind, Place, Protocol, Ready, parse, to_toml,
};
use crate::sys::calls;

/// Seen so often, in one phase.
fn counted(phase: Phase, count: u64) -> Witness {
    let (start, serve) = match phase {
        Phase::Start => (count, 0),
        Phase::Serve => (0, count),
    };
    Witness {
        start,
        serve,
        ..Witness::default()
    }
}

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
        witness: counted(Phase::Start, 1),
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
        witness: counted(Phase::Start, 1),
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
fn the_program_has_its_absolute_path() {
    let mut trace = trace(vec![seen("/usr/sbin/web", PathKind::File, &[Use::Execute])]);
    trace.command = vec!["web".to_owned(), "-f".to_owned()];
    let spec = derive(&trace, None, &facts()).spec;
    assert_eq!(spec.service.command, ["/usr/sbin/web", "-f"]);
}

#[test]
fn a_root_of_its_own_is_no_place_to_mount_but_what_it_holds_is() {
    let mut null = seen("/srv/jail/dev/null", PathKind::Character, &[Use::Read]);
    null.device = Some((1, 3));
    let trace = trace(vec![
        seen("/srv/jail", PathKind::Directory, &[Use::Enter, Use::Root]),
        null,
        seen("/srv/jail/etc/web/conf", PathKind::File, &[Use::Read]),
    ]);
    let spec = derive(&trace, None, &facts()).spec;
    let binds: Vec<&Path> = spec.binds.iter().map(|bind| bind.path.as_path()).collect();
    assert_eq!(binds, [Path::new("/srv/jail/etc/web")]);
    assert!(
        spec.devices
            .iter()
            .any(|rule| rule.path == Path::new("/srv/jail/dev/null"))
    );
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
