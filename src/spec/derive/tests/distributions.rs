//! What configurations of distributions lead to.
use super::*;

#[test]
fn what_a_link_in_a_mount_leads_to_is_copied_under_its_own_name() {
    let link = "/etc/web/enabled/module.conf";
    let target = "/usr/share/web/module.conf";
    let module = PathSeen {
        asked: BTreeSet::from([link.into()]),
        links: vec![(link.into(), "../../../usr/share/web/module.conf".into())],
        ..seen(target, PathKind::File, &[Use::Read])
    };
    let own = seen("/etc/web/web.conf", PathKind::File, &[Use::Read]);
    let derived = derive(&trace(vec![own, module]), None, &facts());
    assert_eq!(derived.spec.binds[0].path, Path::new("/etc/web"));
    let files: Vec<&Path> = derived
        .spec
        .files
        .iter()
        .map(|rule| rule.path.as_path())
        .collect();
    assert_eq!(files, [Path::new(target)]);
}

#[test]
fn an_empty_directory_that_is_made_root_is_there() {
    let mut facts = facts();
    let directory = DirectoryFacts {
        uid: 0,
        gid: 0,
        mode: 0o755,
    };
    facts.directories.insert("/var/lib/empty".into(), directory);
    let root = seen(
        "/var/lib/empty",
        PathKind::Directory,
        &[Use::Root, Use::Enter, Use::Look],
    );
    let derived = derive(&trace(vec![root]), None, &facts);
    let files = &derived.spec.files;
    assert!(
        files.iter().any(
            |rule| rule.path == Path::new("/var/lib/empty") && rule.kind == FileKind::Directory
        ),
        "{files:?}"
    );
}

#[test]
fn ports_that_a_resolver_picks_are_one_rule() {
    let datagram = |port, phase, count| SocketSeen {
        phase,
        witness: counted(phase, count),
        ..socket(SocketUse::Bind, 2, port)
    };
    let mut trace = trace(Vec::new());
    trace.certificate.passes = 2;
    trace.sockets.push(datagram(53, Phase::Start, 2));
    trace.sockets.push(datagram(2000, Phase::Start, 1));
    let picked = (0..20).map(|index| datagram(3000 + 7 * index, Phase::Serve, 1));
    trace.sockets.extend(picked);
    let bound = |trace: &Trace| -> Vec<u16> {
        let ports = derive(trace, None, &facts()).spec.ports;
        ports.iter().map(|rule| rule.port).collect()
    };
    assert_eq!(bound(&trace), [0, 53]);
    trace.sockets.truncate(5);
    assert_eq!(
        bound(&trace),
        [53, 2000, 3000, 3007, 3014],
        "few are a list"
    );
}
