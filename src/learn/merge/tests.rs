use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::learn::trace::{IdsSeen, Phase, SocketUse, Use};

fn phase() -> impl Strategy<Value = Phase> {
    select(vec![Phase::Start, Phase::Serve])
}

fn witness() -> impl Strategy<Value = Witness> {
    let names = || btree_set("[a-c]", 0..3);
    (names(), names(), 0..9u64, 0..9u64, 1..3u32).prop_map(
        |(programs, exercises, start, serve, runs)| Witness {
            programs,
            exercises,
            start,
            serve,
            runs,
        },
    )
}

fn paths() -> impl Strategy<Value = Vec<PathSeen>> {
    let kinds = vec![PathKind::File, PathKind::Missing, PathKind::Directory];
    let one = (
        select(kinds),
        btree_set(select(vec![Use::Read, Use::Create, Use::Delete]), 0..3),
        btree_set("/[a-d]".prop_map(PathBuf::from), 0..3),
        phase(),
        witness(),
    );
    btree_map("/[a-e]", one, 0..5).prop_map(|paths| {
        let path = |(host, (kind, uses, asked, phase, witness)): (String, _)| PathSeen {
            host: host.into(),
            asked,
            links: vec![("/l".into(), "m".into())],
            kind,
            device: None,
            uses,
            failures: BTreeSet::from([(Use::Look, 2)]),
            phase,
            count: 3,
            witness,
        };
        paths.into_iter().map(path).collect()
    })
}

fn trace() -> impl Strategy<Value = Trace> {
    let calls = btree_map((0..4u32, phase()), (1..9u64, witness()), 0..6);
    let sockets = btree_map(1..4u16, (phase(), witness()), 0..3);
    let capabilities = btree_map((0..3u8, phase()), witness(), 0..3);
    let arguments = btree_map((0..3u32, phase(), 0..3u64), 1..9u64, 0..5);
    let gaps = btree_set("[a-c]", 0..2);
    (calls, paths(), sockets, capabilities, arguments, gaps).prop_map(
        |(calls, paths, sockets, capabilities, arguments, gaps)| {
            let mut trace = Trace {
                command: vec!["/usr/sbin/web".to_owned()],
                calls: calls
                    .into_iter()
                    .map(|((number, phase), (count, witness))| CallSeen {
                        number,
                        name: format!("call{number}"),
                        phase,
                        count,
                        witness,
                    })
                    .collect(),
                arguments: arguments
                    .into_iter()
                    .map(|((number, phase, value), count)| ArgumentsSeen {
                        number,
                        name: format!("call{number}"),
                        phase,
                        values: vec![value],
                        count,
                    })
                    .collect(),
                paths,
                sockets: sockets
                    .into_iter()
                    .map(|(port, (phase, witness))| SocketSeen {
                        action: SocketUse::Bind,
                        family: 2,
                        kind: 1,
                        protocol: 0,
                        address: "127.0.0.1".to_owned(),
                        port,
                        phase,
                        witness,
                    })
                    .collect(),
                capabilities: capabilities
                    .into_iter()
                    .map(|((capability, phase), witness)| CapabilitySeen {
                        capability,
                        call: "bind".to_owned(),
                        phase,
                        count: 1,
                        known: Known::Asked,
                        refused: false,
                        user: 0,
                        witness,
                    })
                    .collect(),
                ids: vec![IdsSeen {
                    uids: [0; 4],
                    gids: [0; 4],
                    groups: Vec::new(),
                    phase: Phase::Start,
                }],
                ..Trace::default()
            };
            trace.certificate.complete = gaps.is_empty();
            trace.certificate.gaps = gaps.into_iter().collect();
            trace.certificate.runs = 1;
            trace.certificate.kernel = "6.1".to_owned();
            trace
        },
    )
}

/// The things in a trace, without how often they were seen.
fn things(trace: &Trace) -> (BTreeSet<String>, BTreeSet<PathBuf>) {
    let calls = trace.calls.iter().map(|seen| format!("{:?}", seen.key()));
    let arguments = trace
        .arguments
        .iter()
        .map(|seen| format!("{:?}", seen.key()));
    let sockets = trace.sockets.iter().map(|seen| format!("{:?}", seen.key()));
    let capabilities = trace
        .capabilities
        .iter()
        .map(|seen| format!("{:?}", seen.key()));
    let all = calls.chain(arguments).chain(sockets).chain(capabilities);
    let paths = trace.paths.iter().map(|seen| seen.host.clone());
    (all.collect(), paths.collect())
}

/// Lists that keep the order of their making, in one of their own.
fn ordered(mut trace: Trace) -> Trace {
    trace
        .certificate
        .exercises
        .sort_by(|a, b| a.name.cmp(&b.name));
    for path in &mut trace.paths {
        path.links.sort();
    }
    trace
}

proptest! {
    #[test]
    fn the_order_does_not_matter(one in trace(), other in trace()) {
        let there = merge(one.clone(), other.clone()).unwrap();
        let back = merge(other, one).unwrap();
        prop_assert_eq!(ordered(there), ordered(back));
    }

    #[test]
    fn nor_does_what_is_merged_first(a in trace(), b in trace(), c in trace()) {
        let left = merge(merge(a.clone(), b.clone()).unwrap(), c.clone()).unwrap();
        let right = merge(a, merge(b, c).unwrap()).unwrap();
        prop_assert_eq!(ordered(left), ordered(right));
    }

    #[test]
    fn nothing_is_added_or_lost(one in trace(), other in trace()) {
        let both = merge(one.clone(), other.clone()).unwrap();
        let (mut seen, mut paths) = things(&one);
        let more = things(&other);
        seen.extend(more.0);
        paths.extend(more.1);
        prop_assert_eq!(things(&both), (seen, paths));
        prop_assert_eq!(both.certificate.complete, one.certificate.complete && other.certificate.complete);
        let sum = |trace: &Trace| trace.calls.iter().map(|seen| seen.count).sum::<u64>();
        prop_assert_eq!(sum(&both), sum(&one) + sum(&other));
    }

    /// The same again shows nothing new, only more often.
    #[test]
    fn twice_the_same_is_the_same(one in trace()) {
        let twice = merge(one.clone(), one.clone()).unwrap();
        prop_assert_eq!(things(&twice), things(&one));
        prop_assert_eq!(twice.certificate.runs, 2 * one.certificate.runs);
        for (both, seen) in twice.paths.iter().zip(&one.paths) {
            prop_assert_eq!(both.witness.runs, 2 * seen.witness.runs);
            prop_assert_eq!(both.kind, seen.kind);
            prop_assert_eq!(&both.uses, &seen.uses);
            prop_assert_eq!(&both.links, &seen.links);
        }
    }
}

#[test]
fn other_commands_are_refused() {
    let one = Trace {
        command: vec!["a".to_owned()],
        ..Trace::default()
    };
    let error = merge(one, Trace::default()).unwrap_err();
    assert!(error.to_string().contains("different commands"), "{error}");
}

#[test]
fn what_one_run_left_is_there() {
    let seen = |kind| PathSeen {
        host: "/run/web.pid".into(),
        asked: BTreeSet::new(),
        links: Vec::new(),
        kind,
        device: None,
        uses: BTreeSet::new(),
        failures: BTreeSet::new(),
        phase: Phase::Serve,
        count: 1,
        witness: Witness::default(),
    };
    for (one, other) in [
        (PathKind::Missing, PathKind::File),
        (PathKind::File, PathKind::Missing),
    ] {
        let mut path = seen(one);
        path.add(seen(other));
        assert_eq!(
            (path.kind, path.count, path.witness.runs),
            (PathKind::File, 2, 2)
        );
    }
}

#[test]
fn capabilities_are_known_by_rule_if_one_trace_knows_them_so() {
    let trace = |capabilities, by_rule: &str| Trace {
        certificate: Certificate {
            capabilities,
            by_rule: by_rule.to_owned(),
            ..Certificate::default()
        },
        ..Trace::default()
    };
    let asked = trace(CapabilitySource::KernelEvent, "");
    let ruled = trace(CapabilitySource::Rule, "old kernel");
    let both = merge(asked.clone(), asked.clone()).unwrap().certificate;
    assert_eq!(both.capabilities, CapabilitySource::KernelEvent);
    let both = merge(asked, ruled).unwrap().certificate;
    assert_eq!(both.capabilities, CapabilitySource::Rule);
    assert_eq!(both.by_rule, "old kernel");
}
