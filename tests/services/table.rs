//! The sixteen, and what else is tried.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gaoler::spec::{self, Spec};
use gaoler::sys::caps;
use serde_json::Value;

use crate::machine::{Machine, machine};
use crate::page;
use crate::rows::{self, Row, text};

/// A row of the table.
pub struct Daemon {
    /// The Debian package.
    pub package: &'static str,
    /// Its row's name.
    pub row: &'static str,
    /// What `check` finds above info, as `RULE: SUBJECT`, and why that is expected.
    pub findings: &'static [(&'static str, &'static str)],
}

/// One without findings.
const fn clean(package: &'static str, row: &'static str) -> Daemon {
    Daemon {
        package,
        row,
        findings: &[],
    }
}

/// The table.
pub const DAEMONS: &[Daemon] = &[
    clean("bind9", "bind"),
    Daemon {
        findings: &[(
            "spec.capability: CAP_SYS_CHROOT",
            "it is configured to make its directory its root by itself, and does so in the jail too",
        )],
        ..clean("unbound", "unbound")
    },
    Daemon {
        findings: &[(
            "spec.capability: CAP_NET_ADMIN",
            "it takes socket buffers above the host's limit, with SO_SNDBUFFORCE and \
             SO_RCVBUFFORCE; it works without, with smaller ones",
        )],
        ..clean("nsd", "nsd")
    },
    clean("dnsmasq-base", "dnsmasq"),
    Daemon {
        findings: &[
            ("spec.execute: execve", "it runs a CGI program"),
            ("tree.shell: /usr/bin/perl", "that program is in Perl"),
        ],
        ..clean("apache2-bin", "apache")
    },
    clean("nginx-light", "nginx"),
    clean("lighttpd", "lighttpd"),
    clean("haproxy", "haproxy"),
    Daemon {
        findings: &[
            (
                "spec.root: service.start_as_root",
                "its parts are two users of its own, and it delivers as each reader in turn",
            ),
            (ROOT_GROUP, ROOT_GROUP_REASON),
            (
                "spec.capability: CAP_SETUID",
                "to become those users, which takes root",
            ),
            ("spec.capability: CAP_SETGID", "the same for their groups"),
            (
                "spec.capability: CAP_CHOWN",
                "it gives the directories of its queue to a part of itself",
            ),
            (
                "spec.capability: CAP_FOWNER",
                "it sets their modes, also when they are that part's",
            ),
            (
                "spec.capability: CAP_DAC_OVERRIDE",
                "as root it clears its queue, which is that part's",
            ),
            (
                "spec.capability: CAP_DAC_READ_SEARCH",
                "as root it reads it",
            ),
            (
                "spec.capability: CAP_SYS_CHROOT",
                "each part makes an empty directory, or the queue, its root",
            ),
            (
                "spec.execute: execve",
                "each part is executed anew, and so is what delivers",
            ),
            (
                "tree.shell: /usr/bin/dash",
                "what delivers is run by a shell, as the reader",
            ),
        ],
        ..clean("opensmtpd", "opensmtpd")
    },
    clean("vsftpd", "vsftpd"),
    Daemon {
        findings: &[
            (
                "spec.root: service.start_as_root",
                "it becomes whoever logs in",
            ),
            (ROOT_GROUP, ROOT_GROUP_REASON),
            ("spec.capability: CAP_SETUID", "the same"),
            ("spec.capability: CAP_SETGID", "the same"),
            (
                "spec.capability: CAP_SYS_CHROOT",
                "what talks to a client that has not logged in has an empty root",
            ),
            (
                "spec.execute: execve",
                "it executes itself for each client, and the user's shell",
            ),
            ("tree.shell: /usr/bin/dash", "the shell of who logs in"),
        ],
        ..clean("openssh-server", "sshd")
    },
    clean("postgresql", "postgresql"),
    clean("redis-server", "redis"),
    clean("memcached", "memcached"),
    clean("mosquitto", "mosquitto"),
    clean("chrony", "chrony"),
];

const ROOT_GROUP: &str = "spec.group: group root";
const ROOT_GROUP_REASON: &str = "root's own";

/// Others that have findings.
const OTHERS: &[Daemon] = &[
    Daemon {
        findings: HELPER,
        ..clean("gcc", "nineties")
    },
    Daemon {
        findings: &[
            ("tree.shell: /usr/bin/python3", "it is in Python"),
            ("elf.pie: /usr/bin/python3", "Debian's is none"),
        ],
        ..clean("python3", "python")
    },
    Daemon {
        findings: &[(
            "spec.execute: execve",
            "it runs the program that extends it",
        )],
        ..clean("snmpd", "snmpd")
    },
    Daemon {
        findings: HELPER,
        ..clean("gcc", "waits-for-ever")
    },
];

const HELPER: &[(&str, &str)] = &[
    ("spec.execute: execve", "it runs a helper"),
    ("tree.shell: /usr/bin/dash", "that is a script"),
    (
        "elf.stack-protector: /srv/row/nineties",
        "no compiler had one then",
    ),
];

/// Runs one row, from learning to its end.
fn run(machine: &Machine, row: &Row) {
    let beside = row.prepare(machine);
    let mut learn = vec!["learn".to_owned(), row.name.to_owned()];
    for exercise in row.exercises {
        learn.extend(["--exercise".to_owned(), text(exercise)]);
    }
    learn.extend(row.options.iter().map(|word| (*word).to_owned()));
    learn.push("--".to_owned());
    learn.extend(row.words());
    let learn: Vec<&str> = learn.iter().map(String::as_str).collect();
    let begun = Instant::now();
    let learned = machine.gaoler(&learn);
    let seconds = begun.elapsed().as_secs_f32();
    println!("{}{}", learned.out, learned.err);
    learned.ok();
    let trace = machine.json(&["trace", "show", row.name]);
    let passed = passed(&trace);
    let up = machine.gaoler(&["up", row.name, "--json"]);
    assert_eq!(up.code, 0, "{up:#?} {}", machine.words(row.name));
    let up: Value = serde_json::from_str(&up.out).unwrap();
    let score = checked(machine, row);
    inside(row);
    stop(machine, row);
    let own: Vec<i32> = beside.iter().map(|beside| beside.pid()).collect();
    machine.nothing_left(row.name, &own);
    let spec = fs::read_to_string(format!("/etc/gaoler/{}.toml", row.name)).unwrap();
    let spec = spec::parse(&spec, row.name).unwrap();
    let line = format!(
        "{seconds:.1} | {}, {} | {} | {} | {score:.1} | {passed} of {}",
        calls(&trace, "start"),
        calls(&trace, "serve"),
        up["files"],
        capabilities(&spec),
        row.exercises.len(),
    );
    println!("{}: {line}", row.name);
    if let Some(daemon) = DAEMONS.iter().find(|daemon| daemon.row == row.name) {
        page::add(
            daemon.package,
            &format!("| `{}` | {line} |", daemon.package),
        );
    }
}

/// It was heard while it ran, and does at its end what it did unjailed.
fn stop(machine: &Machine, row: &Row) {
    let files = || row.removes.iter().map(|file| text(file));
    let left = || files().filter(|file| Path::new(file).exists());
    assert_eq!(left().count(), row.removes.len());
    machine.gaoler(&["stop", row.name]).ok();
    assert_eq!(left().collect::<Vec<_>>(), [""; 0], "not asked to end");
    let words = machine.words(row.name);
    assert!(words.contains(row.logs), "not logged: {words}");
}

/// How many exercises were passed in every pass, of a trace that is whole.
fn passed(trace: &Value) -> usize {
    let certificate = &trace["certificate"];
    assert_eq!(certificate["complete"], true, "{certificate:#}");
    assert_eq!(certificate["passes"], 2, "{certificate:#}");
    let runs = certificate["exercises"].as_array().unwrap();
    let failed: Vec<&Value> = runs.iter().filter(|run| run["passed"] != true).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let names: BTreeSet<&str> = runs
        .iter()
        .map(|run| run["name"].as_str().unwrap())
        .collect();
    names.len()
}

/// The exercises pass in the jail, too, and there is no finding that is not expected. Answers with
/// the score.
fn checked(machine: &Machine, row: &Row) -> f64 {
    let report = machine.json(&["check", row.name, "--live", "--exercise"]);
    let findings = report["findings"].as_array().unwrap();
    let weighty = findings.iter().filter(|found| found["severity"] != "info");
    let found: Vec<String> = weighty
        .clone()
        .map(|found| {
            let text = |key: &str| found[key].as_str().unwrap();
            format!("{}: {}", text("id"), text("subject"))
        })
        .collect();
    let daemon = |daemon: &&Daemon| daemon.row == row.name;
    let daemon = DAEMONS.iter().chain(OTHERS).find(daemon);
    let expected = daemon.map_or(&[][..], |daemon| daemon.findings);
    // A version may follow.
    let is_expected = |found: &String| expected.iter().any(|(what, _)| found.starts_with(what));
    let is_found = |what: &str| found.iter().any(|found| found.starts_with(what));
    assert!(
        found.iter().all(is_expected) && expected.iter().all(|(what, _)| is_found(what)),
        "{:#?}\n{}",
        weighty.collect::<Vec<_>>(),
        machine.words(row.name)
    );
    report["score"].as_f64().unwrap()
}

/// Of Perl's hundreds of modules the tree has those that were used, and those that these use.
fn inside(row: &Row) {
    if row.name != "apache" {
        return;
    }
    let tree = Path::new("/var/lib/gaoler/apache/current/root");
    let modules = files_below(tree, "pm");
    println!("{modules:#?}");
    let has = |name: &str| modules.iter().any(|module| module.ends_with(name));
    assert!(has("Text/ParseWords.pm") && has("Time/Local.pm") && has("strict.pm"));
    assert!(modules.len() < 20, "{modules:#?}");
    let loaded = files_below(tree, "so");
    let has = |name: &str| loaded.iter().any(|module| module.ends_with(name));
    assert!(
        has("modules/mod_cgid.so") && !has("modules/mod_rewrite.so"),
        "{loaded:#?}"
    );
}

fn files_below(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path(), extension));
        } else if entry
            .path()
            .extension()
            .is_some_and(|found| found == extension)
        {
            found.push(entry.path());
        }
    }
    found
}

fn calls(trace: &Value, phase: &str) -> usize {
    let calls = trace["calls"].as_array().unwrap();
    calls.iter().filter(|call| call["phase"] == phase).count()
}

fn capabilities(spec: &Spec) -> String {
    let names = spec.capabilities.iter();
    let names: Vec<&str> = names
        .filter_map(|rule| caps::name(rule.capability))
        .collect();
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

macro_rules! each {
    ($($test:ident = $row:literal,)*) => {
        $(#[test] fn $test() { machine(|machine| run(machine, rows::row($row))); })*

        #[test]
        fn every_row_is_a_test() {
            let tests = [$($row),*];
            assert!(rows::all().all(|row| tests.contains(&row.name)));
            assert!(DAEMONS.iter().all(|daemon| tests.contains(&daemon.row)));
        }
    };
}

each! {
    apache = "apache",
    bind = "bind",
    chrony = "chrony",
    dnsmasq = "dnsmasq",
    dnsmasq_as_its_own_user = "dnsmasq-as-its-own-user",
    double_fork = "double-fork",
    haproxy = "haproxy",
    httpd = "httpd",
    lighttpd = "lighttpd",
    memcached = "memcached",
    mosquitto = "mosquitto",
    nginx = "nginx",
    nginx_in_the_background = "nginx-in-the-background",
    nineties = "nineties",
    nsd = "nsd",
    opensmtpd = "opensmtpd",
    postgresql = "postgresql",
    python = "python",
    redis = "redis",
    snmpd = "snmpd",
    sshd = "sshd",
    tinyproxy = "tinyproxy",
    unbound = "unbound",
    vsftpd = "vsftpd",
    waits_for_ever = "waits-for-ever",
}
