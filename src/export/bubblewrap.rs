//! A script for `bwrap(1)` of bubblewrap, started by root.
//!
//! bubblewrap makes the root, the namespaces and the filter. What it has no word for, util-linux says
//! around it: mounts without programs and places in memory in a mount namespace of the script's own,
//! `setpriv` for the user. That is changed inside: bubblewrap does its work as root, and without a
//! user namespace, in which a capability would mean nothing to the host's network.

mod calls;
mod life;
mod mounts;
mod script;

use std::path::{Path, PathBuf};

use super::{Exported, ExportedFile, Item, Ledger, Loss, Subject, launched, sh};
use crate::Result;
use crate::audit::Severity;
use script::Script;

/// Where the files belong.
pub const DIRECTORY: &str = "/usr/local/lib/gaoler";

/// Writes the script.
///
/// # Errors
/// A word of the spec that no script can hold; the filter cannot be compiled.
pub fn export(subject: Subject<'_>) -> Result<Exported> {
    let name = &subject.spec.name;
    let mut ledger = Ledger::new(subject.spec);
    let mut script = Script::default();
    heading(&mut script, &subject);
    mounts::prepare(&mut script, &subject)?;
    calls::install(&mut script, &mut ledger, &subject)?;
    mounts::arguments(&mut script, &mut ledger, &subject)?;
    namespaces(&mut script, &mut ledger, &subject);
    capabilities(&mut script, &mut ledger, &subject);
    environment(&mut script, &mut ledger, &subject)?;
    command(&mut script, &mut ledger, &subject)?;
    life::start(&mut script, &mut ledger, &subject)?;
    life::supervise(&mut script, &mut ledger, &subject)?;
    launched::alone(&mut ledger, &subject);
    let path = PathBuf::from(format!("{name}.bwrap.sh"));
    Ok(Exported {
        files: vec![ExportedFile {
            install: Path::new(DIRECTORY).join(&path),
            path,
            text: script.text,
            executable: true,
        }],
        gaps: ledger.close(),
    })
}

fn heading(script: &mut Script, subject: &Subject<'_>) {
    let name = &subject.spec.name;
    script.line("#!/bin/sh");
    for line in [
        format!("{name} in the tree of its jail: for bubblewrap 0.8 or later and util-linux."),
        format!("Made by \"gaoler export {name} --to bubblewrap\" from the spec of the jail {name}."),
        "Started by root, it runs until the service has ended. TERM ends the service, HUP has it read its \
         configuration again, where the spec says how."
            .to_owned(),
    ] {
        script.because(&line);
    }
    script.line("set -eu");
    script.because("nothing of the caller's environment decides what is executed");
    script.line("PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C");
    script.line("export PATH LC_ALL");
    script.blank();
    script.because(
        "an open file of the caller's is a way out of any root; sh closes those up to 9 alone",
    );
    script.because("mounts of its own: what is mounted here ends with the last process");
    for line in [
        "if [ \"${1-}\" != mounted ]; then",
        "    exec bash -c 'for file in /proc/self/fd/*; do",
        "        file=${file##*/}",
        "        [ \"$file\" -le 2 ] || eval \"exec $file<&-\"",
        "    done",
        "    exec unshare --mount --propagation private -- /bin/sh \"$0\" mounted' \"$0\"",
        "fi",
    ] {
        script.line(line);
    }
    script.line("umask 022");
    script.blank();
}

fn namespaces(script: &mut Script, ledger: &mut Ledger, subject: &Subject<'_>) {
    use crate::spec::Demand;
    let wanted = &subject.spec.protections;
    for (name, option, demand, because) in [
        (
            "ipc_namespace",
            "--unshare-ipc",
            wanted.ipc_namespace,
            "System V IPC and POSIX queues of its own",
        ),
        (
            "pid_namespace",
            "--unshare-pid",
            wanted.pid_namespace,
            "it sees and signals its own processes alone",
        ),
        (
            "uts_namespace",
            "--unshare-uts",
            wanted.uts_namespace,
            "a host name of its own",
        ),
    ] {
        if demand != Demand::Off {
            script.argument(because, option);
            ledger.said(&Item::Namespace(name));
        }
    }
    // bubblewrap is always in one.
    ledger.said(&Item::Namespace("mount_namespace"));
    script.argument("no terminal of the caller's to type into", "--new-session");
    if !subject.spec.service.forks {
        script.argument(
            "it does not outlive who looks after it",
            "--die-with-parent",
        );
    }
}

fn capabilities(script: &mut Script, ledger: &mut Ledger, subject: &Subject<'_>) {
    script.argument("no capability but these", "--cap-drop ALL");
    for rule in &subject.spec.capabilities {
        let name = super::item::capability(rule.capability);
        script.argument(&rule.because, &format!("--cap-add {name}"));
        ledger.said(&Item::Capability(rule.capability));
    }
    let change = launched::to_change(subject).iter();
    for name in change.filter(|name| !launched::keeps(subject, name)) {
        script.argument(
            "until setpriv has done its work, and gives it away",
            &format!("--cap-add CAP_{name}"),
        );
    }
    ledger.said(&Item::NoOtherCapability);
    // bubblewrap sets it for everything that it starts.
    ledger.said(&Item::NoNewPrivileges);
}

fn environment(script: &mut Script, ledger: &mut Ledger, subject: &Subject<'_>) -> Result<()> {
    let service = &subject.spec.service;
    script.argument("the whole environment", "--clearenv");
    for (name, value) in &service.environment {
        sh::assignment(name, value)?;
        let words = sh::words(["--setenv", name, value])?;
        script.argument("the whole environment", &words);
    }
    ledger.gap(
        [Item::Environment],
        Loss::Loosened,
        Severity::Info,
        "bubblewrap adds PWD",
    );
    let directory = sh::path(&service.workdir)?;
    script.argument("in the jail", &format!("--chdir {directory}"));
    ledger.said(&Item::WorkingDirectory);
    Ok(())
}

/// The program, behind what makes it the user's.
fn command(script: &mut Script, ledger: &mut Ledger, subject: &Subject<'_>) -> Result<()> {
    let service = &subject.spec.service;
    script.because("what is executed");
    script.line("set -- \"$@\" --");
    let own = mounts::OWN;
    script.argument(
        "its own user and no other rights, from before its first instruction; bubblewrap itself leaves \
         the bounding set as it is",
        &format!("\"{own}/$loader\" --library-path {own} {own}/setpriv"),
    );
    let options = launched::user(subject);
    let options = sh::words(options.iter().map(String::as_str))?;
    script.line(&format!("set -- \"$@\" {options} --"));
    let command = subject.command_as_user();
    let because = match command.len() == service.command.len() {
        true => "the command that was learned",
        false => "the command that was learned, without the option for what setpriv does",
    };
    script.argument(because, &sh::words(command)?);
    script.blank();
    for item in [Item::Command, Item::User] {
        ledger.said(&item);
    }
    Ok(())
}
