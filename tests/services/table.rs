//! The sixteen, and what else is tried.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gaoler::spec::{self, Spec};
use gaoler::sys::caps;
use serde_json::Value;

use crate::daemons::{DAEMONS, Daemon, KNOWN, OTHERS};
use crate::knowledge;
use crate::machine::{Done, Machine, machine};
use crate::page;
use crate::rows::{self, Row, text};

/// Runs one row, from learning to its end.
fn run(machine: &Machine, row: &Row) {
    let beside = row.prepare(machine);
    let name = row.jail();
    let begun = Instant::now();
    let learned = learn(machine, row);
    let seconds = begun.elapsed().as_secs_f32();
    println!("{}{}", learned.out, learned.err);
    let healed = learned.err.lines();
    let healed = healed.filter(|line| line.starts_with("healed ")).count();
    learned.ok();
    let trace = machine.json(&["trace", "show", name]);
    let exercises = passed(&trace);
    let up = machine.gaoler(&["up", name, "--json"]);
    assert_eq!(up.code, 0, "{up:#?} {}", machine.words(name));
    let up: Value = serde_json::from_str(&up.out).unwrap();
    if row.known.is_some() {
        knowledge::is_borne_out(machine, row);
    }
    let score = checked(machine, row);
    inside(row);
    let stopped = attacked(machine, row);
    stop(machine, row);
    let own: Vec<i32> = beside.iter().map(|beside| beside.pid()).collect();
    machine.nothing_left(name, &own);
    let spec = fs::read_to_string(format!("/etc/gaoler/{name}.toml")).unwrap();
    let spec = spec::parse(&spec, name).unwrap();
    let line = format!(
        "{seconds:.1} | {}, {} | {} | {} | {healed} | {score:.1} | {exercises} of {} | {stopped}",
        calls(&trace, "start"),
        calls(&trace, "serve"),
        up["files"],
        capabilities(&spec),
        spec.exercises.len(),
    );
    println!("{name}: {line}");
    if let Some(title) = page::title(row) {
        page::add(&title, &format!("| `{title}` | {line} |"));
    }
}

/// From nothing but its command, and in its jail until all works there; or from what gaoler knows.
fn learn(machine: &Machine, row: &Row) -> Done {
    let mut words: Vec<String> = match row.known {
        Some(known) => vec!["up".to_owned(), known.service.to_owned()],
        None => ["learn", row.name, "--unaided", "--heal"]
            .map(str::to_owned)
            .into(),
    };
    for exercise in row.exercises {
        words.extend(["--exercise".to_owned(), text(exercise)]);
    }
    words.extend(row.options.iter().map(|word| (*word).to_owned()));
    let command = row.words();
    if !command.is_empty() {
        words.push("--".to_owned());
        words.extend(command);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    machine.gaoler(&words)
}

/// It was heard while it ran, and does at its end what it did unjailed.
fn stop(machine: &Machine, row: &Row) {
    let files = || row.removes.iter().map(|file| text(file));
    let left = || files().filter(|file| Path::new(file).exists());
    assert_eq!(left().count(), row.removes.len());
    machine.gaoler(&["stop", row.jail()]).ok();
    assert_eq!(left().collect::<Vec<_>>(), [""; 0], "not asked to end");
    let words = machine.words(row.jail());
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
    let report = machine.json(&["check", row.jail(), "--live", "--exercise"]);
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
    let daemon = DAEMONS.iter().chain(OTHERS).chain(KNOWN).find(daemon);
    let expected = daemon.map_or(&[][..], |daemon| daemon.findings);
    // A version may follow.
    let is_expected = |found: &String| expected.iter().any(|(what, _)| found.starts_with(what));
    let is_found = |what: &str| found.iter().any(|found| found.starts_with(what));
    assert!(
        found.iter().all(is_expected) && expected.iter().all(|(what, _)| is_found(what)),
        "{:#?}\n{}",
        weighty.collect::<Vec<_>>(),
        machine.words(row.jail())
    );
    report["score"].as_f64().unwrap()
}

/// Nothing gets out of a jail like this one, in either phase. Answers with how many attempts were
/// stopped, and of how many.
fn attacked(machine: &Machine, row: &Row) -> String {
    let done = machine.gaoler(&["attack", row.jail(), "--json"]);
    let report: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{done:#?}"));
    let probes = report["probes"].as_array().unwrap();
    let with = |outcome: &str| {
        let probes = probes.iter().filter(|probe| probe["outcome"] == outcome);
        probes.collect::<Vec<_>>()
    };
    assert_eq!(with("escaped"), [&Value::Null; 0]);
    assert_eq!(done.code, 0, "{}", done.err);
    let stopped = with("blocked").len();
    assert!(stopped >= 2 * 70, "{stopped}");
    format!("{stopped} of {}", probes.len())
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
            assert!(DAEMONS.iter().chain(KNOWN).all(|daemon| tests.contains(&daemon.row)));
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
    known_apache2 = "known-apache2",
    known_dnsmasq = "known-dnsmasq",
    known_haproxy = "known-haproxy",
    known_lighttpd = "known-lighttpd",
    known_memcached = "known-memcached",
    known_mosquitto = "known-mosquitto",
    known_nginx = "known-nginx",
    known_nsd = "known-nsd",
    known_postgresql = "known-postgresql",
    known_redis = "known-redis",
    known_sshd = "known-sshd",
    known_unbound = "known-unbound",
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
