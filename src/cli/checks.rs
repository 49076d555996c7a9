//! What `check` prints for people: of one jail, or of everything that listens.

use super::specs::shown;
use crate::audit::scan::{Listening, Socket};
use crate::audit::{Finding, Severity};
use crate::verbs::{CheckReport, ScanReport};

/// As many sockets of one process are shown.
const MOST_SOCKETS: usize = 6;

/// The score of a jail and what adds to it.
pub(super) fn score(report: &CheckReport) -> String {
    let counted = || {
        report
            .findings
            .iter()
            .filter(|found| found.accepted.is_none())
    };
    let count = |severity| counted().filter(|found| found.severity == severity).count();
    let accepted = match report.findings.len() - counted().count() {
        0 => String::new(),
        some => format!("; {some} accepted"),
    };
    format!(
        "{:.1} of 10 (0 is best); {} critical, {} high, {} medium, {} low{accepted}",
        report.score,
        count(Severity::Critical),
        count(Severity::High),
        count(Severity::Medium),
        count(Severity::Low),
    )
}

/// `check NAME`.
pub(super) fn check(report: &CheckReport, colour: bool) -> String {
    let mut text = format!("{}: score {}\n", report.name, score(report));
    if !report.passed.is_empty() {
        let names: Vec<String> = report.passed.iter().map(|name| shown(name)).collect();
        text += &format!("  exercises passed: {}\n", names.join(" "));
    }
    for finding in &report.findings {
        text += &finding_in_words(finding, colour);
    }
    text
}

fn finding_in_words(finding: &Finding, colour: bool) -> String {
    let severity = match &finding.accepted {
        Some(_) => tag("accepted", "2", colour),
        None => tag(finding.severity.name(), code(finding.severity), colour),
    };
    let mut text = format!(
        "  {severity} {}: {}\n           {}\n",
        finding.id,
        shown(&finding.subject),
        shown(&finding.evidence),
    );
    match &finding.accepted {
        Some(risk) => {
            let (name, because) = (finding.severity.name(), shown(&risk.because));
            text += &format!(
                "           {name}, accepted until {}: {because}\n",
                risk.until
            );
        }
        None => text += &format!("           remedy: {}\n", shown(&finding.remedy)),
    }
    text
}

fn code(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "2",
        Severity::Low => "36",
        Severity::Medium => "33",
        Severity::High => "31",
        Severity::Critical => "1;31",
    }
}

fn tag(name: &str, code: &str, colour: bool) -> String {
    if colour {
        format!("\u{1b}[{code}m{name:<8}\u{1b}[0m")
    } else {
        format!("{name:<8}")
    }
}

/// `check`.
pub(super) fn scan(report: &ScanReport, colour: bool) -> String {
    if report.listening.is_empty() {
        return "nothing listens on this machine\n".to_owned();
    }
    let mut text = format!(
        "{} processes listen; {} in a jail of gaoler's; {} not confined by aa-unconfined's measure; \
         exposure from 0 to 10, worst first\n",
        report.processes, report.jailed, report.apparmor_unconfined
    );
    for listening in &report.listening {
        text += &listening_in_words(listening, colour);
    }
    text
}

fn listening_in_words(one: &Listening, colour: bool) -> String {
    let severity = one.finding().severity;
    let exposure = format!("{:.1}", one.exposure);
    let user = match &one.user {
        Some(name) => format!("{} (uid {})", shown(name), one.uid),
        None => format!("uid {}", one.uid),
    };
    let mut text = format!(
        "  {} process {}, {}, {user}\n           listens on {}\n",
        tag(&exposure, code(severity), colour),
        one.pid,
        program(one),
        sockets(&one.sockets),
    );
    text += &format!("           confined by {}\n", confined_by(one));
    let apparmor = match &one.apparmor {
        Some(apparmor) => format!("confined by {}", quoted(&apparmor.to_string())),
        None => "not confined".to_owned(),
    };
    text += &format!("           aa-unconfined: {apparmor}\n");
    if !one.capabilities.is_empty() {
        text += &format!("           has {}\n", capabilities(&one.capabilities));
    }
    let weak: Vec<String> = one
        .because
        .iter()
        .map(|because| format!("{} {}", because.what, because.weight))
        .collect();
    if !weak.is_empty() {
        text += &format!("           exposed: {}\n", weak.join("; "));
    }
    text
}

/// What it runs and what it calls itself, where that is something else. Both are names that
/// somebody chose, and stand in quotes.
fn program(one: &Listening) -> String {
    let executable = one.executable.as_deref().unwrap_or("unknown");
    let file = executable.rsplit('/').next().unwrap_or_default();
    // The kernel keeps 15 bytes of it.
    if file.starts_with(&one.name) && !one.name.is_empty() {
        return quoted(executable);
    }
    format!(
        "{} calling itself {}",
        quoted(executable),
        quoted(&one.name)
    )
}

fn quoted(text: &str) -> String {
    shown(&format!("{text:?}"))
}

fn sockets(sockets: &[Socket]) -> String {
    let words = sockets.iter().take(MOST_SOCKETS).map(|socket| {
        let Some(port) = socket.port else {
            return format!("{} {}", socket.protocol, quoted(&socket.address));
        };
        match socket.address.contains(':') {
            true => format!("{} [{}]:{port}", socket.protocol, socket.address),
            false => format!("{} {}:{port}", socket.protocol, socket.address),
        }
    });
    let words: Vec<String> = words.collect();
    match sockets.len().saturating_sub(MOST_SOCKETS) {
        0 => words.join(", "),
        more => format!("{} and {more} more", words.join(", ")),
    }
}

fn confined_by(one: &Listening) -> String {
    let mut by = Vec::new();
    by.extend(
        one.jail
            .as_ref()
            .map(|name| format!("jail {}", shown(name))),
    );
    let apparmor = one.apparmor.as_ref();
    by.extend(apparmor.map(|profile| format!("AppArmor {}", quoted(&profile.to_string()))));
    by.extend(
        one.selinux
            .as_ref()
            .map(|domain| format!("SELinux {}", quoted(domain))),
    );
    by.extend(one.landlock.then(|| "Landlock".to_owned()));
    by.extend(one.seccomp.then(|| "a system call filter".to_owned()));
    by.extend(one.own_root.then(|| "a root of its own".to_owned()));
    if !one.namespaces.is_empty() {
        by.push(format!("namespaces {}", one.namespaces.join(" ")));
    }
    by.extend(one.no_new_privs.then(|| "no_new_privs".to_owned()));
    let by = if by.is_empty() {
        "nothing".to_owned()
    } else {
        by.join(", ")
    };
    match &one.unit {
        Some(unit) => format!("{by}; in the unit {}", quoted(unit)),
        None => by,
    }
}

fn capabilities(names: &[String]) -> String {
    /// As many are named; root has about forty.
    const MOST: usize = 5;
    match names.len().saturating_sub(MOST) {
        0 => names
            .iter()
            .map(|name| format!("CAP_{name}"))
            .collect::<Vec<_>>()
            .join(", "),
        _ => format!("{} capabilities", names.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_processes_choose_do_not_reach_the_terminal() {
        let evil = "a\u{1b}[2J\u{202e}\nb".to_owned();
        let report = ScanReport {
            name: None,
            score: 10.0,
            processes: 1,
            jailed: 0,
            apparmor_unconfined: 1,
            findings: Vec::new(),
            listening: vec![Listening {
                name: evil.clone(),
                executable: Some(format!("/tmp/{evil}")),
                user: Some(evil.clone()),
                unit: Some(evil.clone()),
                jail: Some(evil.clone()),
                selinux: Some(evil.clone()),
                sockets: vec![Socket {
                    protocol: "unix".to_owned(),
                    address: evil,
                    port: None,
                }],
                ..Listening::default()
            }],
        };
        let text = scan(&report, false);
        let odd = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(odd), "{text:?}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
