//! The script for rc.subr, run over a small rc.subr of its own and a chroot(8) that tells how it is
//! called. None of this is a BSD.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::{is_shell, options, said, script};
use crate::export::init::{self, System};
use crate::export::tests::{accounted, built, example, shown, subject, tame};
use crate::export::{Exported, Item};
use crate::spec::{Direction, Reload, Spec, generate};
use crate::sys::families;

/// Has the script's own function become the service, and tells its variables.
const SUBR: &str = r#"
load_rc_config() { :; }
warn() { printf '%s\n' "$*" >&2; }
run_rc_command() {
	eval "rc_flags=\$${name}_flags"
	printf '%s\0' "name=$name" "rcvar=$rcvar" "command=$command" "pidfile=$pidfile" \
	    "extra_commands=$extra_commands" "sig_reload=$sig_reload" >"$TOLD"
	rc_pid=7
	[ -z "$reload_cmd" ] || "$reload_cmd"
	eval "set -- $rc_flags"
	( "${name}_execute" "$@" )
}
"#;

/// A chroot(8) that tells its words, its environment, its umask and its limits.
const CHROOT: &str = r#"#!/bin/sh
for word; do printf '%s\0' "$word"; done >"$0.said"
/bin/cat "/proc/$$/environ" >"$0.env.said"
printf '%s\0' "$(umask)" "$(ulimit -H -c)" "$(ulimit -H -n)" "$(ulimit -H -f)" >"$0.held.said"
"#;

/// What a run of the script has shown.
struct Seen {
    /// The words of chroot(8).
    words: Vec<String>,
    environment: Vec<String>,
    /// umask, core, descriptors, file size.
    held: Vec<String>,
    variables: Vec<String>,
    /// The same of a process that nobody limits.
    unheld: Vec<String>,
}

/// Runs it on a system that has the places of the script elsewhere.
fn see(text: &str) -> Seen {
    let below = tempfile::tempdir().unwrap();
    let at = |name: &str| below.path().join(name);
    let shown = |name: &str| at(name).to_str().unwrap().to_owned();
    script(&at("chroot"), CHROOT);
    script(&at("subr"), SUBR);
    let moved = text
        .replacen("\n. /etc/rc.subr\n", &format!("\n. {}\n", shown("subr")), 1)
        .replacen(
            "    /usr/sbin/chroot",
            &format!("    {}", shown("chroot")),
            1,
        );
    script(&at("script"), &moved);
    let mut sh = Command::new("sh");
    let ended = sh
        .arg(at("script"))
        .arg("start")
        .env("TOLD", at("told.said"))
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}\n{text}");
    script(&at("free"), CHROOT);
    assert!(Command::new(at("free")).status().unwrap().success());
    Seen {
        words: said(&at("chroot")),
        environment: said(&at("chroot.env")),
        held: said(&at("chroot.held")),
        variables: said(&at("told")),
        unheld: said(&at("free.held")),
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(u64::MAX)
}

struct Read<'a> {
    spec: &'a Spec,
    seen: Seen,
}

impl Read<'_> {
    fn has_option(&self) -> bool {
        let service = &self.spec.service;
        let option = ["-u".to_owned(), service.user.clone()];
        !service.start_as_root && service.command.get(1..3) == Some(&option[..])
    }

    fn begins_as_root(&self) -> bool {
        let needs = !self.spec.capabilities.is_empty();
        self.spec.service.start_as_root || (self.has_option() && needs)
    }

    fn variable(&self, text: &str) -> bool {
        self.seen.variables.iter().any(|it| it == text)
    }

    /// The options of chroot(8), and what comes after its directory.
    fn parts(&self) -> (&[String], &[String]) {
        let words = &self.seen.words;
        let at = words
            .iter()
            .position(|word| word.starts_with("/var/chroot/"))
            .unwrap();
        (&words[..at], &words[at + 1..])
    }

    /// What is infinity on a BSD is no limit.
    fn is_held(&self, at: usize, limit: u64, unit: u64) -> bool {
        let limit = match limit < i64::MAX.unsigned_abs() {
            true => limit / unit,
            false => u64::MAX,
        };
        number(&self.seen.held[at]) == limit.min(number(&self.seen.unheld[at]))
    }

    /// Whether the script says this, exactly.
    fn says(&self, item: &Item) -> bool {
        let service = &self.spec.service;
        let (options, command) = self.parts();
        match item {
            Item::Command => {
                let mut wanted = service.command.clone();
                if self.has_option() && !self.begins_as_root() {
                    assert_eq!(wanted.drain(1..3).count(), 2);
                }
                command == wanted && self.variable(&format!("command={}", wanted[0]))
            }
            Item::User if self.begins_as_root() => options.is_empty() && service.start_as_root,
            Item::User => options[..4] == ["-u", &service.user, "-g", &service.group],
            Item::Groups => {
                let said: BTreeSet<&str> = options[5].split(',').collect();
                let own = service.groups.iter().chain([&service.group]);
                options[4] == "-G" && said == own.map(String::as_str).collect()
            }
            Item::Umask => u32::from_str_radix(&self.seen.held[0], 8) == Ok(service.umask),
            Item::Environment => {
                let said: BTreeSet<&str> =
                    self.seen.environment.iter().map(String::as_str).collect();
                let wanted = service.environment.iter();
                let wanted: Vec<String> = wanted.map(|(name, it)| format!("{name}={it}")).collect();
                said == wanted.iter().map(String::as_str).collect()
            }
            Item::WorkingDirectory => service.workdir == Path::new("/"),
            Item::Forks if self.begins_as_root() => false,
            Item::Forks => {
                let mut pid_files = service.pid_file.iter();
                pid_files.any(|it| {
                    let id = &self.seen.variables[0]["name=".len()..];
                    self.variable(&format!("pidfile=/var/chroot/{id}{}", it.display()))
                })
            }
            Item::Reload => match service.reload.as_ref().unwrap() {
                Reload::Signal(1) => self.variable("sig_reload=HUP"),
                Reload::Signal(10) => self.variable("sig_reload=USR1"),
                Reload::Signal(_) => false,
                Reload::Command(_) => self.variable("extra_commands=reload"),
            },
            Item::Stop => true,
            Item::Capability(_) => self.begins_as_root(),
            Item::NoOtherCapability => !self.begins_as_root(),
            Item::Family(family) => ["inet", "inet6", "unix"]
                .iter()
                .any(|name| families::number(name) == Some(*family)),
            Item::Port(Direction::Connect, ..) => true,
            Item::Port(Direction::Bind, _, port) => {
                self.begins_as_root() || *port == 0 || *port > 1023
            }
            Item::Limit("core") => self.is_held(1, self.spec.limits.core.unwrap(), 512),
            Item::Limit("descriptors") => self.is_held(2, self.spec.limits.descriptors.unwrap(), 1),
            Item::Limit("file_size") => self.is_held(3, self.spec.limits.file_size.unwrap(), 512),
            _ => false,
        }
    }
}

/// With a program and a pid file that rc.subr can hold, and anything in the rest.
fn bearable(mut spec: Spec) -> Spec {
    let calm = tame(spec.clone());
    spec.service.command = calm.service.command;
    spec.service.pid_file = calm.service.pid_file;
    // Running a command of the host's is for the tests that choose it.
    if let Some(Reload::Command(words)) = &mut spec.service.reload {
        "/bin/true".clone_into(&mut words[0]);
    }
    spec
}

fn export(spec: &Spec) -> crate::Result<Exported> {
    init::export(subject(spec, &built(spec)), &options(System::RcD))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For every item of a spec, either the script says it or a gap does.
    #[test]
    fn each_item_is_said_or_a_gap(spec in generate::spec()) {
        let spec = bearable(spec);
        let exported = export(&spec).unwrap();
        let text = &exported.files[0].text;
        prop_assert!(is_shell(text), "{text}");
        let read = Read { spec: &spec, seen: see(text) };
        accounted(&spec, &exported, |item| read.says(item))?;
    }

    /// A name that rc.subr would have the shell expand is refused, and nothing else is.
    #[test]
    fn what_rc_subr_cannot_hold_is_refused(spec in generate::spec()) {
        let bare = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@,%".contains(c));
        let service = &spec.service;
        let pid_file = service.pid_file.as_ref().filter(|_| service.forks);
        let fine = bare(&service.command[0])
            && pid_file.is_none_or(|it| bare(it.to_str().unwrap()));
        match export(&spec) {
            Ok(exported) => prop_assert!(fine && is_shell(&exported.files[0].text)),
            Err(error) => prop_assert!(!fine, "{error}"),
        }
    }
}

#[test]
fn words_and_variables_with_everything_in_them_arrive() -> Result<(), TestCaseError> {
    let (mut spec, _) = example();
    let hostile = "a  b'\"$(touch x)`id`\\\n*\t;&|<>#~ ";
    spec.capabilities.clear();
    spec.service
        .command
        .extend(["".to_owned(), hostile.to_owned(), "-u".to_owned()]);
    let variables = [("-x y", hostile), ("A", ""), ("$B", "\u{81}é")];
    spec.service.environment = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let exported = export(&spec).unwrap();
    let read = Read {
        spec: &spec,
        seen: see(&exported.files[0].text),
    };
    accounted(&spec, &exported, |item| read.says(item))?;
    for item in [
        Item::Command,
        Item::User,
        Item::Groups,
        Item::Environment,
        Item::Umask,
    ] {
        let text = item.to_string();
        assert!(
            !exported.gaps.iter().any(|gap| gap.items.contains(&text)),
            "{text}"
        );
    }
    Ok(())
}

/// As "Running BIND9 in a chroot cage" has it: `named_flags="-u named"`, and no `named_user`.
#[test]
fn what_needs_root_for_its_ports_becomes_its_user_by_its_option() {
    let (mut spec, _) = example();
    let user = spec.service.user.clone();
    spec.service
        .command
        .splice(1..1, ["-u".to_owned(), user.clone()]);
    let exported = export(&spec).unwrap();
    let text = &exported.files[0].text;
    assert!(
        text.contains(&format!("\n: \"${{example_flags:=-u {user} -f}}\"\n"))
            || text.contains(&format!("example_flags='-u {user} -f'")),
        "{text}"
    );
    assert!(!text.contains("example_user"), "{text}");
    let gap = exported
        .gaps
        .iter()
        .find(|gap| gap.items.contains(&"user".to_owned()))
        .unwrap();
    assert!(gap.why.contains("until it has become"), "{gap:?}");
    spec.capabilities.clear();
    let text = &export(&spec).unwrap().files[0].text;
    assert!(
        text.contains(&format!("\n: \"${{example_user:={user}}}\"\n")),
        "{text}"
    );
}

#[test]
fn the_script_for_rc_subr_of_an_example() {
    let (spec, _) = example();
    insta::assert_snapshot!(shown(&export(&spec).unwrap()));
}

#[test]
fn its_reload_command_is_told_the_process() {
    let (mut spec, _) = example();
    let below = tempfile::tempdir().unwrap();
    let witness = below.path().join("a witness");
    script(&witness, super::WITNESS);
    let words = [witness.to_str().unwrap(), "$PID", "$HOME"];
    spec.service.reload = Some(Reload::Command(words.map(str::to_owned).to_vec()));
    see(&export(&spec).unwrap().files[0].text);
    assert_eq!(said(&witness), ["7", "$HOME"]);
    assert!(fs::metadata(&witness).is_ok());
}
