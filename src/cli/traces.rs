//! What `trace show` prints.

use std::collections::{BTreeMap, BTreeSet};

use super::screen::line;
use super::specs::shown;
use crate::learn::coverage::{Coverage, Missed};
use crate::learn::trace::{Certificate, PathSeen, Phase, SocketUse, Use};
use crate::sys::caps;
use crate::verbs::ShownTrace;

/// How many items of what was not reached are shown.
const LISTED: usize = 10;

/// How wide a list of names gets before it goes on in the next line.
const WIDTH: usize = 84;

/// One screen: the certificate, the exercises, the calls of each phase, and how much else.
pub(super) fn show(trace: &ShownTrace) -> String {
    let mut text = String::new();
    let certificate = &trace.certificate;
    let whole = if certificate.complete {
        "complete"
    } else {
        "INCOMPLETE"
    };
    let command = shown(&trace.command.join(" "));
    line(&mut text, "", &format!("{}: {command}", trace.name));
    line(
        &mut text,
        "trace",
        &format!("{whole}, {}", trace.source.display()),
    );
    for other in &trace.others {
        line(&mut text, "beside it", &other.display().to_string());
    }
    trust(&mut text, certificate);
    for blind in &trace.unseen {
        line(&mut text, "blind", &shown(blind));
    }
    exercises(&mut text, certificate);
    calls(&mut text, trace);
    line(&mut text, "paths", &paths(&trace.paths));
    line(&mut text, "sockets", &sockets(trace));
    line(&mut text, "needed", &capabilities(trace));
    text.push('\n');
    coverage(&mut text, &trace.coverage);
    text
}

/// Why the trace can be trusted, or not.
fn trust(text: &mut String, certificate: &Certificate) {
    for gap in &certificate.gaps {
        line(text, "gap", &shown(gap));
    }
    let (stops, records) = (certificate.stops, certificate.records);
    let sign = if stops == records { "=" } else { "but" };
    let runs = match certificate.runs {
        1 => String::new(),
        runs => format!(", of {runs} runs"),
    };
    line(
        text,
        "seen",
        &format!(
            "{stops} stops {sign} {records} records{runs}; {} processes, {} threads",
            certificate.processes, certificate.threads
        ),
    );
    let passes = match (certificate.passes, certificate.one_pass.as_str()) {
        (1, "") => "1".to_owned(),
        (1, why) => format!("1: {}", shown(why)),
        (passes, _) => format!(
            "{passes}; {} calls ran free in the second where they had been seen",
            certificate.free.len()
        ),
    };
    line(text, "passes", &passes);
    for why in &certificate.repeated {
        line(text, "", &format!("one was run again: {}", shown(why)));
    }
    let libc = match certificate.libc.as_str() {
        "" if certificate.complete => "no C library was loaded".to_owned(),
        "" => "its C library was not looked at".to_owned(),
        libc => shown(libc),
    };
    let kernel = shown(&certificate.kernel);
    line(text, "on", &format!("Linux {kernel}; {libc}"));
}

/// Each exercise once: how it ended in every pass and run.
fn exercises(text: &mut String, certificate: &Certificate) {
    let mut ended: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for run in &certificate.exercises {
        let how = match (run.passed, run.exit) {
            (true, _) => "passed".to_owned(),
            (false, Some(code)) => format!("NOT passed, exit code {code}"),
            (false, None) => "NOT passed, no exit code".to_owned(),
        };
        let how = match run.phase {
            Phase::Start => format!("{how} in start"),
            Phase::Serve => how,
        };
        ended.entry(&run.name).or_default().insert(how);
    }
    let mut by_end: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, how) in ended {
        let how: Vec<String> = how.into_iter().collect();
        by_end.entry(how.join("; ")).or_default().push(shown(name));
    }
    if by_end.is_empty() {
        line(text, "exercises", "none");
    }
    for (how, names) in by_end {
        let list = format!("{} {how}: {}", names.len(), names.join(" "));
        wrapped(text, "exercises", &list);
    }
}

/// The names of the calls: of those that only start has, of both, and of serve.
fn calls(text: &mut String, trace: &ShownTrace) {
    let of = |phase: Phase| -> BTreeSet<&str> {
        let calls = trace.calls.iter().filter(|call| call.phase == phase);
        calls.map(|call| call.name.as_str()).collect()
    };
    let (start, serve) = (of(Phase::Start), of(Phase::Serve));
    let only: Vec<String> = start.difference(&serve).map(|name| shown(name)).collect();
    let served: Vec<String> = serve.iter().map(|name| shown(name)).collect();
    let begin = format!(
        "{} in start, {} of them only there: {}",
        start.len(),
        only.len(),
        only.join(" ")
    );
    wrapped(text, "calls", &begin);
    let rest = format!("{} in serve: {}", served.len(), served.join(" "));
    wrapped(text, "", &rest);
}

fn paths(paths: &[PathSeen]) -> String {
    let with = |kinds: &[Use]| {
        let any = |path: &&PathSeen| kinds.iter().any(|kind| path.uses.contains(kind));
        paths.iter().filter(any).count()
    };
    format!(
        "{}: {} executed, {} mapped, {} read, {} written or made, {} only failed",
        paths.len(),
        with(&[Use::Execute]),
        with(&[Use::Map]),
        with(&[Use::Read, Use::List]),
        with(&[Use::Write, Use::Create]),
        paths.iter().filter(|path| path.uses.is_empty()).count(),
    )
}

fn sockets(trace: &ShownTrace) -> String {
    let count = |wanted: fn(&SocketUse) -> bool| {
        let sockets = trace.sockets.iter();
        sockets.filter(|socket| wanted(&socket.action)).count()
    };
    format!(
        "{} kinds, {} addresses bound, {} connected to",
        count(|action| matches!(action, SocketUse::Create)),
        count(|action| matches!(action, SocketUse::Bind)),
        count(|action| matches!(action, SocketUse::Connect)),
    )
}

fn capabilities(trace: &ShownTrace) -> String {
    let needed: BTreeSet<u8> = trace
        .capabilities
        .iter()
        .map(|seen| seen.capability)
        .collect();
    if needed.is_empty() {
        return "no capability".to_owned();
    }
    let word = |number: &u8| match caps::name(*number) {
        Some(name) => format!("CAP_{name}"),
        None => format!("capability {number}"),
    };
    let names: Vec<String> = needed.iter().map(word).collect();
    names.join(", ")
}

/// What was not reached, as far as a screen has room; `--json` has all.
fn coverage(text: &mut String, coverage: &Coverage) {
    let names = |missed: &[Missed]| missed.iter().map(|one| one.name.clone()).collect();
    listed(text, "not run", names(&coverage.exercises_not_run));
    listed(text, "not passed", names(&coverage.exercises_failed));
    let paths = coverage.files_not_opened.iter();
    let paths = paths.map(|file| file.path.display().to_string()).collect();
    listed(text, "not opened", paths);
    if let Some(why) = &coverage.packages_unknown {
        line(
            text,
            "not opened",
            &format!("cannot be told: {}", shown(why)),
        );
    }
    let names = coverage.names_not_asked.iter();
    let names = names.map(|missed| missed.name.clone()).collect();
    listed(text, "not loaded", names);
    if coverage.is_full() {
        line(
            text,
            "not reached",
            "nothing that can be told from the host's files",
        );
    }
    let hints = coverage.calls_hinted.iter();
    let hints = hints.map(|hint| hint.name.clone()).collect();
    listed(text, "hint", hints);
    if !coverage.calls_hinted.is_empty() {
        line(
            text,
            "",
            "(never seen, though functions that make these calls are imported)",
        );
    }
}

/// What was not reached, in a line.
pub(super) fn not_reached(name: &str, coverage: &Coverage) -> String {
    let counts = [
        (coverage.exercises_not_run.len(), "exercises did not run"),
        (coverage.exercises_failed.len(), "exercises failed"),
        (coverage.files_not_opened.len(), "files of its package"),
        (coverage.names_not_asked.len(), "names of libraries"),
        (coverage.calls_hinted.len(), "calls, as a hint"),
    ];
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let what = if parts.is_empty() {
        "nothing that can be told".to_owned()
    } else {
        parts.join(", ")
    };
    format!("{what}: gaoler trace show {name}")
}

/// The first of a list, and how many more there are.
fn listed(text: &mut String, label: &str, items: Vec<String>) {
    if items.is_empty() {
        return;
    }
    let first: Vec<String> = items.iter().take(LISTED).map(|item| shown(item)).collect();
    let more = match items.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    wrapped(
        text,
        label,
        &format!("{}: {}{more}", items.len(), first.join(" ")),
    );
}

/// A long line of words, broken between them.
pub(super) fn wrapped(text: &mut String, label: &str, value: &str) {
    let mut label = label;
    let mut row = String::new();
    for word in value.split(' ') {
        if !row.is_empty() && row.len() + 1 + word.len() > WIDTH {
            line(text, label, &row);
            label = "";
            row.clear();
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row += word;
    }
    line(text, label, &row);
}
