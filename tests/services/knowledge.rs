//! What gaoler knows about a service, against what it was seen to do.

use std::fs;
use std::path::Path;

use gaoler::learn::trace::{PathSeen, SocketUse, Use};
use gaoler::learn::{self, Trace};
use gaoler::spec::{self, Direction, Knowledge, PortRule, Protocol, Reload, Spec};

use crate::machine::Machine;
use crate::rows::{Known, Row, text};

/// Everything that is known was seen, or is listed with the reason why it cannot be; and nothing of
/// it is contradicted. Then clients use the service, it reads its configuration again, and they do so
/// once more.
pub fn is_borne_out(machine: &Machine, row: &Row) {
    let known = row.known.unwrap();
    let name = known.service;
    let knowledge = spec::shipped(name).unwrap().unwrap();
    let knowledge = knowledge.resolve(&|path| fs::read_to_string(path).ok());
    let knowledge = knowledge.unwrap().knowledge;
    let trace = learn::load(Path::new(&format!("/var/lib/gaoler/{name}/trace.json"))).unwrap();
    let text = fs::read_to_string(format!("/etc/gaoler/{name}.toml")).unwrap();
    let spec = spec::parse(&text, name).unwrap();

    let mut wrong = places(&knowledge, &trace, &known);
    wrong.extend(identity(&knowledge, &trace, &spec));
    wrong.extend(ports(&knowledge, &trace, &spec, &known));
    wrong.extend(life(&knowledge, &trace, &spec));
    assert_eq!(wrong, [""; 0], "{text}");

    clients(machine, &known);
    if spec.service.reload.is_some() {
        machine.gaoler(&["reload", name]).ok();
        clients(machine, &known);
    }
}

fn clients(machine: &Machine, known: &Known) {
    for client in known.clients {
        let done = machine.run(&["sh", "-e", "-c", &text(client)]);
        assert_eq!(
            done.code,
            0,
            "{client}: {done:#?} {}",
            machine.words(known.service)
        );
    }
}

/// Where it writes, and where it only reads.
fn places(knowledge: &Knowledge, trace: &Trace, known: &Known) -> Vec<String> {
    let mut wrong = Vec::new();
    for place in &knowledge.places {
        let is_below = |seen: &&PathSeen| seen.host.starts_with(&place.path);
        let mut below = trace.paths.iter().filter(is_below).peekable();
        let path = place.path.to_str().unwrap();
        let exempt = known.unseen.iter().any(|(unseen, _)| *unseen == path);
        let used = below.peek().is_some();
        let written = below.any(is_written);
        if written && !place.writable {
            wrong.push(format!("{path}: it is written"));
        }
        let seen = if place.writable { written } else { used };
        if seen == exempt {
            wrong.push(format!("{path}: seen: {seen}, said to be unseen: {exempt}"));
        }
    }
    wrong
}

fn is_written(seen: &PathSeen) -> bool {
    let writes = [Use::Write, Use::Create, Use::Delete, Use::Change];
    writes.iter().any(|kind| seen.uses.contains(kind))
}

/// Whom it runs as, and whom it begins as.
fn identity(knowledge: &Knowledge, trace: &Trace, spec: &Spec) -> Vec<String> {
    let service = &spec.service;
    let mut wrong = Vec::new();
    if service.user != knowledge.user {
        wrong.push(format!(
            "user {} in place of {}",
            service.user, knowledge.user
        ));
    }
    let uids = || trace.ids.iter().flat_map(|ids| ids.uids);
    if knowledge.refuses_root && uids().any(|uid| uid == 0) {
        wrong.push("it takes root, which it is said to refuse".to_owned());
    }
    if knowledge.start_as_root && uids().all(|uid| uid == 0) {
        wrong.push("it becomes nobody else, and is said to".to_owned());
    }
    let flags = (service.refuses_root, service.start_as_root);
    if flags != (knowledge.refuses_root, knowledge.start_as_root) {
        wrong.push("whom it begins as is not what is known".to_owned());
    }
    wrong
}

/// Where it waits, and where it connects to.
fn ports(knowledge: &Knowledge, trace: &Trace, spec: &Spec, known: &Known) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(port) = knowledge.port_default {
        let mut bound = trace
            .sockets
            .iter()
            .filter(|one| one.action == SocketUse::Bind);
        if !bound.any(|one| one.port == port) {
            wrong.push(format!("port {port} is not bound"));
        }
    }
    let signs = knowledge.ready.iter();
    let signs = signs.filter(|sign| !spec.service.ready.contains(sign));
    wrong.extend(signs.map(|sign| format!("{sign:?} is no sign of readiness")));
    for rule in &knowledge.ports {
        let words = in_words(rule);
        let exempt = known.unseen.iter().any(|(unseen, _)| *unseen == words);
        let rules = spec.ports.iter();
        let same = |found: &&PortRule| in_words(found) == words;
        let seen = rules
            .filter(same)
            .any(|found| found.evidence.to_string().starts_with("obs"));
        if seen == exempt {
            wrong.push(format!(
                "{words}: seen: {seen}, said to be unseen: {exempt}"
            ));
        }
    }
    wrong
}

fn in_words(rule: &PortRule) -> String {
    let direction = match rule.direction {
        Direction::Bind => "bind",
        Direction::Connect => "connect",
    };
    let protocol = match rule.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{direction} {protocol} {}", rule.port)
}

/// How it is lived with: its exercises, its pid file, the signal that it takes.
fn life(knowledge: &Knowledge, trace: &Trace, spec: &Spec) -> Vec<String> {
    let mut wrong = Vec::new();
    for exercise in &knowledge.exercises {
        if !spec.exercises.iter().any(|one| one.name == exercise.name) {
            wrong.push(format!("the exercise {} did not pass", exercise.name));
        }
    }
    if let Some(file) = &knowledge.pid_file {
        let is_it = |seen: &&PathSeen| seen.host == *file;
        if !trace.paths.iter().filter(is_it).any(is_written) {
            wrong.push(format!("{} is not made", file.display()));
        }
    }
    if let Some(Reload::Signal(signal)) = knowledge.reload
        && !trace.handled_signals.contains(&signal)
    {
        wrong.push(format!("signal {signal} is not handled"));
    }
    wrong
}
