use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::spec::names::signal_number;
use crate::spec::{CallRule, CapabilityRule, FamilyRule, Ready, parse};

/// Any text that a file can hold: quotes, backslashes, control characters, other scripts.
fn text() -> impl Strategy<Value = String> {
    "(?s)[^\0]{0,12}"
}

fn reason() -> impl Strategy<Value = String> {
    (text(), "[a-z]{1,5}").prop_map(|(text, word)| text + &word)
}

fn path() -> impl Strategy<Value = PathBuf> {
    vec("(?s)[^/\0]{0,6}[a-z]", 1..4)
        .prop_map(|parts| PathBuf::from(format!("/{}", parts.join("/"))))
}

fn word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_-]{2,9}x"
}

fn command() -> impl Strategy<Value = Vec<String>> {
    (path(), vec(text(), 0..3)).prop_map(|(program, mut words)| {
        words.insert(0, program.to_string_lossy().into_owned());
        words
    })
}

fn optional_command() -> impl Strategy<Value = Vec<String>> {
    option::of(command()).prop_map(Option::unwrap_or_default)
}

fn ready() -> impl Strategy<Value = Vec<Ready>> {
    let sign = prop_oneof![
        (1..=u16::MAX).prop_map(Ready::Tcp),
        (1..=u16::MAX).prop_map(Ready::Udp),
        path().prop_map(Ready::File),
        any::<u32>().prop_map(Ready::Quiet),
    ];
    btree_set(sign, 0..4).prop_map(|signs| signs.into_iter().collect())
}

fn reload() -> impl Strategy<Value = Option<Reload>> {
    option::of(prop_oneof![
        command().prop_map(Reload::Command),
        select(vec!["HUP", "USR1", "RTMIN+3"])
            .prop_map(|name| Reload::Signal(signal_number(name).unwrap())),
    ])
}

fn service() -> impl Strategy<Value = Service> {
    let who = (
        command(),
        word(),
        word(),
        btree_set(word(), 0..3),
        any::<bool>(),
    );
    let life = (
        path(),
        btree_map("[^=\0]{1,8}", text(), 0..3),
        0..0o1000u32,
        optional_command(),
    );
    let end = (
        ready(),
        reload(),
        optional_command(),
        any::<u32>(),
        option::of(path()),
    );
    (who, life, end, any::<bool>(), any::<bool>()).prop_map(|(who, life, end, forks, jit)| {
        Service {
            command: who.0,
            user: who.1,
            group: who.2,
            groups: who.3.into_iter().collect(),
            start_as_root: who.4,
            workdir: life.0,
            environment: life.1,
            umask: life.2,
            config_test: life.3,
            ready: end.0,
            reload: end.1,
            stop: end.2,
            stop_timeout_s: end.3,
            pid_file: end.4,
            forks,
            writable_executable: jit,
        }
    })
}

fn exercises() -> impl Strategy<Value = Vec<Exercise>> {
    let fields = (command(), any::<i32>(), text(), reason());
    btree_map(word(), fields, 0..3).prop_map(|exercises| {
        let exercise = |(name, (command, expect, output, because))| Exercise {
            name,
            command,
            expect,
            output,
            because,
        };
        exercises.into_iter().map(exercise).collect()
    })
}

/// Rules of all kinds on paths of which none comes twice.
fn tree() -> impl Strategy<Value = Spec> {
    let rule = (
        0..4u8,
        0..4usize,
        any::<bool>(),
        1..=u32::MAX,
        0..5usize,
        reason(),
    );
    btree_map(path(), rule, 0..12).prop_map(|rules| {
        let mut spec = Spec::default();
        for (path, (list, kind, writable, size_kib, device, because)) in rules {
            match list {
                0 => {
                    let kind = [
                        FileKind::Data,
                        FileKind::Directory,
                        FileKind::Library,
                        FileKind::Program,
                    ][kind];
                    spec.files.push(FileRule {
                        path,
                        kind,
                        because,
                    });
                }
                1 => spec.binds.push(BindRule {
                    path,
                    writable,
                    because,
                }),
                2 => spec.scratch.push(ScratchRule {
                    path,
                    size_kib,
                    because,
                }),
                _ => {
                    let device = [
                        Device::Full,
                        Device::Null,
                        Device::Random,
                        Device::Urandom,
                        Device::Zero,
                    ][device];
                    spec.devices.push(DeviceRule {
                        path,
                        device,
                        because,
                    });
                }
            }
        }
        spec
    })
}

fn named<N: Copy + 'static>(known: impl Fn(N) -> bool, all: impl Iterator<Item = N>) -> Vec<N> {
    all.filter(|number| known(*number)).collect()
}

fn allow() -> impl Strategy<Value = Spec> {
    let known_calls = named(|number| calls::name(number).is_some(), 0..500u32);
    let known_caps = named(|number| caps::name(number).is_some(), 0..64u8);
    let known_families = named(|number| families::name(number).is_some(), 0..64u16);
    let direction = select(vec![Direction::Bind, Direction::Connect]);
    let protocol = select(vec![Protocol::Tcp, Protocol::Udp]);
    let ports = btree_set((direction, protocol, any::<u16>()), 0..5);
    let lists = (
        subsequence(known_caps, 0..41),
        subsequence(known_calls, 0..80),
        subsequence(known_families, 0..20),
        ports,
        reason(),
    );
    lists.prop_map(|(capabilities, calls, families, ports, because)| {
        let because = || because.clone();
        Spec {
            capabilities: capabilities
                .into_iter()
                .map(|capability| CapabilityRule {
                    capability,
                    because: because(),
                })
                .collect(),
            calls: calls
                .into_iter()
                .map(|number| CallRule {
                    number,
                    because: because(),
                })
                .collect(),
            families: families
                .into_iter()
                .map(|family| FamilyRule {
                    family,
                    because: because(),
                })
                .collect(),
            ports: ports
                .into_iter()
                .map(|(direction, protocol, port)| PortRule {
                    direction,
                    protocol,
                    port,
                    because: because(),
                })
                .collect(),
            ..Spec::default()
        }
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let limit = || option::of(0..=i64::MAX.unsigned_abs());
    (limit(), limit(), limit(), limit(), limit()).prop_map(
        |(core, descriptors, file_size, memory, processes)| Limits {
            core,
            descriptors,
            file_size,
            memory,
            processes,
        },
    )
}

fn protections() -> impl Strategy<Value = Protections> {
    vec(
        select(vec![Demand::Off, Demand::Prefer, Demand::Require]),
        7,
    )
    .prop_map(|demands| Protections {
        cgroup: demands[0],
        ipc_namespace: demands[1],
        landlock: demands[2],
        mount_namespace: demands[3],
        pid_namespace: demands[4],
        seccomp: demands[5],
        uts_namespace: demands[6],
    })
}

fn spec() -> impl Strategy<Value = Spec> {
    let parts = (
        word(),
        service(),
        exercises(),
        tree(),
        allow(),
        limits(),
        protections(),
    );
    parts.prop_map(
        |(name, service, exercises, tree, allow, limits, protections)| Spec {
            name,
            service,
            exercises,
            capabilities: allow.capabilities,
            calls: allow.calls,
            families: allow.families,
            ports: allow.ports,
            limits,
            protections,
            ..tree
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(spec in spec()) {
        let text = to_toml(&spec);
        match parse(&text, "x.toml") {
            Ok(read) => prop_assert_eq!(read, spec),
            Err(error) => prop_assert!(false, "{}\n{}", error, text),
        }
    }

    /// A rule is one line, whatever is in it, so that a person can move and delete it.
    #[test]
    fn a_rule_is_one_line(text in "(?s).{0,40}") {
        let line = quoted(&text);
        prop_assert!(!line.contains(char::is_control), "{:?}", line);
    }
}

#[test]
fn nothing_changes_the_direction_of_writing() {
    let line = quoted("a\u{202e}b\u{2066}c\u{2028}");
    assert_eq!(line, "\"a\\u202Eb\\u2066c\\u2028\"");
}

#[test]
fn numbers_without_names_are_refused_when_read_back() {
    let mut spec = named_like();
    spec.calls.push(CallRule {
        number: 99_999,
        because: "new".to_owned(),
    });
    let error = parse(&to_toml(&spec), "x.toml").unwrap_err();
    assert!(
        error.to_string().contains("unknown system call `99999`"),
        "{error}"
    );
}

fn named_like() -> Spec {
    let because = |text: &str| text.to_owned();
    let bind = |path: &str, writable, why: &str| BindRule {
        path: path.into(),
        writable,
        because: because(why),
    };
    let file = |path: &str, kind, why: &str| FileRule {
        path: path.into(),
        kind,
        because: because(why),
    };
    Spec {
        name: "named".to_owned(),
        service: Service {
            command: ["/usr/sbin/named", "-f", "-u", "bind"]
                .map(str::to_owned)
                .into(),
            user: "bind".to_owned(),
            group: "bind".to_owned(),
            workdir: "/var/cache/bind".into(),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/sbin:/usr/bin".to_owned())]),
            umask: 0o022,
            config_test: vec!["/usr/bin/named-checkconf".to_owned(), "-z".to_owned()],
            ready: vec![Ready::Tcp(53), Ready::Udp(53)],
            reload: Some(Reload::Command(vec![
                "/usr/sbin/rndc".to_owned(),
                "reload".to_owned(),
            ])),
            stop_timeout_s: 10,
            pid_file: Some("/run/named/named.pid".into()),
            ..Service::default()
        },
        exercises: vec![Exercise {
            name: "soa-udp".to_owned(),
            command: ["dig", "@127.0.0.1", ".", "SOA"].map(str::to_owned).into(),
            because: because("named answers a query over UDP"),
            ..Exercise::default_for_test()
        }],
        files: vec![
            file(
                "/etc/localtime",
                FileKind::Data,
                "observed: read once from start",
            ),
            file(
                "/usr/sbin/named",
                FileKind::Program,
                "observed: executed once from start",
            ),
        ],
        binds: vec![
            bind("/etc/bind", false, "observed: named.conf read"),
            bind(
                "/var/cache/bind",
                true,
                "observed: managed-keys.bind made and written",
            ),
        ],
        scratch: vec![ScratchRule {
            path: "/tmp".into(),
            size_kib: 16384,
            because: because("observed: \"x y\" made"),
        }],
        devices: vec![DeviceRule {
            path: "/dev/null".into(),
            device: Device::Null,
            because: because("observed: read once from start"),
        }],
        capabilities: vec![CapabilityRule {
            capability: 10,
            because: because("observed: bind(127.0.0.1:53)"),
        }],
        calls: vec![CallRule {
            number: calls::number("openat").unwrap(),
            because: because("observed: start 120, serve 3"),
        }],
        families: vec![FamilyRule {
            family: 2,
            because: because("observed: socket in start"),
        }],
        ports: vec![PortRule {
            direction: Direction::Bind,
            protocol: Protocol::Udp,
            port: 53,
            because: because("observed: bound 127.0.0.1:53"),
        }],
        limits: Limits {
            core: Some(0),
            ..Limits::default()
        },
        protections: Protections {
            landlock: Demand::Prefer,
            ..Protections::default()
        },
    }
}

impl Exercise {
    fn default_for_test() -> Self {
        let (name, command, output, because) = Default::default();
        Self {
            name,
            command,
            expect: 0,
            output,
            because,
        }
    }
}

#[test]
fn the_file_of_named() {
    let spec = named_like();
    let text = to_toml(&spec);
    assert_eq!(parse(&text, "named.toml").unwrap(), spec);
    insta::assert_snapshot!(text);
}

#[test]
fn every_demand_is_listed_in_the_comment() {
    let text = to_toml(&named_like());
    let layers: BTreeSet<&str> = [
        "cgroup",
        "ipc_namespace",
        "landlock",
        "mount_namespace",
        "pid_namespace",
        "seccomp",
        "uts_namespace",
    ]
    .into();
    for layer in layers {
        assert!(text.contains(layer), "{layer}");
    }
}
