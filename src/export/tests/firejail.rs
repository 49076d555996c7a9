//! What a profile and its script say is read back here by other code than what wrote them.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::bubblewrap::{lines, words};
use super::{accounted, built, subject, tamed};
use crate::build::{Entry, EntryKind};
use crate::export::{Exported, Item, Subject, firejail, item};
use crate::spec::generate;
use crate::sys::{calls, families};

struct Read<'a> {
    subject: Subject<'a>,
    profile: Vec<String>,
    script: Vec<String>,
    /// What is executed, from `env` on.
    words: Vec<String>,
}

fn read<'a>(subject: Subject<'a>, exported: &Exported) -> Read<'a> {
    let [profile, script] = &exported.files[..] else {
        panic!("{exported:?}");
    };
    let script = lines(&script.text);
    let at = script
        .iter()
        .position(|line| line.starts_with("exec env "))
        .unwrap();
    let all = script[at..]
        .iter()
        .map(|line| line.trim_start().trim_end_matches(" \\"));
    Read {
        subject,
        profile: profile.text.lines().map(str::to_owned).collect(),
        words: all.flat_map(words).collect(),
        script,
    }
}

impl Read<'_> {
    fn line(&self, line: &str) -> bool {
        self.profile.iter().any(|it| it == line)
    }

    /// What a command of the profile lists.
    fn list(&self, command: &str) -> BTreeSet<&str> {
        let lines = self
            .profile
            .iter()
            .filter_map(|line| line.strip_prefix(command)?.strip_prefix(' '));
        lines.flat_map(|line| line.split(',')).collect()
    }

    fn word(&self, word: &str) -> bool {
        self.words.iter().any(|it| it == word)
    }

    fn lists(&self, name: &str) -> bool {
        let mut rules = self.subject.spec.calls.iter();
        rules.any(|rule| calls::number(name) == Some(rule.number))
    }

    fn is_for_the_user(&self, number: u32) -> bool {
        let service = &self.subject.spec.service;
        let option = ["-u".to_owned(), service.user.clone()];
        let mut rules = self.subject.spec.calls.iter();
        !service.start_as_root
            && service.command.get(1..3) == Some(&option[..])
            && calls::CHANGE_IDS.contains(&item::call(number).as_str())
            && rules.any(|rule| rule.number == number && rule.start_only)
    }

    fn keeps(&self, number: u32) -> bool {
        let kept = self.list("seccomp.keep");
        kept.contains(item::call(number).as_str()) || kept.contains(format!("${number}").as_str())
    }

    fn whitelisted(&self, path: &Path) -> bool {
        let text = path.to_str().unwrap();
        self.line(&format!("whitelist {text}"))
    }

    fn says(&self, item: &Item) -> bool {
        let spec = self.subject.spec;
        let service = &spec.service;
        match item {
            Item::Command => {
                let mut command = service.command.clone();
                let option = ["-u".to_owned(), service.user.clone()];
                if !service.start_as_root && command.get(1..3) == Some(&option[..]) {
                    assert_eq!(command.drain(1..3).count(), 2);
                }
                self.words.ends_with(&command)
            }
            Item::User => self.word("--reuid=995") != service.start_as_root,
            Item::Groups if service.start_as_root => service.groups.is_empty(),
            Item::Groups => match service.groups.is_empty() {
                true => self.word("--clear-groups") && self.word("--regid=995"),
                false => self.word(&format!("--groups={}", service.groups.join(","))),
            },
            Item::WorkingDirectory => {
                let end = ["-i", "-C", service.workdir.to_str().unwrap(), "--"];
                self.words.windows(4).any(|it| it == end)
            }
            Item::Umask => {
                let mut lines = self
                    .script
                    .iter()
                    .filter_map(|line| line.strip_prefix("umask "));
                u32::from_str_radix(lines.next().unwrap(), 8) == Ok(service.umask)
            }
            Item::Environment => {
                let at = self
                    .words
                    .iter()
                    .rposition(|word| word == "/usr/bin/env")
                    .unwrap();
                let variables = service.environment.iter();
                let wanted: Vec<String> = variables
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                let said = &self.words[at + 5..at + 5 + wanted.len()];
                said == wanted && self.words[at + 5 + wanted.len()] == service.command[0]
            }
            Item::Forks => !self.line("deterministic-shutdown"),
            Item::Stop => service.stop.is_empty() && service.stop_timeout_s == 10,
            Item::NoWritableExecutable => self.line("memory-deny-write-execute"),
            // Hidden, and so a gap.
            Item::File(path)
                if spec.scratch.iter().any(|rule| path.starts_with(&rule.path))
                    && !spec.binds.iter().any(|bind| path.starts_with(&bind.path)) =>
            {
                false
            }
            Item::File(path) => {
                self.line(&format!("whitelist-ro {}", path.display()))
                    || path.components().count() < 3
                    || (path.starts_with("/usr") && path.components().count() < 4)
                    || spec.binds.iter().any(|bind| path.starts_with(&bind.path))
            }
            Item::Bind(path, writable) => {
                let access = if *writable { "read-write" } else { "read-only" };
                self.whitelisted(path)
                    && self.line(&format!("{access} {}", path.display()))
                    && self.line(&format!("noexec {}", path.display()))
            }
            Item::Device(path) => self.whitelisted(path),
            Item::Capability(number) => {
                let name = item::capability(*number).to_lowercase();
                self.list("caps.keep").contains(&name[4..])
            }
            Item::NoOtherCapability => {
                let kept: BTreeSet<String> = spec
                    .capabilities
                    .iter()
                    .map(|rule| item::capability(rule.capability).to_lowercase()[4..].to_owned())
                    .collect();
                let said: BTreeSet<String> = self
                    .list("caps.keep")
                    .into_iter()
                    .map(str::to_owned)
                    .collect();
                let sorted: Vec<String> = spec
                    .capabilities
                    .iter()
                    .map(|rule| {
                        format!(
                            ",+{}",
                            &item::capability(rule.capability).to_lowercase()[4..]
                        )
                    })
                    .collect();
                match service.start_as_root {
                    true => said == kept && (self.line("caps.drop all") == kept.is_empty()),
                    false => self.word(&format!("--bounding-set=-all{}", sorted.concat())),
                }
            }
            Item::Call(number) => self.is_for_the_user(*number) || self.keeps(*number),
            Item::StartOnly(number) => self.is_for_the_user(*number),
            Item::NoOtherArchitecture => self.line("seccomp.block-secondary"),
            Item::Arguments("clone") => self.line("restrict-namespaces"),
            Item::Arguments("setgroups") => {
                let setgroups = calls::number("setgroups").unwrap();
                let mut kept = spec.capabilities.iter();
                service.start_as_root
                    || self.is_for_the_user(setgroups)
                    || kept.any(|rule| item::capability(rule.capability) == "CAP_SETGID")
            }
            Item::Family(number) => {
                let protocols = self.list("protocol");
                protocols.is_empty() || protocols.contains(families::name(*number).unwrap())
            }
            Item::NoOtherFamily => {
                let unix = spec
                    .families
                    .iter()
                    .any(|rule| item::family(rule.family) == "AF_UNIX");
                let none = self.list("protocol").is_empty();
                match none {
                    true => !self.lists("socket") && !self.lists("socketpair"),
                    false => {
                        self.list("protocol").len() == spec.families.len()
                            && (unix || !self.lists("socketpair"))
                    }
                }
            }
            Item::Port(..) => true,
            Item::Limit(name) => {
                let limits = &spec.limits;
                let option = match *name {
                    "core" => format!("--core={}", limits.core.unwrap()),
                    "descriptors" => format!("--nofile={}", limits.descriptors.unwrap()),
                    "file_size" => format!("--fsize={}", limits.file_size.unwrap()),
                    _ => return false,
                };
                self.word(&option)
            }
            Item::Namespace("ipc_namespace") => self.line("ipc-namespace"),
            // In any case.
            Item::Namespace(_) => true,
            Item::NoNewPrivileges => self.line("nonewprivs"),
            _ => false,
        }
    }
}

proptest! {
    #[test]
    fn each_item_is_said_or_a_gap(spec in generate::spec()) {
        let spec = tamed(spec, '_');
        let manifest = built(&spec);
        let subject = subject(&spec, &manifest);
        let exported = firejail::export(subject).unwrap();
        let read = read(subject, &exported);
        accounted(&spec, &exported, |item| read.says(item))?;
        let known = BTreeSet::from([
            "blacklist", "caps.drop", "caps.keep", "deterministic-exit-code", "deterministic-shutdown",
            "ipc-namespace", "keep-var-tmp", "memory-deny-write-execute", "noexec", "nonewprivs", "protocol",
            "quiet", "read-only", "read-write", "restrict-namespaces", "seccomp-error-action",
            "seccomp.block-secondary", "seccomp.keep", "whitelist", "whitelist-ro", "writable-var",
            "writable-var-log",
        ]);
        for line in read.profile.iter().filter(|line| !line.starts_with("# ") && *line != "#") {
            prop_assert!(known.contains(line.split(' ').next().unwrap()), "{line}");
        }
    }
}

#[test]
fn the_profile_of_an_example() {
    let (spec, manifest) = super::example();
    let exported = firejail::export(subject(&spec, &manifest)).unwrap();
    insta::assert_snapshot!(super::shown(&exported));
}

#[test]
fn links_are_shown_and_what_is_at_the_top_is_left_alone() {
    let (spec, mut manifest) = super::example();
    let link = |path: &str, target: &str| Entry {
        path: path.into(),
        kind: EntryKind::Symlink,
        source: Some(path.into()),
        sha256: None,
        uid: 0,
        gid: 0,
        mode: "0777".to_owned(),
        target: Some(target.into()),
        device: None,
        size: None,
        reason: "a link on the way".to_owned(),
    };
    manifest.entries.extend([
        link("/lib", "usr/lib"),
        link("/usr/lib64/ld.so", "/usr/sbin/exampled"),
        link("/var/lib/elsewhere", "/srv/wide"),
        link("/var/run", "/run"),
    ]);
    let exported = firejail::export(subject(&spec, &manifest)).unwrap();
    let lines: Vec<&str> = exported.files[0].text.lines().collect();
    for line in [
        "whitelist /usr/lib64/ld.so",
        "whitelist /var/lib/elsewhere",
        "whitelist /var/run",
    ] {
        assert!(lines.contains(&line), "{line}");
    }
    assert!(!lines.contains(&"whitelist /lib"));
    let gap = exported
        .gaps
        .iter()
        .find(|gap| gap.items == ["no other file"])
        .unwrap();
    assert!(
        gap.why.ends_with("; all that /var/lib/elsewhere leads to"),
        "{}",
        gap.why
    );
}

#[test]
fn a_place_in_memory_that_hides_its_own_files_is_a_gap_of_weight() {
    let (mut spec, manifest) = super::example();
    spec.scratch[0].path = "/run".into();
    let exported = firejail::export(subject(&spec, &manifest)).unwrap();
    let mut gaps = exported.gaps.iter();
    let gap = gaps.find(|gap| gap.items == ["scratch /run"]).unwrap();
    assert_eq!(gap.severity, crate::audit::Severity::High);
    assert_eq!(gap.loss, crate::export::Loss::Lost);
}
