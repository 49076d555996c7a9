//! What of the file system the service sees.

use std::path::Path;

use super::script::Script;
use crate::audit::Severity;
use crate::build::LOG_DIRECTORY;
use crate::export::{Item, Ledger, Loss, Subject, sh};
use crate::spec::{BindRule, ScratchRule};
use crate::{Error, Result};

/// Where the service sees what the script has besides the tree: `/dev/log`, and `setpriv` with its
/// libraries.
pub const OWN: &str = LOG_DIRECTORY;

/// Mounts and copies, in the mount namespace of the script.
///
/// # Errors
/// The tree has no place for them; a path that no script can hold.
pub fn prepare(script: &mut Script, subject: &Subject<'_>) -> Result<()> {
    let spec = subject.spec;
    if subject.manifest.entry(Path::new(OWN)).is_none() {
        return Err(Error::usage(
            format!("export the jail {}", spec.name),
            format!("its tree has no {OWN}, where the script puts what is not in it"),
        )
        .hint(format!("build it: gaoler build {}", spec.name)));
    }
    script.because("the generation that is the current one now");
    script.line(&format!(
        "tree=$(readlink -e -- {})",
        sh::path(subject.tree)?
    ));
    script.line(&format!("stage=$tree{OWN}"));
    script.line("mount -t tmpfs -o mode=0755,nosuid,nodev gaoler \"$stage\"");
    script.line("mkdir \"$stage/own\"");
    messages(script);
    change_of_user(script);
    scratch(script, subject)?;
    binds(script, subject)?;
    script.blank();
    Ok(())
}

fn messages(script: &mut Script) {
    script.because("its messages for syslog(3) go to the host's");
    script.line("if [ -S /dev/log ]; then");
    script.line("    : >\"$stage/own/log\"");
    script.line("    mount --bind -- \"$(readlink -e /dev/log)\" \"$stage/own/log\"");
    script.line("fi");
}

fn change_of_user(script: &mut Script) {
    script.because("the program that leaves it its rights alone, with its loader and libraries");
    script.line("setpriv=$(command -v setpriv)");
    script.line("libraries=$(ldd \"$setpriv\" | sed -n 's|^[^/]*\\(/[^ ]*\\) (0x.*|\\1|p')");
    script.line("for file in $libraries; do");
    script.line("    case $file in */ld-*) loader=${file##*/} ;; esac");
    script.line("    cp -L -- \"$file\" \"$stage/own/\"");
    script.line("done");
    script.line("cp -L -- \"$setpriv\" \"$stage/own/setpriv\"");
}

fn scratch(script: &mut Script, subject: &Subject<'_>) -> Result<()> {
    let spec = subject.spec;
    let (uid, gid) = match spec.service.start_as_root {
        true => (0, subject.gid),
        false => (subject.uid, subject.gid),
    };
    for (place, rule) in spec.scratch.iter().enumerate() {
        script.because(&rule.because);
        script.line(&format!("mkdir \"$stage/{place}\""));
        script.line(&format!(
            "mount -t tmpfs -o size={}k,mode=0700,uid={uid},gid={gid},nosuid,nodev,noexec gaoler \
             \"$stage/{place}\"",
            rule.size_kib
        ));
        fill(script, subject, place, rule)?;
    }
    Ok(())
}

/// What the tree has where a place in memory hides it.
fn fill(
    script: &mut Script,
    subject: &Subject<'_>,
    place: usize,
    scratch: &ScratchRule,
) -> Result<()> {
    for file in subject.spec.files_in_scratch() {
        let mut others = subject.spec.scratch.iter();
        let depth = |rule: &ScratchRule| rule.path.components().count();
        // The deepest is what hides it.
        let deeper =
            others.any(|other| depth(other) > depth(scratch) && file.path.starts_with(&other.path));
        let Some(below) = file
            .path
            .strip_prefix(&scratch.path)
            .ok()
            .filter(|_| !deeper)
        else {
            continue;
        };
        script.because(&file.because);
        let above = below.parent().unwrap_or(Path::new(""));
        let inside = |path: &Path| sh::path(&Path::new("/").join(path));
        script.line(&format!("mkdir -p -- \"$stage/{place}\"{}", inside(above)?));
        script.line(&format!(
            "cp -a -- \"$tree\"{} \"$stage/{place}\"{}",
            sh::path(&file.path)?,
            inside(above)?
        ));
    }
    Ok(())
}

fn binds(script: &mut Script, subject: &Subject<'_>) -> Result<()> {
    let binds = &subject.spec.binds;
    if binds.is_empty() {
        return Ok(());
    }
    script.because(
        "mounts a place of the host on itself, with what is mounted below, so that nothing in it",
    );
    script.because("is executed; a link may have been put there by the service");
    for line in [
        "without_programs() {",
        "    [ \"$(readlink -e -- \"$1\")\" = \"$1\" ] || { echo \"$0: $1 is not there, or a link\" >&2; exit 1; }",
        "    mount --rbind -- \"$1\" \"$1\"",
        "    findmnt --list --noheadings --submounts --output TARGET -- \"$1\" | while IFS= read -r place; do",
        "        mount -o remount,bind,nosuid,nodev,noexec -- \"$place\"",
        "    done",
        "}",
    ] {
        script.line(line);
    }
    for bind in sorted(binds) {
        script.because(&bind.because);
        script.line(&format!("without_programs {}", sh::path(&bind.path)?));
    }
    Ok(())
}

/// What is above comes before what is below it.
fn sorted(binds: &[BindRule]) -> Vec<&BindRule> {
    let mut all: Vec<&BindRule> = binds.iter().collect();
    all.sort_by(|one, other| one.path.cmp(&other.path));
    all
}

/// The mounts that bubblewrap makes.
///
/// # Errors
/// A path that no script can hold.
pub fn arguments(script: &mut Script, ledger: &mut Ledger, subject: &Subject<'_>) -> Result<()> {
    let spec = subject.spec;
    script.because("the tree that gaoler built: nothing else of the host is there");
    script.line("set -- --ro-bind \"$tree\" /");
    for rule in &spec.files {
        ledger.said(&Item::File(rule.path.clone()));
    }
    for rule in &spec.devices {
        let from = sh::path(rule.device.path())?;
        script.argument(
            &rule.because,
            &format!("--dev-bind {from} {}", sh::path(&rule.path)?),
        );
        ledger.said(&Item::Device(rule.path.clone()));
    }
    let in_scratch = |bind: &BindRule| {
        let mut scratch = spec.scratch.iter();
        scratch.any(|scratch| bind.path.starts_with(&scratch.path))
    };
    let binds = sorted(&spec.binds);
    for bind in binds.iter().filter(|bind| !in_scratch(bind)) {
        mount(script, ledger, bind)?;
    }
    for (place, rule) in spec.scratch.iter().enumerate() {
        let to = sh::path(&rule.path)?;
        script.argument(&rule.because, &format!("--bind \"$stage/{place}\" {to}"));
        ledger.said(&Item::Scratch(rule.path.clone()));
    }
    for bind in binds.iter().filter(|bind| in_scratch(bind)) {
        mount(script, ledger, bind)?;
    }
    script.argument(
        "what the script has besides the tree, and nothing else of what it has prepared",
        &format!("--ro-bind \"$stage/own\" {OWN}"),
    );
    ledger.gap(
        [Item::NothingElse],
        Loss::Loosened,
        Severity::Info,
        format!(
            "{OWN} has setpriv of the host, which leaves it its rights alone, with its libraries"
        ),
    );
    Ok(())
}

fn mount(script: &mut Script, ledger: &mut Ledger, bind: &BindRule) -> Result<()> {
    let option = match bind.writable {
        true => "--bind",
        false => "--ro-bind",
    };
    let path = sh::path(&bind.path)?;
    script.argument(&bind.because, &format!("{option} {path} {path}"));
    ledger.said(&Item::Bind(bind.path.clone(), bind.writable));
    Ok(())
}
