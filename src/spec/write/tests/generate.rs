//! Generated specs.
use std::path::PathBuf;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::spec::evidence::tests::evidence;
use crate::spec::names::signal_number;
use crate::spec::{IncidentKind, Listen, LogTo, MOST_RESTARTS, Webhook, When};

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
        "[a-z \"\\\\.]{1,9}x".prop_filter_map("no pattern", |text| {
            crate::spec::ready(&format!("log:{text}")).ok()
        }),
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
        btree_set(word(), 0..3),
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
        option::of(path()),
    );
    let flags = any::<[bool; 4]>();
    (who, life, end, flags).prop_map(|(who, life, end, [forks, jit, refuses_root, unaided])| {
        Service {
            command: who.0,
            user: who.1,
            group: who.2,
            groups: who.3.into_iter().collect(),
            start_as_root: who.4,
            refuses_root,
            unaided,
            accounts: who.5.into_iter().collect(),
            workdir: life.0,
            environment: life.1,
            umask: life.2,
            config_test: life.3,
            ready: end.0,
            reload: end.1,
            stop: end.2,
            stop_timeout_s: end.3,
            pid_file: end.4,
            host_pid_file: end.5,
            forks,
            writable_executable: jit,
        }
    })
}

fn exercises() -> impl Strategy<Value = Vec<Exercise>> {
    let phase = prop_oneof![Just(Phase::Start), Just(Phase::Serve)];
    let fields = (command(), any::<i32>(), text(), phase, reason());
    btree_map(word(), fields, 0..3).prop_map(|exercises| {
        let exercise = |(name, (command, expect, output, phase, because))| Exercise {
            name,
            command,
            expect,
            output,
            phase,
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
        (reason(), evidence()),
    );
    btree_map(path(), rule, 0..12).prop_map(|rules| {
        let mut spec = Spec::default();
        for (path, (list, kind, writable, size_kib, device, (because, evidence))) in rules {
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
                        evidence,
                    });
                }
                1 => spec.binds.push(BindRule {
                    path,
                    writable,
                    because,
                    evidence,
                }),
                2 => spec.scratch.push(ScratchRule {
                    path,
                    size_kib,
                    because,
                    evidence,
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
                        evidence,
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
        evidence(),
    );
    lists.prop_map(
        |(capabilities, calls, families, ports, because, evidence)| {
            let because = || because.clone();
            let evidence = || evidence.clone();
            Spec {
                capabilities: capabilities
                    .into_iter()
                    .map(|capability| CapabilityRule {
                        capability,
                        because: because(),
                        evidence: evidence(),
                    })
                    .collect(),
                calls: calls
                    .into_iter()
                    .map(|number| CallRule {
                        number,
                        start_only: number % 3 == 0,
                        because: because(),
                        evidence: evidence(),
                    })
                    .collect(),
                families: families
                    .into_iter()
                    .map(|family| FamilyRule {
                        family,
                        because: because(),
                        evidence: evidence(),
                    })
                    .collect(),
                ports: ports
                    .into_iter()
                    .map(|(direction, protocol, port)| PortRule {
                        direction,
                        protocol,
                        port,
                        because: because(),
                        evidence: evidence(),
                    })
                    .collect(),
                ..Spec::default()
            }
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let limit = || option::of(any::<u64>());
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

fn restart() -> impl Strategy<Value = Restart> {
    let when = select(vec![When::Never, When::OnFailure, When::Always]);
    let time = 1..86_400_000_u32;
    (when, time.clone(), time.clone(), 1..=MOST_RESTARTS, time).prop_map(
        |(when, one, other, limit, period_ms)| Restart {
            when,
            delay_ms: one.min(other),
            longest_delay_ms: one.max(other),
            limit,
            period_ms,
        },
    )
}

fn liveness() -> impl Strategy<Value = Option<Liveness>> {
    let time = 1..86_400_000_u32;
    let port = option::of((1..=u16::MAX).prop_map(Ready::Udp));
    let of = (
        time.clone(),
        time.clone(),
        1..99_u32,
        command(),
        port,
        option::of(time),
    );
    option::of(of.prop_map(
        |(every_ms, timeout_ms, failures, command, port, watchdog_ms)| Liveness {
            every_ms,
            timeout_ms,
            failures,
            command,
            port,
            watchdog_ms,
        },
    ))
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

fn sockets() -> impl Strategy<Value = Vec<SocketRule>> {
    let addresses = ["127.0.0.1", "0.0.0.0", "::", "::1", "2001:db8::7"];
    let address = (select(addresses.to_vec()), 1..=u16::MAX)
        .prop_map(|(address, port)| std::net::SocketAddr::new(address.parse().unwrap(), port));
    let listen = prop_oneof![
        address.clone().prop_map(Listen::Tcp),
        address.prop_map(Listen::Udp),
        word().prop_map(|name| Listen::Unix(format!("/run/{name}").into())),
        Just(Listen::Manager),
    ];
    let one = (
        listen,
        1..9000u32,
        any::<[bool; 2]>(),
        0..=0o777u32,
        reason(),
    );
    btree_map(word(), one, 0..4).prop_map(|sockets| {
        type Parts = (Listen, u32, [bool; 2], u32, String);
        let socket = |(name, parts): (String, Parts)| {
            let (listen, backlog, [one, other], mode, because) = parts;
            let is_file = matches!(listen, Listen::Unix(_));
            let owner = |is_there: bool| (is_file && is_there).then(|| "web".to_owned());
            SocketRule {
                name,
                backlog: if listen.has_backlog() {
                    backlog
                } else {
                    BACKLOG
                },
                only_ipv6: one && listen.is_ipv6(),
                reuse_port: other && listen.port().is_some(),
                mode: if is_file { mode } else { SOCKET_MODE },
                user: owner(one),
                group: owner(other),
                because,
                listen,
            }
        };
        sockets.into_iter().map(socket).collect()
    })
}

fn accepted() -> impl Strategy<Value = Vec<Accepted>> {
    let day = (1970..3000u16, 1..=12u8, 1..=28u8);
    let key = (select(crate::spec::CHECKS.to_vec()), word());
    btree_map(key, (reason(), day), 0..3).prop_map(|risks| {
        let risk =
            |((check, subject), (because, (year, month, day))): ((&str, String), _)| Accepted {
                check: check.to_owned(),
                subject,
                because,
                until: crate::spec::Date::read(&format!("{year:04}-{month:02}-{day:02}")).unwrap(),
            };
        risks.into_iter().map(risk).collect()
    })
}

fn schedule() -> impl Strategy<Value = Schedule> {
    (0..=86_400_u32).prop_map(|every_s| Schedule { every_s })
}

fn incidents() -> impl Strategy<Value = Incidents> {
    let kinds = subsequence(IncidentKind::ALL.to_vec(), 0..=IncidentKind::ALL.len());
    let address = (any::<std::net::IpAddr>(), any::<u16>()).prop_map(std::net::SocketAddr::from);
    let webhook =
        (address, "/[!-\"$-~]{0,9}").prop_map(|(address, path)| Webhook { address, path });
    (kinds, command(), option::of(webhook)).prop_map(|(freeze, command, webhook)| Incidents {
        freeze,
        command,
        webhook,
    })
}

fn log() -> impl Strategy<Value = Log> {
    let address = || (any::<std::net::IpAddr>(), 1..=u16::MAX).prop_map(std::net::SocketAddr::from);
    let to = prop_oneof![
        select(vec![
            LogTo::Auto,
            LogTo::Syslog,
            LogTo::Journal,
            LogTo::File,
            LogTo::Stderr
        ]),
        address().prop_map(LogTo::Tcp),
        address().prop_map(LogTo::Udp),
    ];
    let numbers = (LogSink::SIZES_KIB, 0..=LogSink::MOST_OLD_FILES);
    (to, numbers, any::<bool>()).prop_map(|(to, (file_size_kib, old_files), journal)| Log {
        sink: LogSink {
            to,
            file_size_kib,
            old_files,
        },
        journal,
    })
}

pub(crate) fn spec() -> impl Strategy<Value = Spec> {
    let parts = (
        word(),
        service(),
        exercises(),
        tree(),
        allow(),
        limits(),
        protections(),
        (
            option::of(reason()),
            accepted(),
            schedule(),
            log(),
            sockets(),
            restart(),
            (liveness(), incidents()),
        ),
    );
    parts.prop_map(
        |(name, service, exercises, tree, allow, limits, protections, rest)| {
            let (incomplete, accepted, check, log, sockets, restart, (liveness, incidents)) = rest;
            Spec {
                name,
                incomplete,
                restart,
                liveness,
                incidents,
                check,
                log,
                service,
                sockets,
                exercises,
                capabilities: allow.capabilities,
                calls: allow.calls,
                families: allow.families,
                ports: allow.ports,
                limits,
                protections,
                accepted,
                ..tree
            }
        },
    )
}
