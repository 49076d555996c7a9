//! What a module says is read back here by other code than what wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use regex_lite::Regex;

use super::{accounted, built, subject, tame};
use crate::export::selinux::{self, Class, Label, Options};
use crate::export::{Exported, Item, Root};
use crate::spec::{Direction, Protocol, Spec, generate};
use crate::sys::{caps, families};

/// A list of CIL, or a word or quoted text of one.
#[derive(Debug)]
enum Part {
    List(Vec<Part>),
    Word(String),
}

impl Part {
    fn word(&self) -> &str {
        match self {
            Part::Word(word) => word,
            Part::List(_) => "",
        }
    }

    fn list(&self) -> &[Part] {
        match self {
            Part::List(parts) => parts,
            Part::Word(_) => &[],
        }
    }
}

/// Reads until the list is closed, or the text ends.
fn parts(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Vec<Part> {
    let mut found = Vec::new();
    while let Some(c) = rest.next() {
        match c {
            ')' => return found,
            '(' => found.push(Part::List(parts(rest))),
            ';' => while rest.next_if(|c| *c != '\n').is_some() {},
            '"' => {
                let mut text = String::new();
                while let Some(c) = rest.next_if(|c| *c != '"') {
                    text.push(c);
                }
                assert_eq!(rest.next(), Some('"'));
                found.push(Part::Word(text));
            }
            c if c.is_whitespace() => {}
            c => {
                let mut word = c.to_string();
                while let Some(c) = rest.next_if(|c| !c.is_whitespace() && !"()\"".contains(*c)) {
                    word.push(c);
                }
                found.push(Part::Word(word));
            }
        }
    }
    found
}

/// What a module allows its service, and what it labels.
#[derive(Debug, Default)]
struct Policy {
    domain: String,
    /// By type and class.
    allowed: BTreeMap<(String, String), BTreeSet<String>>,
    /// Pattern, class, type.
    labels: Vec<(String, String, String)>,
    ports: BTreeMap<(String, String), String>,
    declared: BTreeSet<String>,
}

impl Policy {
    fn read(exported: &Exported, domain: &str) -> Self {
        let text = &exported.files[0].text;
        let mut policy = Policy {
            domain: domain.to_owned(),
            ..Policy::default()
        };
        let open = text.matches('(').count();
        assert!(open > 0);
        for part in parts(&mut text.chars().peekable()) {
            policy.statement(part.list());
        }
        policy
    }

    fn statement(&mut self, parts: &[Part]) {
        let words: Vec<&str> = parts.iter().map(Part::word).collect();
        match words[..] {
            ["allow", source, target, _] if source == self.domain => {
                let [class, permissions] = parts[3].list() else {
                    panic!("{parts:?}");
                };
                let key = (target.to_owned(), class.word().to_owned());
                let of = self.allowed.entry(key).or_default();
                of.extend(permissions.list().iter().map(|it| it.word().to_owned()));
            }
            ["filecon", pattern, class, _] => {
                let kind = parts[3].list()[2].word();
                let words = [pattern, class, kind].map(str::to_owned);
                self.labels.push(words.into());
            }
            ["portcon", protocol, port, _] => {
                let kind = parts[3].list()[2].word().to_owned();
                let known = (protocol.to_owned(), port.to_owned());
                assert!(self.ports.insert(known, kind).is_none(), "twice: {port}");
            }
            ["type", name] => assert!(self.declared.insert(name.to_owned()), "twice: {name}"),
            ["optional", ..] => {
                for part in &parts[2..] {
                    self.statement(part.list());
                }
            }
            _ => {}
        }
    }

    /// Whether the service may do all of this.
    fn may(&self, kind: &str, class: &str, permissions: &[&str]) -> bool {
        let key = (kind.to_owned(), class.to_owned());
        let allowed = self.allowed.get(&key);
        permissions
            .iter()
            .all(|one| allowed.is_some_and(|allowed| allowed.contains(*one)))
    }

    /// The type of a path: that of the longest pattern that matches all of it (`selabel_file(5)`).
    fn type_of(&self, path: &str) -> Option<&str> {
        let matching = self.labels.iter().filter(|(pattern, _, _)| {
            let expression = Regex::new(&format!("^(?s:{pattern})$")).unwrap();
            expression.is_match(path)
        });
        let (_, _, kind) = matching.max_by_key(|(pattern, _, _)| pattern.len())?;
        Some(kind)
    }

    fn in_tree(&self, path: &Path) -> &str {
        let path = format!("/var/lib/gaoler/web/generations/12/root{}", path.display());
        self.type_of(&path).unwrap()
    }

    fn port(&self, direction: Direction, protocol: Protocol, port: u16) -> bool {
        let (name, class) = match protocol {
            Protocol::Tcp => ("tcp", "tcp_socket"),
            Protocol::Udp => ("udp", "udp_socket"),
        };
        let permission = match direction {
            Direction::Bind => "name_bind",
            Direction::Connect => "name_connect",
        };
        if (direction, protocol) == (Direction::Connect, Protocol::Udp) {
            return true;
        }
        if port == 0 {
            return direction == Direction::Bind || self.may("port_type", class, &[permission]);
        }
        let own = self.ports.get(&(name.to_owned(), port.to_string()));
        match own {
            Some(kind) => self.may(kind, class, &[permission]),
            // Some type of the host's.
            None => self.allowed.iter().any(|((kind, of), allowed)| {
                kind.ends_with("_port_t") && of == class && allowed.contains(permission)
            }),
        }
    }
}

fn says(policy: &Policy, spec: &Spec, item: &Item) -> bool {
    let capabilities = |class: &str| {
        let key = ("self".to_owned(), class.to_owned());
        policy.allowed.get(&key).map_or(0, BTreeSet::len)
    };
    match item {
        Item::NoWritableExecutable => {
            let bad = ["execmem", "execheap", "execstack"];
            !bad.iter().any(|it| policy.may("self", "process", &[it]))
        }
        Item::Arguments("execve") => {
            let mut all = policy.allowed.values();
            !all.any(|allowed| allowed.contains("execute_no_trans"))
        }
        Item::Capability(number) => {
            let name = caps::name(*number).unwrap().to_lowercase();
            let class = match number {
                0..=31 => "capability",
                _ => "capability2",
            };
            policy.may("self", class, &[&name])
        }
        Item::NoOtherCapability => {
            capabilities("capability") + capabilities("capability2") == spec.capabilities.len()
        }
        Item::Family(number) => match families::name(*number).unwrap() {
            "inet" | "inet6" => {
                policy.may("self", "tcp_socket", &["create", "accept"])
                    && policy.may("self", "udp_socket", &["create", "write"])
            }
            "unix" => policy.may("self", "unix_stream_socket", &["create", "connectto"]),
            name => policy.may("self", &format!("{name}_socket"), &["create"]),
        },
        Item::NoOtherFamily => {
            let has = |name| {
                let number = families::number(name).unwrap();
                spec.families.iter().any(|rule| rule.family == number)
            };
            has("unix") && has("inet") == has("inet6")
        }
        Item::Port(direction, protocol, port) => policy.port(*direction, *protocol, *port),
        Item::NoOtherPort(Direction::Connect, Protocol::Tcp) => {
            let any = spec.ports.iter().any(|rule| {
                (rule.direction, rule.protocol, rule.port) == (Direction::Connect, Protocol::Tcp, 0)
            });
            any == policy.may("port_type", "tcp_socket", &["name_connect"])
        }
        Item::NoAbstractSocket => !policy.may("domain", "unix_stream_socket", &["connectto"]),
        Item::File(path) => {
            let kind = policy.in_tree(path);
            policy.may(kind, "file", &["open", "read"]) && !policy.may(kind, "file", &["write"])
        }
        Item::Bind(path, writable) => {
            let kind = policy.type_of(path.to_str().unwrap()).unwrap_or_default();
            let below = policy.type_of(path.join("a/b").to_str().unwrap());
            below == Some(kind)
                && policy.may(kind, "file", &["open", "read"])
                && policy.may(kind, "dir", &["read", "search"])
                && policy.may(kind, "file", &["write", "create"]) == *writable
                && !policy.may(kind, "file", &["execute"])
        }
        Item::Device(path) => {
            let kind = policy.in_tree(path);
            kind.ends_with("_device_t") && policy.may(kind, "chr_file", &["read", "write"])
        }
        _ => false,
    }
}

/// The name of a jail, and the types that belong to it.
fn domain(spec: &Spec) -> String {
    format!("gaoler_{}_t", spec.name.replace('.', "_"))
}

proptest! {
    #[test]
    fn each_item_is_said_or_a_gap(spec in generate::spec(), labelled in any::<bool>()) {
        let spec = tame(spec);
        let manifest = built(&spec);
        let mut options = Options::default();
        if labelled {
            let label = |class| Label { kind: "etc_t".to_owned(), class };
            let labels = [label(Class::Directory), label(Class::Socket)];
            let binds = spec.binds.iter().map(|bind| bind.path.clone());
            options.labels = binds.map(|path| (path, labels.clone().into())).collect();
        }
        let exported = selinux::export(subject(&spec, &manifest), &options).unwrap();
        let policy = Policy::read(&exported, &domain(&spec));
        accounted(&spec, &exported, |item| says(&policy, &spec, item))?;
        // No name of its own is used that is not declared.
        let own = domain(&spec);
        let own = own.trim_end_matches('t');
        let used = policy.labels.iter().map(|(_, _, kind)| kind);
        let used = used.chain(policy.allowed.keys().map(|(kind, _)| kind));
        for kind in used.filter(|kind| kind.starts_with(own)) {
            prop_assert!(policy.declared.contains(kind), "{kind}");
        }
        prop_assert!(exported.files[1].text.contains(&domain(&spec)));
    }
}

#[test]
fn the_module_of_an_example() {
    let (spec, manifest) = super::example();
    let label = |kind: &str, class| Label {
        kind: kind.to_owned(),
        class,
    };
    let labels = [
        label("example_conf_t", Class::Directory),
        label("example_conf_t", Class::File),
        label("example_key_t", Class::File),
    ];
    let options = Options {
        labels: [(PathBuf::from("/etc/example"), labels.into())].into(),
        ..Options::default()
    };
    let exported = selinux::export(subject(&spec, &manifest), &options).unwrap();
    insta::assert_snapshot!(super::shown(&exported));
}

#[test]
fn a_key_among_what_it_reads_is_not_written() {
    let (spec, manifest) = super::example();
    let key = Label {
        kind: "example_key_t".to_owned(),
        class: Class::File,
    };
    let options = Options {
        labels: [(PathBuf::from("/etc/example"), [key].into())].into(),
        ..Options::default()
    };
    let exported = selinux::export(subject(&spec, &manifest), &options).unwrap();
    let policy = Policy::read(&exported, "gaoler_example_t");
    assert!(policy.may("example_key_t", "file", &["read"]));
    assert!(!policy.may("example_key_t", "file", &["write"]));
    assert!(!policy.may("example_key_t", "dir", &["read"]));
}

#[test]
fn the_host_s_files_are_refused() {
    let (spec, manifest) = super::example();
    let options = Options {
        root: Root::Host,
        ..Options::default()
    };
    let error = selinux::export(subject(&spec, &manifest), &options).unwrap_err();
    assert!(error.to_string().contains("the host's policy"), "{error}");
}
