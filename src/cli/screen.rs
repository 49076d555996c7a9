//! Texts for people, and the JSON shapes that are not a module's own type.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::specs::shown;
use super::{checks, traces, whys};
use crate::audit::Severity;
use crate::build::{Built, EntryKind};
use crate::learn::trace::Phase;
use crate::learn::{ExerciseRun, Trace};
use crate::plan::Plan;
use crate::sys::caps;
use crate::verbs::{Jail, Learned, Status, Up};

/// How many findings `up` shows; `check` shows all.
const FINDINGS_SHOWN: usize = 5;

/// The one screen of `up`.
pub(super) fn up(up: &Up) -> String {
    let mut text = String::new();
    let jail = &up.jail;
    let spec = &jail.spec;
    let verb = if up.ran_already {
        "runs already"
    } else {
        "runs in its jail"
    };
    line(
        &mut text,
        "",
        &format!("{} {verb}: process {}", spec.name, up.state.service.pid),
    );
    text.push('\n');
    if let Some(trace) = &up.trace {
        line(&mut text, "learned", &learned_in_words(trace));
        failed_exercises(&mut text, trace);
    }
    line(&mut text, "in the jail", &contents(jail, &up.built));
    for bind in &spec.binds {
        let access = if bind.writable {
            "writable"
        } else {
            "read-only"
        };
        line(
            &mut text,
            "",
            &format!("{} of the host, {access}", bind.path.display()),
        );
    }
    line(&mut text, "runs as", &identity(jail));
    line(&mut text, "may do", &allowances(jail));
    for (number, lacking) in jail.plan.lacking.iter().enumerate() {
        let what = if number == 0 { "weaker" } else { "" };
        line(&mut text, what, lacking);
    }
    line(&mut text, "score", &checks::score(&up.report));
    for finding in up
        .report
        .findings
        .iter()
        .filter(|found| found.severity > Severity::Info && found.accepted.is_none())
        .take(FINDINGS_SHOWN)
    {
        line(
            &mut text,
            "",
            &format!("{}: {}: {}", finding.id, finding.subject, finding.evidence),
        );
    }
    for note in &up.notes {
        line(&mut text, "noted", note);
    }
    text.push('\n');
    let name = &spec.name;
    line(
        &mut text,
        "next",
        &format!("gaoler check {name} --live    look at it from outside"),
    );
    line(
        &mut text,
        "",
        &format!("gaoler status {name} · reload {name} · restart {name} · stop {name}"),
    );
    line(
        &mut text,
        "",
        &format!("gaoler plan {name}            every step of its start, with the reason"),
    );
    text
}

pub(super) fn line(text: &mut String, label: &str, value: &str) {
    let written = if label.is_empty() && text.is_empty() {
        writeln!(text, "{value}")
    } else {
        writeln!(text, "  {label:<12} {value}")
    };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

fn learned_in_words(trace: &Trace) -> String {
    let certificate = &trace.certificate;
    let (run, failed) = (exercises(trace).count(), failures(trace).count());
    let passed = run - failed;
    let phase = |wanted| {
        trace
            .calls
            .iter()
            .filter(|call| call.phase == wanted)
            .count()
    };
    format!(
        "{} stops, {} records, {} processes, {} threads; {} calls in start, {} in serve; \
         {passed} of {run} exercises passed, {}",
        certificate.stops,
        certificate.records,
        certificate.processes,
        certificate.threads,
        phase(Phase::Start),
        phase(Phase::Serve),
        match certificate.passes {
            1 => "1 pass".to_owned(),
            passes => format!("{passes} passes"),
        },
    )
}

/// A line for each exercise that was not passed.
fn failed_exercises(text: &mut String, trace: &Trace) {
    for run in failures(trace) {
        let ended = match run.exit {
            Some(code) => format!("exit code {code}"),
            None => "no exit code".to_owned(),
        };
        let command = run.command.join(" ");
        line(
            text,
            "not passed",
            &format!("{} ({ended}): {command}", run.name),
        );
    }
}

/// The exercises, each once, however many passes there were.
fn exercises(trace: &Trace) -> impl Iterator<Item = &str> {
    let runs = trace.certificate.exercises.iter();
    runs.map(|run| run.name.as_str())
        .collect::<BTreeSet<_>>()
        .into_iter()
}

/// Of each exercise that was not passed every time, the first run that was not.
fn failures(trace: &Trace) -> impl Iterator<Item = &ExerciseRun> {
    let runs = &trace.certificate.exercises;
    exercises(trace).filter_map(|name| runs.iter().find(|run| run.name == name && !run.passed))
}

fn contents(jail: &Jail, built: &Built) -> String {
    let devices: Vec<String> = jail
        .manifest
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Device)
        .map(|entry| entry.path.display().to_string())
        .collect();
    let devices = if devices.is_empty() {
        "no devices".to_owned()
    } else {
        devices.join(" ")
    };
    let files = jail
        .manifest
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File);
    let (count, bytes) = files.fold((0, 0), |(count, bytes), entry| {
        (count + 1, bytes + entry.size.unwrap_or(0))
    });
    let whether = if built.changed { "new" } else { "unchanged" };
    format!(
        "{count} files, {}, read-only; {devices}; generation {} ({whether})",
        megabytes(bytes),
        built.generation
    )
}

pub(super) fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

fn identity(jail: &Jail) -> String {
    let account = &jail.account;
    let groups = if account.groups.is_empty() {
        "no other groups".to_owned()
    } else {
        let names: Vec<&str> = account
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        format!("also {}", names.join(", "))
    };
    format!(
        "{} (uid {}), group {} (gid {}), {groups}",
        account.user.name, account.user.uid, account.group.name, account.group.gid
    )
}

fn allowances(jail: &Jail) -> String {
    let spec = &jail.spec;
    let kept: Vec<String> = spec
        .capabilities
        .iter()
        .filter_map(|rule| caps::name(rule.capability))
        .map(|name| format!("CAP_{name}"))
        .collect();
    let kept = if kept.is_empty() {
        "no capability".to_owned()
    } else {
        kept.join(", ")
    };
    let ports: Vec<String> = spec
        .ports
        .iter()
        .map(|rule| {
            let port = if rule.port == 0 {
                "any".to_owned()
            } else {
                rule.port.to_string()
            };
            format!("{} {} {port}", protocol_word(rule), direction_word(rule))
        })
        .collect();
    let at_start = spec.calls.iter().filter(|rule| rule.start_only).count();
    let phases = match at_start {
        0 => String::new(),
        count => format!(", {count} of them only until it is ready"),
    };
    format!(
        "{kept}; {} system calls{phases}; {}",
        spec.calls.len(),
        ports.join(", ")
    )
}

fn protocol_word(rule: &crate::spec::PortRule) -> &'static str {
    match rule.protocol {
        crate::spec::Protocol::Tcp => "tcp",
        crate::spec::Protocol::Udp => "udp",
    }
}

fn direction_word(rule: &crate::spec::PortRule) -> &'static str {
    match rule.direction {
        crate::spec::Direction::Bind => "bind",
        crate::spec::Direction::Connect => "connect",
    }
}

/// `up --json`.
pub(super) fn up_json(up: &Up) -> Value {
    json!({
        "name": up.jail.spec.name,
        "pid": up.state.service.pid,
        "generation": up.built.generation,
        "changed": up.built.changed,
        "ran_already": up.ran_already,
        "files": up.built.files,
        "bytes": up.built.bytes,
        "score": up.report.score,
        "findings": up.report.findings,
        "notes": up.notes,
    })
}

/// After `learn`.
pub(super) fn learned(learned: &Learned) -> String {
    let spec = &learned.spec;
    let mut text = format!(
        "learned {}: {}\n",
        spec.name,
        learned_in_words(&learned.trace)
    );
    failed_exercises(&mut text, &learned.trace);
    let one_pass = &learned.trace.certificate.one_pass;
    if !one_pass.is_empty() {
        line(&mut text, "one pass", &shown(one_pass));
    }
    for note in &learned.notes {
        line(&mut text, "noted", note);
    }
    line(
        &mut text,
        "not reached",
        &traces::not_reached(&spec.name, &learned.coverage),
    );
    if let Some(healed) = &learned.healed {
        whys::healed(&mut text, healed);
    }
    line(&mut text, "spec", &learned.path.display().to_string());
    line(&mut text, "next", &format!("gaoler up {}", spec.name));
    text
}

/// After `build`.
pub(super) fn built(jail: &Jail, built: &Built) -> String {
    format!("{}: {}\n", jail.spec.name, contents(jail, built))
}

/// `build --json`.
pub(super) fn built_json(built: &Built) -> Value {
    json!({
        "generation": built.generation,
        "changed": built.changed,
        "files": built.files,
        "bytes": built.bytes,
    })
}

/// After `build --standalone`.
pub(super) fn standalone(made: &Built, directory: &Path) -> String {
    format!(
        "{}: {} files, {}, complete in itself\n",
        directory.display(),
        made.files,
        megabytes(made.bytes)
    )
}

/// `plan`.
pub(super) fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    let mut before = String::new();
    for (planned, number) in plan.steps.iter().zip(1..) {
        let phase = planned.phase.to_string();
        if phase != before {
            text += &format!("{phase}\n");
            before = phase;
        }
        text += &format!(
            "  {number:>2}. {}\n      {}\n",
            planned.step, planned.reason
        );
    }
    for lacking in &plan.lacking {
        text += &format!("without: {lacking}\n");
    }
    text
}

/// `plan --json`.
pub(super) fn plan_json(plan: &Plan) -> Value {
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|planned| {
            json!({
                "phase": planned.phase.to_string(),
                "step": planned.step.to_string(),
                "reason": planned.reason,
            })
        })
        .collect();
    json!({
        "name": plan.name,
        "generation": plan.generation,
        "steps": steps,
        "lacking": plan.lacking,
    })
}

/// After `start`.
pub(super) fn started(status: &Status, ran_already: bool) -> String {
    let pid = status
        .pid
        .map_or_else(|| "none".to_owned(), |pid| pid.to_string());
    let verb = if ran_already {
        "runs already"
    } else {
        "started"
    };
    format!("{} {verb}: process {pid}\n", status.name)
}

/// After `stop`.
pub(super) fn stopped(name: &str, ran: bool) -> String {
    let verb = if ran { "stopped" } else { "did not run" };
    format!("{name} {verb}\n")
}

/// As many reasons are shown; `--json` has all.
const REASONS_SHOWN: usize = 4;

/// `status`.
pub(super) fn status(status: &Status) -> String {
    let mut text = match (status.pid, status.uptime_s, status.generation) {
        (Some(pid), Some(uptime), Some(generation)) => {
            let mut text = format!(
                "{} is {}: process {pid}, generation {generation}, for {uptime} s\n",
                status.name, status.state
            );
            restarts(&mut text, status);
            for drift in &status.drift {
                line(&mut text, "DRIFT", &shown(drift));
            }
            if let Some(log) = status.log.as_ref().filter(|log| log.dropped > 0) {
                let lost = format!(
                    "{} of {} messages, not taken by {}",
                    log.dropped, log.sent, log.to
                );
                line(&mut text, "LOST", &shown(&lost));
            }
            text
        }
        _ => {
            let last = status
                .last
                .as_ref()
                .map(|how| format!(" ({how})"))
                .unwrap_or_default();
            let mut text = match status.state {
                "restarting" => format!("{} waits to be started again{last}\n", status.name),
                _ => format!("{} is stopped{last}\n", status.name),
            };
            restarts(&mut text, status);
            text
        }
    };
    stale(&mut text, &status.name, &status.stale);
    text
}

/// Why a jail is behind its host.
pub(super) fn stale(text: &mut String, name: &str, reasons: &[String]) {
    for reason in reasons.iter().take(REASONS_SHOWN) {
        line(text, "STALE", &shown(reason));
    }
    if let Some(more) = reasons
        .len()
        .checked_sub(REASONS_SHOWN)
        .filter(|more| *more > 0)
    {
        line(text, "", &format!("and {more} more"));
    }
    if !reasons.is_empty() {
        line(text, "next", &format!("gaoler upgrade {name}"));
    }
}

fn restarts(text: &mut String, status: &Status) {
    if let Some(last) = &status.last_restart {
        let (times, cause) = (status.restarts, shown(&last.cause));
        let told = format!("{times}, last at {}: {cause}", last.time);
        line(text, "RESTARTS", &told);
    }
}
