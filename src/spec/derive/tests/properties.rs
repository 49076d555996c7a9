//! What holds for every trace.
use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;
use proptest::sample::select;

use super::tree::knowledge;
use super::*;

const DIRECTORIES: [&str; 20] = [
    "",
    "/etc",
    "/etc/ssl",
    "/etc/web",
    "/home/a",
    "/home/a/b",
    "/lib64",
    "/opt/app",
    "/proc/1",
    "/run",
    "/run/web",
    "/run/systemd",
    "/srv/x/y",
    "/tmp",
    "/tmp/z",
    "/usr/share/q",
    "/var/lib",
    "/var/lib/web",
    "/var/log",
    "/dev/shm",
];
const USES: [Use; 12] = [
    Use::Execute,
    Use::Map,
    Use::Read,
    Use::Write,
    Use::Create,
    Use::Delete,
    Use::Change,
    Use::List,
    Use::Look,
    Use::Enter,
    Use::Root,
    Use::Connect,
];
const KINDS: [PathKind; 7] = [
    PathKind::Block,
    PathKind::Character,
    PathKind::Directory,
    PathKind::Fifo,
    PathKind::File,
    PathKind::Socket,
    PathKind::Missing,
];

fn paths() -> impl Strategy<Value = Vec<PathSeen>> {
    let place = (
        select(DIRECTORIES.to_vec()),
        select(vec!["a", "b", "passwd", "web"]),
    );
    let what = (
        select(KINDS.to_vec()),
        btree_set(select(USES.to_vec()), 0..4),
    );
    btree_map(place, what, 0..12).prop_map(|paths| {
        let path = |((directory, name), (kind, uses)): ((&str, &str), (_, BTreeSet<Use>))| {
            let uses: Vec<Use> = uses.into_iter().collect();
            seen(&format!("{directory}/{name}"), kind, &uses)
        };
        let mut paths: Vec<PathSeen> = paths.into_iter().map(path).collect();
        let hosts: Vec<PathBuf> = paths.iter().map(|path| path.host.clone()).collect();
        for path in &mut paths {
            // Something lies below it, so it is a directory.
            if hosts
                .iter()
                .any(|host| *host != path.host && host.starts_with(&path.host))
            {
                path.kind = PathKind::Directory;
            }
        }
        paths
    })
}

/// Whether the service can write at `path` in the jail: the rule nearest above it decides.
fn is_writable(spec: &Spec, path: &Path) -> bool {
    let binds = spec.binds.iter().map(|rule| (&rule.path, rule.writable));
    let scratch = spec.scratch.iter().map(|rule| (&rule.path, true));
    let above = binds
        .chain(scratch)
        .filter(|(rule, _)| path.starts_with(rule));
    above
        .max_by_key(|(rule, _)| rule.components().count())
        .is_some_and(|(_, writable)| writable)
}

proptest! {
    #[test]
    fn every_write_is_possible_or_noted(paths in paths()) {
        let derived = derive(&trace(paths.clone()), None, &facts());
        for path in paths.iter().filter(|path| paths::is_written(path)) {
            let host = path.host.display().to_string();
            let noted = derived.notes.iter().any(|note| note.starts_with(&format!("{host} (")));
            let device = derived.spec.devices.iter().any(|rule| rule.path == path.host);
            prop_assert!(
                noted || device || is_writable(&derived.spec, &path.host),
                "{host}: {:#?}", derived
            );
        }
    }

    #[test]
    fn no_shared_directory_is_mounted(paths in paths()) {
        let derived = derive(&trace(paths.clone()), None, &facts());
        for bind in &derived.spec.binds {
            let is_file = paths.iter().any(|path| {
                path.host == bind.path && path.kind == PathKind::File
            });
            let shared = shared::is_shared_place(&bind.path) || shared::is_sticky(&bind.path, &facts());
            prop_assert!(is_file || !shared, "{:?}", bind);
        }
    }

    /// The configuration may name anything, too.
    #[test]
    fn no_configured_directory_is_shared(configured in paths(), paths in paths()) {
        let mut facts = facts();
        facts.config_paths = configured
            .into_iter()
            .map(|path| (path.host, path.kind == PathKind::Directory))
            .collect();
        for (path, _) in facts.config_paths.clone() {
            for above in path.ancestors() {
                facts.directories.entry(above.to_owned()).or_default();
            }
        }
        let files: Vec<PathBuf> = paths.iter().map(|path| path.host.clone()).collect();
        let spec = derive(&trace(paths), Some(&knowledge()), &facts).spec;
        for bind in spec.binds {
            let shared = shared::is_shared_place(&bind.path);
            prop_assert!(!shared || files.contains(&bind.path), "{:?}", bind);
        }
    }

    /// A mount is noexec and hides what is below: no program may lie under one.
    #[test]
    fn no_mount_hides_a_program(paths in paths()) {
        let spec = derive(&trace(paths), None, &facts()).spec;
        for file in spec.files.iter().filter(|file| file.kind == FileKind::Program) {
            prop_assert!(!spec.binds.iter().any(|bind| file.path.starts_with(&bind.path)), "{:?}", spec);
        }
    }

    #[test]
    fn what_is_derived_is_a_spec(paths in paths()) {
        let spec = derive(&trace(paths), None, &facts()).spec;
        let text = to_toml(&spec);
        match parse(&text, "web.toml") {
            Ok(read) => prop_assert_eq!(read, spec),
            Err(error) => prop_assert!(false, "{}\n{}", error, text),
        }
    }
}
