//! Adding a permission never lowers the score.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::clean::{bind, clean};
use super::*;
use crate::spec::{
    CallRule, CapabilityRule, Demand, Device, DeviceRule, Direction, Evidence, FamilyRule,
    FileKind, FileRule, PortRule, Protocol, ScratchRule,
};
use crate::sys::{calls, caps, families};

/// One thing more that a service may do.
#[derive(Clone, Debug)]
enum Permission {
    Account(String),
    Bind(String, bool),
    Call(u32),
    Capability(u8),
    Device(String),
    Family(u16),
    File(String),
    Group(String),
    Limit(u8),
    Loosen(u8, Demand),
    Port(bool, u16),
    Root,
    Scratch(String),
    Umask,
    WritableExecutable,
}

fn permission() -> impl Strategy<Value = Permission> {
    let paths = [
        "/etc/web",
        "/proc",
        "/root/x",
        "/srv/a",
        "/usr/bin/perl",
        "/run/docker.sock",
    ];
    let path = || select(paths.to_vec()).prop_map(str::to_owned);
    let name = select(vec!["disk", "adm", "www-data", "web2", "root"]).prop_map(str::to_owned);
    let known_calls: Vec<u32> = (0..500).filter(|n| calls::name(*n).is_some()).collect();
    let known_caps: Vec<u8> = (0..64).filter(|n| caps::name(*n).is_some()).collect();
    let known_families: Vec<u16> = (0..64).filter(|n| families::name(*n).is_some()).collect();
    let demand = select(vec![Demand::Off, Demand::Prefer]);
    prop_oneof![
        name.clone().prop_map(Permission::Account),
        (path(), any::<bool>()).prop_map(|(path, writable)| Permission::Bind(path, writable)),
        select(known_calls).prop_map(Permission::Call),
        select(known_caps).prop_map(Permission::Capability),
        path().prop_map(Permission::Device),
        select(known_families).prop_map(Permission::Family),
        path().prop_map(Permission::File),
        name.prop_map(Permission::Group),
        (0..3u8).prop_map(Permission::Limit),
        (0..6u8, demand).prop_map(|(layer, demand)| Permission::Loosen(layer, demand)),
        (any::<bool>(), 0..3u16).prop_map(|(bind, port)| Permission::Port(bind, port)),
        Just(Permission::Root),
        path().prop_map(Permission::Scratch),
        Just(Permission::Umask),
        Just(Permission::WritableExecutable),
    ]
}

/// Nothing that is there already is taken away: a path that is listed stays what it is.
fn give(spec: &mut Spec, permission: &Permission) {
    let because = "a test".to_owned();
    let evidence = Evidence::Person;
    match permission.clone() {
        Permission::Account(name) => spec.service.accounts.push(name),
        Permission::Bind(path, writable) => spec.binds.push(bind(&path, writable)),
        Permission::Call(number) => spec.calls.push(CallRule {
            number,
            start_only: false,
            because,
            evidence,
        }),
        Permission::Capability(capability) => spec.capabilities.push(CapabilityRule {
            capability,
            because,
            evidence,
        }),
        Permission::Device(path) => spec.devices.push(DeviceRule {
            path: path.into(),
            device: Device::Null,
            because,
            evidence,
        }),
        Permission::Family(family) => spec.families.push(FamilyRule {
            family,
            because,
            evidence,
        }),
        Permission::File(path) => spec.files.push(FileRule {
            path: path.into(),
            kind: FileKind::Data,
            because,
            evidence,
        }),
        Permission::Group(name) => spec.service.groups.push(name),
        Permission::Limit(0) => spec.limits.memory = None,
        Permission::Limit(1) => spec.limits.processes = None,
        Permission::Limit(_) => spec.limits.descriptors = None,
        Permission::Loosen(layer, demand) => {
            let layers = &mut spec.protections;
            let layer = match layer {
                0 => &mut layers.ipc_namespace,
                1 => &mut layers.landlock,
                2 => &mut layers.mount_namespace,
                3 => &mut layers.pid_namespace,
                4 => &mut layers.seccomp,
                _ => &mut layers.uts_namespace,
            };
            // Off is the loosest there is.
            if *layer != Demand::Off {
                *layer = demand;
            }
        }
        Permission::Port(is_bind, port) => spec.ports.push(PortRule {
            direction: if is_bind {
                Direction::Bind
            } else {
                Direction::Connect
            },
            protocol: Protocol::Tcp,
            port,
            because,
            evidence,
        }),
        Permission::Root => spec.service.start_as_root = true,
        Permission::Scratch(path) => spec.scratch.push(ScratchRule {
            path: path.into(),
            size_kib: 64,
            because,
            evidence,
        }),
        Permission::Umask => spec.service.umask = 0,
        Permission::WritableExecutable => spec.service.writable_executable = true,
    }
}

proptest! {
    #[test]
    fn one_more_permission_never_lowers_the_score(
        given in vec(permission(), 0..8),
        more in permission(),
        planted in any::<bool>(),
    ) {
        let mut case = clean();
        if planted {
            // Something around it that permissions could hide or show.
            case.facts.planted.push(crate::audit::facts::Planted {
                path: "/srv/a/x".into(),
                what: crate::audit::facts::Plant::Executable,
            });
            case.facts.jails.push(crate::audit::facts::Neighbour {
                name: "other".to_owned(),
                users: vec!["web2".to_owned()],
                uid: Some(7),
                places: vec!["/srv/a".into()],
                writable: vec!["/srv/a".into()],
            });
        }
        for permission in &given {
            give(&mut case.spec, permission);
        }
        // Only what is static: what the processes do is not the spec's to say.
        case.live.processes.clear();
        let before = score(&case.audit());
        give(&mut case.spec, &more);
        let after = score(&case.audit());
        prop_assert!(after >= before, "{:?}: {} then {}", more, before, after);
    }
}
