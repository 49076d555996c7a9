pub(crate) mod generate;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::learn::trace::Phase;
use crate::spec::{CallRule, CapabilityRule, FamilyRule, Ready, parse};

proptest! {
    #[test]
    fn what_is_written_is_read_back(spec in generate::spec()) {
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
        start_only: false,
        because: "new".to_owned(),
        evidence: Evidence::Person,
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
        evidence: Evidence::Person,
    };
    let file = |path: &str, kind, why: &str| FileRule {
        path: path.into(),
        kind,
        because: because(why),
        evidence: Evidence::Person,
    };
    Spec {
        restart: Restart::default(),
        liveness: None,
        incidents: Incidents::default(),
        check: Schedule::default(),
        log: Log::default(),
        accepted: Vec::new(),
        sockets: Vec::new(),
        name: "named".to_owned(),
        incomplete: Some("2 stops were lost".to_owned()),
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
            host_pid_file: Some("/run/named.pid".into()),
            ..Service::default()
        },
        exercises: vec![Exercise {
            name: "soa-udp".to_owned(),
            command: ["dig", "@127.0.0.1", ".", "SOA"].map(str::to_owned).into(),
            because: because("named answers a query over UDP"),
            ..Exercise::default_for_test()
        }],
        files: vec![
            file("/etc/localtime", FileKind::Data, "read by named at start"),
            file(
                "/usr/sbin/named",
                FileKind::Program,
                "executed by named at start",
            ),
        ],
        binds: vec![
            bind("/etc/bind", false, "named.conf read"),
            bind(
                "/var/cache/bind",
                true,
                "managed-keys.bind made and written",
            ),
        ],
        scratch: vec![ScratchRule {
            path: "/tmp".into(),
            size_kib: 16384,
            because: because("\"x y\" made"),
            evidence: Evidence::Person,
        }],
        devices: vec![DeviceRule {
            path: "/dev/null".into(),
            device: Device::Null,
            because: because("read by named at start"),
            evidence: Evidence::Person,
        }],
        capabilities: vec![CapabilityRule {
            capability: 10,
            because: because("bind(127.0.0.1:53) at start"),
            evidence: Evidence::Person,
        }],
        calls: vec![CallRule {
            number: calls::number("openat").unwrap(),
            start_only: true,
            because: because("called by named at start and while it serves"),
            evidence: Evidence::read("observed: start 120, serve 3, by named, in soa-udp").unwrap(),
        }],
        families: vec![FamilyRule {
            family: 2,
            because: because("sockets made by named at start"),
            evidence: Evidence::Person,
        }],
        ports: vec![PortRule {
            direction: Direction::Bind,
            protocol: Protocol::Udp,
            port: 53,
            because: because("bound 127.0.0.1:53"),
            evidence: Evidence::Person,
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
            phase: Phase::Serve,
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
