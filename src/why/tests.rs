use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::build::{Entry, EntryKind, Manifest};
use crate::learn::trace::{CallFailed, CapabilitySeen, Known, PathKind, Phase, Use, Witness};
use crate::learn::{Refused, Trace};
use crate::run::{Complaint, ComplaintRecord, Reached};
use crate::spec::{self, Allowance, CapabilityRule, Spec, parse};
use crate::sys::{abi, calls, caps};

const SPEC: &str = r#"
format = 1
name = "x"
[service]
command = ["/usr/bin/x"]
user = "games"
group = "games"
[limits]
memory_bytes = 1000000
processes = 4
[[tree.binds]]
path = "/srv/ro"
writable = false
because = "a test"
[[allow.calls]]
call = "clone"
because = "a test"
[[allow.calls]]
call = "mmap"
because = "a test"
"#;

fn spec() -> Spec {
    parse(SPEC, "x.toml").unwrap()
}

/// What is explained of a run and of complaints, in a jail of an empty tree.
fn of(
    run: Option<&Trace>,
    refused: &[Refused],
    record: Option<&ComplaintRecord>,
    reached: Reached,
) -> Vec<Denial> {
    let spec = spec();
    let manifest = Manifest::default();
    explain(&Evidence {
        spec: &spec,
        wanted: &spec,
        run,
        refused,
        drift: &[],
        complaints: record,
        said: &[],
        places: &Places::default(),
        inside: Some(Inside {
            manifest: &manifest,
            uid: 5,
            gid: 60,
            groups: &[],
            has_mounts: true,
            has_landlock: true,
        }),
        reached,
        host: HostLimits::default(),
    })
}

fn failed(name: &str, errno: i32) -> CallFailed {
    CallFailed {
        number: calls::number(name).unwrap_or(7),
        name: name.to_owned(),
        errno,
        count: 1,
        thread: "worker".to_owned(),
        ..CallFailed::default()
    }
}

fn of_calls(calls: Vec<CallFailed>, reached: Reached) -> Vec<Denial> {
    let run = Trace {
        failed: calls,
        ..Trace::default()
    };
    of(Some(&run), &[], None, reached)
}

fn complaint(name: &str, arguments: [u64; 6], architecture: u32) -> Complaint {
    Complaint {
        architecture,
        number: calls::number(name).unwrap(),
        arguments,
        instruction: 0x1234,
        thread: 1,
        program: "x".to_owned(),
        serving: true,
        count: 2,
    }
}

#[test]
fn complaints_are_denials_of_their_own() {
    let native = crate::sys::ptrace::NATIVE_ARCH;
    let record = ComplaintRecord {
        complaints: vec![
            complaint("getpriority", [0; 6], native),
            complaint("mmap", [0, 0, 7, 0, 0, 0], native),
            complaint("clone", [0x1000_0000, 0, 0, 0, 0, 0], native),
            // int 0x80: the same number is another call.
            complaint("getpriority", [0; 6], 0x4000_0003),
        ],
        not_told_apart: 0,
    };
    let denials = of(None, &[], Some(&record), Reached::default());
    let found: Vec<(&str, bool)> = denials
        .iter()
        .map(|one| (one.subject.as_str(), one.is_safe()))
        .collect();
    let expected = [
        ("call getpriority", true),
        ("service.writable_executable", false),
        ("call clone (its arguments)", false),
        ("call 140 of i386", false),
    ];
    assert_eq!(found, expected, "{denials:#?}");
    assert!(denials[0].cause.contains("0x1234") && denials[0].cause.contains("several times"));
    assert_eq!(denials[2].remedy, Remedy::None);
    assert!(denials[3].matters(), "there is something to do about it");
}

#[test]
fn the_kernel_s_counts_tell_whose_limit_it_was() {
    let none = Reached::default();
    let subject = |denials: &[Denial]| denials[0].subject.clone();
    let clone = || vec![failed("clone", abi::EAGAIN)];
    assert_eq!(subject(&of_calls(clone(), none)), "RLIMIT_NPROC");
    let counted = Reached {
        processes: 1,
        ..none
    };
    let denials = of_calls(clone(), counted);
    assert_eq!(denials[0].remedy, Remedy::Limit(Limit::Processes, 8));
    let killed = Reached {
        memory_kills: 1,
        ..none
    };
    let denials = of_calls(Vec::new(), killed);
    assert_eq!(denials[0].remedy, Remedy::Limit(Limit::Memory, 2_000_000));
    assert!(!denials[0].is_safe());
    // More than the host gives out is not the jail's doing.
    let denials = of_calls(vec![failed("mmap", abi::ENOMEM)], none);
    assert_eq!(
        (denials[0].subject.as_str(), &denials[0].remedy),
        ("memory", &Remedy::None)
    );
    assert!(of_calls(vec![failed("read", abi::EAGAIN)], none).is_empty());
}

#[test]
fn huge_pages_that_a_host_lacks_do_not_matter_and_hide_nothing() {
    let huge = CallFailed {
        arguments: [0, 1 << 28, 3, 0x40021, 0, 0],
        ..failed("mmap", abi::ENOMEM)
    };
    let denials = of_calls(vec![huge, failed("mmap", abi::ENOMEM)], Reached::default());
    let told: Vec<(&str, bool)> = denials
        .iter()
        .map(|denial| (denial.subject.as_str(), denial.matters()))
        .collect();
    assert_eq!(told, [("huge pages", false), ("memory", true)]);
}

#[test]
fn a_capability_is_not_blamed_for_the_mode_bits_of_a_tree_that_differs() {
    let spec = spec();
    let mut wanted = spec.clone();
    for name in ["DAC_OVERRIDE", "NET_RAW"] {
        wanted.capabilities.push(CapabilityRule {
            capability: caps::number(name).unwrap(),
            because: String::new(),
            evidence: spec::Evidence::default(),
        });
    }
    let refused = |name: &str| CapabilitySeen {
        capability: caps::number(name).unwrap(),
        call: "openat(/etc/localtime)".to_owned(),
        phase: Phase::Start,
        count: 1,
        known: Known::Asked,
        refused: true,
        user: 5,
        witness: Witness::default(),
    };
    let run = Trace {
        capabilities: vec![refused("DAC_OVERRIDE"), refused("NET_RAW")],
        ..Trace::default()
    };
    let drift = [("/etc".to_owned(), "mode is 0644, not 0755".to_owned())];
    let subjects = |drift: &[(String, String)]| -> Vec<String> {
        let denials = explain(&Evidence {
            spec: &spec,
            wanted: &wanted,
            run: Some(&run),
            refused: &[],
            drift,
            complaints: None,
            said: &[],
            places: &Places::default(),
            inside: None,
            reached: Reached::default(),
            host: HostLimits::default(),
        });
        denials.into_iter().map(|denial| denial.subject).collect()
    };
    assert_eq!(subjects(&drift), ["/etc", "CAP_NET_RAW"]);
    assert_eq!(subjects(&[]), ["CAP_DAC_OVERRIDE", "CAP_NET_RAW"]);
}

#[test]
fn what_the_spec_has_was_not_the_filter() {
    assert_eq!(
        of_calls(vec![failed("mmap", abi::EPERM)], Reached::default()),
        []
    );
}

fn refused(path: &Path, used: Use, errno: i32) -> Refused {
    Refused {
        asked: path.to_owned(),
        host: path.to_owned(),
        links: Vec::new(),
        kind: PathKind::File,
        device: None,
        failures: BTreeSet::from([(used, errno)]),
        phase: Phase::Serve,
        count: 1,
        witness: Witness::default(),
    }
}

fn entry(path: &str, kind: EntryKind, mode: &str) -> Entry {
    Entry {
        path: path.into(),
        kind,
        source: None,
        sha256: None,
        uid: 0,
        gid: 0,
        mode: mode.to_owned(),
        target: None,
        device: None,
        size: None,
        reason: String::new(),
    }
}

#[test]
fn who_decided_about_a_path() {
    let spec = spec();
    let manifest = Manifest {
        entries: vec![
            entry("/", EntryKind::Directory, "0755"),
            entry("/a", EntryKind::Directory, "0755"),
            entry("/a/closed", EntryKind::File, "0640"),
            entry("/a/open", EntryKind::File, "0644"),
        ],
    };
    let inside = Inside {
        manifest: &manifest,
        uid: 5,
        gid: 60,
        groups: &[],
        has_mounts: true,
        has_landlock: true,
    };
    let ask = |inside: &Inside<'_>, path: &str, used, errno| {
        let refused = refused(Path::new(path), used, errno);
        decides::decider(&spec, inside, &refused, (used, errno))
    };
    let mode = |found: Option<Decider>| matches!(found, Some(Decider::Mode { .. }));
    assert!(mode(ask(&inside, "/a/closed", Use::Read, abi::EACCES)));
    let in_group = Inside {
        groups: &[0],
        ..inside
    };
    let landlock = |right| Some(Decider::Landlock(right));
    assert_eq!(
        ask(&in_group, "/a/closed", Use::Read, abi::EACCES),
        landlock("fs.read_file")
    );
    assert_eq!(
        ask(&inside, "/a/open", Use::Read, abi::EACCES),
        landlock("fs.read_file")
    );
    let without = Inside {
        has_landlock: false,
        ..inside
    };
    assert_eq!(ask(&without, "/a/open", Use::Read, abi::EACCES), None);
    assert_eq!(
        ask(&inside, "/a/open", Use::Write, abi::EROFS),
        Some(Decider::ReadOnlyRoot)
    );
    assert_eq!(
        ask(&inside, "/srv/ro/x", Use::Write, abi::EROFS),
        Some(Decider::ReadOnlyBind("/srv/ro".into()))
    );
    assert_eq!(ask(&inside, "/a/open", Use::Read, abi::ENOENT), None);
    assert!(matches!(
        ask(&inside, "/a/open", Use::Change, abi::EPERM),
        Some(Decider::Owner { owner: 0, .. })
    ));
}

#[test]
fn who_asks_decides_whether_it_is_safe() {
    let call = Allowance::all_of(&spec())
        .into_iter()
        .find(|one| one.name() == "call mmap");
    let remedy = Remedy::Allow(call.into_iter().collect());
    let safe = |source| Denial::new(source, "call mmap", "", remedy.clone()).is_safe();
    assert!(safe(Source::Run) && safe(Source::Complaint));
    assert!(!safe(Source::Output) && !safe(Source::Audit));
}

#[test]
fn one_port_is_safe_and_any_port_is_not() {
    let safe = |port| {
        let rule = crate::spec::PortRule {
            direction: crate::spec::Direction::Connect,
            protocol: crate::spec::Protocol::Tcp,
            port,
            because: String::new(),
            evidence: crate::spec::Evidence::Person,
        };
        let remedy = Remedy::Allow(vec![Allowance::Port(rule)]);
        Denial::new(Source::Run, "port", "", remedy).is_safe()
    };
    assert_eq!((safe(25), safe(0)), (true, false));
}

#[test]
fn beneath_a_bind_nothing_is_hidden() {
    let bind = spec().binds.first().unwrap().path.clone();
    let seen = |path: PathBuf| {
        let refused = refused(&path, Use::Delete, abi::ENOENT);
        of(None, &[refused], None, Reached::default()).len()
    };
    assert_eq!(seen(bind.join("pid")), 0);
    assert_eq!(seen(PathBuf::from("/nowhere/pid")), 1);
}
