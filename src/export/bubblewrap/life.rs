//! The start of the service, and its end.

use super::calls;
use super::script::Script;
use crate::Result;
use crate::audit::Severity;
use crate::export::{Item, Ledger, Loss, Subject, launched, sh};
use crate::spec::{Demand, Reload};

/// How often in a second it is looked whether the service has ended.
const LOOKS: u32 = 10;

/// Starts bubblewrap beside the script.
///
/// # Errors
/// A word that no script can hold.
pub fn start(script: &mut Script, ledger: &mut Ledger, subject: &Subject<'_>) -> Result<()> {
    let service = &subject.spec.service;
    let limits = launched::limits(ledger, subject).join(" ");
    let groups = launched::groups(subject);
    let groups = sh::words(groups.iter().map(String::as_str))?;
    let (seccomp, filter) = calls::arguments(subject);
    script.because("what it creates is as closed as the spec says");
    script.line(&format!("umask {:04o}", service.umask));
    script.because("told to end before it is known whom to tell");
    script.line("early= early_reload=");
    script.line("trap 'early=yes' INT TERM");
    script.line("trap 'early_reload=yes' HUP");
    script.line(": >\"$stage/info\"");
    script.because("its limits, its group and groups, and no signal that is ignored");
    script.line(&format!(
        "prlimit {limits} setpriv {groups} env --default-signal \\"
    ));
    script.line(&format!(
        "    bwrap --info-fd 8 {seccomp}\"$@\" 8>\"$stage/info\"{filter} &"
    ));
    script.line("bwrap=$!");
    script.blank();
    ledger.said(&Item::Umask);
    ledger.said(&Item::Groups);
    Ok(())
}

/// Passes on what the script is told, until the service has ended.
///
/// # Errors
/// A word that no script can hold.
pub fn supervise(script: &mut Script, ledger: &mut Ledger, subject: &Subject<'_>) -> Result<()> {
    let own_pids = subject.spec.protections.pid_namespace != Demand::Off;
    script.because("the pids of the children of a process");
    script.line("children() { cat \"/proc/$1/task/$1/children\" 2>/dev/null || :; }");
    script
        .because("the first process that bubblewrap starts, as it says itself before that goes on");
    for line in [
        "first=",
        "alive=yes",
        "while [ -z \"$first\" ] && [ -n \"$alive\" ]; do",
        "    kill -0 \"$bwrap\" 2>/dev/null || alive=",
        "    first=$(sed -n 's/.*\"child-pid\": *\\([0-9][0-9]*\\).*/\\1/p' \"$stage/info\")",
        "done",
    ] {
        script.line(line);
    }
    match own_pids {
        true => {
            script
                .because("it is bubblewrap's own, the service its child; with it all of them end");
            script.line("service() { children \"$first\"; }");
        }
        false => {
            script.because("it is the service");
            script.line("service() { [ ! -e \"/proc/$first\" ] || echo \"$first\"; }");
        }
    }
    script
        .line("tell() { for pid in $(service); do kill \"-$1\" \"$pid\" 2>/dev/null || :; done; }");
    stop(script, ledger, subject, own_pids)?;
    reload(script, ledger, subject)?;
    script.line("[ -z \"$early\" ] || stop");
    wait(script, ledger, subject);
    Ok(())
}

/// A command of the host's, about the service.
fn command(words: &[String]) -> Result<String> {
    let quoted: Result<Vec<String>> = words
        .iter()
        .map(|word| match word.as_str() {
            "$PID" => Ok("\"$pid\"".to_owned()),
            word => sh::word(word),
        })
        .collect();
    Ok(quoted?.join(" "))
}

/// Its own way, TERM, KILL.
fn stop(
    script: &mut Script,
    ledger: &mut Ledger,
    subject: &Subject<'_>,
    own_pids: bool,
) -> Result<()> {
    let service = &subject.spec.service;
    let looks = u64::from(service.stop_timeout_s) * u64::from(LOOKS);
    script.because(&format!(
        "whether it ends within {} seconds",
        service.stop_timeout_s
    ));
    for line in [
        "ends() {".to_owned(),
        format!("    looks={looks}"),
        "    while [ -n \"$(service)\" ]; do".to_owned(),
        "        [ \"$looks\" -gt 0 ] || return 1".to_owned(),
        "        looks=$((looks - 1))".to_owned(),
        "        sleep 0.1".to_owned(),
        "    done".to_owned(),
        "}".to_owned(),
    ] {
        script.line(&line);
    }
    script.line("stop() {");
    script.line("    told=yes");
    script.line("    trap '' HUP INT TERM");
    script.line("    # it may be on its way still");
    script.line(
        "    while [ -z \"$(service)\" ] && kill -0 \"$bwrap\" 2>/dev/null; do sleep 0.01; done",
    );
    if !service.stop.is_empty() {
        script.line("    pid=$(service)");
        script.line("    pid=${pid%% *}");
        script.line(&format!("    {} || :", command(&service.stop)?));
        script.line("    if ends; then return; fi");
    }
    script.line("    tell TERM");
    script.line("    ends || kill -KILL \"$first\" 2>/dev/null || :");
    script.line("}");
    script.line("trap stop INT TERM");
    match own_pids {
        true => ledger.said(&Item::Stop),
        false => ledger.gap(
            [Item::Stop],
            Loss::Loosened,
            Severity::Info,
            "without pids of its own, processes that it has started may outlive it",
        ),
    }
    Ok(())
}

fn reload(script: &mut Script, ledger: &mut Ledger, subject: &Subject<'_>) -> Result<()> {
    ledger.said(&Item::Reload);
    let (because, lines) = match &subject.spec.service.reload {
        None => return Ok(()),
        Some(Reload::Signal(number)) => ("its own signal", vec![format!("    tell {number}")]),
        Some(Reload::Command(words)) => (
            "a command of the host's, outside of the jail",
            vec![
                "    pid=$(service)".to_owned(),
                "    pid=${pid%% *}".to_owned(),
                format!("    {} || :", command(words)?),
            ],
        ),
    };
    script.because(because);
    script.line("reload() {");
    script.line("    told=yes");
    for line in lines {
        script.line(&line);
    }
    script.line("}");
    script.line("trap reload HUP");
    script.line("[ -z \"$early_reload\" ] || reload");
    Ok(())
}

fn wait(script: &mut Script, ledger: &mut Ledger, subject: &Subject<'_>) {
    script.because("a signal ends a wait, too; 127: it had been waited for");
    for line in [
        "code=",
        "while :; do",
        "    told= next=0",
        "    wait \"$bwrap\" || next=$?",
        "    [ -z \"$code\" ] || [ \"$next\" -ne 127 ] || break",
        "    code=$next",
        "    [ -n \"$told\" ] || break",
        "done",
    ] {
        script.line(line);
    }
    if subject.spec.service.forks {
        script.because("its first process has ended, the others are in the background");
        script.line("while [ -n \"$(service)\" ]; do sleep 1; done");
    }
    ledger.said(&Item::Forks);
    script.line("exit \"$code\"");
}
