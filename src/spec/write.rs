//! [`Spec`] to TOML.
#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Display;
use std::path::Path;

use super::names::{ready_text, signal_name};
use super::parse::FORMAT;
use super::{
    Accepted, BACKLOG, BindRule, Demand, Device, DeviceRule, Direction, Evidence, Exercise,
    FileKind, FileRule, Incidents, Limits, Liveness, Log, LogSink, PortRule, Protections, Protocol,
    Reload, Restart, SOCKET_MODE, Schedule, ScratchRule, Service, SocketRule, Spec, duration_text,
};
use crate::sys::{calls, caps, families};

/// Writes a spec as TOML with its reasons; `parse` of it gives the same spec.
///
/// Text that a spec read by `parse` cannot hold (a number without a name, a path that is not
/// UTF-8) is written so that `parse` refuses it.
pub fn to_toml(spec: &Spec) -> String {
    let mut file = File::default();
    file.comment(&format!(
        "The jail of {}: what it may touch, and why. This file is yours.",
        spec.name
    ));
    file.comment("Every allowance has its reason in `because`; what is not here is denied. `evidence` is how");
    file.comment("gaoler knows it: leave it out of what you write yourself.");
    file.key("format", FORMAT);
    file.key("name", quoted(&spec.name));
    if let Some(why) = &spec.incomplete {
        file.comment(
            "What it was made from is incomplete. Learn the service again, or take this line out.",
        );
        file.key("incomplete", quoted(why));
    }
    file.service(&spec.service);
    file.sockets(&spec.sockets);
    file.exercises(&spec.exercises);
    file.tree(spec);
    file.allow(spec);
    file.limits(&spec.limits);
    file.protections(&spec.protections);
    file.restart(&spec.restart);
    file.liveness(spec.liveness.as_ref());
    file.check(spec.check);
    file.incidents(&spec.incidents);
    file.log(spec.log);
    file.accepted(&spec.accepted);
    file.text
}

/// The text so far.
#[derive(Default)]
struct File {
    text: String,
}

impl File {
    fn comment(&mut self, text: &str) {
        let plain: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.text.push_str(&format!("# {plain}\n"));
    }

    /// An empty line, the heading, and what the section is.
    fn section(&mut self, heading: &str, comments: &[&str]) {
        self.text.push('\n');
        for comment in comments {
            self.comment(comment);
        }
        self.text.push_str(&format!("{heading}\n"));
    }

    fn key(&mut self, key: &str, value: impl Display) {
        self.text.push_str(&format!("{key} = {value}\n"));
    }

    fn words_unless_empty(&mut self, key: &str, list: &[String]) {
        if !list.is_empty() {
            self.key(key, words(list));
        }
    }

    fn flag_if_set(&mut self, key: &str, value: bool) {
        if value {
            self.key(key, value);
        }
    }

    fn number_if_set(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.key(key, value);
        }
    }

    /// A list of one-line tables under what they are.
    fn rules(&mut self, key: &str, comment: &str, rules: impl Iterator<Item = String>) {
        self.comment(comment);
        let lines: String = rules.map(|rule| format!("  {{ {rule} }},\n")).collect();
        if lines.is_empty() {
            self.key(key, "[]");
        } else {
            self.key(key, format_args!("[\n{lines}]"));
        }
    }

    fn service(&mut self, service: &Service) {
        self.section(
            "[service]",
            &["The program, who it runs as, and how to live with it."],
        );
        self.key("command", words(&service.command));
        self.key("user", quoted(&service.user));
        self.key("group", quoted(&service.group));
        self.key("groups", words(&service.groups));
        self.flag_if_set("start_as_root", service.start_as_root);
        self.flag_if_set("refuses_root", service.refuses_root);
        self.flag_if_set("unaided", service.unaided);
        self.words_unless_empty("accounts", &service.accounts);
        self.key("workdir", path(&service.workdir));
        self.key("umask", quoted(&format!("{:04o}", service.umask)));
        self.words_unless_empty("config_test", &service.config_test);
        let ready: Vec<String> = service.ready.iter().map(ready_text).collect();
        self.key("ready", words(&ready));
        match &service.reload {
            Some(Reload::Command(command)) => self.key("reload_command", words(command)),
            Some(Reload::Signal(signal)) => {
                self.key("reload_signal", quoted(&signal_name(*signal)))
            }
            None => {}
        }
        self.words_unless_empty("stop", &service.stop);
        self.key("stop_timeout_s", service.stop_timeout_s);
        if let Some(pid_file) = &service.pid_file {
            self.key("pid_file", path(pid_file));
        }
        if let Some(pid_file) = &service.host_pid_file {
            self.key("host_pid_file", path(pid_file));
        }
        self.flag_if_set("forks", service.forks);
        self.flag_if_set("writable_executable", service.writable_executable);
        self.section("[service.environment]", &["The whole environment."]);
        for (name, value) in &service.environment {
            self.key(&key(name), quoted(value));
        }
    }

    fn sockets(&mut self, sockets: &[SocketRule]) {
        for (index, socket) in sockets.iter().enumerate() {
            let comments = [
                "Sockets that the service is given when it is started (LISTEN_FDS), and that are kept when it",
                "is started again.",
            ];
            self.section("[[socket]]", if index == 0 { &comments } else { &[] });
            self.key("name", quoted(&socket.name));
            self.key("listen", quoted(&socket.listen.to_string()));
            if socket.backlog != BACKLOG {
                self.key("backlog", socket.backlog);
            }
            self.flag_if_set("only_ipv6", socket.only_ipv6);
            self.flag_if_set("reuse_port", socket.reuse_port);
            if socket.mode != SOCKET_MODE {
                self.key("mode", quoted(&format!("{:04o}", socket.mode)));
            }
            for (key, name) in [("user", &socket.user), ("group", &socket.group)] {
                if let Some(name) = name {
                    self.key(key, quoted(name));
                }
            }
            self.key("because", quoted(&socket.because));
        }
    }

    fn exercises(&mut self, exercises: &[Exercise]) {
        for (index, exercise) in exercises.iter().enumerate() {
            let comments = [
                "What shows that the service works; run on the host. One with phase = \"start\" is run in",
                "every start, which is not over before it has passed.",
            ];
            self.section("[[exercise]]", if index == 0 { &comments } else { &[] });
            self.key("name", quoted(&exercise.name));
            self.key("command", words(&exercise.command));
            self.key("expect", exercise.expect);
            if !exercise.output.is_empty() {
                self.key("output", quoted(&exercise.output));
            }
            if exercise.is_of_start() {
                self.key("phase", "\"start\"");
            }
            self.key("because", quoted(&exercise.because));
        }
    }

    fn tree(&mut self, spec: &Spec) {
        self.section(
            "[tree]",
            &["What the jail's file tree is made of. Nothing else is in it."],
        );
        let comment =
            "Copied from the host, read-only: data, directory (made empty), library, program.";
        self.rules("files", comment, spec.files.iter().map(file));
        let comment = "Left on the host and mounted into the jail, at the same path.";
        self.rules("binds", comment, spec.binds.iter().map(bind));
        let comment = "Empty, private, writable, in memory.";
        self.rules("scratch", comment, spec.scratch.iter().map(scratch));
        let comment = "Device nodes: full, null, random, urandom, zero.";
        self.rules("devices", comment, spec.devices.iter().map(device));
    }

    fn allow(&mut self, spec: &Spec) {
        self.section("[allow]", &["What the service may ask of the kernel."]);
        let lines = spec.capabilities.iter().map(|rule| {
            let name = named(caps::name(rule.capability), rule.capability);
            with_reason(
                format!("capability = {name}"),
                &rule.because,
                &rule.evidence,
            )
        });
        self.rules("capabilities", "Kept; all others leave every set.", lines);
        let lines = spec.calls.iter().map(|rule| {
            let name = named(calls::name(rule.number), rule.number);
            let phase = if rule.start_only {
                ", phase = \"start\""
            } else {
                ""
            };
            with_reason(
                format!("call = {name}{phase}"),
                &rule.because,
                &rule.evidence,
            )
        });
        let comment = "System calls that the filter lets through; with phase = \"start\" until the \
             service is ready.";
        self.rules("calls", comment, lines);
        let lines = spec.families.iter().map(|rule| {
            let name = named(families::name(rule.family), rule.family);
            with_reason(format!("family = {name}"), &rule.because, &rule.evidence)
        });
        self.rules("families", "Address families of its sockets.", lines);
        let comment = "Ports; 0 is any ephemeral port (bind) or any port at all (connect).";
        self.rules("ports", comment, spec.ports.iter().map(port));
    }

    fn limits(&mut self, limits: &Limits) {
        let comments = [
            "Never above the host's; a missing one leaves the host's. Keys: core_bytes, descriptors,",
            "file_size_bytes, memory_bytes, processes.",
        ];
        self.section("[limits]", &comments);
        self.number_if_set("core_bytes", limits.core);
        self.number_if_set("descriptors", limits.descriptors);
        self.number_if_set("file_size_bytes", limits.file_size);
        self.number_if_set("memory_bytes", limits.memory);
        self.number_if_set("processes", limits.processes);
    }

    /// Only what is not usual.
    fn restart(&mut self, restart: &Restart) {
        let usual = Restart::default();
        if *restart == usual {
            return;
        }
        let comments = [
            "Whether it is started again when it has ended: \"never\", \"on-failure\" or \"always\". Each wait is",
            "twice the one before; after `limit` restarts within `period` it stays down.",
        ];
        self.section("[restart]", &comments);
        self.key("when", quoted(restart.when.name()));
        self.key("delay", quoted(&duration_text(restart.delay_ms)));
        let longest = duration_text(restart.longest_delay_ms);
        self.key("longest_delay", quoted(&longest));
        self.key("limit", restart.limit);
        self.key("period", quoted(&duration_text(restart.period_ms)));
    }

    fn liveness(&mut self, liveness: Option<&Liveness>) {
        let Some(liveness) = liveness else { return };
        let comments = [
            "How it is known that it lives, once it is ready: a command of the host that exits with 0, a port",
            "at which it waits, WATCHDOG=1 of sd_notify(3). One that does not is ended, and has failed.",
        ];
        self.section("[liveness]", &comments);
        self.key("every", quoted(&duration_text(liveness.every_ms)));
        self.key("timeout", quoted(&duration_text(liveness.timeout_ms)));
        self.key("failures", liveness.failures);
        self.words_unless_empty("command", &liveness.command);
        if let Some(port) = &liveness.port {
            self.key("port", quoted(&ready_text(port)));
        }
        if let Some(watchdog) = liveness.watchdog_ms {
            self.key("watchdog", quoted(&duration_text(watchdog)));
        }
    }

    /// Only what is not usual.
    fn check(&mut self, schedule: Schedule) {
        if schedule != Schedule::default() {
            let comment =
                "How often the running jail is compared with what was started, or \"off\".";
            self.section("[check]", &[comment]);
            self.key("every", quoted(&schedule.to_string()));
        }
    }

    /// Only what is not usual.
    fn incidents(&mut self, incidents: &Incidents) {
        if *incidents == Incidents::default() {
            return;
        }
        let comments = [
            "What is done when it may be under attack, beside writing that down: the kinds of incidents",
            "after which the jail is frozen; a command that gets the incident as JSON; a webhook.",
        ];
        self.section("[incidents]", &comments);
        let names = incidents.freeze.iter().map(|kind| kind.name().to_owned());
        self.words_unless_empty("freeze", &names.collect::<Vec<_>>());
        self.words_unless_empty("command", &incidents.command);
        if let Some(webhook) = &incidents.webhook {
            self.key("webhook", quoted(&webhook.to_string()));
        }
    }

    /// Only what is not usual.
    fn log(&mut self, log: Log) {
        let usual = LogSink::default();
        if log == Log::default() {
            return;
        }
        let comments = [
            "Where what it logs goes: auto (the host's log, else file), syslog, journal, file,",
            "stderr, tcp:ADDRESS:PORT or udp:ADDRESS:PORT. Keys: to, file_size_kib, old_files, and",
            "journal = true for a service that speaks journald's own protocol (sd_journal_send(3)).",
        ];
        self.section("[log]", &comments);
        let LogSink {
            to,
            file_size_kib,
            old_files,
        } = log.sink;
        if to != usual.to {
            self.key("to", quoted(&to.to_string()));
        }
        if file_size_kib != usual.file_size_kib {
            self.key("file_size_kib", file_size_kib);
        }
        if old_files != usual.old_files {
            self.key("old_files", old_files);
        }
        self.flag_if_set("journal", log.journal);
    }

    fn protections(&mut self, protections: &Protections) {
        let comments = [
            "What happens if the host lacks a layer: \"require\" (also if missing) refuses to start,",
            "\"prefer\" starts and reports it, \"off\" does without. Layers: cgroup, ipc_namespace,",
            "landlock, mount_namespace, pid_namespace, seccomp, uts_namespace.",
        ];
        self.section("[protections]", &comments);
        let layers = [
            ("cgroup", protections.cgroup),
            ("ipc_namespace", protections.ipc_namespace),
            ("landlock", protections.landlock),
            ("mount_namespace", protections.mount_namespace),
            ("pid_namespace", protections.pid_namespace),
            ("seccomp", protections.seccomp),
            ("uts_namespace", protections.uts_namespace),
        ];
        for (layer, demand) in layers {
            match demand {
                Demand::Require => {}
                Demand::Prefer => self.key(layer, "\"prefer\""),
                Demand::Off => self.key(layer, "\"off\""),
            }
        }
    }

    fn accepted(&mut self, accepted: &[Accepted]) {
        for (index, risk) in accepted.iter().enumerate() {
            let comments = ["What `check` finds and is not to count, until that day."];
            self.section("[[accepted]]", if index == 0 { &comments } else { &[] });
            self.key("check", quoted(&risk.check));
            self.key("subject", quoted(&risk.subject));
            self.key("because", quoted(&risk.because));
            self.key("until", quoted(&risk.until.to_string()));
        }
    }
}

fn file(rule: &FileRule) -> String {
    let kind = match rule.kind {
        FileKind::Data => "data",
        FileKind::Directory => "directory",
        FileKind::Library => "library",
        FileKind::Program => "program",
    };
    with_reason(
        format!("path = {}, kind = \"{kind}\"", path(&rule.path)),
        &rule.because,
        &rule.evidence,
    )
}

fn bind(rule: &BindRule) -> String {
    let fields = format!("path = {}, writable = {}", path(&rule.path), rule.writable);
    with_reason(fields, &rule.because, &rule.evidence)
}

fn scratch(rule: &ScratchRule) -> String {
    let fields = format!("path = {}, size_kib = {}", path(&rule.path), rule.size_kib);
    with_reason(fields, &rule.because, &rule.evidence)
}

fn device(rule: &DeviceRule) -> String {
    let device = match rule.device {
        Device::Full => "full",
        Device::Null => "null",
        Device::Random => "random",
        Device::Urandom => "urandom",
        Device::Zero => "zero",
    };
    with_reason(
        format!("path = {}, device = \"{device}\"", path(&rule.path)),
        &rule.because,
        &rule.evidence,
    )
}

fn port(rule: &PortRule) -> String {
    let direction = match rule.direction {
        Direction::Bind => "bind",
        Direction::Connect => "connect",
    };
    let protocol = match rule.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    let fields = format!(
        "direction = \"{direction}\", protocol = \"{protocol}\", port = {}",
        rule.port
    );
    with_reason(fields, &rule.because, &rule.evidence)
}

/// What a person says needs no evidence.
fn with_reason(fields: String, because: &str, evidence: &Evidence) -> String {
    let because = quoted(because);
    match evidence {
        Evidence::Person => format!("{fields}, because = {because}"),
        known => {
            let known = quoted(&known.to_string());
            format!("{fields}, because = {because}, evidence = {known}")
        }
    }
}

/// A name, or the bare number, which `parse` does not know.
fn named(name: Option<&str>, number: impl Display) -> String {
    name.map_or_else(|| quoted(&number.to_string()), quoted)
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn words(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// A bare key where TOML allows one.
fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A TOML basic string on one line. Control characters are escaped, and so are those that
/// change the direction of writing: a path from a trace shall not look like another one to
/// whoever edits the file (CVE-2021-42574).
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ if character.is_control() || turns_writing(character) => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// Unicode's marks, embeddings, overrides and isolates of direction, and its line breaks.
pub fn turns_writing(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
