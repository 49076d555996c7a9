//! What the objects say is read back here by other code than what wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

use super::oci::{argument, same_filter};
use super::{accounted, built, subject, tame};
use crate::build::{EntryKind, Manifest};
use crate::export::kubernetes::{self, Configuration, Content, Held, Options};
use crate::export::{Exported, Item, Subject, item};
use crate::spec::{Demand, Direction, Exercise, Protocol, Ready, Spec, generate};

/// The documents of a file.
fn read(text: &str) -> Vec<Value> {
    let all = Yaml::load_from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    all.iter().map(value).collect()
}

fn value(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(it)) => json!(it),
        Yaml::Value(Scalar::Integer(it)) => json!(it),
        Yaml::Value(Scalar::String(it)) => json!(it),
        Yaml::Sequence(all) => all.iter().map(value).collect(),
        Yaml::Mapping(all) => {
            let key = |yaml: &Yaml<'_>| yaml.as_str().unwrap().to_owned();
            let pairs = all.iter().map(|(name, it)| (key(name), value(it)));
            Value::Object(pairs.collect())
        }
        other => panic!("{other:?}"),
    }
}

/// Everything that was written.
struct Read<'a> {
    subject: &'a Subject<'a>,
    options: &'a Options,
    documents: Vec<Value>,
}

impl<'a> Read<'a> {
    fn of(subject: &'a Subject<'a>, options: &'a Options, exported: &Exported) -> Self {
        Self {
            subject,
            options,
            documents: read(&exported.files[0].text),
        }
    }

    fn object(&self, kind: &str, name: &str) -> &Value {
        let mut all = self.documents.iter();
        let is = |it: &&Value| it["kind"] == kind && it["metadata"]["name"] == name;
        all.find(is).unwrap_or(&Value::Null)
    }

    fn workload(&self) -> &Value {
        self.documents.last().unwrap()
    }

    fn pod(&self) -> &Value {
        &self.workload()["spec"]["template"]["spec"]
    }

    fn container(&self) -> &Value {
        let all = self.pod()["containers"].as_array().unwrap();
        assert_eq!(all.len(), 1);
        &all[0]
    }

    /// What is mounted at a path.
    fn mount(&self, path: &Path) -> Option<&Value> {
        let mounts = self.container()["volumeMounts"].as_array()?;
        mounts
            .iter()
            .find(|it| it["mountPath"] == path.to_str().unwrap())
    }

    fn volume(&self, mount: &Value) -> &Value {
        let all = self.pod()["volumes"].as_array().into_iter().flatten();
        let mut all = all.filter(|it| it["name"] == mount["name"]);
        all.next().unwrap_or(&Value::Null)
    }

    fn policy(&self) -> &Value {
        let is = |it: &&Value| it["kind"] == "NetworkPolicy";
        &self.documents.iter().find(is).unwrap()["spec"]
    }

    /// Whether the policy lets this through.
    fn lets(&self, direction: Direction, protocol: Protocol, port: u16) -> bool {
        let rules = match direction {
            Direction::Bind => &self.policy()["ingress"],
            Direction::Connect => &self.policy()["egress"],
        };
        let protocol = match protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        let ports = rules.as_array().unwrap().iter();
        let mut ports = ports.flat_map(|rule| rule["ports"].as_array().unwrap());
        ports.any(|it| it["protocol"] == protocol && (it["port"].is_null() || it["port"] == port))
    }

    fn probes(&self, kind: &str, port: u16) -> bool {
        let probe = &self.container()[kind];
        probe["tcpSocket"]["port"] == port || probe["httpGet"]["port"] == port
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each item")]
    fn says(&self, item: &Item) -> bool {
        let spec = self.subject.spec;
        let (pod, container) = (self.pod(), self.container());
        let user = &pod["securityContext"];
        let capabilities = &container["securityContext"]["capabilities"];
        let added = capabilities["add"].as_array().map_or(0, Vec::len);
        match item {
            Item::Command => {
                let words = [&container["command"], &container["args"]];
                let words = words.into_iter().flat_map(|it| it.as_array().cloned());
                let words = words.flatten();
                let words: Vec<String> = words.map(|it| meant(it.as_str().unwrap())).collect();
                words == self.subject.command_as_user()
            }
            Item::User if spec.service.start_as_root => {
                user["runAsUser"] == 0 && user["runAsNonRoot"] == false
            }
            Item::User => {
                user["runAsUser"] == self.subject.uid
                    && user["runAsGroup"] == self.subject.gid
                    && user["runAsNonRoot"] == true
            }
            Item::Groups => {
                let own = [Value::Null, json!(user["runAsGroup"])];
                user["supplementalGroups"] == json!(self.subject.groups)
                    && user["supplementalGroupsPolicy"] == "Strict"
                    && own.contains(&user["fsGroup"])
            }
            Item::WorkingDirectory => {
                container["workingDir"] == spec.service.workdir.to_str().unwrap()
            }
            Item::NoNewPrivileges => {
                container["securityContext"]["allowPrivilegeEscalation"] == false
            }
            Item::File(path) => {
                container["image"].as_str().unwrap().contains("@sha256:")
                    && !spec.files_in_scratch().any(|rule| rule.path == *path)
            }
            Item::Ready(Ready::Tcp(port)) => {
                self.probes("startupProbe", *port) && self.probes("readinessProbe", *port)
            }
            Item::Ready(Ready::Quiet(milliseconds)) => {
                let seconds = self.workload()["spec"]["minReadySeconds"].as_u64();
                seconds.unwrap_or(0) * 1000 >= u64::from(*milliseconds)
            }
            Item::Liveness => {
                let wanted = spec.liveness.as_ref().unwrap();
                let probe = &container["livenessProbe"];
                probe["failureThreshold"] == wanted.failures
                    && probe["periodSeconds"] == wanted.every_ms / 1000
                    && probe["timeoutSeconds"] == wanted.timeout_ms / 1000
            }
            Item::Capability(number) => {
                let name = item::capability(*number).replace("CAP_", "");
                let names = capabilities["add"].as_array().into_iter().flatten();
                user["runAsUser"] == 0 && names.into_iter().any(|it| *it == name)
            }
            Item::NoOtherCapability => {
                capabilities["drop"] == json!(["ALL"]) && added <= spec.capabilities.len()
            }
            Item::Limit("memory_bytes") => {
                container["resources"]["limits"]["memory"]
                    == spec.limits.memory.unwrap().to_string()
            }
            Item::Namespace(_) => ["hostIPC", "hostNetwork", "hostPID", "shareProcessNamespace"]
                .into_iter()
                .all(|key| pod[key] == false),
            Item::NoAbstractSocket => pod["hostNetwork"] == false,
            Item::Port(Direction::Bind, _, 0) => true,
            Item::Port(direction, protocol, port) => {
                let service = self.object("Service", &kubernetes_name(spec));
                let ports = service["spec"]["ports"].as_array().into_iter().flatten();
                let served = ports.into_iter().any(|it| it["port"] == *port);
                self.lets(*direction, *protocol, *port)
                    && (served || *direction == Direction::Connect)
            }
            // The filter is compared call by call.
            Item::Call(_)
            | Item::StartOnly(_)
            | Item::NoOtherCall
            | Item::NoOtherArchitecture
            | Item::Arguments(_)
            | Item::Family(_)
            | Item::NoOtherFamily
            | Item::NoWritableExecutable => user["seccompProfile"]["type"] == "Localhost",
            _ => false,
        }
    }

    /// Each place has its mount, and what a person configures is in it.
    fn has_places(&self) -> Result<(), TestCaseError> {
        let spec = self.subject.spec;
        for rule in &spec.scratch {
            let mount = self.mount(&rule.path).unwrap();
            let volume = self.volume(mount);
            prop_assert_eq!(&volume["emptyDir"]["medium"], "Memory");
            let limit = format!("{}Ki", rule.size_kib);
            prop_assert_eq!(&volume["emptyDir"]["sizeLimit"], &json!(limit));
        }
        for bind in &spec.binds {
            let entry = self.subject.manifest.entry(&bind.path);
            let is_file = entry.is_some_and(|it| it.size.is_some());
            let held = self.options.configuration.binds.get(&bind.path);
            match (bind.writable, held) {
                (true, _) => {
                    prop_assert_eq!(self.mount(&bind.path).is_some(), !is_file);
                    let mount = self.mount(&bind.path).unwrap_or(&Value::Null);
                    prop_assert!(mount["readOnly"] != true);
                }
                (false, Some(Held::Files(files))) => {
                    for (path, content) in files {
                        self.has_file(&bind.path, path, content)?;
                    }
                }
                (false, _) => {
                    prop_assert_eq!(self.mount(&bind.path).is_some(), !is_file);
                }
            }
        }
        for (path, content) in &self.options.configuration.tree {
            self.has_file(path, path, content)?;
        }
        Ok(())
    }

    /// Follows a file from its mount to the object that has it.
    fn has_file(&self, place: &Path, path: &Path, content: &Content) -> Result<(), TestCaseError> {
        let mount = self.mount(place).unwrap();
        prop_assert_eq!(&mount["readOnly"], true);
        let inside = match mount["subPath"].as_str() {
            Some(inside) => inside.to_owned(),
            None => path
                .strip_prefix(place)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        };
        let volume = self.volume(mount);
        let projected = volume["projected"]["sources"].as_array();
        let mut sources: Vec<&Value> = projected.into_iter().flatten().collect();
        sources.push(volume);
        let of = |kind: &str| -> Vec<(String, String)> {
            let found = sources.iter().map(|it| &it[kind]);
            let items = found.flat_map(|it| {
                let items = it["items"].as_array().into_iter().flatten();
                items.map(move |item| (it["name"].clone(), item))
            });
            let here = items.filter(|(_, item)| item["path"] == inside);
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            here.map(|(name, item)| (text(&name), text(&item["key"])))
                .collect()
        };
        match content {
            Content::Text(text) => {
                let (name, key) = &of("configMap")[0];
                prop_assert_eq!(&self.object("ConfigMap", name)["data"][key], text);
            }
            Content::Secret => {
                prop_assert_eq!(of("secret").len(), 1);
                prop_assert_eq!(of("configMap").len(), 0);
            }
        }
        Ok(())
    }

    /// What the API server would refuse.
    fn is_valid(&self) -> Result<(), TestCaseError> {
        let mounts = self.container()["volumeMounts"].as_array();
        let mounts: Vec<&Value> = mounts.into_iter().flatten().collect();
        let paths: BTreeSet<&str> = mounts
            .iter()
            .map(|it| it["mountPath"].as_str().unwrap())
            .collect();
        prop_assert_eq!(paths.len(), mounts.len());
        let volumes = self.pod()["volumes"].as_array().into_iter().flatten();
        let templates = &self.workload()["spec"]["volumeClaimTemplates"];
        let templates = templates
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| &it["metadata"]);
        let names: Vec<&str> = volumes
            .chain(templates)
            .map(|it| it["name"].as_str().unwrap())
            .collect();
        for mount in &mounts {
            let same = names.iter().filter(|name| mount["name"] == **name);
            prop_assert_eq!(same.count(), 1);
        }
        for name in names {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let ends = |c: char| c != '-';
            prop_assert!(name.len() < 64 && name.chars().all(plain));
            prop_assert!(name.starts_with(ends) && name.ends_with(ends));
        }
        let keeps = self.workload()["kind"] == "StatefulSet";
        prop_assert_eq!(
            keeps,
            !self.workload()["spec"]["volumeClaimTemplates"].is_null()
        );
        for object in &self.documents {
            for keys in object["data"].as_object().into_iter() {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                prop_assert!(keys.keys().all(|key| key.chars().all(plain)));
            }
        }
        Ok(())
    }

    /// The level of Pod Security by its own words (Pod Security Standards).
    fn level(&self) -> &'static str {
        const BASELINE: [&str; 13] = [
            "AUDIT_WRITE",
            "CHOWN",
            "DAC_OVERRIDE",
            "FOWNER",
            "FSETID",
            "KILL",
            "MKNOD",
            "NET_BIND_SERVICE",
            "SETFCAP",
            "SETGID",
            "SETPCAP",
            "SETUID",
            "SYS_CHROOT",
        ];
        let (pod, container) = (self.pod(), self.container());
        let added = &container["securityContext"]["capabilities"]["add"];
        let added: Vec<&str> = added
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| it.as_str().unwrap())
            .collect();
        let only = |allowed: &[&str]| added.iter().all(|name| allowed.contains(name));
        let user = &pod["securityContext"];
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        let host = volumes.into_iter().any(|it| !it["hostPath"].is_null());
        if user["seccompProfile"]["type"] == "Unconfined" || !only(&BASELINE) || host {
            return "privileged";
        }
        let restricted = only(&["NET_BIND_SERVICE"])
            && user["runAsNonRoot"] == true
            && user["runAsUser"] != 0
            && container["securityContext"]["allowPrivilegeEscalation"] == false
            && container["securityContext"]["capabilities"]["drop"] == json!(["ALL"]);
        if restricted { "restricted" } else { "baseline" }
    }
}

/// Text as the kubelet expands it, with nothing to replace.
fn meant(text: &str) -> String {
    let mut meant = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '$' {
            assert_eq!(rest.next(), Some('$'), "{text:?}");
        }
        meant.push(c);
    }
    meant
}

fn kubernetes_name(spec: &Spec) -> String {
    spec.name.replace('_', "-")
}

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
            let place = written.pod()["securityContext"]["seccompProfile"]["localhostProfile"].as_str();
            prop_assert!(exported.files[1].install.ends_with(place.unwrap()));
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
fn what_no_cluster_takes_is_refused() {
    let (mut spec, manifest, options) = example();
    let refused = |spec: &Spec, options: &Options| {
        let error = kubernetes::export(subject(spec, &manifest), options).unwrap_err();
        error.why().to_owned()
    };
    let old = Options {
        version: Some((1, 24)),
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
