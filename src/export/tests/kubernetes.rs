//! What the objects say is read back here by other code than what wrote it.

mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::oci::{argument, same_filter};
use super::{accounted, built, subject, tame};
use crate::build::{EntryKind, Manifest};
use crate::export::kubernetes::{self, Configuration, Content, Held, Options};
use crate::spec::{Demand, Direction, Exercise, Protocol, Spec, generate};
use read::{Read, kubernetes_name, read};

/// What a person may have configured: of each kind some.
fn configured(spec: &Spec, manifest: &Manifest) -> Configuration {
    let binds = spec
        .binds
        .iter()
        .enumerate()
        .filter(|(_, bind)| !bind.writable);
    let held = binds.map(|(at, bind)| {
        let path = &bind.path;
        let text = Content::Text(bind.because.clone());
        let is_file = manifest.entry(path).is_some_and(|it| it.size.is_some());
        let held = match at % 4 {
            0 => Held::Unfit("a test".to_owned()),
            _ if is_file => Held::Files(BTreeMap::from([(path.clone(), text)])),
            1 => Held::Files(BTreeMap::from([
                (path.join("a b"), text),
                (path.join("a_b"), Content::Secret),
            ])),
            _ => Held::Files(BTreeMap::from([
                (path.join("sub/a"), text.clone()),
                (path.join("sub_a"), text),
            ])),
        };
        (path.clone(), held)
    });
    let files = spec.files.iter().enumerate();
    let tree = files.map(|(at, rule)| match at % 2 {
        0 => (rule.path.clone(), Content::Text(rule.because.clone())),
        _ => (rule.path.clone(), Content::Secret),
    });
    Configuration {
        binds: held.collect(),
        tree: tree.collect(),
    }
}

/// The policy lets through the ports of the spec and no others.
fn has_no_other_port(spec: &Spec, policy: &Value) -> Result<(), TestCaseError> {
    for (direction, rules) in [
        (Direction::Bind, &policy["ingress"]),
        (Direction::Connect, &policy["egress"]),
    ] {
        let rules = rules.as_array().unwrap().iter();
        let ports = rules.flat_map(|rule| rule["ports"].as_array().unwrap());
        let port = |it: &Value| (it["protocol"] == "TCP", it["port"].as_u64());
        let said: BTreeSet<_> = ports.map(port).collect();
        let wanted = spec.ports.iter().filter(|rule| {
            // Which one that is free it will bind nobody knows.
            rule.direction == direction && (rule.port != 0 || direction == Direction::Connect)
        });
        let wanted = wanted.map(|rule| {
            let port = (rule.port != 0).then_some(u64::from(rule.port));
            (rule.protocol == Protocol::Tcp, port)
        });
        prop_assert_eq!(said, wanted.collect());
    }
    prop_assert_eq!(&policy["policyTypes"], &json!(["Ingress", "Egress"]));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn each_item_is_said_or_a_gap(
        spec in generate::spec(),
        arguments in prop::array::uniform6(argument()),
        old: bool,
        pinned: bool,
    ) {
        let spec = tame(spec);
        let mut manifest = built(&spec);
        for entry in manifest.entries.iter_mut().step_by(3) {
            if entry.kind == EntryKind::Mountpoint {
                entry.size = Some(0);
            }
        }
        let subject = subject(&spec, &manifest);
        let image = pinned.then(|| format!("registry.example/web@sha256:{}", "0".repeat(64)));
        let options = Options {
            version: old.then_some((1, 30)),
            image,
            configuration: configured(&spec, &manifest),
        };
        let exported = kubernetes::export(subject, &options).unwrap();
        let written = Read::of(&subject, &options, &exported);
        accounted(&spec, &exported, |item| written.says(item))?;
        written.has_places()?;
        written.is_valid()?;
        has_no_other_port(&spec, written.policy())?;
        let label = format!("pod-security.kubernetes.io/enforce: {}\n", written.level());
        prop_assert!(exported.files[0].text.contains(&label), "{}", label);
        if spec.protections.seccomp == Demand::Off {
            prop_assert_eq!(exported.files.len(), 1);
        } else {
            let filter: Value = serde_json::from_str(&exported.files[1].text).unwrap();
            same_filter(&subject, &filter, arguments)?;
            let object = &read(&exported.files[2].text)[0]["spec"];
            prop_assert_eq!(&object["syscalls"], &filter["syscalls"]);
            prop_assert_eq!(&object["defaultAction"], &filter["defaultAction"]);
            // It has no word for the number, which is then this one.
            prop_assert_eq!(&filter["defaultErrnoRet"], 1);
            let place = &written.container()["securityContext"]["seccompProfile"]["localhostProfile"];
            let file = &exported.files[1];
            prop_assert!(file.install.ends_with(place.as_str().unwrap()));
            // The same file, for podman.
            let annotations = &written.workload()["spec"]["template"]["metadata"]["annotations"];
            let key = format!("container.seccomp.security.alpha.kubernetes.io/{}", kubernetes_name(&spec));
            let place = annotations[key].as_str().unwrap().strip_prefix("localhost/");
            prop_assert_eq!(file.path.file_name().unwrap().to_str(), place);
        }
    }
}

fn example() -> (Spec, Manifest, Options) {
    let (spec, manifest) = super::example();
    let place = PathBuf::from("/etc/example");
    let files = BTreeMap::from([
        (
            place.join("example.conf"),
            Content::Text("listen 53;\nzones \"/var/cache/example\";\n".to_owned()),
        ),
        (place.join("keys/rndc.key"), Content::Secret),
    ]);
    let configuration = Configuration {
        binds: BTreeMap::from([(place, Held::Files(files))]),
        tree: BTreeMap::new(),
    };
    let options = Options {
        configuration,
        ..Options::default()
    };
    (spec, manifest, options)
}

#[test]
fn the_objects_of_an_example() {
    let (spec, manifest, options) = example();
    let exported = kubernetes::export(subject(&spec, &manifest), &options).unwrap();
    insta::assert_snapshot!(super::shown(&exported));
}

#[test]
fn a_request_that_must_succeed_becomes_a_probe() {
    let (mut spec, manifest, options) = example();
    let mut probe = |command: &str| {
        spec.exercises = vec![Exercise {
            name: "get".to_owned(),
            command: command.split(' ').map(str::to_owned).collect(),
            expect: 0,
            output: String::new(),
            phase: crate::learn::trace::Phase::Serve,
            because: "a test".to_owned(),
        }];
        let exported = kubernetes::export(subject(&spec, &manifest), &options).unwrap();
        read(&exported.files[0].text).last().unwrap()["spec"]["template"]["spec"]["containers"][0]
            ["readinessProbe"]
            .clone()
    };
    let asked = probe("curl -sf http://127.0.0.1:53/a?b");
    assert_eq!(asked["httpGet"]["path"], "/a?b");
    assert_eq!(asked["httpGet"]["port"], 53);
    assert_eq!(asked["httpGet"]["httpHeaders"][0]["value"], "127.0.0.1:53");
    for other in [
        // It succeeds with any answer.
        "curl -s http://127.0.0.1:53/",
        "curl -f -d x http://127.0.0.1:53/",
        "curl -f https://127.0.0.1:53/",
        "curl -f http://192.0.2.1:53/",
        "curl -f http://127.0.0.1:54/",
        "wget -f http://127.0.0.1:53/",
    ] {
        assert_eq!(probe(other)["tcpSocket"]["port"], 53, "{other}");
    }
}

#[test]
fn who_waits_at_loopback_is_told() {
    let (mut spec, manifest, options) = example();
    let told = |spec: &Spec| {
        let exported = kubernetes::export(subject(spec, &manifest), &options).unwrap();
        let mut gaps = exported.gaps.into_iter();
        gaps.any(|gap| {
            gap.why.contains("at loopback") && gap.items == ["bind tcp 53", "bind udp 53"]
        })
    };
    assert!(!told(&spec));
    spec.service
        .command
        .extend(["-l", "127.0.0.1"].map(str::to_owned));
    assert!(told(&spec));
}

#[test]
fn what_no_cluster_takes_is_refused() {
    let (mut spec, manifest, options) = example();
    let refused = |spec: &Spec, options: &Options| {
        let error = kubernetes::export(subject(spec, &manifest), options).unwrap_err();
        error.why().to_owned()
    };
    let old = Options {
        version: Some((1, 26)),
        ..options.clone()
    };
    assert!(refused(&spec, &old).contains("the oldest"));
    let image = Options {
        image: Some("a b".to_owned()),
        ..options.clone()
    };
    assert!(refused(&spec, &image).contains("no name of an image"));
    spec.service
        .environment
        .insert("a b".to_owned(), String::new());
    assert!(refused(&spec, &options).contains("takes names"));
    spec.service.environment.clear();
    spec.scratch[0].path = "/a:b".into();
    assert!(refused(&spec, &options).contains("colon"));
    spec.name = "7up".to_owned();
    assert!(refused(&spec, &options).contains("begins with a letter"));
}
