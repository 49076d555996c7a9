//! What a unit says is read back here by other code than what wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::{accounted, built, subject, tame};
use crate::export::systemd::{self, OLDEST, Options};
use crate::export::{ExportedFile, Item, Root, Subject, item};
use crate::spec::{BindRule, Direction, Evidence, FileKind, FileRule, Protocol, Spec, generate};
use crate::sys::{calls, caps, families};

/// The values of each key of a unit file, as systemd takes them: an empty one forgets those before
/// it.
fn read(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') || line.starts_with('[') {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line:?}"));
        assert!(key.chars().all(|c| c.is_ascii_alphanumeric()), "{line:?}");
        assert!(!line.ends_with('\\'), "{line:?}");
        let values = keys.entry(key.to_owned()).or_default();
        match value {
            "" => values.clear(),
            value => values.push(value.replace("%%", "%")),
        }
    }
    keys
}

/// The words of a value: quotes and C escapes as `systemd.syntax(7)` has them.
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        let mut push = |bytes: &[u8]| word.get_or_insert_default().extend(bytes);
        match c {
            ' ' if !quoted => words.extend(word.take()),
            '"' => {
                quoted = !quoted;
                push(&[]);
            }
            '\\' => match rest.next().unwrap() {
                'n' => push(b"\n"),
                't' => push(b"\t"),
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    push(&[u8::from_str_radix(&digits, 16).unwrap()]);
                }
                other => push(other.to_string().as_bytes()),
            },
            c => push(c.to_string().as_bytes()),
        }
    }
    words.extend(word);
    let text = |word| String::from_utf8(word).unwrap();
    words.into_iter().map(text).collect()
}

struct Read<'a> {
    spec: &'a Spec,
    files: &'a [ExportedFile],
    options: &'a Options,
    keys: BTreeMap<String, Vec<String>>,
}

impl Read<'_> {
    fn values(&self, key: &str) -> &[String] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    fn value(&self, key: &str) -> &str {
        self.values(key).last().map_or("", String::as_str)
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.value(key) == value
    }

    fn has(&self, key: &str, word: &str) -> bool {
        let values = self.values(key).iter();
        values
            .flat_map(|value| value.split(' '))
            .any(|it| it == word)
    }

    fn has_path(&self, key: &str, path: &Path) -> bool {
        self.has(key, path.to_str().unwrap())
    }

    fn becomes_the_user(&self) -> bool {
        let service = &self.spec.service;
        let option = ["-u".to_owned(), service.user.clone()];
        !service.start_as_root && service.command.get(1..3) == Some(&option[..])
    }

    /// A call that is not made where the manager starts it as its user.
    fn is_for_the_user(&self, number: u32) -> bool {
        let ids = calls::number("setuid") == Some(number)
            || calls::CHANGE_IDS.contains(&item::call(number).as_str());
        let mut rules = self.spec.calls.iter();
        self.becomes_the_user() && ids && rules.any(|rule| rule.number == number && rule.start_only)
    }

    /// Whether the file says this, exactly.
    #[allow(clippy::too_many_lines, reason = "one arm for each item")]
    fn says(&self, item: &Item) -> bool {
        let spec = self.spec;
        let service = &spec.service;
        let on_tree = self.options.root == Root::Tree;
        match item {
            Item::Command => {
                let words = words(self.value("ExecStart"));
                let words: Vec<String> = words.iter().map(|word| word.replace("$$", "$")).collect();
                let mut command = service.command.clone();
                if self.becomes_the_user() {
                    assert_eq!(command.drain(1..3).count(), 2);
                }
                words == command
            }
            Item::User if service.start_as_root => self.is("User", "root"),
            Item::User => self.is("User", &service.user) && self.is("Group", &service.group),
            Item::Groups if service.start_as_root => true,
            Item::Groups => {
                let said: BTreeSet<&str> = self.value("SupplementaryGroups").split(' ').collect();
                let wanted: BTreeSet<&str> = service.groups.iter().map(String::as_str).collect();
                said.into_iter().filter(|name| !name.is_empty()).eq(wanted)
            }
            Item::WorkingDirectory => {
                self.is("WorkingDirectory", service.workdir.to_str().unwrap())
            }
            Item::Umask => u32::from_str_radix(self.value("UMask"), 8) == Ok(service.umask),
            Item::Environment => {
                let said = self.values("Environment").iter().flat_map(|it| words(it));
                let said: BTreeSet<String> = said.collect();
                let variables = service.environment.iter();
                let wanted: BTreeSet<String> = variables
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let mut names = service.environment.keys();
                said == wanted
                    && self.has("UnsetEnvironment", "INVOCATION_ID")
                        != service.environment.contains_key("INVOCATION_ID")
                    && !names.any(|name| self.has("UnsetEnvironment", name))
            }
            Item::Forks => self.is("Type", "forking") || self.is("Type", "notify"),
            Item::Ready(_) => self.is("Type", "notify"),
            Item::Reload => self.value("ExecReload").starts_with('+'),
            Item::Stop => self.is("TimeoutStopSec", &format!("{}s", service.stop_timeout_s)),
            Item::NoWritableExecutable => self.is("MemoryDenyWriteExecute", "yes"),
            Item::Socket(name) => {
                let line = format!("\nFileDescriptorName={name}\n");
                let mut files = self.files.iter();
                files.any(|file| {
                    file.text.contains(&line) && self.has("Sockets", file.path.to_str().unwrap())
                })
            }
            Item::File(_) => on_tree == self.keys.contains_key("RootDirectory") || !on_tree,
            Item::Bind(path, writable) => {
                let there = match (on_tree, writable) {
                    (false, _) => true,
                    (true, true) => self.has_path("BindPaths", path),
                    (true, false) => self.has_path("BindReadOnlyPaths", path),
                };
                // Of the unit's root: without the sign they would be the host's.
                let place = match on_tree {
                    true => format!("+{}", path.display()),
                    false => path.display().to_string(),
                };
                let forbidden = !on_tree || self.has("NoExecPaths", &place);
                there
                    && forbidden
                    && self.is("ProtectSystem", "strict")
                    && self.has("ReadWritePaths", &place) == *writable
            }
            Item::Scratch(path) => {
                let start = format!("{}:size=", path.display());
                let mut values = self.values("TemporaryFileSystem").iter();
                values.any(|value| value.starts_with(&start) && value.ends_with(",noexec"))
            }
            Item::Device(_) => false,
            Item::NothingElse => false,
            Item::Capability(number) => {
                let name = item::capability(*number);
                let opened = self.options.open_ports && name == "CAP_NET_BIND_SERVICE";
                self.has("CapabilityBoundingSet", &name) != opened
                    && (service.start_as_root || self.has("AmbientCapabilities", &name) != opened)
            }
            Item::NoOtherCapability => {
                let names: BTreeSet<u8> = spec
                    .capabilities
                    .iter()
                    .map(|rule| rule.capability)
                    .collect();
                let opened = usize::from(
                    self.options.open_ports
                        && caps::number("NET_BIND_SERVICE").is_some_and(|it| names.contains(&it)),
                );
                let said: BTreeSet<&String> = self.values("CapabilityBoundingSet").iter().collect();
                self.keys.contains_key("CapabilityBoundingSet")
                    && said.len() == names.len() - opened
            }
            Item::Call(number) => {
                let name = item::call(*number);
                self.has("SystemCallFilter", &name) != self.is_for_the_user(*number)
            }
            Item::NoOtherCall => false,
            Item::StartOnly(number) => self.is_for_the_user(*number),
            Item::NoOtherArchitecture => self.is("SystemCallArchitectures", "native"),
            Item::Arguments("clone") => self.is("RestrictNamespaces", "yes"),
            Item::Arguments("setgroups") => {
                let setgid = caps::number("SETGID").unwrap();
                let mut kept = spec.capabilities.iter();
                let number = calls::number("setgroups").unwrap();
                service.start_as_root
                    || self.is_for_the_user(number)
                    || kept.any(|rule| rule.capability == setgid)
            }
            Item::Arguments(_) | Item::Logged => false,
            Item::Family(number) => self.has("RestrictAddressFamilies", &item::family(*number)),
            Item::NoOtherFamily => {
                let said: BTreeSet<&String> =
                    self.values("RestrictAddressFamilies").iter().collect();
                let wanted: BTreeSet<u16> = spec.families.iter().map(|rule| rule.family).collect();
                let makes = |name: &str| {
                    let number = calls::number(name);
                    spec.calls.iter().any(|rule| Some(rule.number) == number)
                };
                let pairs = makes("socketpair")
                    && !wanted
                        .iter()
                        .any(|it| Some(*it) == families::number("unix"));
                !pairs
                    && match wanted.len() {
                        0 => self.is("RestrictAddressFamilies", "none") || !makes("socket"),
                        count => said.len() == count,
                    }
            }
            Item::Port(Direction::Connect, ..) => true,
            Item::Port(Direction::Bind, protocol, port) => {
                let protocol = match protocol {
                    Protocol::Tcp => "tcp",
                    Protocol::Udp => "udp",
                };
                !self.is("SocketBindDeny", "any")
                    || self.has("SocketBindAllow", protocol)
                    || self.has("SocketBindAllow", &format!("{protocol}:{port}"))
            }
            Item::NoOtherPort(..) => false,
            Item::Limit(name) => {
                let limits = &spec.limits;
                let (key, limit) = match *name {
                    "core" => ("LimitCORE", limits.core),
                    "descriptors" => ("LimitNOFILE", limits.descriptors),
                    "file_size" => ("LimitFSIZE", limits.file_size),
                    "memory_bytes" => ("MemoryMax", limits.memory),
                    _ => ("TasksMax", limits.processes),
                };
                self.is(key, &limit.unwrap().to_string())
            }
            Item::Namespace("ipc_namespace") => self.is("PrivateIPC", "yes"),
            Item::Namespace("uts_namespace") => self.is("ProtectHostname", "yes"),
            Item::Namespace("mount_namespace") => {
                self.is("PrivateMounts", "yes") || self.is("ProtectSystem", "strict")
            }
            Item::Namespace(_) => false,
            Item::NoNewPrivileges => self.is("NoNewPrivileges", "yes"),
            Item::Restart => {
                let when = self.value("Restart");
                when == spec.restart.when.name() || when == "no"
            }
            Item::Liveness => spec.liveness.as_ref().is_some_and(|liveness| {
                liveness.watchdog_ms.is_some() == self.keys.contains_key("WatchdogSec")
                    && liveness.command.is_empty()
            }),
            Item::Check | Item::Incidents | Item::HostPidFile => false,
            Item::Log => self.is("StandardOutput", "journal"),
            // A gap.
            Item::NoAbstractSocket | Item::NoPassedDirectory | Item::NothingBelieved => false,
        }
    }
}

fn options() -> impl Strategy<Value = Options> {
    (OLDEST..260, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(version, on_host, drop_in, open_ports)| Options {
            version,
            root: if on_host { Root::Host } else { Root::Tree },
            drop_in: drop_in.then(|| "web.service".to_owned()),
            open_ports,
        },
    )
}

proptest! {
    /// For every item of a spec, either the file says it or a gap does.
    #[test]
    fn each_item_is_said_or_a_gap(spec in generate::spec(), options in options()) {
        let spec = tame(spec);
        let manifest = built(&spec);
        let subject = subject(&spec, &manifest);
        let mut options = options;
        let mut exported = systemd::export(subject, &options);
        if let Err(error) = &exported {
            // Only whether low ports can be opened depends on what was generated.
            prop_assert!(options.open_ports, "{error}");
            options.open_ports = false;
            exported = systemd::export(subject, &options);
        }
        let exported = exported.unwrap();
        let read = Read {
            spec: &spec,
            files: &exported.files,
            options: &options,
            keys: read(&exported.files[0].text),
        };
        accounted(&spec, &exported, |item| read.says(item))?;
    }
}

#[test]
fn the_unit_of_an_example() {
    let (spec, manifest) = super::example();
    let options = Options {
        version: 252,
        root: Root::Tree,
        drop_in: None,
        open_ports: false,
    };
    let exported = systemd::export(subject(&spec, &manifest), &options).unwrap();
    insta::assert_snapshot!(super::shown(&exported));
}

#[test]
fn groups_that_systemd_adds_and_what_it_hides_are_seen_to() {
    let (mut spec, _) = super::example();
    let rule = |path: &str, kind| FileRule {
        path: path.into(),
        kind,
        because: "a test".to_owned(),
        evidence: Evidence::Person,
    };
    spec.files.extend([
        rule("/run/kept", FileKind::Directory),
        rule("/run/kept/one", FileKind::Data),
        rule("/run/bound/two", FileKind::Data),
    ]);
    spec.binds.push(BindRule {
        path: "/run/bound".into(),
        writable: false,
        because: "a test".to_owned(),
        evidence: Evidence::Person,
    });
    let manifest = built(&spec);
    let others = ["adm".to_owned()];
    let subject = Subject {
        other_groups: &others,
        ..subject(&spec, &manifest)
    };
    let options = Options {
        version: 252,
        root: Root::Tree,
        drop_in: None,
        open_ports: false,
    };
    let exported = systemd::export(subject, &options).unwrap();
    let mut gaps = exported.gaps.iter();
    assert!(gaps.any(|gap| gap.items == ["groups"] && gap.why.contains("adm")));
    let text = &exported.files[0].text;
    let tree = "BindReadOnlyPaths=/var/lib/gaoler/web/current/root/run/";
    assert!(text.contains(&format!("{tree}kept:/run/kept\n")), "{text}");
    // The one comes with its directory, the other with its bind.
    assert_eq!(text.matches(tree).count(), 1, "{text}");
}
