//! A profile for firejail (`firejail-profile(5)`) on the host's files, and a script that starts the
//! service with it. Its way to another root (`chroot`) is off where Debian's configuration is used.

mod calls;
mod places;
mod text;

use std::path::{Path, PathBuf};

use super::{Exported, ExportedFile, Item, Ledger, Loss, Subject, launched, sh};
use crate::audit::Severity;
use crate::export::bubblewrap::DIRECTORY;
use crate::spec::Demand;
use crate::{Error, Result};

/// A profile in the making.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    text: String,
    /// The last comment, which is not said twice.
    reason: String,
}

impl Profile {
    fn because(&mut self, reason: &str) {
        if self.reason != reason {
            self.reason = reason.to_owned();
            self.text += &format!("{}\n", text::comment(reason));
        }
    }

    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }
}

/// Writes the profile and the script.
///
/// # Errors
/// A word of the spec that they cannot hold.
pub fn export(subject: Subject<'_>) -> Result<Exported> {
    let name = &subject.spec.name;
    let mut ledger = Ledger::new(subject.spec);
    let profile_path = PathBuf::from(format!("{name}.profile"));
    let script_path = PathBuf::from(format!("{name}.firejail.sh"));
    let mut profile = Profile::default();
    for line in [
        format!("{name} on the host's files: for firejail 0.9.72 or later."),
        format!("Made by \"gaoler export {name} --to firejail\" from the spec of the jail {name}."),
        format!("{} starts the service with it.", script_path.display()),
    ] {
        profile.because(&line);
    }
    profile.line("quiet");
    places::say(&mut profile, &mut ledger, &subject)?;
    namespaces(&mut profile, &mut ledger, &subject);
    calls::say(&mut profile, &mut ledger, &subject);
    if !subject.spec.service.forks {
        profile.because("it has ended when its first process has, with its code");
        profile.line("deterministic-exit-code");
        profile.line("deterministic-shutdown");
    }
    ledger.said(&Item::Forks);
    let script = script(&mut ledger, &subject)?;
    launched::alone(&mut ledger, &subject);
    let file = |path: PathBuf, text, executable| ExportedFile {
        install: Path::new(DIRECTORY).join(&path),
        path,
        text,
        executable,
    };
    Ok(Exported {
        files: vec![
            file(profile_path, profile.text, false),
            file(script_path, script, true),
        ],
        gaps: ledger.close(),
    })
}

fn namespaces(profile: &mut Profile, ledger: &mut Ledger, subject: &Subject<'_>) {
    if subject.spec.protections.ipc_namespace != Demand::Off {
        profile.because("System V IPC and POSIX queues of its own");
        profile.line("ipc-namespace");
        ledger.said(&Item::Namespace("ipc_namespace"));
    }
    // firejail makes these in any case.
    for name in ["mount_namespace", "pid_namespace", "uts_namespace"] {
        ledger.said(&Item::Namespace(name));
    }
}

fn script(ledger: &mut Ledger, subject: &Subject<'_>) -> Result<String> {
    let spec = subject.spec;
    let service = &spec.service;
    let name = &spec.name;
    let mut lines = vec![
        "#!/bin/sh".to_owned(),
        sh::comment(&format!(
            "{name} under firejail, by {name}.profile beside this script; started by root."
        )),
        sh::comment(&format!(
            "Made by \"gaoler export {name} --to firejail\" from the spec of the jail {name}."
        )),
        "set -eu".to_owned(),
        sh::comment("nothing of the caller's environment decides what is executed"),
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        "export PATH".to_owned(),
        sh::comment("nothing can be typed into it"),
        "exec </dev/null".to_owned(),
    ];
    scratch(&mut lines, subject)?;
    lines.push(sh::comment("what it creates is as closed as the spec says"));
    lines.push(format!("umask {:04o}", service.umask));
    let limits = launched::limits(ledger, subject).join(" ");
    lines.push(sh::comment("its limits, and no signal that is ignored"));
    lines.push("exec env -i --default-signal \"PATH=$PATH\" LC_ALL=C \\".to_owned());
    lines.push(format!("    prlimit {limits} \\"));
    lines.push(format!(
        "    firejail --profile=\"$(dirname -- \"$0\")\"/{} \\",
        sh::word(&format!("{name}.profile"))?
    ));
    if !service.start_as_root {
        let options = launched::groups(subject)
            .into_iter()
            .chain(launched::user(subject));
        let options: Vec<String> = options.collect();
        let options = sh::words(options.iter().map(String::as_str))?;
        lines.push(format!("    /usr/bin/setpriv {options} -- \\"));
    }
    program(subject)?;
    lines.push(format!(
        "    /usr/bin/env -i -C {} -- \\",
        sh::path(&service.workdir)?
    ));
    for (name, value) in &service.environment {
        lines.push(format!("    {} \\", sh::assignment(name, value)?));
    }
    lines.push(format!("    {}", sh::words(subject.command_as_user())?));
    for item in [
        Item::Command,
        Item::User,
        Item::WorkingDirectory,
        Item::Umask,
        Item::Environment,
    ] {
        ledger.said(&item);
    }
    groups(ledger, subject);
    life(ledger, subject);
    Ok(lines.join("\n") + "\n")
}

/// Refuses what env(1) would take for a variable.
fn program(subject: &Subject<'_>) -> Result<()> {
    let service = &subject.spec.service;
    match service.command.first().filter(|word| word.contains('=')) {
        None => Ok(()),
        Some(word) => Err(Error::usage(
            format!("start {word} by env(1)"),
            "it takes a word with = in it for a variable",
        )
        .hint("give the program another path")),
    }
}

/// Places in memory, in a mount namespace of the script's own.
fn scratch(lines: &mut Vec<String>, subject: &Subject<'_>) -> Result<()> {
    let spec = subject.spec;
    if spec.scratch.is_empty() {
        return Ok(());
    }
    let uid = match spec.service.start_as_root {
        true => 0,
        false => subject.uid,
    };
    lines.push(sh::comment(
        "mounts of its own: what is mounted here ends with the last process",
    ));
    for line in [
        "if [ \"${1-}\" != mounted ]; then",
        "    exec unshare --mount --propagation private -- /bin/sh \"$0\" mounted",
        "fi",
    ] {
        lines.push(line.to_owned());
    }
    for rule in &spec.scratch {
        lines.push(sh::comment(&rule.because));
        lines.push(format!(
            "mount -t tmpfs -o size={}k,mode=0700,uid={uid},gid={},nosuid,nodev,noexec gaoler {}",
            rule.size_kib,
            subject.gid,
            sh::path(&rule.path)?
        ));
    }
    Ok(())
}

fn groups(ledger: &mut Ledger, subject: &Subject<'_>) {
    let service = &subject.spec.service;
    match service.start_as_root && !service.groups.is_empty() {
        false => ledger.said(&Item::Groups),
        true => ledger.gap(
            [Item::Groups],
            Loss::Lost,
            Severity::Info,
            "firejail takes every group away from a service that starts as root",
        ),
    }
}

fn life(ledger: &mut Ledger, subject: &Subject<'_>) {
    /// So many seconds after TERM comes KILL (`sandbox.c` of its sources).
    const GRACE: u32 = 10;
    let service = &subject.spec.service;
    match service.stop.is_empty() && service.stop_timeout_s == GRACE {
        true => ledger.said(&Item::Stop),
        false => ledger.gap(
            [Item::Stop],
            Loss::Loosened,
            Severity::Info,
            "TERM for firejail is passed on to it, and KILL follows after 10 seconds; a command of its own is \
             not called",
        ),
    }
    ledger.gap(
        [Item::Reload],
        Loss::Lost,
        Severity::Info,
        "firejail passes no HUP on: the command or signal has to be sent to the service itself",
    );
}
