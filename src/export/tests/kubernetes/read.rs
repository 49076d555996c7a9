//! The documents of a file, and what they say.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};

use crate::export::kubernetes::{Content, Held, Options};
use crate::export::{Exported, Item, Subject, item};
use crate::spec::{Direction, Protocol, Ready, Spec};

/// The documents of a file.
pub fn read(text: &str) -> Vec<Value> {
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
pub struct Read<'a> {
    subject: &'a Subject<'a>,
    options: &'a Options,
    documents: Vec<Value>,
}

impl<'a> Read<'a> {
    pub fn of(subject: &'a Subject<'a>, options: &'a Options, exported: &Exported) -> Self {
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

    pub fn workload(&self) -> &Value {
        self.documents.last().unwrap()
    }

    pub fn pod(&self) -> &Value {
        &self.workload()["spec"]["template"]["spec"]
    }

    pub fn container(&self) -> &Value {
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

    pub fn policy(&self) -> &Value {
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
    pub fn says(&self, item: &Item) -> bool {
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
                    == json!(spec.limits.memory.unwrap().to_string())
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
            | Item::NoWritableExecutable => {
                container["securityContext"]["seccompProfile"]["type"] == "Localhost"
            }
            _ => false,
        }
    }

    /// Each place has its mount, and what a person configures is in it.
    pub fn has_places(&self) -> Result<(), TestCaseError> {
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
    pub fn is_valid(&self) -> Result<(), TestCaseError> {
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
    pub fn level(&self) -> &'static str {
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
        if container["securityContext"]["seccompProfile"]["type"] == "Unconfined"
            || !only(&BASELINE)
            || host
        {
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

/// What its objects are called.
pub fn kubernetes_name(spec: &Spec) -> String {
    spec.name.replace('_', "-")
}
